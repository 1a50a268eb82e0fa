"""Maximum and average over windows of int8 maps; tiles by search (`vta.sw.operators.maps`)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np
from tvm import te, tirx

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.maps import Here, MapOperator, MapTile, Work
from vta.sw.operators.window import Axis
from vta.sw.operators.written import Range

__all__ = ["MaxPool", "Pool"]

LEAST = -128  # of int8: what a window's maximum begins with where its first tap is padding


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
        """For each tap, int64 (images, channels, *out): its value in every window; `fill` outside."""
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

    def load(self, here: Here, *, zeros: bool) -> Any:
        """What a tile's windows reach over, in INP: clipped at the edges, or padded with zeros."""
        extents = (here.tile.blocks, *self.spans(here.tile))
        inp, data = (
            here.writer.buffer("inp", "local.inp", *extents),
            here.writer.tensors["data"],
        )

        def value(b: Any, y: Any, x: Any, read: Any) -> Any:
            row, column = self.rows(here, y), self.columns(here, x)
            found = read(data, here.at[0], here.place(b, 0, 0)[0], row, column)
            inside = [(row, 0, self.height), (column, 0, self.width)]
            return here.writer.padded(found, inside) if zeros else found

        def ranges(b: Any, y: Any, x: Any) -> list[Range]:
            found = [here.block(b)]
            for index, axis in zip(
                (self.rows(here, y), self.columns(here, x)), self.axes, strict=True
            ):
                end = axis.span(axis.out) - axis.before
                found.append((index, -axis.before, end) if zeros else (index, 0, axis.size))
            return found

        here.writer.element_wise(extents, lambda *e: (inp, e), value, ranges)
        return inp


