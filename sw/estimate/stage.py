"""What the three stages have in common: queue, tokens, retirement in order."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from vta.hw.capacities import TICKETS
from vta.hw.config import Config
from vta.hw.isa import Stage
from vta.sw.estimate.tokens import Tokens

__all__ = ["InOrderStage", "NEVER", "Record", "Wait"]

CADENCE = 2  # cycles between two instructions out of a queue
NEVER = -(1 << 40)


class Wait(Enum):
    """What an instruction waited for last before it started."""

    FETCH = "fetch"  # it was not there yet
    PREV_TOKEN = "token of the stage before"
    NEXT_TOKEN = "token of the stage behind"
    ROOM = "room"  # for its tokens, or for its ticket
    UNIT = "unit"  # what executes it was busy
    HAZARD = "hazard"  # a load, with what still reads or writes the scratchpad
    TURN = "turn"  # nothing but the instruction before it


@dataclass
class Record:
    """What is known of every instruction; cycles from the launch, -1 where not known yet."""

    instructions: Sequence[Any]
    stages: Sequence[Stage]
    starts: list[int] = field(init=False)
    ends: list[int] = field(init=False)
    waits: list[Wait] = field(init=False)
    waited: list[int] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.instructions)
        self.starts = [-1] * count
        self.ends = [-1] * count
        self.waits = [Wait.TURN] * count
        self.waited = [0] * count


class InOrderStage:
    """An in-order stage; its subclasses start instructions.

    `before` and `behind` are the counters (to this stage, from this stage) of its neighbours.
    """

    def __init__(
        self,
        config: Config,
        record: Record,
        before: tuple[Tokens, Tokens],
        behind: tuple[Tokens, Tokens],
    ) -> None:
        self.config = config
        self.instructions = record.instructions
        self.record = record
        self.pop_prev, self.push_prev = before
        self.pop_next, self.push_next = behind
        self.queue: deque[tuple[int, int]] = deque()  # index and cycle of what has come
        self._received = 0
        self.retired: list[int] = []
        self._tickets: deque[int] = deque()
        self._started = 0
        self._done: dict[int, int] = {}
        self.last_start = NEVER

    # Queue -----------------------------------------------------------------------------------
    def queue_room(self) -> int | None:
        """From when on one more instruction can be dispatched; None: not known yet."""
        n = self._received - self.config.queue_depth
        if n < 0:
            return 0
        return self.retired[n] + 1 if n < len(self.retired) else None

    def receive(self, index: int, cycle: int) -> None:
        self.queue.append((index, cycle))
        self._received += 1

    # Start -----------------------------------------------------------------------------------
    def earliest(self, instruction: Any) -> list[tuple[int, Wait]] | None:
        """When tokens and room let the instruction start, each with its name."""
        found = []
        for pops, tokens, wait in (
            (instruction.pop_prev, self.pop_prev, Wait.PREV_TOKEN),
            (instruction.pop_next, self.pop_next, Wait.NEXT_TOKEN),
        ):
            if pops:
                cycle = tokens.available()
                if cycle is None:
                    return None
                found.append((cycle, wait))
        for tokens in (self.push_prev, self.push_next):
            cycle = tokens.sound()
            if cycle is None:
                return None
            found.append((cycle, Wait.ROOM))
        n = self._started - TICKETS
        if n >= 0:
            if n >= len(self.retired):
                return None
            found.append((self.retired[n] + 1, Wait.ROOM))
        return found

    def start(self, index: int, candidates: list[tuple[int, Wait]]) -> int:
        """The instruction starts when the last of `candidates` allows; returns when."""
        instruction = self.instructions[index]
        cycle, wait = max(candidates, key=lambda candidate: candidate[0])
        turn = max(self.last_start + CADENCE, 0)
        self.record.starts[index] = cycle
        if cycle > turn:
            self.record.waits[index] = wait
            self.record.waited[index] = cycle - turn
        self.last_start = cycle
        self._started += 1
        if instruction.pop_prev:
            self.pop_prev.pops.append(cycle)
        if instruction.pop_next:
            self.pop_next.pops.append(cycle)
        if instruction.push_prev:
            self.push_prev.reserve()
        if instruction.push_next:
            self.push_next.reserve()
        self._tickets.append(index)
        return cycle

    # Retirement ------------------------------------------------------------------------------
    def complete(self, index: int, cycle: int) -> None:
        """The instruction can retire from `cycle` on."""
        self._done[index] = cycle

    def retire(self) -> bool:
        """Retire in order what is complete; its tokens are pushed in the same cycle."""
        progress = False
        while self._tickets and self._tickets[0] in self._done:
            index = self._tickets.popleft()
            cycle = self._done.pop(index)
            cycle = max(cycle, self.record.starts[index] + 1)
            if self.retired:
                cycle = max(cycle, self.retired[-1] + 1)
            self.retired.append(cycle)
            self.record.ends[index] = cycle
            instruction = self.instructions[index]
            if instruction.push_prev:
                self.push_prev.pushes.append(cycle)
            if instruction.push_next:
                self.push_next.pushes.append(cycle)
            progress = True
        return progress
