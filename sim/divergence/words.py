"""Values and their places in words."""

import numpy as np

from vta.hw.config import Config
from vta.sw.codec import unpack_uops

__all__ = ["lane_name", "listed", "value_text"]

SHOWN = 8  # values of a row


def listed(values: np.ndarray, most: int = SHOWN) -> str:
    """Some numbers, those beyond `most` as dots."""
    numbers = [str(int(value)) for value in values.reshape(-1)[: most + 1]]
    if len(numbers) > most:
        numbers[most:] = ["..."]
    return f"[{', '.join(numbers)}]"


def lane_name(memory: str, lane: int, config: Config) -> str:
    """A value of an entry by its place: its lane, or the row and column of a weight."""
    if memory == "WGT":
        return "row {}, column {}".format(*divmod(lane, config.block))
    batch, column = divmod(lane, config.block)
    return f"lane {column}" if config.batch == 1 else f"batch {batch}, lane {column}"


def value_text(memory: str, value: int, config: Config) -> str:
    """A value as it is read: a uop by its indices."""
    if memory != "UOP":
        return str(int(value))
    dst, src, wgt = unpack_uops(config, np.array([value], np.uint32))[0]
    return f"dst={dst} src={src} wgt={wgt}"
