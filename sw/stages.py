"""Fetch, the three command queues and the four token counters (isa.md section 5), without time.

The golden model runs instructions in it; the static checker runs it to find deadlocks and the
order that tokens give. Which enabled step comes next is free: any choice is a legal interleaving,
and the end (all retired, or a deadlock) does not depend on it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import ErrorClass, Finish, Instruction, Stage
from vta.sw.program import DeviceError
from vta.sw.rules import dispatch_error, stage_of

__all__ = ["STAGES", "TOKEN_FLAGS", "StageNetwork", "Stop"]

STAGES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)
TOKEN_FLAGS = ("pop_prev", "pop_next", "push_prev", "push_next")

Channel = tuple[Stage, Stage]  # (pushed by, popped by)


class Stop(Exception):
    """Raised by `execute` where the instruction is in error: nothing happens after it."""

    def __init__(self, error: DeviceError):
        super().__init__(error.reason)
        self.error = error


@dataclass
class _Queue:
    """One stage: its unretired instructions, and where the oldest of them stands."""

    stage: Stage
    entries: deque[int] = field(default_factory=deque)
    started: bool = False
    stuck: bool = False  # at an instruction in error
    pushes: list[Channel] = field(default_factory=list)


class StageNetwork:
    """Runs a stream through fetch, queues and tokens; `execute` does each instruction's work.

    Arguments
    ---------
    config
        gives the depth of the queues and the capacity of the counters.
    instructions
        the stream, in program order.
    execute
        ``execute(index, pushers)`` is called when an instruction starts, after its pops;
        `pushers` are the indices of the instructions that pushed the tokens it popped, at most
        one of each neighbour. It raises :class:`Stop` where the instruction is in error.
    rng
        chooses among the steps that are possible; None always prefers store, then compute, then
        load, then fetch.
    """

    def __init__(
        self,
        config: Config,
        instructions: Sequence[Instruction],
        execute: Callable[[int, list[int]], None],
        rng: np.random.Generator | None = None,
    ):
        self._config = config
        self._instructions = instructions
        self._execute = execute
        self._rng = rng
        self._queues = {stage: _Queue(stage) for stage in STAGES}
        self._dispatched = 0
        self._finished = False  # FINISH was dispatched
        self._fetching = True
        self.retired = 0
        self.silent: set[Stage] = set()
        """Stages whose instructions push nothing any more."""
        self.tokens: dict[Channel, deque[int]] = {
            (a, b): deque() for a in STAGES for b in STAGES if abs(a - b) == 1
        }
        """Tokens in each counter, oldest first: the indices of their pushers."""

    def run(
        self, on_retire: Callable[[int], None] | None = None, *, drain: bool = False
    ) -> DeviceError | None:
        """Run to the end; the error, if there is one. `on_retire` gets the number retired.

        With `drain` what does not wait for the instruction in error, or behind it, still runs: all
        that may have happened before a device stops.
        """
        self._on_retire = on_retire
        error = None
        while step := self._choose():
            try:
                step()
            except Stop as stop:
                error = error or stop.error
                if not drain:
                    return error
        return error or self._deadlock()

    def _choose(self) -> Callable[[], None] | None:
        """One of the steps that are possible now; None where there is none."""
        steps: list[Callable[[], None]] = []
        for stage in reversed(STAGES):
            queue = self._queues[stage]
            if self._can_step(queue):
                steps.append(lambda queue=queue: self._step(queue))
                if self._rng is None:
                    return steps[0]
        if self._can_dispatch():
            steps.append(self._dispatch)
        if not steps:
            return None
        return steps[0 if self._rng is None else int(self._rng.integers(len(steps)))]

    # Fetch ----------------------------------------------------------------------------------
    def _can_dispatch(self) -> bool:
        if not self._fetching:
            return False
        stage = self._next_stage()
        return stage is None or len(self._queues[stage].entries) < self._config.queue_depth

    def _next_stage(self) -> Stage | None:
        """Stage of the instruction that fetch holds; None where it needs no queue."""
        if self._finished or self._dispatched == len(self._instructions):
            return None
        return stage_of(self._instructions[self._dispatched])

    def _dispatch(self) -> None:
        index = self._dispatched
        end = index == len(self._instructions)
        if end and self._finished:
            self._fetching = False
            return
        if end or self._finished:
            self._fetching = False
            what = "the stream ends without FINISH" if end else "an instruction follows FINISH"
            raise Stop(DeviceError(ErrorClass.NO_FINISH, index, what))
        instruction = self._instructions[index]
        error = dispatch_error(self._config, instruction, index)
        stage = stage_of(instruction)
        if error or stage is None:
            self._fetching = False
            raise Stop(error or DeviceError(ErrorClass.ILLEGAL_OPCODE, index))
        self._finished = isinstance(instruction, Finish)
        self._queues[stage].entries.append(index)
        self._dispatched += 1

    # Stages ---------------------------------------------------------------------------------
    def _channels(self, queue: _Queue, what: str) -> list[Channel]:
        """The counters that the oldest instruction pops from ("pop") or pushes to ("push")."""
        instruction = self._instructions[queue.entries[0]]
        channels: list[Channel] = []
        for side, offset in (("prev", -1), ("next", 1)):
            if getattr(instruction, f"{what}_{side}"):
                other = Stage(queue.stage + offset)
                channels.append((other, queue.stage) if what == "pop" else (queue.stage, other))
        return channels

    def _has_room(self, channel: Channel) -> bool:
        return len(self.tokens[channel]) < self._config.token_capacity

    def _can_step(self, queue: _Queue) -> bool:
        if not queue.entries or queue.stuck:
            return False
        if queue.started:
            return not queue.pushes or any(map(self._has_room, queue.pushes))
        return all(self.tokens[channel] for channel in self._channels(queue, "pop"))

    def _step(self, queue: _Queue) -> None:
        """Start the oldest instruction, or make those of its pushes that have room."""
        if not queue.started:
            pushers = [self.tokens[channel].popleft() for channel in self._channels(queue, "pop")]
            queue.stuck = True
            self._execute(queue.entries[0], pushers)
            queue.stuck = False
            silent = queue.stage in self.silent
            queue.pushes = [] if silent else self._channels(queue, "push")
            queue.started = True
        for channel in [c for c in queue.pushes if self._has_room(c)]:
            self.tokens[channel].append(queue.entries[0])
            queue.pushes.remove(channel)
        if not queue.pushes:
            queue.entries.popleft()
            queue.started = False
            self.retired += 1
            if self._on_retire:
                self._on_retire(self.retired)

    def leftover_tokens(self) -> list[str]:
        """A sentence for each counter that still holds tokens."""
        return [
            f"{len(held)} tokens from {a.name.lower()} to {b.name.lower()} are left over, the "
            f"oldest pushed by instruction {held[0]}"
            for (a, b), held in self.tokens.items()
            if held
        ]

    # The end --------------------------------------------------------------------------------
    def _deadlock(self) -> DeviceError | None:
        """Called when no step is possible: who waits for what, if anything is left."""
        waits: list[tuple[int, str]] = []
        for queue in self._queues.values():
            if queue.entries:
                waits.append((queue.entries[0], self._describe_wait(queue)))
        if self._fetching:
            stage = self._next_stage()
            name = "" if stage is None else stage.name.lower()
            text = (
                f"instruction {self._dispatched} waits for a place in the command queue of "
                f"{name}, which holds {self._config.queue_depth}"
            )
            waits.append((self._dispatched, text))
        if not waits:
            return None
        waits.sort()
        return DeviceError(ErrorClass.DEADLOCK, waits[0][0], "; ".join(text for _, text in waits))

    def _describe_wait(self, queue: _Queue) -> str:
        who = f"instruction {queue.entries[0]} ({queue.stage.name.lower()})"
        if queue.started:
            full = " and ".join(channel[1].name.lower() for channel in queue.pushes)
            return f"{who} waits to push to {full}: {self._config.token_capacity} tokens are there"
        empty = [c for c in self._channels(queue, "pop") if not self.tokens[c]]
        return f"{who} waits for a token from " + " and ".join(c[0].name.lower() for c in empty)
