"""Transposed 2-D convolution, by groups too, by phases; tiles by search.

Data is (images, channels, height, width), weights are (channels, outputs of a group, kernel height,
kernel width), as in ONNX and PyTorch: data at row y and tap t add to row y * stride + t * dilation
- pad_top of the result. Rows (and columns) of the result that are alike modulo the stride meet the
same taps: each such phase is a convolution with stride 1 and a part of the kernel, whose result is
stored with gaps, which the other phases fill. So nothing is multiplied by inserted zeros.
"""

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.arrange import Transposed, phase_taps, turned
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.border import Edge
from vta.sw.operators.geometry import Geometry, Phase
from vta.sw.operators.requantize import BORDER, check_depth
from vta.sw.operators.window import Window
from vta.sw.tensor import Tensor

__all__ = ["Conv2dTranspose"]


@dataclass(frozen=True)
class _Line:
    """One phase along one axis: rows from `offset` on, `count` of them.

    `taps` of the kernel, `dilation` apart in the data, from `first` on in the weights; the data
    have `before` rows of zeros in front (a negative number: as many rows are left out).
    """

    offset: int
    count: int
    taps: int
    dilation: int
    first: int
    before: int


@dataclass(frozen=True, kw_only=True)
class Conv2dTranspose(Window):
    """A transposed convolution."""

    name: ClassVar[str] = "conv2d_transpose"
    help: ClassVar[str] = (
        "transposed 2-D convolution, also depthwise and by groups, with padding (cut off the "
        "result), output padding, stride, dilation, residual, bias, shift and clip"
    )

    output_padding: int = attribute(
        "further rows and columns at the result's end", 0, unit="pixels", minimum=0
    )
    output_padding_height: int | None = attribute(
        "rows of these (none: output_padding)", None, unit="rows", minimum=0
    )
    output_padding_width: int | None = attribute(
        "columns of these (none: output_padding)", None, unit="columns", minimum=0
    )

    def check(self) -> None:
        if self.planes:
            raise OperatorError(
                f"conv2d_transpose: result is {self.result}; its phases are stored with gaps, as "
                "int8 only: requantise to int8"
            )
        if min(self.out) < 1:
            raise OperatorError(
                f"conv2d_transpose: the result is {self.out[0]} x {self.out[1]}: pad less (pads "
                "are cut off the result)"
            )
        if BORDER in self.epilogue.operands:  # which adds what the taps without data stand for
            whole = self.channels // self.groups * prod(self.kernel_size)
            check_depth(self.name, whole + self.residual)
        super().check()

    @property
    def further(self) -> tuple[int, int]:
        """Output padding of rows and columns."""
        height, width = self.output_padding_height, self.output_padding_width
        return (
            self.output_padding if height is None else height,
            self.output_padding if width is None else width,
        )

    @property
    def out(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        sizes = zip(self.size, self.strides, self.pads, self.spans, self.further, strict=True)
        height, width = (
            (size - 1) * stride - sum(pads) + span + further
            for size, stride, pads, span, further in sizes
        )
        return height, width

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Classes by phase, as each has taps of its own: those that are between data, where zeros
        would be inserted, stand for the zero point as the padding does.
        """
        return tuple(self._edge(axis) for axis in (0, 1))

    def _edge(self, axis: int) -> Edge:
        stride, (before, _) = self.strides[axis], self.pads[axis]
        taps = np.arange(self.kernel_size[axis]) * self.dilations[axis]
        at = np.arange(self.out[axis])[:, None] + before - taps
        return Edge.where((at >= 0) & (at % stride == 0) & (at < self.size[axis] * stride), stride)

    @property
    def label(self) -> str:
        size = f"{self.height}x{self.width}x{self.channels}x{self.outputs}"
        further = f"_o{'x'.join(map(str, self.further))}" if any(self.further) else ""
        groups = f"_g{self.groups}" if self.groups > 1 else ""
        return f"conv2d_transpose_{size}_{self.places}{further}{groups}{self.added}"

    def describe(self, config: Config) -> str:
        data = f"{self.all_images(config)} x {self.channels} x {self.height} x {self.width}"
        result = f"{self.outputs} x {self.out[0]} x {self.out[1]}"
        groups = f"{self.groups} groups, " if self.groups > 1 else ""
        return f"{data} -> {result} transposed, {groups}{self.described}, {self.words}"

    @property
    def depth(self) -> int:
        """Of the phase with most taps."""
        down, right = (max(line.taps for line in self.lines(axis)) for axis in (0, 1))
        return self.channels // self.groups * down * right

    def result_size(self, config: Config) -> tuple[int, ...]:
        return self.out

    # Phases -------------------------------------------------------------------------------------
    def lines(self, axis: int) -> list[_Line]:
        """The phases along the rows (0) or columns (1), those with no row left out."""
        stride, dilation, pad = self.strides[axis], self.dilations[axis], self.pads[axis][0]
        found, first = [], 0
        for row, taps in enumerate(phase_taps(self.kernel_size[axis], stride, pad, dilation)):
            # The last tap listed is the first of the kernel; its data row is the last one.
            last = 0 if taps == [-1] else (row + pad - taps[-1] * dilation) // stride
            apart = (taps[0] - taps[1]) * dilation // stride if len(taps) > 1 else 1
            count = -(-(self.out[axis] - row) // stride)
            if count > 0:
                before = (len(taps) - 1) * apart - last
                found.append(_Line(row, count, len(taps), apart, first, before))
            first += len(taps)
        return found

    def phases(self, config: Config) -> list[Phase]:
        """In elements: the convolutions of which the result consists."""
        found = []
        edges = enumerate(self.edges)
        axes = (zip(self.lines(axis), edge.phases, strict=True) for axis, edge in edges)
        for pairs in product(*axes):
            lines, classes = zip(*pairs, strict=True)
            pads = []
            for line, size in zip(lines, self.size, strict=True):
                span = (line.taps - 1) * line.dilation + 1
                pads.append((line.before, line.count - 1 + span - size - line.before))
            geometry = replace(
                self.geometry(config),
                kernel=tuple(line.taps for line in lines),
                stride=(1, 1),
                dilation=tuple(line.dilation for line in lines),
                pads=tuple(pads),
            ).blocked(config)
            offset, first = (
                tuple(getattr(line, name) for line in lines) for name in ("offset", "first")
            )
            found.append(Phase(geometry, self.strides, offset, first, classes))
        return found

    def geometry(self, config: Config) -> Geometry:
        """Of the data and the weights; what is computed stands in `phases`."""
        pairs = zip(self.kernel_size, self.strides, self.pads, self.dilations, strict=True)
        taps = (
            sum(map(len, phase_taps(places, stride, pads[0], dilation)))
            for places, stride, pads, dilation in pairs
        )
        return Geometry(
            images=self.all_images(config),
            inputs=self.channels,
            outputs=self.outputs,
            depth=self.channels // self.groups,
            shared=self.outputs // self.groups,
            size=self.size,
            kernel=tuple(taps),
        )

    # Data ---------------------------------------------------------------------------------------
    def tensors(self, config: Config) -> dict[str, Tensor]:
        found = super().tensors(config)
        found["weight"] = replace(
            found["weight"],
            shape=(self.channels, self._shared, *self.term_axes, *self.kernel_size),
            layout=f"{self._arranged(config)}:{found['weight'].layout}",
            nbytes=-1,
        )
        return found

    def _arranged(self, config: Config) -> Transposed:
        """What becomes of the weights."""
        (top, _), (left, _) = self.pads
        arranged = Transposed(*self.strides, *self.dilations, top, left)
        if self.groups == 1:
            return arranged
        merged = self.geometry(config).merged(config)
        return replace(arranged, groups=self.groups, outputs=self._shared, merged=merged)

    @property
    def _shared(self) -> int:
        """Outputs of a group."""
        return self.outputs // self.groups

    def by_output(self, weight: np.ndarray) -> np.ndarray:
        """The weights (outputs, channels of a group, kernel height, kernel width)."""
        return turned(weight, self.groups)

    def sums(self, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """int64 (n, o, oh, ow) from int8 data (n, c, h, w) and weight (c, o of a group, kh, kw).

        What each tap adds to the whole result, which then is cut. Exact in float64. Outputs of a
        group beyond its own stand for what fills the result's last block up.
        """
        filled = self.outputs + weight.shape[1] - self._shared
        taps = self.by_output(weight[:, : self._shared]).astype(np.float64)
        taps = taps.reshape(self.groups, self._shared, -1, *self.kernel_size)
        images, (height, width) = len(data), self.size
        values = data[:, : self.channels].astype(np.float64)
        values = values.reshape(images, self.groups, -1, height * width)
        sizes = zip(self.size, self.strides, self.spans, self.pads, self.out, strict=True)
        extents = [
            max((size - 1) * stride + span, before + out)
            for size, stride, span, (before, _), out in sizes
        ]
        whole = np.zeros((images, filled, *extents))
        for y, x in np.ndindex(*self.kernel_size):
            top, left = y * self.dilations[0], x * self.dilations[1]
            added = taps[..., y, x] @ values
            rows = slice(top, top + (height - 1) * self.strides[0] + 1, self.strides[0])
            columns = slice(left, left + (width - 1) * self.strides[1] + 1, self.strides[1])
            added = added.reshape(images, self.outputs, height, width)
            whole[:, : self.outputs, rows, columns] += added
        (top, _), (left, _) = self.pads
        cut = whole[:, :, top : top + self.out[0], left : left + self.out[1]]
        return cut.astype(np.int64)

    def macs(self, config: Config) -> int:
        """Multiply-accumulate operations, one for each value of the data and the weights' taps."""
        taps = prod(self.size) * prod(self.kernel_size)
        return self.all_images(config) * taps * self.channels * self._shared
