"""All proofs, by name; `vta formal` runs them."""

from collections.abc import Callable
from pathlib import Path

from vta.hw.config import Config
from vta.hw.formal.bursts import BurstProperties
from vta.hw.formal.chain import ChainProperties, LaneProperties
from vta.hw.formal.channels import CHANNELS, HeldProperties
from vta.hw.formal.pipelines import AluPipelineProperties, GemmPipelineProperties
from vta.hw.formal.ports import PortProperties
from vta.hw.formal.prove import Mode, Properties, prove
from vta.hw.formal.tokens import TokenProperties

__all__ = ["PROOFS", "run"]

PROOFS: dict[str, tuple[Callable[[], Properties], int, Mode]] = {
    **{f"tokens-{n}": (lambda n=n: TokenProperties(capacity=n), 1, "prove") for n in (1, 2, 255)},
    **{
        f"bursts-{bits}": (
            lambda bits=bits: BurstProperties(Config(axi_data_bits=bits)),
            1,
            "prove",
        )
        for bits in (32, 64, 128, 256)
    },
    "chain": (ChainProperties, 1, "bmc"),  # without state: one cycle is all there is
    "lane": (LaneProperties, 3, "prove"),
    "gemm-pipeline": (GemmPipelineProperties, 15, "bmc"),
    "alu-pipeline": (AluPipelineProperties, 15, "bmc"),
    "ports": (PortProperties, 8, "prove"),
    "load-write": (lambda: PortProperties(patience=12), 21, "bmc"),
    **{
        f"held-{name.replace(' ', '-')}": (lambda name=name: HeldProperties(name), 4, "prove")
        for name in CHANNELS
    },
}
"""By name: the properties, and depth and mode of `prove`."""


def run(name: str, directory: Path) -> None:
    """Prove one of `PROOFS`; FormalError where it does not hold."""
    make, depth, mode = PROOFS[name]
    prove(make(), name=name, depth=depth, mode=mode, directory=directory)
