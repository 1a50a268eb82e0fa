"""What docs/operators.md says of convolutions by groups, packed by windows, and transposed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vta.hw.config import Config
from vta.sim.bench.network import EPILOGUE
from vta.sim.documents.claim import Claim

if TYPE_CHECKING:
    from vta.sw.operators import Conv2d, Conv2dTranspose

__all__ = ["convolutions"]

MOBILENET = (
    (112, 32, 1),
    (112, 64, 2),
    (56, 128, 1),
    (56, 128, 2),
    (28, 256, 1),
    (28, 256, 2),
    (14, 512, 1),
    (14, 512, 2),
    (7, 1024, 1),
)
"""Old VTA's depthwise layers: rows and columns, channels, stride."""
DCGAN = ((4, 1024), (8, 512), (16, 256))
"""Its transposed ones: rows and columns, channels, of which the result has half as many."""


def convolutions() -> Iterator[Claim]:
    """A row of the table for each layer."""
    config = Config()
    for name, layer in _layers():
        demand, model = layer.demand(config), next(iter(layer.space(config))).cost
        figures = (model, demand["bound"], demand["gemm"], demand["with_alu"])
        row = f"| {name} | {{}} | {{}} | {{}} | {{}} |"
        yield Claim("docs/operators.md", row, tuple(f"{figure:,}" for figure in figures))


def _layers() -> Iterator[tuple[str, "Conv2d | Conv2dTranspose"]]:
    from vta.sw.operators import Conv2d, Conv2dTranspose  # here, because TVM takes seconds to load

    more: dict[str, Any] = {"images": 1, **EPILOGUE}
    sizes: dict[str, Any]
    for size, channels, stride in MOBILENET:
        name = f"depthwise {size}x{size}x{channels}, 3x3" + (f" s{stride}" if stride > 1 else "")
        sizes = {"height": size, "width": size, "channels": channels, "outputs": channels}
        yield name, Conv2d(**sizes, groups=channels, stride=stride, **more)
    more |= {"stride": 2}
    sizes = {"height": 224, "width": 224, "channels": 3, "kernel_height": 7, "kernel_width": 7}
    first = Conv2d(**sizes, outputs=64, padding=3, im2col=True, **more)
    yield "224x224x3->64, 7x7 s2, im2col", first
    sizes = {"height": 49, "width": 10, "channels": 1, "kernel_height": 10, "kernel_width": 4}
    first = Conv2d(**sizes, outputs=64, pad_top=4, pad_bottom=5, im2col=True, **more)
    yield "49x10x1->64, 10x4 s2, im2col", first
    for size, channels in DCGAN:
        sizes = {"height": size, "width": size, "kernel_height": 4, "kernel_width": 4}
        name = f"transposed {size}x{size}x{channels}->{channels // 2}, 4x4 s2"
        layer = Conv2dTranspose(**sizes, channels=channels, outputs=channels // 2, **more)
        yield name, layer
