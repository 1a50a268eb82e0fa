"""Nearest upsampling of int8 maps by integer factors: each row of accumulators is stored often.

GEMM with an identity matrix writes each value side by side as often as the columns repeat, so that
a STORE writes whole rows; there is a STORE for each repetition of the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import attribute
from vta.sw.operators.maps import Here, MapOperator, MapTile, Work
from vta.sw.operators.written import Range

__all__ = ["Upsample"]


@dataclass(frozen=True, kw_only=True)
class Upsample(MapOperator):
    """``out[y, x] = data[y // factor_height, x // factor_width]``; tiles are parts of the data."""

    name: ClassVar[str] = "upsample"
    help: ClassVar[str] = "nearest upsampling by integer factors"

    factor_height: int = attribute("times each row is repeated", 2, minimum=1)
    factor_width: int = attribute("times each column is repeated", 2, minimum=1)

    @property
    def out(self) -> tuple[int, int]:
        return self.height * self.factor_height, self.width * self.factor_width

    @property
    def tiled(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def label(self) -> str:
        factors = f"{self.factor_height}x{self.factor_width}"
        return f"{self.name}_{self.height}x{self.width}x{self.channels}_by_{factors}"

    def describe(self, config: Config) -> str:
        return f"{self.channels} x {self.height} x {self.width} -> {self.out[0]} x {self.out[1]}"

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = np.repeat(inputs["data"], self.factor_height, axis=2)
        return {"out": np.repeat(rows, self.factor_width, axis=3)}

    def work(self, tile: MapTile) -> Work:
        data = tile.blocks * tile.rows * tile.columns
        repeated = data * self.factor_width
        return Work(inp=data, acc=repeated, stored=repeated * self.factor_height, gemm=repeated)

    def write(self, here: Here) -> None:
        times = self.factor_width

        inp = here.writer.buffer("inp", "local.inp", *here.sizes)
        data = here.writer.tensors["data"]
        here.writer.element_wise(
            here.sizes,
            lambda *e: (inp, e),
            lambda *e: e[-1](data, here.at[0], *here.place(*e[:-1])),
            lambda b, y, x, *_: self._inside(here, b, y, x),
        )
        acc = here.writer.buffer("acc", "local.acc", *here.sizes, times)
        here.writer.reset(acc)
        here.copy(
            (*here.sizes, times),
            lambda *e: (acc, e),
            lambda *e: (inp, e[:3]),
            lambda b, y, x, *_: self._inside(here, b, y, x),
        )
        for again in range(self.factor_height):
            self._store(here, acc, again)

    def _inside(self, here: Here, *offsets: Any) -> list[Range]:
        """That block, row and column of the tile are those of the data."""
        sizes = (int(here.out.shape[1]), self.height, self.width)
        return [(n, 0, size) for n, size in zip(here.place(*offsets), sizes, strict=True)]

    def _store(self, here: Here, acc: Any, again: int) -> None:
        def target(b: Any, y: Any, x: Any, repeated: Any) -> tuple[Any, list[Any]]:
            block, row, column = here.place(b, y, x)
            row, column = row * self.factor_height + again, column * self.factor_width + repeated
            return here.out, [here.at[0], block, row, column]

        here.writer.element_wise(
            (*here.sizes, self.factor_width),
            target,
            lambda *e: e[-1](acc, *e[:-1]).astype("int8"),
            lambda b, y, x, *_: self._inside(here, b, y, x),
        )