# Maximum ------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class MaxPool(Pool):
    """Columns first, then rows, each a MAX over the tile for each tap but one.

    GEMM brings the data in with the columns of each phase (index modulo stride) side by side, so
    that passes and stores are dense. A window's result begins as its `main` tap; where that is
    padding, as -128. Rows are pooled in place where the main tap's phase is its own.
    """

    name: ClassVar[str] = "max_pool"
    help: ClassVar[str] = "maximum over windows, padding clipped"

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = None
        for value in self.taps(inputs["data"], LEAST):
            found = value if found is None else np.maximum(found, value)
        assert found is not None
        return {"out": found.astype(np.int8)}

    def work(self, tile: MapTile) -> Work:
        rows, columns = self.axes
        height, others = len(rows.phases) * rows.depth(tile.rows), self._others
        first = height * tile.columns
        wide = height * len(others) * columns.depth(tile.columns)
        best = 0 if rows.own is not None else tile.rows * tile.columns
        passes = first * (columns.kernel - 1)
        passes += tile.rows * tile.columns * (rows.kernel - (rows.own is not None))
        spans = self.spans(tile)
        n = tile.blocks
        return Work(
            inp=n * spans[0] * spans[1],
            acc=n * (first + wide + best),
            stored=n * tile.rows * tile.columns,
            gemm=n * (first + wide),
            alu=n * passes,
        )

    @property
    def _others(self) -> tuple[int, ...]:
        """Phases of columns that taps other than the main one read."""
        axis = self.axes[1]
        return tuple(sorted({axis.phase(t) for t in range(axis.kernel) if t != axis.main}))

    def write(self, here: Here) -> None:
        inp = self.load(here, zeros=False)
        line = self._pool_columns(here, inp)
        best, at = self._pool_rows(here, line)
        here.store(lambda b, y, x: (best, (b, *at(y), x)))

    def _in_row(self, here: Here, y: Any) -> Range:
        return self.rows(here, y), 0, self.height

    def _in_column(self, here: Here, x: Any) -> Range:
        return self.columns(here, x), 0, self.width

    def _pool_columns(self, here: Here, inp: Any) -> Any:
        """(blocks, phases of rows, rows of a phase, columns of the result): maxima over columns."""
        rows, columns = self.axes
        writer, tile = here.writer, here.tile
        depth, width = rows.depth(tile.rows), columns.depth(tile.columns)
        shape = (tile.blocks, len(rows.phases), depth)
        line = writer.buffer("line", "local.acc", *shape, tile.columns)
        writer.reset(line)
        wide, others = None, self._others
        if others:
            wide = writer.buffer("wide", "local.acc", *shape, len(others), width)
            writer.reset(wide)
        for n, phase in enumerate(rows.phases):
            box = (tile.blocks, -(-(self.spans(tile)[0] - phase) // rows.step))
            self._enter(here, inp, line, wide, n, phase, box)
            for tap in range(columns.kernel):
                if tap != columns.main:
                    self._larger_column(here, line, wide, n, phase, box, tap)
        return line

    def _enter(
        self, here: Here, inp: Any, line: Any, wide: Any, n: int, phase: int, box: tuple[int, int]
    ) -> None:
        """The rows of a phase from INP: the main tap of each window, and the other phases."""
        rows, columns = self.axes
        tile, first = here.tile, columns.main * columns.dilation

        def row(y: Any) -> Any:
            return y * rows.step + phase

        here.copy(
            (*box, tile.columns),
            lambda b, y, x: (line, (b, n, y, x)),
            lambda b, y, x: (inp, (b, row(y), x * columns.step + first)),
            lambda b, y, x: [
                here.block(b),
                self._in_row(here, row(y)),
                self._in_column(here, x * columns.step + first),
                here.within(b, 0, x)[2],
            ],
        )
        for m, other in enumerate(self._others):
            count = -(-(self.spans(tile)[1] - other) // columns.step)
            here.copy(
                (*box, count),
                lambda b, y, x, m=m: (wide, (b, n, y, m, x)),
                lambda b, y, x, other=other: (inp, (b, row(y), x * columns.step + other)),
                lambda b, y, x, other=other: [
                    here.block(b),
                    self._in_row(here, row(y)),
                    self._in_column(here, x * columns.step + other),
                ],
            )
        for side in _outside(columns):
            here.writer.element_wise(
                (*box, tile.columns),
                lambda b, y, x: (line, (b, n, y, x)),
                lambda b, y, x, read: tirx.const(LEAST, "int32"),
                lambda b, y, x, side=side: [
                    here.block(b),
                    self._in_row(here, row(y)),
                    (self.columns(here, x * columns.step + first), *side),
                    here.within(b, 0, x)[2],
                ],
            )

    def _larger_column(
        self, here: Here, line: Any, wide: Any, n: int, phase: int, box: tuple[int, int], tap: int
    ) -> None:
        columns = self.axes[1]
        m, shift = self._others.index(columns.phase(tap)), columns.quotient(tap)
        here.writer.element_wise(
            (*box, here.tile.columns),
            lambda b, y, x: (line, (b, n, y, x)),
            lambda b, y, x, read: te.max(
                read(line, b, n, y, x), read(wide, b, n, y, m, x + shift)
            ),
            lambda b, y, x: [
                here.block(b),
                self._in_row(here, y * self.axes[0].step + phase),
                self._in_column(here, x * columns.step + tap * columns.dilation),
                here.within(b, 0, x)[2],
            ],
        )

    def _pool_rows(self, here: Here, line: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """The buffer with the results, and its indices between the block and the column."""
        rows, tile = self.axes[0], here.tile

        def source(tap: int, y: Any) -> tuple[Any, ...]:
            return rows.phases.index(rows.phase(tap)), y + rows.quotient(tap)

        best, at = line, lambda y: source(rows.main, y)
        if rows.own is None:
            best, at = here.writer.buffer("best", "local.acc", *here.sizes), lambda y: (y,)
            self._each(
                here,
                lambda b, y, x: (best, (b, *at(y), x)),
                lambda b, y, x, read: read(line, b, *source(rows.main, y), x),
                lambda y: [self._in_row(here, y * rows.step + rows.main * rows.dilation)],
            )
        for side in _outside(rows):
            self._each(
                here,
                lambda b, y, x: (best, (b, *at(y), x)),
                lambda b, y, x, read: tirx.const(LEAST, "int32"),
                lambda y, side=side: [
                    (self.rows(here, y * rows.step + rows.main * rows.dilation), *side)
                ],
            )
        for tap in range(rows.kernel):
            if tap != rows.main:
                self._each(
                    here,
                    lambda b, y, x: (best, (b, *at(y), x)),
                    lambda b, y, x, read, tap=tap: te.max(
                        read(best, b, *at(y), x), read(line, b, *source(tap, y), x)
                    ),
                    lambda y, tap=tap: [self._in_row(here, y * rows.step + tap * rows.dilation)],
                )
        return best, at

    def _each(self, here: Here, target: Any, value: Any, ranges: Callable[[Any], Any]) -> None:
        here.writer.element_wise(
            here.sizes, target, value, lambda b, y, x: [*here.within(b, y, x), *ranges(y)]
        )


def _outside(axis: Axis) -> list[tuple[int, int]]:
    """Ranges of indices, beside the data, where the main tap of some window may be."""
    first = axis.main * axis.dilation - axis.before
    last = first + (axis.out - 1) * axis.step
    sides = [(first, 0)] if first < 0 else []
    return sides + ([(axis.size, last + 1)] if last >= axis.size else [])
