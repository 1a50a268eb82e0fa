"""The bursts of a run, and the instructions that they are for.

The bus does not say whose a burst is. But each of its users asks for its own bytes in program
order, and of every user the rows are known.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vta.hw.isa import INSTRUCTION_BYTES, Instruction, Load, Stage, Store
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
    started: Sequence[int],
    events: np.ndarray,
) -> list[Burst]:
    """All bursts of a run, reads first, each in the order in which they were asked for.

    `started` is when each instruction started: before that it asks for nothing.
    """

    def user(stage: Stage) -> "_User":
        own = (n for n, each in enumerate(stages) if each == stage)
        rows = (_Row(*row, n, started[n]) for n in own for row in _rows(program, instructions[n]))
        return _User(rows, program.config.beat_bytes)

    first = program.registers.insn
    beat = program.config.beat_bytes
    code = _User([_Row(first, first + INSTRUCTION_BYTES * len(instructions), FETCH, 0)], beat)
    readers = [user(Stage.COMPUTE), code, user(Stage.LOAD)]  # as the DMA prefers them
    writers = [user(Stage.STORE)]
    reads = _channel(events, Kind.READ_BURST, readers)
    return [*reads, *_channel(events, Kind.WRITE_BURST, writers)]


def _channel(events: np.ndarray, kind: Kind, users: list["_User"]) -> Iterator[Burst]:
    """The bursts of a direction: their data come in the order of their addresses."""
    write = kind == Kind.WRITE_BURST
    last = end_of(events)
    when = _beat_cycles(beat_runs(events, write=write), last)
    asked = events[events["kind"] == kind]
    counts = np.cumsum(asked["beats"], dtype=np.int64).tolist()
    for event, count in zip(asked.tolist(), counts, strict=True):
        cycle, _, beats, address = event
        owners = (user.take(address, beats) for user in users if user.expects(address, cycle))
        begin, end = when(count - beats), min(when(count - 1) + 1, last)
        yield Burst(write, address, beats, cycle, begin, end, next(owners, UNKNOWN))


class _Row(NamedTuple):
    """Bytes of DRAM that somebody reads or writes: the first, past the last, who, and from when."""

    begin: int
    end: int
    owner: int
    since: int


class _User:
    """One that asks for rows of DRAM, in order."""

    def __init__(self, rows: Iterable[_Row], beat: int):
        self._rows = iter(rows)
        self._beat = beat
        self._advance()

    def _advance(self) -> None:
        self._row = next(self._rows, None)
        self._at = self._row.begin if self._row else 0

    def expects(self, address: int, cycle: int) -> bool:
        if self._row is None or cycle < self._row.since:
            return False
        return address // self._beat == self._at // self._beat

    def take(self, address: int, beats: int) -> int:
        """Go on behind a burst; whose it is."""
        row = self._row
        if row is None:
            return UNKNOWN
        self._at = (address // self._beat + beats) * self._beat
        if self._at >= row.end:
            self._advance()
        return row.owner


def _rows(program: Program, instruction: Instruction) -> Iterator[tuple[int, int]]:
    """The rows of a LOAD or STORE, each by itself: no burst goes beyond one."""
    joined = dram_rows(program.config, program.registers, instruction).tolist()
    if len(joined) == 1 and isinstance(instruction, (Load, Store)):
        begin, end = joined[0]
        length = (end - begin) // instruction.y_size
        joined = ((at, at + length) for at in range(begin, end, length))
    for begin, end in joined:
        yield begin, end


def beat_runs(events: np.ndarray, *, write: bool) -> np.ndarray:
    """int64 (n, 2): cycles from and to (exclusive) which a beat moved in each cycle."""
    changes = events[events["kind"] == Kind.BUS]
    moves = (changes["value"] >> np.uint32(write) & np.uint32(1)).astype(np.int64)
    ends = np.append(changes["cycle"], end_of(events) + 1)[1:]
    runs = np.stack([changes["cycle"], ends], axis=1)[moves == 1]
    return runs.astype(np.int64)


def _beat_cycles(runs: np.ndarray, last: int) -> Callable[[int], int]:
    """From a beat's number to the cycle in which it moved; `last` if it did not."""
    before = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0])])

    def cycle(beat: int) -> int:
        run = int(np.searchsorted(before, beat, side="right")) - 1
        return last if run >= len(runs) else int(runs[run, 0] + beat - before[run])

    return cycle
