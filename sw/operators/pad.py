"""An int8 map with a border of a constant, and with further channels of it."""

from dataclasses import dataclass
from typing import ClassVar

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.placement import Channels, Placement

__all__ = ["Pad"]


@dataclass(frozen=True, kw_only=True)
class Pad(Placement):
    """`value` (a zero point) round each map; channels of zeros before and after."""

    name: ClassVar[str] = "pad"
    help: ClassVar[str] = "a border of a constant, and further channels"

    channels: int = attribute("channels of the data", 64, minimum=1)
    pad_top: int = attribute("rows above", 0, minimum=0)
    pad_bottom: int = attribute("rows below", 0, minimum=0)
    pad_left: int = attribute("columns on the left", 0, minimum=0)
    pad_right: int = attribute("columns on the right", 0, minimum=0)
    channels_before: int = attribute("channels before those of the data", 0, minimum=0)
    channels_after: int = attribute("channels after those of the data", 0, minimum=0)
    value: int = attribute("what they are filled with", 0, minimum=-128, maximum=127)

    def check(self) -> None:
        if self.value and (self.channels_before or self.channels_after):
            raise OperatorError(
                f"pad: value is {self.value}; further channels hold 0 only: pad rows and columns "
                "by themselves, or concat a tensor of the value"
            )

    def sources(self) -> dict[str, int]:
        return {"data": self.channels}

    @property
    def result_channels(self) -> int:
        return self.channels_before + self.channels + self.channels_after

    def moved(self) -> tuple[Channels, ...]:
        return (Channels("data", 0, self.channels, self.channels_before),)

    @property
    def shift(self) -> tuple[int, int]:
        return -self.pad_top, -self.pad_left

    @property
    def fill(self) -> int:
        return self.value

    @property
    def out(self) -> tuple[int, int]:
        return (
            self.height + self.pad_top + self.pad_bottom,
            self.width + self.pad_left + self.pad_right,
        )

    @property
    def label(self) -> str:
        size = f"{self.height}x{self.width}x{self.channels}"
        return f"{self.name}_{size}_to_{self.out[0]}x{self.out[1]}x{self.result_channels}"

    def describe(self, config: Config) -> str:
        return (
            f"{self.channels} x {self.height} x {self.width} -> {self.result_channels} x "
            f"{self.out[0]} x {self.out[1]}, filled with {self.value}"
        )
