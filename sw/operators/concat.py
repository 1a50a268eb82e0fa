"""Concatenation of int8 maps along channels.

Where the channels of all tensors but the last fill whole blocks, and there is one group of images,
a network needs no operator: `vta.sw.operators.network.Network.parts` lets each producer store into
its part of the result.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from vta.hw.config import Config
from vta.hw.errors import shown
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.placement import Channels, Placement

__all__ = ["Concat"]


@dataclass(frozen=True, kw_only=True)
class Concat(Placement):
    """``data0``, ``data1``, ... one behind the other; of one scale and zero point."""

    name: ClassVar[str] = "concat"
    help: ClassVar[str] = "concatenation along channels"

    parts: str = attribute("channels of each tensor, with commas between", "64,64")

    def check(self) -> None:
        if not re.fullmatch(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})+", self.parts):
            raise OperatorError(
                f"concat: parts is {shown(self.parts)}; write the channels of two tensors or more, "
                "each 1 or more, such as 64,32"
            )

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(map(int, self.parts.split(",")))

    def sources(self) -> dict[str, int]:
        return {f"data{n}": count for n, count in enumerate(self.counts)}

    @property
    def result_channels(self) -> int:
        return sum(self.counts)

    def moved(self) -> tuple[Channels, ...]:
        ends = [sum(self.counts[:n]) for n in range(len(self.counts))]
        return tuple(
            Channels(name, 0, count, at)
            for (name, count), at in zip(self.sources().items(), ends, strict=True)
        )

    @property
    def out(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def label(self) -> str:
        return f"{self.name}_{self.height}x{self.width}x{self.parts.replace(',', '+')}"

    def describe(self, config: Config) -> str:
        return f"{' + '.join(map(str, self.counts))} channels x {self.height} x {self.width}"
