"""What operations work on: buffers on chip, tensors in DRAM, and the elements that they touch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vta.hw.isa import MemoryType

__all__ = ["DEPTHS", "Access", "Buffer", "Operand", "Touch"]

DEPTHS = {MemoryType.INP: "inp_depth", MemoryType.WGT: "wgt_depth", MemoryType.ACC: "acc_depth"}
"""The scratchpads that buffers stand in, and the configuration's name of their depth."""


@dataclass(frozen=True)
class Buffer:
    """A buffer on chip: `size` elements of `memory` in each of `slots` slots.

    Its instances take the slots in turn, which is what double buffering is. `base` is the entry of
    slot 0, and `first` the slot of instance 0; None until it is placed.
    """

    memory: MemoryType
    size: int
    slots: int
    base: int | None = None
    first: int = 0

    def entry(self, instance: int) -> int:
        """The entry where an instance begins."""
        assert self.base is not None
        return self.base + (instance + self.first) % self.slots * self.size


@dataclass(frozen=True)
class Operand:
    """Element `offset` of an instance of a buffer, or of a tensor in DRAM (instance 0)."""

    name: str
    offset: int
    instance: int = 0


@dataclass(frozen=True, eq=False)
class Touch:
    """Elements of operand `place`, counted from its offset, that an operation reads or writes."""

    place: int
    entries: np.ndarray
    write: bool

    @cached_property
    def run(self) -> tuple[int, int] | None:
        """(first, stop) where the elements are contiguous."""
        first, stop = int(self.entries[0]), int(self.entries[-1]) + 1
        return (first, stop) if stop - first == len(self.entries) else None

    def at(self, base: int) -> slice | np.ndarray:
        """The elements, counted from where `base` is the operand's; for indexing an array."""
        if self.run is not None:
            return slice(self.run[0] + base, self.run[1] + base)
        return self.entries + base


@dataclass(frozen=True)
class Access:
    """Entries of a scratchpad, or units of DRAM (`Stream.unit`), that an operation accesses."""

    memory: MemoryType | None
    where: slice | np.ndarray
    write: bool
