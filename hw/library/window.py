"""Windows: ranges of scratchpad entries that somebody has still to write or to use."""

from amaranth.hdl import Value
from amaranth.lib import data

__all__ = ["inside", "window_layout"]


def window_layout() -> data.StructLayout:
    """Entries `start` to ``end - 1``, while `valid`."""
    return data.StructLayout({"valid": 1, "start": 17, "end": 17})


def inside(window, address: Value) -> Value:
    """Whether an entry lies in a window."""
    return window.valid & (address >= window.start) & (address < window.end)
