"""Digests of what instructions write: cheap to compare with those that a simulator makes.

The hash of a write is linear in its 32-bit words, then mixed; an instruction's digest is the sum
over its writes, in any order. sim/native/trace.cpp has the same.
"""

from typing import Protocol

import numpy as np

from vta.hw.isa import MemoryType

__all__ = ["MEMORY_NUMBERS", "Digests", "Observer", "Recorder", "hashes"]

MEMORY_NUMBERS = {name: MemoryType[name].value for name in ("UOP", "WGT", "INP", "ACC", "OUT")}
"""By the name of a scratchpad; OUT stands for DRAM, where STORE writes."""
PLACE, MIX_0, MIX_1 = (
    np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class Observer(Protocol):
    """Told of each write of the machine, in the order of execution."""

    def wrote(self, index: int, memory: str, entries: np.ndarray, values: np.ndarray) -> None:
        """Instruction `index` wrote `values` (n, ...) to `entries` (int64, (n,)) of a scratchpad,
        or, where `memory` is OUT, uint8 bytes to addresses of DRAM. An entry that comes twice was
        written twice.
        """
        ...


class Digests:
    """The digest, and the number of writes, of each instruction."""

    def __init__(self, count: int):
        self.digest = np.zeros(count, np.uint64)
        self.writes = np.zeros(count, np.int64)

    def wrote(self, index: int, memory: str, entries: np.ndarray, values: np.ndarray) -> None:
        total = hashes(memory, entries, values).sum(dtype=np.uint64)
        self.digest[index : index + 1] += total  # of an array: it may wrap
        self.writes[index] += len(entries)


class Recorder:
    """All writes of some instructions, as (memory, entries, values)."""

    def __init__(self, indices: set[int]):
        self._writes: dict[int, list[tuple[str, np.ndarray, np.ndarray]]] = {n: [] for n in indices}

    def wrote(self, index: int, memory: str, entries: np.ndarray, values: np.ndarray) -> None:
        if index in self._writes:
            self._writes[index].append((memory, entries.copy(), values.copy()))

    def writes(self, index: int) -> tuple[str, np.ndarray, np.ndarray]:
        """Memory, entries and values of an instruction's writes, in order; "" where it has none."""
        parts = self._writes[index]
        if not parts:
            return "", np.zeros(0, np.int64), np.zeros((0, 1), np.uint8)
        memories, entries, values = zip(*parts, strict=True)
        return memories[0], np.concatenate(entries), np.concatenate(values)


def hashes(memory: str, entries: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The hash of each write: uint64 (n,)."""
    if not len(entries):
        return np.zeros(0, np.uint64)
    raw = np.ascontiguousarray(values).reshape(len(entries), -1).view(np.uint8)
    if raw.shape[1] % 4:
        raw = np.pad(raw, ((0, 0), (0, -raw.shape[1] % 4)))
    words = raw.view("<u4").astype(np.uint64)
    place = np.uint64(MEMORY_NUMBERS[memory] << 32) | entries.astype(np.uint64)
    total = place * PLACE + (words * _factors(words.shape[1])).sum(axis=1, dtype=np.uint64)
    return _mixed(total)


def _factors(count: int) -> np.ndarray:
    return _mixed(np.arange(1, count + 1, dtype=np.uint64) * PLACE) | np.uint64(1)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * MIX_0
    x = (x ^ (x >> np.uint64(27))) * MIX_1
    return x ^ (x >> np.uint64(31))
