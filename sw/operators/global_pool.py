"""Maximum and average over whole maps: pools whose window is the map."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.attribute import attribute
from vta.sw.operators.average import AveragePool
from vta.sw.operators.averaged import Averaged
from vta.sw.operators.maps import Here, MapOperator, MapTile, Work
from vta.sw.operators.max_pool import MaxPool
from vta.sw.operators.pool import Pool

__all__ = ["GlobalAveragePool", "GlobalMaxPool"]


@dataclass(frozen=True, kw_only=True)
class GlobalPool(MapOperator):
    """One value for each channel."""

    kind: ClassVar[type[Pool]]

    channels: int = attribute("channels of the data", 512, minimum=1)
    height: int = attribute("rows of the data", 7, minimum=1)
    width: int = attribute("columns of the data", 7, minimum=1)

    @cached_property
    def pool(self) -> Pool:
        """The pool with a window as large as the map."""
        return self.kind(
            images=self.images,
            channels=self.channels,
            height=self.height,
            width=self.width,
            kernel_height=self.height,
            kernel_width=self.width,
            **self.further(),
        )

    def further(self) -> dict[str, Any]:
        """Other attributes of the pool."""
        return {}

    def check(self) -> None:
        assert self.pool  # it checks itself

    @property
    def out(self) -> tuple[int, int]:
        return 1, 1

    @property
    def label(self) -> str:
        return f"{self.name}_{self.height}x{self.width}x{self.channels}"

    def describe(self, config: Config) -> str:
        return f"{self.channels} x {self.height} x {self.width} -> 1 x 1"

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.pool.golden(inputs)

    def tilings(self, config: Config) -> Iterator[MapTile]:
        return self.pool.tilings(config)

    def work(self, tile: MapTile) -> Work:
        return self.pool.work(tile)

    def write(self, here: Here) -> None:
        self.pool.write(here)


@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool(Averaged, GlobalPool):
    name: ClassVar[str] = "global_average_pool"
    help: ClassVar[str] = "average over each map, rounded half up"
    kind = AveragePool

    def further(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(Averaged)}


class GlobalMaxPool(GlobalPool):
    name: ClassVar[str] = "global_max_pool"
    help: ClassVar[str] = "maximum over each map"
    kind = MaxPool
