"""An int8 matrix that the core has computed, as the weights of a matrix product.

The weights of a product lie in DRAM by blocks of rows, the rows of a matrix one by one; only where
they have a single block of columns that is the same. So vectors go through GEMM with an identity
matrix, a step each, and leave in the weights' order. Transposed, the matrix is the weights of a
product with the rows of an identity matrix: GEMM multiplies by the transpose of its weights.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.bound import bound
from vta.sw.compiler import CompileError
from vta.sw.operators.attribute import attribute
from vta.sw.operators.operator import Operator, Scheduled, named
from vta.sw.operators.space import Candidate
from vta.sw.operators.written import Range, Writer, scheduled
from vta.sw.tensor import Tensor

__all__ = ["ToWeights", "TransposeWeights"]

TILE_CYCLES = 40  # what a tile costs beyond its data: round trips, instructions
SLOTS = 2


@dataclass(frozen=True)
class Blocks:
    """Of a tile: blocks of rows, and of columns, of the data."""

    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class Mover(Operator):
    """A matrix in the order of weights: `out`, of int8."""

    rows: int = attribute("rows of the data", 64, minimum=1)
    columns: int = attribute("columns of the data", 64, minimum=1)

    @property
    def label(self) -> str:
        return f"{self.name}_{self.rows}x{self.columns}"

    @abstractmethod
    def loaded(self, tile: Blocks, config: Config) -> tuple[int, int]:
        """Entries of INP and of WGT that the data of a tile takes."""

    @abstractmethod
    def write(self, writer: Writer, tile: Blocks, counts: Blocks) -> None:
        """All tiles, of which there are `counts`."""

    def blocks(self, config: Config) -> Blocks:
        """Of the whole data."""
        return Blocks(-(-self.rows // config.block), -(-self.columns // config.block))

    def _out(self, shape: tuple[int, int], config: Config) -> dict[str, Any]:
        """Blocks of weights, in vectors of the accumulators."""
        batch, block = config.batch, config.block
        layout = f"OI{block // batch}o{batch}o{block}i"
        return {"role": "output", "dtype": "int8", "shape": shape, "layout": layout}

    def demand(self, config: Config) -> dict[str, int]:
        whole, tensors = self.blocks(config), self.tensors(config).values()
        moved = {
            role: sum(-(-t.nbytes // config.beat_bytes) for t in tensors if t.role == role)
            for role in ("input", "weight", "output")
        }
        asked = {
            "gemm": whole.rows * whole.columns * (config.block // config.batch),
            "passes": 0,
            "reads": moved["input"] + moved["weight"],
            "writes": moved["output"],
        }
        return asked | {"bound": bound(**asked)}

    def space(self, config: Config) -> Iterable[Candidate]:
        whole, vectors = self.blocks(config), config.block // config.batch
        found = []
        for tile in (Blocks(r, c) for r in _divisors(whole.rows) for c in _divisors(whole.columns)):
            entries = tile.rows * tile.columns * vectors
            count = whole.rows // tile.rows * (whole.columns // tile.columns)
            taken = [n * min(SLOTS, count) for n in (*self.loaded(tile, config), entries)]
            taken = [n + vectors for n in taken[:2]] + taken[2:]  # and the identity matrix
            depths = (config.inp_depth, config.wgt_depth, config.acc_depth)
            if any(n > depth for n, depth in zip(taken, depths, strict=True)):
                continue
            beats = -(-entries * config.out_bytes // config.beat_bytes)
            cost = count * (max(beats, entries) + TILE_CYCLES) + beats + entries
            found.append(Candidate(tile, cost, tuple(taken)))
        if not found:
            raise CompileError(
                f"{self.label}: a block takes {vectors} entries of ACC, twice; there are "
                f"{config.acc_depth}: enlarge LOG_ACC_BUFF_SIZE"
            )
        return sorted(found, key=lambda candidate: candidate.cost)

    def schedule(self, config: Config, tiling: Blocks) -> Scheduled:
        whole = self.blocks(config)
        counts = Blocks(whole.rows // tiling.rows, whole.columns // tiling.columns)
        return scheduled(
            self.tensors(config), config, lambda writer: self.write(writer, tiling, counts)
        )


def _divisors(extent: int) -> list[int]:
    return [n for n in range(extent, 0, -1) if extent % n == 0]


def _copied(writer: Writer, name: str, scope: str, at: Callable[[Any], tuple[Any, ...]]) -> Any:
    """All of a constant tensor on chip; `at`: of an entry, its element in DRAM."""
    source = writer.tensors[name]
    buffer = writer.buffer(name, scope, int(source.shape[0]))
    writer.element_wise(
        buffer.shape[:1], lambda n: (buffer, (n,)), lambda n, read: read(source, *at(n))
    )
    return buffer


@dataclass(frozen=True, kw_only=True)
class ToWeights(Mover):
    """Columns that fill the last block up become zeros, and so do rows."""

    name: ClassVar[str] = "to_weights"
    help: ClassVar[str] = "int8 matrix in the order that a product's weights have"

    def describe(self, config: Config) -> str:
        return f"({self.rows}, {self.columns}) as weights"

    def tensors(self, config: Config) -> dict[str, Tensor]:
        batch, block = config.batch, config.block
        int8, shape = {"dtype": "int8"}, (self.rows, self.columns)
        count = len(self.constants(config)["identity"])
        return named(
            {
                "data": {"role": "input", "shape": shape, "layout": f"NC{batch}n{block}c", **int8},
                "identity": {
                    "role": "weight",
                    "shape": (count, block),
                    "layout": f"OI{block}o{block}i",
                    **int8,
                },
                "out": self._out(shape, config),
            }
        )

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        """The matrix of most blocks, and that of a last one that is not full."""
        lanes = np.arange(config.block)
        rest = self.columns % config.block
        whole = np.eye(config.block, dtype=np.int8)
        return {"identity": np.concatenate([whole, whole * (lanes < rest)]) if rest else whole}

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        data = inputs["data"].copy()
        data[:, self.columns :] = 0
        return {"out": data}

    def loaded(self, tile: Blocks, config: Config) -> tuple[int, int]:
        return tile.rows * tile.columns * (config.block // config.batch), 0

    def write(self, writer: Writer, tile: Blocks, counts: Blocks) -> None:
        data, out = writer.tensors["data"], writer.tensors["out"]
        (groups, blocks), vectors = map(int, data.shape[:2]), int(out.shape[2])
        identity = _copied(writer, "identity", "local.wgt", lambda n: (n, 0))
        full, rest = divmod(groups, vectors)  # blocks of rows
        last = blocks - 1 if self.columns % writer.config.block else blocks
        with writer.tiles(SLOTS, row=counts.rows, column=counts.columns) as (row, column):

            def at(i: Any, j: Any) -> tuple[Any, Any]:
                return row * tile.rows + i, column * tile.columns + j

            inp = writer.buffer("inp", "local.inp", tile.rows * vectors, tile.columns)
            acc = writer.buffer("acc", "local.acc", tile.rows, tile.columns, vectors)

            def group(n: Any) -> Any:
                return row * (tile.rows * vectors) + n

            writer.element_wise(
                inp.shape[:2],
                lambda *e: (inp, e),
                lambda n, j, read: read(data, group(n), column * tile.columns + j),
                lambda n, j: [(group(n), 0, groups)],
            )
            writer.reset(acc)
            for matrix, first, end in ((0, 0, last), (1, last, blocks)):
                for count, begin, beyond in ((vectors, 0, full), (rest, full, full + 1)):
                    if first == end or begin == beyond or not count:
                        continue

                    def ranges(
                        i: Any,
                        j: Any,
                        v: Any,
                        rows: tuple[int, int] = (begin, beyond),
                        columns: tuple[int, int] = (first, end),
                    ) -> list[Range]:
                        return [(at(i, j)[0], *rows), (at(i, j)[1], *columns)]

                    writer.multiply(
                        (tile.rows, tile.columns, count),
                        lambda *e: (acc, e),
                        lambda i, j, v: (inp, (i * vectors + v, j)),
                        lambda *_, matrix=matrix: (identity, (matrix,)),
                        ranges=ranges,
                    )
            writer.element_wise(
                acc.shape[:3],
                lambda i, j, v: (out, (*at(i, j), v)),
                lambda i, j, v, read: read(acc, i, j, v).astype("int8"),
            )


@dataclass(frozen=True, kw_only=True)
class TransposeWeights(Mover):
    """Weights, the rows of the data, become those of the transposed matrix."""

    name: ClassVar[str] = "transpose_weights"
    help: ClassVar[str] = "int8 matrix in the order of weights, transposed"

    def describe(self, config: Config) -> str:
        return f"({self.rows}, {self.columns}) as weights, transposed"

    def tensors(self, config: Config) -> dict[str, Tensor]:
        batch, block = config.batch, config.block
        int8 = {"dtype": "int8"}
        return named(
            {
                "data": {
                    "role": "weight",
                    "shape": (self.rows, self.columns),
                    "layout": f"OI{block}o{block}i",
                    **int8,
                },
                "identity": {
                    "role": "input",
                    "shape": (block, block),
                    "layout": f"NC{batch}n{block}c",
                    **int8,
                },
                "out": self._out((self.columns, self.rows), config),
            }
        )

    def constants(self, config: Config) -> dict[str, np.ndarray]:
        return {"identity": np.eye(config.block, dtype=np.int8)}

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"out": inputs["data"].T}

    def loaded(self, tile: Blocks, config: Config) -> tuple[int, int]:
        return 0, tile.rows * tile.columns

    def write(self, writer: Writer, tile: Blocks, counts: Blocks) -> None:
        data, out = writer.tensors["data"], writer.tensors["out"]
        vectors = int(out.shape[2])
        identity = _copied(writer, "identity", "local.inp", lambda n: (n, 0))
        with writer.tiles(SLOTS, column=counts.columns, row=counts.rows) as (column, row):

            def at(i: Any, j: Any) -> tuple[Any, Any]:
                return row * tile.rows + i, column * tile.columns + j

            wgt = writer.buffer("wgt", "local.wgt", tile.rows, tile.columns)
            acc = writer.buffer("acc", "local.acc", tile.columns, tile.rows, vectors)
            writer.element_wise(
                wgt.shape[:2], lambda *e: (wgt, e), lambda i, j, read: read(data, *at(i, j))
            )
            writer.reset(acc)
            writer.multiply(
                acc.shape[:3],
                lambda *e: (acc, e),
                lambda _j, _i, v: (identity, (v,)),
                lambda j, i, _v: (wgt, (i, j)),
            )
            writer.element_wise(
                acc.shape[:3],
                lambda j, i, v: (out, (*reversed(at(i, j)), v)),
                lambda j, i, v, read: read(acc, j, i, v).astype("int8"),
            )
