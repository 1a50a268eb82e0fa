"""What docs/operators.md says of C2 with a residual, by its factor, and of C1 with its pool."""

from collections.abc import Iterator
from typing import Any

from vta.hw.config import Config
from vta.sim.bench.network import EPILOGUE
from vta.sim.documents.claim import Claim
from vta.sw.estimate import estimate_program

__all__ = ["estimated"]

C2: dict[str, Any] = {"height": 56, "width": 56, "channels": 64, "outputs": 64, "residual": True}
C1: dict[str, Any] = {
    "height": 224,
    "width": 224,
    "channels": 3,
    "outputs": 64,
    "im2col": True,
    "kernel_height": 7,
    "kernel_width": 7,
    "stride": 2,
    "padding": 3,
    "pool_height": 3,
    "pool_width": 3,
    **{f"pool_pad_{side}": 1 for side in ("top", "bottom", "left", "right")},
}
ALIKE = (
    "add bias, shr 2, max -30000, min 30000, mul multiplier, add residual, shr 16, max 0, min 127"
)
ANY = "min high, max low, mul multiplier, add residual, add addend, shr 22, max 0, min 127"
ROWS: dict[str, dict[str, Any]] = {
    "up to 127": {**EPILOGUE, "residual_factor": 64},
    "2^9, or any up to 127 times a power of two": {**EPILOGUE, "shift": 9, "residual_factor": 512},
    "real scales, much alike": {"steps": ALIKE, "residual_factor": 1_600_000},
    "any real scales": {"steps": ANY, "residual_factor": 1_600_000},
}


def estimated() -> Iterator[Claim]:
    """A row of the table for each factor, and the bound; then C1."""
    from vta.sw.operators import Conv2d, Conv2dMaxPool  # here, because TVM takes seconds to load

    page, config = "docs/operators.md", Config()
    bound = Conv2d(**C2).demand(config)["bound"]
    yield Claim(page, "of ResNet-18's C2 with a residual, of a bound of {}:", (f"{bound:,}",))
    for name, values in ROWS.items():
        conv = Conv2d(**C2, **values)
        cycles = estimate_program(conv.bind(config).compiled.template).cycles
        row = f"| {name} | {conv.epilogue.passes} | {{}} |"
        yield Claim(page, row, (f"{cycles:,}",))
    pooled = Conv2dMaxPool(**C1, **EPILOGUE)
    cycles = estimate_program(pooled.bind(config).compiled.template).cycles
    text = "is estimated at {} cycles of a bound of {}."
    yield Claim(page, text, (f"{cycles:,}", f"{pooled.demand(config)['bound']:,}"))
