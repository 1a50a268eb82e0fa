"""What operators on int8 maps share: tensors, tiles and their search.

Data and result are (images, channels, height, width) in layout NCHW{b}n{k}c. Data comes into the
accumulators through GEMM with an identity matrix: its load runs in the load stage, beside what the
last tile still computes (ACC_8BIT would hold the compute stage, and keep the order of the data).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.bound import bound
from vta.sw.compiler import CompileError
from vta.sw.operators.attribute import attribute
from vta.sw.operators.operator import Operator, Scheduled, named
from vta.sw.operators.space import Candidate
from vta.sw.operators.written import Range, Writer, scheduled
from vta.sw.tensor import Tensor

__all__ = ["Here", "MapOperator", "MapTile", "TiledMap", "Work"]

TILE_CYCLES = 40  # what a tile costs beyond its data: round trips, instructions


@dataclass(frozen=True)
class MapTile:
    """Channel blocks, and rows and columns of what is tiled.

    `slots` are those that buffers take turns in; `steps` the parts in which a tile's data comes.
    """

    blocks: int
    rows: int
    columns: int
    slots: int = 2
    steps: int = 1


@dataclass(frozen=True)
class Work:
    """Of a tile: elements of INP (in a step) and ACC, those stored; uops of GEMM and of the ALU.

    `loaded` are those of INP that are loaded; None: all.
    """

    inp: int
    acc: int
    stored: int
    gemm: int
    alu: int = 0
    loaded: int | None = None


@dataclass(frozen=True, eq=False)
class Here:
    """The tile that is being written: `at` are its image, block, row and column among the tiles."""

    writer: Writer
    tile: MapTile
    at: tuple[Any, ...]
    weights: Any

    @property
    def out(self) -> Any:
        return self.writer.tensors["out"]

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.tile.blocks, self.tile.rows, self.tile.columns

    def place(self, *offsets: Any) -> list[Any]:
        """Block, row and column in the tensors of those in the tile."""
        return [n * size + o for n, size, o in zip(self.at[1:], self.sizes, offsets, strict=True)]

    def within(self, *offsets: Any) -> list[Range]:
        """That block, row and column of the tile are of the result."""
        places = self.place(*offsets)
        return [(p, 0, int(n)) for p, n in zip(places, self.out.shape[1:4], strict=True)]

    def block(self, b: Any) -> Range:
        """That block of the tile is one of the tensors'."""
        return self.place(b, 0, 0)[0], 0, int(self.out.shape[1])

    def copy(
        self,
        extents: Sequence[int],
        target: Callable[..., tuple[Any, Sequence[Any]]],
        data: Callable[..., tuple[Any, Sequence[Any]]],
        ranges: Callable[..., Sequence[Range]],
        which: int = 0,
    ) -> None:
        """Data in INP, times one of the weights, added to accumulators."""
        self.writer.multiply(
            extents, target, data, lambda *_: (self.weights, (which,)), ranges=ranges
        )

    def store(self, source: Callable[..., tuple[Any, Sequence[Any]]]) -> None:
        """The tile of the result, int8, from accumulators: of block, row and column."""

        def value(*e: Any) -> Any:
            buffer, element = source(*e[:-1])
            return e[-1](buffer, *element).astype("int8")

        self.writer.element_wise(
            self.sizes, lambda *e: (self.out, (self.at[0], *self.place(*e))), value, self.within
        )


