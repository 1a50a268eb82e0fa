"""The order that tokens give to the instructions of different stages, and accesses without one.

Each instruction has a vector clock: for each stage, how many of its instructions surely ended
before. Only tokens count, not the capacity of queues and counters (isa.md section 5).
"""

from dataclasses import dataclass

import numpy as np

from vta.hw.isa import Stage
from vta.sw.stages import STAGES

__all__ = ["AccessLog", "Clocks", "Race"]


class Clocks:
    """Vector clocks of the instructions, in the order in which they start."""

    def __init__(self, count: int):
        self.ends = np.zeros((count, len(STAGES)), np.int64)
        """For each instruction: instructions of each stage that end no later than it does."""
        self.members: dict[Stage, list[int]] = {stage: [] for stage in STAGES}
        """Instructions of each stage, in order; member n-1 has position n."""
        self._latest = {stage: np.zeros(len(STAGES), np.int64) for stage in STAGES}

    def start(self, index: int, stage: Stage, pushers: list[int]) -> np.ndarray:
        """Clock of instruction `index`, which pops tokens that `pushers` pushed: int64 (3,)."""
        clock = self._latest[stage].copy()
        for pusher in pushers:
            np.maximum(clock, self.ends[pusher], out=clock)
        self.members[stage].append(index)
        clock[stage] = len(self.members[stage])
        self._latest[stage] = clock
        self.ends[index] = clock
        return clock


@dataclass(frozen=True)
class Race:
    """An access in no order with an earlier one of another stage: `other` did it to `entry`."""

    other: int
    entry: int


class AccessLog:
    """Who read and who wrote each of `size` entries last, by stage: positions, 0 for never."""

    def __init__(self, size: int, clocks: Clocks):
        self._clocks = clocks
        self.needed: dict[Stage, int] = {}
        """What the last access had to come after: positions in the other stages, 0 for nothing."""
        self._reads = np.zeros((len(STAGES), size), np.int32)
        self._writes = np.zeros((len(STAGES), size), np.int32)

    def written(self, entries: np.ndarray) -> np.ndarray:
        """For each entry, whether anything wrote it so far."""
        return self._writes[:, entries].max(axis=0) > 0

    def latest(self, stage: Stage, entries: np.ndarray, *, write: bool) -> dict[Stage, int]:
        """Position, in each other stage, of the last access that one by `stage` conflicts with."""
        found = {}
        for other in STAGES:
            if other != stage and len(entries):
                last = int(self._writes[other, entries].max())
                if write:
                    last = max(last, int(self._reads[other, entries].max()))
                found[other] = last
        return found

    def access(
        self, stage: Stage, clock: np.ndarray, entries: np.ndarray, *, write: bool
    ) -> Race | None:
        """Record an access (`entries`: int64, distinct) by an instruction with this clock."""
        race = None
        self.needed = self.latest(stage, entries, write=write)
        for other, last in self.needed.items():
            if last > clock[other] and race is None:
                here = self._writes[other, entries]
                if write:
                    here = np.maximum(here, self._reads[other, entries])
                entry = int(entries[int(here.argmax())])
                race = Race(self._clocks.members[other][last - 1], entry)
        (self._writes if write else self._reads)[stage, entries] = clock[stage]
        return race
