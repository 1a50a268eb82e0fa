"""Averages over windows of int8 maps: GEMM adds up, the ALU divides, exactly half up.

With scales of data and result the ALU multiplies instead, and is rarely one off.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import groupby, product
from math import prod
from typing import Any, ClassVar

import numpy as np
from tvm import te, tirx

from vta.hw.config import Config
from vta.sw.operators.attribute import attribute
from vta.sw.operators.averaged import BYTE, Averaged
from vta.sw.operators.axis import Axis
from vta.sw.operators.division import Corrected, Division, Floor, Scaling, division, pieces, scaling
from vta.sw.operators.maps import Here, MapTile, Work
from vta.sw.operators.pool import Pool
from vta.sw.operators.written import Range

__all__ = ["AveragePool"]

ESTIMATE = 6  # passes that a corrected estimate takes beyond its statements


@dataclass(frozen=True)
class Part:
    """Windows with the same divisor: rows and columns of the result, from the first to before the
    last.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    division: Division | Scaling


@dataclass(frozen=True, kw_only=True)
class AveragePool(Averaged, Pool):
    """The mean of each window, half up; of what lies on the data, or of the padding too."""

    name: ClassVar[str] = "average_pool"
    help: ClassVar[str] = "average over windows, rounded half up"

    count_include_pad: bool = attribute("divide by the taps on the padding, too", False)

    def check(self) -> None:
        super().check()
        assert self.parts  # each has a division

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The result in rectangles of one divisor."""
        rows, columns = (self._counts(axis) for axis in self.axes)
        found = []
        for (height, valid_height, *y), (width, valid_width, *x) in product(rows, columns):
            valid = valid_height * valid_width  # those on the padding add nothing
            divided = self._divided(height * width, valid)
            found.append(Part((y[0], y[1]), (x[0], x[1]), divided))
        return tuple(found)

    @property
    def _exact(self) -> bool:
        return self.exact and not (self.count_include_pad and self.zero)

    def _divided(self, count: int, valid: int) -> Division | Scaling:
        """What is done to a sum of `valid` values that is divided by `count`."""
        low, high = (bound * valid for bound in BYTE)
        if self._exact:
            return division(count, low, high)
        factor = Fraction(self.multiplier, count << self.shift)
        offset = self.out_zero + Fraction(1, 2) - self.zero * valid * factor
        return scaling(factor, offset, low, high)

    def _counts(self, axis: Axis) -> list[tuple[int, int, int, int]]:
        """Runs of windows: taps that count, taps on the data; first window, and that after it."""
        valid = [axis.valid(n) for n in range(axis.out)]
        counted = [axis.inside(n) for n in range(axis.out)] if self.count_include_pad else valid
        runs, first = [], 0
        for (count, there), run in groupby(zip(counted, valid, strict=True)):
            end = first + len(list(run))
            runs.append((count, there, first, end))
            first = end
        return runs

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        total = sum(self.taps(inputs["data"], 0), np.int64(0))
        if not self._exact:
            return {"out": self._scaled(np.asarray(total))}
        rows, columns = (np.zeros(axis.out, np.int64) for axis in self.axes)
        for counts, axis in zip((rows, columns), self.axes, strict=True):
            for count, _, first, end in self._counts(axis):
                counts[first:end] = count
        count = rows[:, None] * columns
        return {"out": np.floor_divide(2 * total + count, 2 * count).astype(np.int8)}

    def _scaled(self, total: np.ndarray) -> np.ndarray:
        found = np.zeros(total.shape, np.int8)
        for part in self.parts:
            made = part.division
            assert isinstance(made, Scaling)
            place = (..., slice(*part.rows), slice(*part.columns))
            value = (total[place] >> made.drop) + sum(made.firsts)
            value = value * made.multiplier + made.rest
            found[place] = np.clip(value >> made.shift, self.low, self.high)
        return found

    def work(self, tile: MapTile) -> Work:
        spans, out = self._spans(tile), tile.rows * tile.columns
        n, taps = tile.blocks, self.kernel_height * self.kernel_width
        return Work(
            inp=n * spans[0] * spans[1],
            acc=n * out * (2 if self._corrected else 1),  # where the estimate is
            stored=n * out,
            gemm=n * out * taps,
            alu=n * -(-out * self._passes // prod(self.out)),
        )

    @cached_property
    def _passes(self) -> int:
        """ALU uops of one whole map."""
        return sum(
            (part.rows[1] - part.rows[0])
            * (part.columns[1] - part.columns[0])
            * (len(self._statements(part.division)) + ESTIMATE * _corrections(part.division))
            for part in self.parts
        )

    @cached_property
    def _corrected(self) -> bool:
        return any(_corrections(part.division) for part in self.parts)

    def write(self, here: Here) -> None:
        acc = here.writer.buffer("acc", "local.acc", *here.sizes)
        here.writer.reset(acc)
        with here.writer.tiles(here.tile.slots, step=here.tile.steps) as (step,):
            self._add(here, acc, step)
        for part in self.parts:
            self._divide(here, acc, part)
        here.store(lambda *e: (acc, e))

    def tilings(self, config: Config) -> Iterator[MapTile]:
        """Also those whose windows come in parts, a few rows at a time."""
        yield from super().tilings(config)
        for steps, slots in product(range(2, self.kernel_height + 1), (2, 1)):
            yield MapTile(1, 1, 1, slots, steps)

    def _taps(self, tile: MapTile) -> int:
        """Rows of the kernel in a step."""
        return -(-self.kernel_height // tile.steps)

    def _spans(self, tile: MapTile) -> tuple[int, int]:
        """Rows and columns of the data in a step."""
        rows, columns = self.axes
        reach = (self._taps(tile) - 1) * rows.dilation + 1
        return (tile.rows - 1) * rows.step + reach, columns.span(tile.columns)

    def _add(self, here: Here, acc: Any, step: Any) -> None:
        """The taps of some rows of the kernel."""
        (rows, columns), taps = self.axes, self._taps(here.tile)
        inp = self.load(here, self._spans(here.tile), step * taps * rows.dilation, zeros=True)
        here.writer.multiply(
            (*here.sizes, taps, columns.kernel),
            lambda b, y, x, v, u: (acc, (b, y, x)),
            lambda b, y, x, v, u: (
                inp,
                (b, y * rows.step + v * rows.dilation, x * columns.step + u * columns.dilation),
            ),
            lambda *_: (here.weights, (0,)),
            sums=2,
            ranges=lambda b, y, x, v, u: [*here.within(b, y, x), (step * taps + v, 0, rows.kernel)],
        )

    def _divide(self, here: Here, acc: Any, part: Part) -> None:
        """The part of the tile that has this divisor, in place.

        A statement for each pass: TVM would multiply a sum out into constants without an immediate.
        """

        def ranges(*e: Any) -> list[Range]:
            block, row, column = here.within(*e)
            return [block, (row[0], *part.rows), (column[0], *part.columns)]

        for statement in self._statements(part.division):
            here.writer.element_wise(
                here.sizes,
                lambda *e: (acc, e),
                lambda *e, statement=statement: statement(e[-1](acc, *e[:-1])),
                ranges,
            )

    def _statements(self, division: Division | Scaling) -> list[Any]:
        """What is done to a sum, one after the other."""
        if isinstance(division, Division):
            return _divisions(division)
        found: list[Any] = [lambda x: x >> division.drop] if division.drop else []
        found += [lambda x, n=first: x + n for first in division.firsts]
        found.append(lambda x: x * division.multiplier)
        found.append(lambda x: (x + division.rest if division.rest else x) >> division.shift)
        found.append(lambda x: te.max(x, tirx.const(self.low, "int32")))
        found.append(lambda x: te.min(x, tirx.const(self.high, "int32")))
        return found


def _corrections(division: Division | Scaling) -> int:
    """Estimates that are corrected."""
    floors = division.floors if isinstance(division, Division) else ()
    return sum(isinstance(floor, Corrected) for floor in floors)


def _divisions(division: Division) -> list[Any]:
    found: list[Any] = []
    *others, first = pieces(division.first) or (0,)
    found += [lambda x, n=other: x + n for other in others]
    shifts = [n for n in division.floors if isinstance(n, Floor) and n.multiplier == 1]
    if first or shifts:
        shift = shifts[0].shift if shifts else 0
        found.append(lambda x: (x + first if first else x) >> shift if shift else x + first)
    for floor in division.floors[len(shifts) :]:
        found += _floor(floor) if isinstance(floor, Floor) else _corrected(floor)
    return found


def _floor(by: Floor) -> list[Any]:
    return [lambda x: x * by.multiplier, lambda x: (x + by.addend if by.addend else x) >> by.shift]


def _corrected(by: Corrected) -> list[Any]:
    """The estimate takes accumulators of its own, as the compiler sees."""

    def estimate(x: Any) -> Any:
        scaled = x * by.multiplier >> by.drop if by.drop else x * by.multiplier
        return (scaled + by.addend if by.addend else scaled) >> by.shift

    return [
        lambda x: x + estimate(x) * by.factor,
        lambda x: (x + by.factor if by.factor else x) >> by.bits,
    ]
