"""What maximum and average over windows of int8 maps share: attributes, legality, the load."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.axis import Axis
from vta.sw.operators.maps import Here, MapOperator, MapTile
from vta.sw.operators.written import Range

__all__ = ["Pool"]


@dataclass(frozen=True, kw_only=True)
class Pool(MapOperator):
    """A function of the taps of each window."""

    kernel_height: int = attribute("rows of the window", 2, minimum=1)
    kernel_width: int = attribute("columns of the window", 2, minimum=1)
    stride_height: int = attribute("rows from window to window", 2, minimum=1)
    stride_width: int = attribute("columns from window to window", 2, minimum=1)
    pad_top: int = attribute("padding above", 0, unit="pixels", minimum=0)
    pad_bottom: int = attribute("padding below", 0, unit="pixels", minimum=0)
    pad_left: int = attribute("padding on the left", 0, unit="pixels", minimum=0)
    pad_right: int = attribute("padding on the right", 0, unit="pixels", minimum=0)
    dilation_height: int = attribute("rows from tap to tap", 1, minimum=1)
    dilation_width: int = attribute("columns from tap to tap", 1, minimum=1)
    ceil_mode: bool = attribute("keep a last window that hangs over the edge", False)

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        rows = Axis(
            size=self.height,
            kernel=self.kernel_height,
            stride=self.stride_height,
            before=self.pad_top,
            after=self.pad_bottom,
            dilation=self.dilation_height,
            ceil=self.ceil_mode,
        )
        columns = Axis(
            size=self.width,
            kernel=self.kernel_width,
            stride=self.stride_width,
            before=self.pad_left,
            after=self.pad_right,
            dilation=self.dilation_width,
            ceil=self.ceil_mode,
        )
        return rows, columns

    def check(self) -> None:
        for axis, what in zip(self.axes, ("rows", "columns"), strict=True):
            if not axis.out:
                raise OperatorError(
                    f"{self.name}: a window reaches over {axis.reach} {what}; data and padding "
                    f"have {axis.padded}: choose a smaller kernel or dilation, or pad more"
                )
            empty = next((n for n in range(axis.out) if not axis.valid(n)), None)
            if empty is not None:
                raise OperatorError(
                    f"{self.name}: window {empty} of the {what} has no tap on the data: the "
                    f"padding, {axis.before} and {axis.after}, must leave it one"
                )

    @property
    def out(self) -> tuple[int, int]:
        return self.axes[0].out, self.axes[1].out

    @property
    def label(self) -> str:
        size = f"{self.height}x{self.width}x{self.channels}"
        kernel = f"k{self.kernel_height}x{self.kernel_width}"
        return f"{self.name}_{size}_{kernel}_s{self.stride_height}x{self.stride_width}"

    def describe(self, config: Config) -> str:
        pads = (self.pad_top, self.pad_bottom, self.pad_left, self.pad_right)
        return (
            f"{self.channels} x {self.height} x {self.width} -> {self.out[0]} x {self.out[1]}, "
            f"{self.kernel_height}x{self.kernel_width}, stride {self.stride_height}x"
            f"{self.stride_width}, padding {pads}"
        )

    def taps(self, data: np.ndarray, fill: int) -> Iterator[np.ndarray]:
        """For each tap, int64 (images, channels, *out): its values in windows, `fill` outside."""
        rows, columns = self.axes
        behind = [max(0, a.span(a.out) - a.before - a.size) for a in self.axes]
        pads = ((0, 0), (0, 0), (rows.before, behind[0]), (columns.before, behind[1]))
        padded = np.pad(data.astype(np.int64), pads, constant_values=fill)
        for y, x in product(range(rows.kernel), range(columns.kernel)):
            first, last = y * rows.dilation, x * columns.dilation
            part = padded[:, :, first :: rows.step, last :: columns.step]
            yield part[:, :, : rows.out, : columns.out]

    def spans(self, tile: MapTile) -> tuple[int, int]:
        """Rows and columns that a tile's windows reach over."""
        return self.axes[0].span(tile.rows), self.axes[1].span(tile.columns)

    def rows(self, here: Here, offset: Any) -> Any:
        """The row of the data that is `offset` rows behind the tile's first tap."""
        axis = self.axes[0]
        return here.at[2] * here.tile.rows * axis.step + offset - axis.before

    def columns(self, here: Here, offset: Any) -> Any:
        """The column, likewise."""
        axis = self.axes[1]
        return here.at[3] * here.tile.columns * axis.step + offset - axis.before

    def load(self, here: Here, spans: tuple[int, int], first: Any, *, zeros: bool) -> Any:
        """Data in INP, clipped at the edges, or padded with zeros.

        Arguments
        ---------
        spans: rows and columns, from the tile's first ones on; rows from `first` further on.
        """
        extents = (here.tile.blocks, *spans)
        inp, data = (here.writer.buffer("inp", "local.inp", *extents), here.writer.tensors["data"])

        def value(b: Any, y: Any, x: Any, read: Any) -> Any:
            row, column = self.rows(here, first + y), self.columns(here, x)
            found = read(data, here.at[0], here.place(b, 0, 0)[0], row, column)
            inside = [(row, 0, self.height), (column, 0, self.width)]
            return here.writer.padded(found, inside) if zeros else found

        def ranges(b: Any, y: Any, x: Any) -> list[Range]:
            found = [here.block(b)]
            for index, axis in zip(
                (self.rows(here, first + y), self.columns(here, x)), self.axes, strict=True
            ):
                end = axis.span(axis.out) - axis.before
                found.append((index, -axis.before, end) if zeros else (index, 0, axis.size))
            return found

        here.writer.element_wise(extents, lambda *e: (inp, e), value, ranges)
        return inp
