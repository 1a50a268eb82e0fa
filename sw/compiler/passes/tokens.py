"""Dependency flags, from hazards on scratchpad entries and on DRAM.

An operation waits, for each stage, for the latest operation there that conflicts with it, unless
it knows already that that one has ended: from its own stage's earlier waits, or through what the
operation knew whose token it takes (vector clocks, `vta.sw.compiler.passes.hazards`). So an
operation has at most one push and one pop a neighbour, each pop meets the push that was meant for
it, and no token is spent on what follows from others.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, replace

from vta.hw.isa import Stage
from vta.sw.compiler.ir import Operation, Stream, Tokens
from vta.sw.compiler.passes.hazards import NEIGHBOURS, Clock, Hazards, joined
from vta.sw.stages import StageNetwork

__all__ = ["Links", "outstanding", "tokens"]

Pair = tuple[Stage, Stage]


def tokens(stream: Stream) -> Stream:
    """The stream with the flags of every operation.

    The last operation, FINISH, waits for the last load and the last store: done means that
    everything is stored. Where counters of TOKEN_CAPACITY tokens are too small for waiting as
    little as may be, each wait is for the latest operation before: then no counter has to hold
    more than one.
    """
    flagged, most = _flagged(stream, late=False)
    if most > stream.config.token_capacity and _stands_still(flagged):
        flagged, most = _flagged(stream, late=True)
        assert most <= 1, f"{most} tokens at once, though each is taken before the next is pushed"
    return flagged


def _flagged(stream: Stream, *, late: bool) -> tuple[Stream, int]:
    """The stream with flags, and the most tokens that a counter may have to hold."""
    links = Links(stream, late=late)
    for operation in stream.operations:
        links.enter(operation)
    links.finish()
    flags = [dict[str, int]() for _ in stream.operations]
    for (own, other), pairs in links.pairs.items():
        pop, push = ("pop_prev", "push_next") if other < own else ("pop_next", "push_prev")
        for pusher, popper in pairs:
            flags[popper][pop] = flags[pusher][push] = 1
    operations = zip(stream.operations, flags, strict=True)
    flagged = stream.of(operations=tuple(replace(o, tokens=Tokens(**f)) for o, f in operations))
    return flagged, max(map(outstanding, links.pairs.values()))


def _stands_still(stream: Stream) -> bool:
    """Does a full counter hold back a push that others wait for?

    It does not where no more tokens than its capacity are outstanding in program order; where more
    are, the stages are run to see. (Whether all end depends on no order that hardware may choose:
    `vta.sw.stages`.)
    """
    instructions = [replace(o.code.instruction, **asdict(o.tokens)) for o in stream.operations]
    return StageNetwork(stream.config, instructions, lambda *_: None).run() is not None


class Links:
    """Follows operations in program order, and links each with those that it waits for.

    Members
    -------
    pairs: by (waiting stage, other stage), positions of (who pushes, who pops), both rising.

    Arguments
    ---------
    late: wait for the latest operation of the other stage rather than the one that is needed.
    """

    def __init__(self, stream: Stream, *, late: bool = False) -> None:
        self.hazards, self.late = Hazards(stream), late
        self.pairs: dict[Pair, list[tuple[int, int]]] = {
            (own, other): [] for own, others in NEIGHBOURS.items() for other in others
        }
        self._clocks: list[Clock] = []  # of each operation, when it has ended
        self._known = {stage: dict.fromkeys(NEIGHBOURS, -1) for stage in NEIGHBOURS}
        self._last = dict.fromkeys(NEIGHBOURS, -1)
        self._compute: list[int] = []

    def enter(self, operation: Operation) -> None:
        """Link the next operation."""
        index, own = len(self._clocks), operation.code.stage
        needs = self.hazards.latest(operation)
        waits = {stage: needs[stage] for stage in NEIGHBOURS[own]}
        for stage, until in needs.items():
            if stage not in waits and until > self._known[own][stage]:
                relay = self.relay(stage, until)
                assert relay is not None, f"{operation} waits for {until}, which nothing relays"
                waits[Stage.COMPUTE] = max(waits[Stage.COMPUTE], relay)
        for stage in sorted(waits, key=lambda s: -waits[s]):
            self._wait(index, own, stage, waits[stage])
        self.hazards.record(index, operation)
        self._known[own] = {**self._known[own], own: index}
        self._clocks.append(self._known[own])
        self._last[own] = index
        if own is Stage.COMPUTE:
            self._compute.append(index)

    def finish(self) -> None:
        """The operation entered last waits for everything."""
        index = len(self._clocks) - 1
        for stage in NEIGHBOURS[Stage.COMPUTE]:
            self._wait(index, Stage.COMPUTE, stage, self._last[stage])

    def knows(self, own: Stage, stage: Stage, until: int) -> bool:
        """Does what `own` does next know that operation `until` of `stage` has ended?"""
        return until <= self._known[own][stage]

    def relay(self, stage: Stage, until: int) -> int | None:
        """The first compute operation that knows that operation `until` of `stage` has ended."""
        at = bisect_left(self._compute, until, key=lambda c: self._clocks[c][stage])
        return self._compute[at] if at < len(self._compute) else None

    def _wait(self, index: int, own: Stage, other: Stage, until: int) -> None:
        if not self.knows(own, other, until):
            until = self._last[other] if self.late else until
            self.pairs[own, other].append((until, index))
            self._known[own] = joined([self._known[own], self._clocks[until]])


def outstanding(pairs: Sequence[tuple[int, int]]) -> int:
    """Most tokens in a counter at once, each held from its pusher's index to its popper's."""
    changes = sorted([(pusher, 1) for pusher, _ in pairs] + [(popper, -1) for _, popper in pairs])
    most = level = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most
