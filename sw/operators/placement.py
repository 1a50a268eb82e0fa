"""Channels and pixels moved to other places: what concatenation, slice and pad share.

Whole blocks of channels are copied through GEMM with an identity matrix. Where channels do not
begin at a block, the matrix is a part of a shifted one, and a block of the result is the sum of two
products; fillers of a last block never get into the result.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from tvm import tirx

from vta.hw.config import Config
from vta.sw.operators.maps import Here, MapTile, TiledMap, Work
from vta.sw.operators.written import Range

__all__ = ["Channels", "Placement"]

SMALLEST_BLOCK = 4


@dataclass(frozen=True)
class Channels:
    """`count` channels of a tensor, from `first` on, that come to channel `at` of the result."""

    tensor: str
    first: int
    count: int
    at: int


@dataclass(frozen=True)
class Run:
    """Blocks `first` to `end` - 1 of a tensor, each `delta` blocks further on in the result, times
    one matrix.
    """

    tensor: str
    first: int
    end: int
    delta: int
    matrix: int


@lru_cache(maxsize=64)
def _runs(moved: tuple[Channels, ...], block: int) -> tuple[tuple[Run, ...], np.ndarray]:
    """The products, and their distinct matrices (number, block, block)."""
    numbers: dict[bytes, int] = {}
    runs: list[Run] = []
    for part in moved:
        shift = part.at - part.first
        blocks = range(part.first // block, -(-(part.first + part.count) // block))
        for delta in sorted({shift // block, -(-shift // block)}):
            for b in blocks:
                matrix = _matrix(part, b, delta, block)
                if not matrix.any():
                    continue
                number = numbers.setdefault(matrix.tobytes(), len(numbers))
                first = b
                if runs and replace(runs[-1], first=0) == Run(part.tensor, 0, b, delta, number):
                    first = runs.pop().first
                runs.append(Run(part.tensor, first, b + 1, delta, number))
    matrices = [np.frombuffer(data, np.int8).reshape(block, block) for data in numbers]
    return tuple(runs), np.stack(matrices)


def _matrix(part: Channels, b: int, delta: int, block: int) -> np.ndarray:
    """What block `b` of the tensor is multiplied by for block `b + delta` of the result."""
    lanes = np.arange(block)
    channel = b * block + lanes
    to = channel + part.at - part.first - (b + delta) * block
    there = (channel >= part.first) & (channel < part.first + part.count)
    there &= (to >= 0) & (to < block)
    matrix = np.zeros((block, block), np.int8)
    matrix[to[there], lanes[there]] = 1
    return matrix


@dataclass(frozen=True, kw_only=True)
class Placement(TiledMap):
    """``out[at + c, y, x] = data[first + c, y + shift, x + shift]``, `fill` where there is none."""

    @abstractmethod
    def moved(self) -> tuple[Channels, ...]:
        """What becomes of which channels; no two go to the same place."""

    @property
    def shift(self) -> tuple[int, int]:
        """Row and column of the data that the first of the result is; negative where it pads."""
        return 0, 0

    @property
    def fill(self) -> int:
        """What is where no data is."""
        return 0

    def matrices(self, block: int) -> np.ndarray:
        return _runs(self.moved(), block)[1]

    def elements(self, block: int) -> int:
        sizes = zip(self.shift, (self.height, self.width), self.out, strict=True)
        rows, columns = (min(size, first + out) - max(0, first) for first, size, out in sizes)
        ends = [(part.first, part.first + part.count) for part in self.moved()]
        return rows * columns * sum(-(-end // block) - first // block for first, end in ends)

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        images, channels = next(iter(inputs.values())).shape[:2]
        if not self.fill:  # else the core puts it into what fills a block up, too
            channels = self.result_channels
        shape = (images, channels, *self.out)
        out = np.full(shape, self.fill, np.int8)
        spans = zip(self.shift, (self.height, self.width), self.out, strict=True)
        rows, columns = (range(max(0, first), min(size, first + n)) for first, size, n in spans)
        y, x = rows.start - self.shift[0], columns.start - self.shift[1]
        inside = out[:, :, y : y + len(rows), x : x + len(columns)]
        inside[:] = 0
        for part in self.moved():
            data = inputs[part.tensor][:, part.first : part.first + part.count]
            data = data[:, :, rows.start : rows.stop, columns.start : columns.stop]
            inside[:, part.at : part.at + part.count] = data
        return {"out": out}

    def work(self, tile: MapTile) -> Work:
        out = tile.blocks * tile.rows * tile.columns
        # A part that does not begin at a block takes a block more, and two products a vector.
        parts = self.moved()
        split = sum((part.at - part.first) % SMALLEST_BLOCK > 0 for part in parts)
        halo = split * tile.rows * tile.columns
        return Work(
            inp=len(parts) * out + halo,
            acc=out,
            stored=out,
            gemm=out * (2 if split else 1),
            loaded=out + halo,
        )

    def tilings(self, config: Config) -> Iterator[MapTile]:
        """Also parts of all blocks: no block is loaded twice then."""
        yield from super().tilings(config)
        _, blocks = self.groups(config)
        for slots, rows in product((2, 1), range(self.tiled[0] - 1, 0, -1) if blocks > 1 else ()):
            yield MapTile(blocks, rows, self.tiled[1], slots)

    def write(self, here: Here) -> None:
        acc = here.writer.buffer("acc", "local.acc", *here.sizes)
        here.writer.reset(acc)
        block = here.writer.config.block
        runs, _ = _runs(self.moved(), block)
        for n, part in enumerate(self.moved()):
            mine = [run for run in runs if run.tensor == part.tensor]
            self._part(here, acc, n, mine)
        if self.fill:
            self._fill(here, acc)
        here.store(lambda *e: (acc, e))

    def _source(self, here: Here, y: Any, x: Any) -> list[Range]:
        """Row and column of the data, and their ranges."""
        _, row, column = here.place(0, y, x)
        return [(row + self.shift[0], 0, self.height), (column + self.shift[1], 0, self.width)]

    def _part(self, here: Here, acc: Any, n: int, runs: Sequence[Run]) -> None:
        """The products with one tensor: its blocks in INP, then each run's."""
        highest = max(run.delta for run in runs)
        halo = highest - min(run.delta for run in runs)
        first, end = min(run.first for run in runs), max(run.end for run in runs)
        data = here.writer.tensors[runs[0].tensor]
        extents = (here.tile.blocks + halo, *here.sizes[1:])
        inp = here.writer.buffer(f"inp{n}", "local.inp", *extents)

        def source(b: Any) -> Any:
            """The tensor's block that is the b-th in INP."""
            return here.place(b, 0, 0)[0] - highest

        here.writer.element_wise(
            extents,
            lambda *e: (inp, e),
            lambda b, y, x, read: read(
                data, here.at[0], source(b), *(index for index, _, _ in self._source(here, y, x))
            ),
            lambda b, y, x: [
                (source(b), first, end),
                *here.within(0, y, x)[1:],
                *self._source(here, y, x),
            ],
        )
        for run in runs:
            behind = highest - run.delta
            here.copy(
                here.sizes,
                lambda *e: (acc, e),
                lambda b, y, x, behind=behind: (inp, (b + behind, y, x)),
                lambda b, y, x, run=run, behind=behind: [
                    (source(b + behind), run.first, run.end),
                    *here.within(b, y, x),
                    *self._source(here, y, x),
                ],
                run.matrix,
            )

    def _fill(self, here: Here, acc: Any) -> None:
        """The value in rows and columns without data, each place once."""
        (top, left), (rows, columns) = self.shift, self.out
        inside = (-top, self.height - top), (-left, self.width - left)
        borders = [
            ((0, inside[0][0]), (0, columns)),
            ((inside[0][1], rows), (0, columns)),
            (inside[0], (0, inside[1][0])),
            (inside[0], (inside[1][1], columns)),
        ]
        for vertical, horizontal in borders:
            if vertical[0] < vertical[1] and horizontal[0] < horizontal[1]:
                here.writer.element_wise(
                    here.sizes,
                    lambda *e: (acc, e),
                    lambda *_: tirx.const(self.fill, "int32"),
                    lambda *e, v=vertical, h=horizontal: [
                        here.within(*e)[0],
                        (here.place(*e)[1], max(0, v[0]), min(rows, v[1])),
                        (here.place(*e)[2], max(0, h[0]), min(columns, h[1])),
                    ],
                )
