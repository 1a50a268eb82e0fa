"""A part of an int8 map: some of its channels, rows and columns."""

from dataclasses import dataclass
from typing import ClassVar

from vta.hw.config import Config
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.placement import Channels, Placement

__all__ = ["Slice"]


@dataclass(frozen=True, kw_only=True)
class Slice(Placement):
    """``data[:, first_channel : + out_channels, first_row : ..., first_column : ...]``."""

    name: ClassVar[str] = "slice"
    help: ClassVar[str] = "a part of the channels, rows and columns"

    channels: int = attribute("channels of the data", 64, minimum=1)
    first_channel: int = attribute("first channel that is kept", 0, minimum=0)
    out_channels: int | None = attribute("channels (none: all from the first)", None, minimum=1)
    first_row: int = attribute("first row that is kept", 0, minimum=0)
    out_height: int | None = attribute("rows (none: all from the first)", None, minimum=1)
    first_column: int = attribute("first column that is kept", 0, minimum=0)
    out_width: int | None = attribute("columns (none: all from the first)", None, minimum=1)

    def check(self) -> None:
        for what, size, first, count in (
            ("channels", self.channels, self.first_channel, self.out_channels),
            ("rows", self.height, self.first_row, self.out_height),
            ("columns", self.width, self.first_column, self.out_width),
        ):
            if first + (count or 1) > size:
                raise OperatorError(
                    f"slice: {count or 'all'} {what} from {first} on; the data has {size}: choose "
                    f"at most {max(0, size - first)}"
                )

    def sources(self) -> dict[str, int]:
        return {"data": self.channels}

    @property
    def result_channels(self) -> int:
        return (
            self.channels - self.first_channel if self.out_channels is None else self.out_channels
        )

    def moved(self) -> tuple[Channels, ...]:
        return (Channels("data", self.first_channel, self.result_channels, 0),)

    @property
    def shift(self) -> tuple[int, int]:
        return self.first_row, self.first_column

    @property
    def out(self) -> tuple[int, int]:
        height = self.height - self.first_row if self.out_height is None else self.out_height
        width = self.width - self.first_column if self.out_width is None else self.out_width
        return height, width

    @property
    def label(self) -> str:
        size = f"{self.height}x{self.width}x{self.channels}"
        return f"{self.name}_{size}_to_{self.out[0]}x{self.out[1]}x{self.result_channels}"

    def describe(self, config: Config) -> str:
        first = (self.first_channel, self.first_row, self.first_column)
        return f"{self.result_channels} x {self.out[0]} x {self.out[1]} from {first}"
