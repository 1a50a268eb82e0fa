"""A run, put together from a program and the events of its run: who did what, when, and for whom.

Tokens of one counter are alike: the nth pop takes the nth push, both in program order.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import numpy as np

from vta.hw.isa import Instruction, Stage
from vta.hw.registers import StageState
from vta.sim.timeline.bursts import Burst, find_bursts
from vta.sim.timeline.events import GROUPS, STAGES, Kind, end_of, state_runs
from vta.sw.assembler import format_instruction
from vta.sw.program import Program
from vta.sw.rules import stage_of

__all__ = ["CHANNELS", "NEVER", "Channel", "Ending", "History", "Token", "channel_name"]

NEVER = 1 << 62
"""The cycle of what did not happen."""

Channel = tuple[Stage, Stage]  # (pushed by, popped by)
CHANNELS: tuple[Channel, ...] = (
    (Stage.LOAD, Stage.COMPUTE),
    (Stage.COMPUTE, Stage.LOAD),
    (Stage.COMPUTE, Stage.STORE),
    (Stage.STORE, Stage.COMPUTE),
)


def channel_name(channel: Channel) -> str:
    return "->".join(stage.name.lower() for stage in channel)


@dataclass(frozen=True)
class Ending:
    """How a run ended: a name such as finish, DEADLOCK or hang, a sentence, and whose fault."""

    name: str = "finish"
    text: str = ""
    index: int | None = None


@dataclass(frozen=True)
class Token:
    """A token: the instructions that push and pop it; None where the program has none."""

    channel: Channel
    pusher: int | None
    popper: int | None


@dataclass
class History:
    """What each instruction and each stage did in a run.

    Members
    -------
    end
        the run's last cycle; cycles count from the launch.
    stages
        of each instruction; None where nothing takes it.
    dispatched, started, retired
        cycle of each instruction's event, `NEVER` where there was none.
    order
        the instructions of each stage, in order.
    runs
        what fetch and each stage did: (begin, end, StageState), in order, over the whole run.
    """

    program: Program
    events: np.ndarray
    ending: Ending = field(default_factory=Ending)

    def __post_init__(self) -> None:
        self.end = end_of(self.events)
        self.instructions: list[Instruction] = self.program.instructions()
        self.stages = [stage_of(instruction) for instruction in self.instructions]
        self.runs: dict[str, list[tuple[int, int, int]]] = {
            group: [(begin, end, state) for begin, end, state in runs.tolist()]
            for group in GROUPS
            for runs in [state_runs(self.events, group)]
        }
        self.dispatched = self._dispatches()
        self.started = self._cycles(Kind.START)
        self.retired = self._cycles(Kind.RETIRE)
        self.order = {
            stage: [n for n, each in enumerate(self.stages) if each == stage] for stage in STAGES
        }
        self.tokens = [token for channel in CHANNELS for token in self._matched(channel)]
        self.pushers = {(t.popper, t.channel): t.pusher for t in self.tokens}

    def _cycles(self, kind: Kind) -> list[int]:
        cycles = [NEVER] * len(self.instructions)
        for event in self.events[np.isin(self.events["kind"], [kind + s for s in STAGES])]:
            if event["value"] < len(cycles):  # a wrong core may say anything
                cycles[int(event["value"])] = int(event["cycle"])
        return cycles

    def _dispatches(self) -> list[int]:
        """Fetch is busy where it dispatches an instruction, in program order."""
        busy = [
            cycle
            for begin, end, state in self.runs["fetch"]
            if state == StageState.BUSY
            for cycle in range(begin, end)
        ]
        missing = len(self.instructions) - len(busy)
        return [*busy, *[NEVER] * missing][: len(self.instructions)]

    def _matched(self, channel: Channel) -> list[Token]:
        source, sink = channel
        push = f"push_{'next' if sink > source else 'prev'}"
        pop = f"pop_{'prev' if sink > source else 'next'}"
        pushers: list[int | None] = [*self._with(source, push)]
        poppers: list[int | None] = [*self._with(sink, pop)]
        count = max(len(pushers), len(poppers))
        pushers += [None] * (count - len(pushers))
        poppers += [None] * (count - len(poppers))
        return [Token(channel, *pair) for pair in zip(pushers, poppers, strict=True)]

    def _with(self, stage: Stage, flag: str) -> list[int]:
        return [n for n in self.order[stage] if getattr(self.instructions[n], flag)]

    # Questions ------------------------------------------------------------------------------
    @cached_property
    def bursts(self) -> list[Burst]:
        """The bursts of the bus, with the instructions that they are for."""
        return find_bursts(self.program, self.instructions, self.stages, self.started, self.events)

    @cached_property
    def _starts(self) -> dict[Stage, list[int]]:
        return {stage: [self.started[n] for n in order] for stage, order in self.order.items()}

    @cached_property
    def _retirements(self) -> dict[Stage, list[int]]:
        return {stage: [self.retired[n] for n in order] for stage, order in self.order.items()}

    def next_to_start(self, stage: Stage, cycle: int) -> int | None:
        """The first instruction of a stage that had not started before `cycle`."""
        return self._at(stage, bisect_left(self._starts[stage], cycle))

    def oldest(self, stage: Stage, cycle: int) -> int | None:
        """The first instruction of a stage that had not retired before `cycle`."""
        return self._at(stage, bisect_left(self._retirements[stage], cycle))

    def _at(self, stage: Stage, position: int) -> int | None:
        order = self.order[stage]
        return order[position] if position < len(order) else None

    def runs_between(self, stage: Stage, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The runs of a stage's states from one cycle to another, cut to them."""
        runs = self.runs[stage.name.lower()]
        for n in range(max(bisect_right(runs, begin, key=itemgetter(0)) - 1, 0), len(runs)):
            first, last, state = runs[n]
            if first >= end:
                return
            if min(last, end) > max(first, begin):
                yield max(first, begin), min(last, end), state

    def pushed(self, token: Token) -> int:
        """The cycle of a push: `NEVER`, or at the latest the one before it was popped."""
        if token.pusher is None:
            return NEVER
        popped = NEVER if token.popper is None else self.started[token.popper]
        return min(self.retired[token.pusher], popped - 1 if popped != NEVER else NEVER)

    def next_dispatched(self, stage: Stage | None, cycle: int) -> int | None:
        """The first instruction of a stage (None: of all) not dispatched before `cycle`."""
        if stage is None:
            index = bisect_left(self.dispatched, cycle)
            return index if index < len(self.dispatched) else None
        at = bisect_left(self.order[stage], cycle, key=lambda n: self.dispatched[n])
        return self._at(stage, at)

    def frees(self, index: int, channel: Channel) -> int | None:
        """Who has to pop a token before instruction `index` can push to a full counter."""
        return self._makes_room.get((index, channel))

    @cached_property
    def _makes_room(self) -> dict[tuple[int | None, Channel], int | None]:
        found = {}
        for channel in CHANNELS:
            tokens = [token for token in self.tokens if token.channel == channel]
            pushes = tokens[self.program.config.token_capacity :]
            for push, pop in zip(pushes, tokens, strict=False):
                found[push.pusher, channel] = pop.popper
        return found

    def reads_between(self, begin: int, end: int) -> list[Burst]:
        """The read bursts of which data came from `begin` to `end` (exclusive)."""
        reads = self._reads
        first = bisect_left(reads, begin, key=lambda burst: burst.end)
        while first < len(reads) and reads[first].end <= begin:
            first += 1
        last = bisect_left(reads, end, key=lambda burst: burst.begin)
        return reads[first:last]

    @cached_property
    def _reads(self) -> list[Burst]:
        return [burst for burst in self.bursts if not burst.write]

    def text(self, index: int) -> str:
        """An instruction in assembly."""
        return format_instruction(self.instructions[index], self.program.config)

    def short(self, index: int) -> str:
        """What an instruction is, in two words, and its number."""
        return f"{' '.join(self.text(index).split()[:2])} #{index}"

    def source(self, index: int) -> dict:
        """Where an instruction comes from, as far as the program knows."""
        sources = self.program.source_map
        return sources[index] if index < len(sources) else {}

    def layer(self, index: int) -> str:
        """The node of a network, or the layer, that an instruction comes from; "" if unknown."""
        source = self.source(index)
        return str(source.get("node", source.get("layer", "")))

    def layers(self) -> list[tuple[str, int, int]]:
        """(layer, begin, end) in cycles, in the order in which they begin; empty where no source
        names one. From the first start to the last end of what is not in the load stage, which
        fetches weights of later layers long before them.
        """
        spans: dict[str, tuple[int, int]] = {}
        for index, (start, end) in enumerate(zip(self.started, self.retired, strict=True)):
            layer = self.layer(index)
            if layer and start != NEVER and self.stages[index] != Stage.LOAD:
                begin, last = spans.get(layer, (start, start))
                spans[layer] = (min(begin, start), max(last, min(end, self.end), start + 1))
        return sorted(((n, *span) for n, span in spans.items()), key=itemgetter(1))
