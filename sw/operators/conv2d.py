"""2-D convolution with padding, stride, residual, bias, shift and clip; tiles by search.

Data is (images, channels, height, width) in layout NCHW{b}n{k}c, weights are (outputs, channels,
kernel height, kernel width) in OIHW{k}o{k}i.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.expression import Geometry
from vta.sw.operators.product import Product
from vta.sw.operators.shape import Tiling

__all__ = ["Conv2d"]


@dataclass(frozen=True, kw_only=True)
class Conv2d(Product):
    """A convolution; strides and pads are the same in both directions."""

    name: ClassVar[str] = "conv2d"
    help: ClassVar[str] = "2-D convolution with padding, stride, residual, bias, shift and clip"

    images: int | None = attribute("images (none: BATCH)", None, minimum=1)
    height: int = attribute("rows of the data", 14, minimum=1)
    width: int = attribute("columns of the data", 14, minimum=1)
    channels: int = attribute("channels of the data", 256, minimum=1)
    outputs: int = attribute("channels of the result", 256, minimum=1)
    kernel_height: int = attribute("rows of the kernel", 3, minimum=1)
    kernel_width: int = attribute("columns of the kernel", 3, minimum=1)
    stride: int = attribute("stride in both directions", 1, unit="pixels", minimum=1)
    padding: int = attribute("zeros on each side", 1, unit="pixels", minimum=0)

    def check(self) -> None:
        padded = [size + 2 * self.padding for size in (self.height, self.width)]
        if self.kernel_height > padded[0] or self.kernel_width > padded[1]:
            raise OperatorError(
                f"conv2d: a kernel of {self.kernel_height} x {self.kernel_width} is larger than "
                f"the padded data, {padded[0]} x {padded[1]}"
            )
        if self.stride > max(padded):
            raise OperatorError(
                f"conv2d: stride is {self.stride}; more than the padded data, {max(padded)}, is no "
                f"other convolution: write {max(padded)} or less"
            )
        super().check()

    @property
    def label(self) -> str:
        size = f"{self.height}x{self.width}x{self.channels}x{self.outputs}"
        kernel = f"k{self.kernel_height}x{self.kernel_width}"
        added = "_r" if self.residual else ""
        return f"conv2d_{size}_{kernel}_s{self.stride}_p{self.padding}{added}"

    def describe(self, config: Config) -> str:
        data = f"{self.geometry(config).images} x {self.channels} x {self.height} x {self.width}"
        kernel = f"{self.kernel_height}x{self.kernel_width}"
        return (
            f"{data} -> {self.outputs} channels, {kernel}, stride {self.stride}, "
            f"padding {self.padding}, {self.steps}"
        )

    @property
    def depth(self) -> int:
        return self.channels * self.kernel_height * self.kernel_width

    def geometry(self, config: Config) -> Geometry:
        return Geometry(
            images=config.batch if self.images is None else self.images,
            inputs=self.channels,
            outputs=self.outputs,
            size=(self.height, self.width),
            kernel=(self.kernel_height, self.kernel_width),
            stride=self.stride,
            padding=self.padding,
        )

    def tile(self, tiling: Tiling) -> tuple[int, ...]:
        return 1, tiling.height, tiling.width

    def sums(self, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """int64 (n, o, oh, ow) from int8 data (n, c, h, w) and weight (o, c, kh, kw).

        One float64 product a tap; exact, since |sum| <= c * kh * kw * 2^14 < 2^53.
        """
        pads = ((0, 0), (0, 0), (self.padding, self.padding), (self.padding, self.padding))
        padded, taps = np.pad(data, pads).astype(np.float64), weight.astype(np.float64)
        stride, (kernel_height, kernel_width) = self.stride, weight.shape[2:]
        height = (padded.shape[2] - kernel_height) // stride + 1
        width = (padded.shape[3] - kernel_width) // stride + 1
        acc = np.zeros((data.shape[0], weight.shape[0], height * width))
        for y in range(kernel_height):
            rows = slice(y, y + (height - 1) * stride + 1, stride)
            for x in range(kernel_width):
                columns = slice(x, x + (width - 1) * stride + 1, stride)
                plane = padded[:, :, rows, columns].reshape(*padded.shape[:2], -1)
                acc += taps[:, :, y, x] @ plane
        return acc.astype(np.int64).reshape(*acc.shape[:2], height, width)
