"""2-D convolution, by groups too, with residual, bias, shift and clip; tiles by search.

Data is (images, channels, height, width) in layout NCHW{b}n{k}c, weights are (outputs, channels of
a group, kernel height, kernel width) in OIHW{k}o{k}i. Groups that are no whole blocks become
block-diagonal weights: a depthwise convolution is one of groups of BLOCK, with diagonal ones.
Data of few channels can be packed by windows (im2col). The layouts say both (`vta.sw.arrange`).
"""

from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.arrange import Arrangement, Diagonal, Flat, Windows
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.border import Edge
from vta.sw.operators.geometry import Geometry
from vta.sw.operators.window import Window
from vta.sw.tensor import Tensor

__all__ = ["Conv2d"]


@dataclass(frozen=True, kw_only=True)
class Conv2d(Window):
    """A convolution."""

    name: ClassVar[str] = "conv2d"
    help: ClassVar[str] = (
        "2-D convolution, also depthwise and by groups, with padding, stride, dilation, residual, "
        "bias, shift and clip"
    )

    im2col: bool = attribute(
        "pack the data by windows on the host: for few channels, whose blocks would be empty", False
    )

    im2col_rows: int | None = attribute(
        "rows of the kernel that a window has, with im2col (none: all): fewer repeat less data",
        None,
        minimum=1,
    )
    pad_value: int = attribute(
        "what the padding is, with im2col: the data's zero point", 0, minimum=-128, maximum=127
    )

    def check(self) -> None:
        if self.im2col_rows is not None and not self.im2col:
            raise OperatorError(
                f"conv2d: im2col_rows is {self.im2col_rows}, but nothing is packed by windows: add "
                "im2col=true"
            )
        if self.im2col and min(self._windows) < 0:
            raise OperatorError(
                f"conv2d: windows of {self.im2col_rows} rows end before the data does: take "
                f"another number, such as {self.kernel_height}"
            )
        if self.pad_value and not self.im2col:
            raise OperatorError(
                f"conv2d: pad_value is {self.pad_value}; only im2col pads with other than zeros: "
                "add im2col=true, or correct the border by steps (requantization's edges)"
            )
        if self.im2col and self.groups > 1:
            raise OperatorError(
                f"conv2d: im2col packs one group, there are {self.groups}: leave out one of them"
            )
        padded = [n + sum(pads) for n, pads in zip(self.size, self.pads, strict=True)]
        if any(span > n for span, n in zip(self.spans, padded, strict=True)):
            dilated = f" and dilation {self.dilations}" if self.dilations != (1, 1) else ""
            raise OperatorError(
                f"conv2d: a kernel of {self.kernel_height} x {self.kernel_width}{dilated} is "
                f"larger than the padded data, {padded[0]} x {padded[1]}"
            )
        if max(self.strides) > max(padded):
            raise OperatorError(
                f"conv2d: stride is {max(self.strides)}; more than the padded data, {max(padded)}, "
                f"is no other convolution: write {max(padded)} or less"
            )
        super().check()

    @property
    def label(self) -> str:
        size = f"{self.height}x{self.width}x{self.channels}x{self.outputs}"
        groups = f"_g{self.groups}" if self.groups > 1 else ""
        added = f"{self._packed}{self.added}"
        return f"conv2d_{size}_{self.places}{groups}{added}"

    @property
    def _packed(self) -> str:
        rows = "" if self.im2col_rows is None else str(self.im2col_rows)
        return f"_im2col{rows}" if self.im2col else ""

    def describe(self, config: Config) -> str:
        data = f"{self.all_images(config)} x {self.channels} x {self.height} x {self.width}"
        groups = f"{self.groups} groups, " if self.groups > 1 else ""
        packed = "im2col, " if self.im2col else ""
        return f"{data} -> {self.outputs} channels, {groups}{packed}{self.described}, {self.words}"

    @property
    def depth(self) -> int:
        return self.channels // self.groups * self.kernel_height * self.kernel_width

    def geometry(self, config: Config) -> Geometry:
        """With im2col: that of the convolution of the windows, one column wide."""
        whole = self._whole(config)
        if not self.im2col:
            return whole
        rows, taps, step = self._rows
        stride, dilation = self.strides[0] // step, rows * self.dilations[0] // step
        return Geometry(
            images=whole.images,
            inputs=self.channels * rows * self.kernel_width,
            outputs=self.outputs,
            size=((whole.out[0] - 1) * stride + (taps - 1) * dilation + 1, whole.out[1]),
            kernel=(taps, 1),
            stride=(stride, 1),
            dilation=(dilation, 1),
            pads=((0, 0), (0, 0)),
        )

    @property
    def _rows(self) -> tuple[int, int, int]:
        """Rows of the kernel in a window, windows in a kernel, rows from window to window."""
        rows = min(self.im2col_rows or self.kernel_height, self.kernel_height)
        taps = -(-self.kernel_height // rows)
        if taps == 1:
            return rows, taps, self.strides[0]
        return rows, taps, gcd(self.strides[0], rows * self.dilations[0])

    @property
    def _windows(self) -> list[int]:
        """Of `Windows`, the numbers, without what fills."""
        rows, taps, step = self._rows
        (top, bottom), right = self.pads
        out = self._whole(Config()).out[0]
        if taps > 1:  # what the last window reaches, whether the kernel does or not
            reach = (out - 1) * self.strides[0] + (taps * rows - 1) * self.dilations[0] + 1
            bottom = reach - self.height - top
        size = (rows, self.kernel_width, step, self.strides[1])
        return [*size, *self.dilations, top, bottom, *right]

    def _whole(self, config: Config) -> Geometry:
        """That of the convolution itself."""
        return Geometry(
            images=self.all_images(config),
            inputs=self.channels,
            outputs=self.outputs,
            depth=self.channels // self.groups,
            shared=self.outputs // self.groups,
            size=self.size,
            kernel=self.kernel_size,
            stride=self.strides,
            dilation=self.dilations,
            pads=self.pads,
        )

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Of the convolution itself, whether its windows are packed or not; where the padding is
        the data's zero point, nothing is different at the border.
        """
        edges = self._whole(Config()).edges
        return tuple(edge.alike() for edge in edges) if self.pad_value else edges

    def tensors(self, config: Config) -> dict[str, Tensor]:
        """Data and weights as a network has them; the layouts say how they are packed."""
        found = super().tensors(config)
        merged = self.geometry(config).merged(config)
        arranged: dict[str, Arrangement] = {}
        if self.im2col:
            numbers = [*self._windows, self.pad_value & 0xFF]
            flat = Flat(0 if self._rows[1] == 1 else self._rows[0])
            arranged = {"data": Windows(*numbers), "weight": flat}
        elif merged > 1:
            arranged = {"weight": Diagonal(self.outputs // self.groups, merged)}
        shapes = {
            "data": (self.all_images(config), self.channels, *self.size),
            "weight": (
                self.outputs,
                self.channels // self.groups,
                *self.term_axes,
                *self.kernel_size,
            ),
        }
        for name, shape in shapes.items():
            layout = found[name].layout
            if name in arranged:
                layout = f"{arranged[name]}:{layout}"
            found[name] = replace(found[name], shape=shape, layout=layout, nbytes=-1)
        return found

    def sums(self, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """int64 (n, o, oh, ow) from int8 data (n, c, h, w) and weight (o, c of a group, kh, kw).

        Channels behind those of the last group count nothing. One float64 product a tap; exact,
        since |sum| <= c * kh * kw * 2^14 < 2^53.
        """
        images, (filled, depth, *kernel) = len(data), weight.shape
        groups, outputs = self.groups, filled if self.groups == 1 else self.outputs
        data = data[:, : groups * depth]
        padded = np.pad(data, ((0, 0), (0, 0), *self.pads), constant_values=self.pad_value)
        if self.im2col and self.images is not None:
            padded[self.images :] = 0  # what fills a group of images up has no windows
        padded = padded.astype(np.float64)
        taps = weight[:outputs].reshape(groups, -1, *weight.shape[1:]).astype(np.float64)
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, self.dilations, strict=True)]
        sizes = zip(padded.shape[2:], spans, self.strides, strict=True)
        height, width = ((n - span) // stride + 1 for n, span, stride in sizes)
        acc = np.zeros((images, groups, outputs // groups, height * width))
        for y, x in np.ndindex(*kernel):
            rows, columns = (
                slice(first, first + (out - 1) * stride + 1, stride)
                for first, out, stride in zip(
                    (y * self.dilations[0], x * self.dilations[1]),
                    (height, width),
                    self.strides,
                    strict=True,
                )
            )
            plane = padded[:, :, rows, columns].reshape(images, groups, depth, -1)
            acc += taps[..., y, x] @ plane
        found = np.zeros((images, filled, height, width), np.int64)
        found[:, :outputs] = acc.reshape(images, outputs, height, width)
        return found
