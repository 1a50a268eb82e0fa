"""Maximum over windows of int8 maps, on the ALU, rows and columns one after the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tvm import te, tirx

from vta.sw.operators.axis import Axis
from vta.sw.operators.maps import Here, MapTile, Work
from vta.sw.operators.pool import Pool
from vta.sw.operators.written import Range

__all__ = ["MaxPool"]

LEAST = -128  # of int8: what a window's maximum begins with where its first tap is padding


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
        inp = self.load(here, self.spans(here.tile), 0, zeros=False)
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
            lambda b, y, x, read: te.max(read(line, b, n, y, x), read(wide, b, n, y, m, x + shift)),
            lambda b, y, x: [
                here.block(b),
                self._in_row(here, y * self.axes[0].step + phase),
                self._in_column(here, x * columns.step + tap * columns.dilation),
                here.within(b, 0, x)[2],
            ],
        )

    def _pool_rows(self, here: Here, line: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """The buffer with the results, and its indices between the block and the column."""
        rows = self.axes[0]

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
