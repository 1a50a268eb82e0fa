"""What the simulation found: cycles of each instruction, and what they waited for."""

from dataclasses import dataclass

import numpy as np

from vta.hw.isa import Stage
from vta.sw.estimate.stage import Record, Wait

__all__ = ["Estimate"]

FINISHED = 1  # cycles from the retirement of FINISH to the finish flag
REST = 2  # from the retirement of the last load or store


@dataclass(frozen=True)
class Estimate:
    """Cycles of a stream, from launch to finish, and when each instruction ran.

    cycles: as the core counts them. starts, ends: int64, the cycle in which each instruction
    starts and retires. stages: of each. waits: what each waited for last before it started;
    waited: int64, for how many cycles after its stage was free for it.
    """

    cycles: int
    starts: np.ndarray
    ends: np.ndarray
    stages: tuple[Stage, ...]
    waits: tuple[Wait, ...]
    waited: np.ndarray

    @classmethod
    def of(cls, record: Record) -> "Estimate":
        """Of a record in which every instruction has an end; the last one is FINISH."""
        return cls(
            cycles=max(record.ends[-1] + FINISHED, max(record.ends[:-1], default=0) + REST),
            starts=np.array(record.starts, np.int64),
            ends=np.array(record.ends, np.int64),
            stages=tuple(record.stages),
            waits=tuple(record.waits),
            waited=np.array(record.waited, np.int64),
        )

    def stage_waits(self, stage: Stage) -> dict[Wait, int]:
        """Cycles that a stage's instructions waited, by cause; those that are not 0."""
        found: dict[Wait, int] = {}
        for n, wait in enumerate(self.waits):
            if self.stages[n] == stage and self.waited[n]:
                found[wait] = found.get(wait, 0) + int(self.waited[n])
        return found
