"""The bursts of a run, and the instructions that they are for.

The bus does not say whose a burst is. But each of its users asks for its own bytes in program
order, and of every user the rows are known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vta.hw.isa import INSTRUCTION_BYTES, Instruction, Stage
from vta.sim.timeline.events import Kind, end_of
from vta.sw.check.footprint import dram_rows
from vta.sw.program import Program

__all__ = ["FETCH", "UNKNOWN", "Burst", "beat_runs", "find_bursts"]

FETCH, UNKNOWN = -1, -2
"""Owners that are no instruction: fetch itself; nobody whose rows begin there (a wrong core)."""


@dataclass(frozen=True)
class Burst:
    """A burst: when it was asked for, when its first and (exclusive) last beats moved.

    `begin` and `end` are the run's last cycle where the run ended before that. `owner` is an
    instruction's index, `FETCH` or `UNKNOWN`.
    """

    write: bool
    address: int
    beats: int
    asked: int
    begin: int
    end: int
    owner: int


def find_bursts(
    program: Program,
    instructions: Sequence[Instruction],
    stages: Sequence[Stage | None],
    events: np.ndarray,
) -> list[Burst]:
    """All bursts of a run, reads first, each in the order in which they were asked for."""
    rows = [dram_rows(program.config, program.registers, i) for i in instructions]

    def user(stage: Stage) -> "_User":
        own = (n for n, each in enumerate(stages) if each == stage)
        return _User((int(a), int(b), n) for n in own for a, b in rows[n])

    first = program.registers.insn
    code = _User([(first, first + INSTRUCTION_BYTES * len(instructions), FETCH)])
    readers = [user(Stage.COMPUTE), code, user(Stage.LOAD)]  # as the DMA prefers them
    found = []
    for write, kind, users in (
        (False, Kind.READ_BURST, readers),
        (True, Kind.WRITE_BURST, [user(Stage.STORE)]),
    ):
        asked = events[events["kind"] == kind]
        when = _beat_cycles(events, write=write)
        done = np.cumsum(asked["beats"], dtype=np.int64)
        for event, last in zip(asked, done.tolist(), strict=True):
            address, beats = int(event["value"]), int(event["beats"])
            owner = next(
                (
                    user.take(address, beats, program.config.beat_bytes)
                    for user in users
                    if user.expects(address, program.config.beat_bytes)
                ),
                UNKNOWN,
            )
            begin, end = when(last - beats), when(last - 1) + 1
            cycle = int(event["cycle"])
            found.append(
                Burst(write, address, beats, cycle, begin, min(end, end_of(events)), owner)
            )
    return found


class _User:
    """One that asks for rows of DRAM, in order: (first byte, past the last, owner)."""

    def __init__(self, rows: Iterable[tuple[int, int, int]]):
        self._rows = iter(rows)
        self._advance()

    def _advance(self) -> None:
        self._at, self._end, self._owner = next(self._rows, (-1, -1, UNKNOWN))
        self._inside = False

    def expects(self, address: int, beat: int) -> bool:
        # Rows that meet inside a beat are one here, and two bursts of the bus: both with that beat.
        behind = self._at // beat - address // beat
        return self._at >= 0 and (behind == 0 or (self._inside and behind == 1))

    def take(self, address: int, beats: int, beat: int) -> int:
        """Go on behind a burst; whose it is."""
        owner = self._owner
        self._at, self._inside = (address // beat + beats) * beat, True
        if self._at >= self._end:
            self._advance()
        return owner


def beat_runs(events: np.ndarray, *, write: bool) -> np.ndarray:
    """int64 (n, 2): cycles from and to (exclusive) which a beat moved in each cycle."""
    changes = events[events["kind"] == Kind.BUS]
    moves = (changes["value"] >> np.uint32(write) & np.uint32(1)).astype(np.int64)
    ends = np.append(changes["cycle"], end_of(events) + 1)[1:]
    runs = np.stack([changes["cycle"], ends], axis=1)[moves == 1]
    return runs.astype(np.int64)


def _beat_cycles(events: np.ndarray, *, write: bool):
    """A function from a beat's number to the cycle in which it moved; the run's end if none."""
    runs = beat_runs(events, write=write)
    before = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0])])

    def cycle(beat: int) -> int:
        run = int(np.searchsorted(before, beat, side="right")) - 1
        return end_of(events) if run >= len(runs) else int(runs[run, 0] + beat - before[run])

    return cycle