@dataclass(frozen=True, kw_only=True)
class TiledMap(Operator):
    """One map out of maps of the same size, channel by channel."""

    images: int | None = attribute("images (none: BATCH)", None, minimum=1)
    height: int = attribute("rows of the data", 56, minimum=1)
    width: int = attribute("columns of the data", 56, minimum=1)

    # What an operator says --------------------------------------------------------------------
    @property
    @abstractmethod
    def out(self) -> tuple[int, int]:
        """Rows and columns of the result."""

    @property
    @abstractmethod
    def result_channels(self) -> int:
        """Channels of the result."""

    @abstractmethod
    def sources(self) -> Mapping[str, int]:
        """The tensors that are read, and the channels of each."""

    def matrices(self, block: int) -> np.ndarray:
        """int8 (number, block, block): the weights of the GEMM that moves data."""
        return np.eye(block, dtype=np.int8)[None]

    def elements(self, block: int) -> int:
        """Elements that are read for a group of images, each once."""
        blocks = sum(-(-channels // block) for channels in self.sources().values())
        return blocks * self.height * self.width

    @property
    def tiled(self) -> tuple[int, int]:
        """Rows and columns that tiles are parts of; the result's."""
        return self.out

    @abstractmethod
    def work(self, tile: MapTile) -> Work:
        """What a whole tile takes."""

    @abstractmethod
    def write(self, here: "Here") -> None:
        """What computes one tile."""

    # Data -------------------------------------------------------------------------------------
    def tensors(self, config: Config) -> dict[str, Tensor]:
        images = config.batch if self.images is None else self.images
        layout = f"NCHW{config.batch}n{config.block}c"
        int8, found = {"dtype": "int8"}, {}
        for name, channels in self.sources().items():
            shape = (images, channels, self.height, self.width)
            found[name] = {"role": "input", "shape": shape, "layout": layout, **int8}
        rows, columns, _ = self.matrices(config.block).shape
        square = {"shape": (rows * columns, columns), "layout": f"OI{columns}o{columns}i"}
        found["identity"] = {"role": "weight", **square, **int8}
        shape = (images, self.result_channels, *self.out)
        found["out"] = {"role": "output", "shape": shape, "layout": layout, **int8}
        return named(found)

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        return {"identity": self.matrices(config.block).reshape(-1, config.block)}

    def groups(self, config: Config) -> tuple[int, int]:
        """Groups of BATCH images, and blocks of channels."""
        images = config.batch if self.images is None else self.images
        return -(-images // config.batch), -(-self.result_channels // config.block)

    def demand(self, config: Config) -> dict[str, int]:
        """Cycles that the operator asks of a configuration's ports, and their bound."""
        images, blocks = self.groups(config)
        whole, maps = self.work(MapTile(1, *self.tiled)), images * blocks
        weights = len(self.matrices(config.block)) * config.wgt_bytes
        reads = images * self.elements(config.block) * config.inp_bytes + weights
        asked = {
            "gemm": maps * whole.gemm,
            "passes": maps * whole.alu,
            "reads": -(-reads // config.beat_bytes),
            "writes": -(-maps * self.out[0] * self.out[1] * config.out_bytes // config.beat_bytes),
        }
        return asked | {"bound": bound(**asked)}

    # Schedule ---------------------------------------------------------------------------------
    def space(self, config: Config) -> Iterable[Candidate]:
        return _space(self, config)

    def schedule(self, config: Config, tiling: MapTile) -> Scheduled:
        images, blocks = self.groups(config)
        sizes = (blocks, *self.tiled), (tiling.blocks, tiling.rows, tiling.columns)
        block, row, column = (-(-n // size) for n, size in zip(*sizes, strict=True))

        def write(writer: Writer) -> None:
            identity = writer.tensors["identity"]
            weights = writer.buffer("weights", "local.wgt", int(identity.shape[0]))
            writer.element_wise(
                weights.shape[:1], lambda n: (weights, (n,)), lambda n, read: read(identity, n, 0)
            )
            counts = {"image": images, "block": block, "row": row, "column": column}
            with writer.tiles(tiling.slots, **counts) as at:
                self.write(Here(writer, tiling, tuple(at), weights))

        return scheduled(self.tensors(config), config, write)

    def tilings(self, config: Config) -> Iterator[MapTile]:
        """Whole maps, several at a time; else parts of one, of the full width where that fits."""
        _, blocks = self.groups(config)
        rows, columns = self.tiled
        for slots in (2, 1):
            for n in range(blocks, 0, -1):
                yield MapTile(n, rows, columns, slots)
            for width, height in product(_parts(columns), _parts(rows)):
                if (height, width) != (rows, columns):
                    yield MapTile(1, height, width, slots)


@dataclass(frozen=True, kw_only=True)
class MapOperator(TiledMap):
    """One map out of one map with as many channels."""

    channels: int = attribute("channels of the data", 64, minimum=1)

    @property
    def result_channels(self) -> int:
        return self.channels

    def sources(self) -> Mapping[str, int]:
        return {"data": self.channels}

    def filler(self, of: Callable[[str], int | None]) -> int | None:
        """What becomes of a map of the data's; None where that is not one number."""
        number = of("data")
        if number is None:
            return None
        data = np.full((1, 1, self.height, self.width), number, np.int8)
        found = np.unique(replace(self, images=1, channels=1).golden({"data": data})["out"])
        return int(found[0]) if len(found) == 1 else None


def _parts(extent: int) -> list[int]:
    """Smallest part for each number of parts, largest first."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)


@lru_cache(maxsize=32)
def _space(operator: TiledMap, config: Config) -> list[Candidate]:
    """The tiles that may fit, the cheapest first.

    Raises
    ------
    CompileError
        where none does.
    """
    images, blocks = operator.groups(config)
    found = []
    for tile in operator.tilings(config):
        rows, columns = operator.tiled
        counts = -(-blocks // tile.blocks), -(-rows // tile.rows), -(-columns // tile.columns)
        count = images * counts[0] * counts[1] * counts[2]
        work, slots = operator.work(tile), min(tile.slots, count)
        inp = work.inp * min(tile.slots, count * tile.steps)
        if inp > config.inp_depth or work.acc * slots > config.acc_depth:
            continue
        loaded = work.inp if work.loaded is None else work.loaded
        read = tile.steps * -(-loaded * config.inp_bytes // config.beat_bytes)
        write = -(-work.stored * config.out_bytes // config.beat_bytes)
        compute = work.gemm + work.alu
        parts = sorted((read, write, compute))
        longest = sum(parts) if slots == 1 else parts[-1]
        # A last tile that is cut off costs as much less as it is smaller.
        share = blocks * rows * columns * images
        share /= tile.blocks * tile.rows * tile.columns
        cost = share * longest + count * tile.steps * TILE_CYCLES + parts[0] + parts[1]
        found.append(Candidate(tile, cost, (inp, work.acc * slots)))
    if not found:
        least = [operator.work(tile) for tile in operator.tilings(config)]
        inp, acc = min(work.inp for work in least), min(work.acc for work in least)
        raise CompileError(
            f"{operator.label}: one value of the result needs INP {inp} and ACC {acc} "
            f"entries; there are {config.inp_depth} and {config.acc_depth}: enlarge "
            "LOG_*_BUFF_SIZE, or choose a smaller kernel"
        )
    return sorted(found, key=lambda candidate: candidate.cost)
