"""The bursts of a run, and the instructions that they are for.

The bus does not say whose a burst is. But each of its users asks for its own bytes in program
order, and of every user the rows are known.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    events: np.ndarray,
) -> list[Burst]:
    """All bursts of a run, reads first, each in the order in which they were asked for."""

    def user(stage: Stage) -> "_User":
        own = (n for n, each in enumerate(stages) if each == stage)
        return _User((*row, n) for n in own for row in _rows(program, instructions[n]))

    first = program.registers.insn
    code = _User([(first, first + INSTRUCTION_BYTES * len(instructions), FETCH)])
    readers = [user(Stage.COMPUTE), code, user(Stage.LOAD)]  # as the DMA prefers them
    writers = [user(Stage.STORE)]
    beat = program.config.beat_bytes
    reads = _channel(events, Kind.READ_BURST, readers, beat)
    return [*reads, *_channel(events, Kind.WRITE_BURST, writers, beat)]


def _channel(events: np.ndarray, kind: Kind, users: list["_User"], beat: int) -> Iterator[Burst]:
    """The bursts of a direction: their data come in the order of their addresses."""
    write = kind == Kind.WRITE_BURST
    last = end_of(events)
    when = _beat_cycles(beat_runs(events, write=write), last)
    asked = events[events["kind"] == kind]
    counts = np.cumsum(asked["beats"], dtype=np.int64).tolist()
    for event, count in zip(asked.tolist(), counts, strict=True):
        cycle, _, beats, address = event
        owners = (user.take(address, beats, beat) for user in users if user.expects(address, beat))
        begin, end = when(count - beats), min(when(count - 1) + 1, last)
        yield Burst(write, address, beats, cycle, begin, end, next(owners, UNKNOWN))


class _User:
    """One that asks for rows of DRAM, in order: (first byte, past the last, owner)."""

    def __init__(self, rows: Iterable[tuple[int, int, int]]):
        self._rows = iter(rows)
        self._advance()

    def _advance(self) -> None:
        self._at, self._end, self._owner = next(self._rows, (-1, -1, UNKNOWN))

    def expects(self, address: int, beat: int) -> bool:
        return self._at >= 0 and address // beat == self._at // beat

    def take(self, address: int, beats: int, beat: int) -> int:
        """Go on behind a burst; whose it is."""
        owner = self._owner
        self._at = (address // beat + beats) * beat
        if self._at >= self._end:
            self._advance()
        return owner


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
