"""The critical chain: what the run waited for in each of its cycles, found from its end backwards.

Where the stage at hand works, or waits for the bus or a hazard, the cycles are its own. Where it
waits for another stage, the chain goes on in that one, at the instruction that it waited for. So
the chain's pieces cover the run, each cycle once.
"""

from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter, itemgetter

from vta.hw.isa import Stage
from vta.hw.registers import StageState
from vta.sim.timeline.events import GROUPS
from vta.sim.timeline.history import NEVER, History
from vta.sim.timeline.waits import NEIGHBOUR, Wait, wait_of

__all__ = ["critical_chain"]


def critical_chain(history: History) -> list[Wait]:
    """The pieces of the chain, first to last; together they are the run's cycles."""
    return _Walk(history).run()


class _Walk:
    """One walk backwards. `at` is a cycle, exclusive; `stage` what is looked at before it."""

    def __init__(self, history: History):
        self.history = history
        self.runs = {Stage[name.upper()]: history.runs[name] for name in GROUPS}
        self.pieces: list[Wait] = []
        self.at = history.end
        self.stage = Stage.COMPUTE

    def run(self) -> list[Wait]:
        self._standstill()
        waiting: dict[Stage, Wait] = {}  # the stages that brought the chain here, in this cycle
        while self.at > 0:
            before = self.at
            begin, end, state = self._run_at(self.stage, self.at)
            wait = wait_of(self.history, self.stage, begin, min(end, self.at), state)
            goes_on = self._cause(wait)
            if goes_on is None:
                self._own(wait, begin)
            elif goes_on[0] in waiting:
                # A circle: the last result of one of them is on its way to a token. It is the one
                # that has waited for the shortest time.
                last = max([*waiting.values(), wait], key=attrgetter("begin"))
                self.stage = last.stage
                self._piece(last, last.begin)
            else:
                waiting[self.stage] = wait
                self.stage, cycle = goes_on
                if cycle < self.at:
                    self._piece(wait, cycle)
            if self.at < before:
                waiting = {}
        return self.pieces[::-1]

    def _standstill(self) -> None:
        """Where a run ended without FINISH: nothing moved since the last stage ceased to work."""
        history = self.history
        if history.ending.name == "finish":
            return
        last = 0
        for stage, runs in self.runs.items():
            for begin, end, state in reversed(runs):
                waits = state in NEIGHBOUR or state in (StageState.IDLE, StageState.WAIT_QUEUE)
                if not waits:
                    if end > last:
                        last, self.stage = end, stage
                    break
        if last < history.end:
            begin, end, state = self._run_at(Stage.COMPUTE, history.end)
            wait = wait_of(history, Stage.COMPUTE, begin, end, state)
            self._piece(wait, max(last, 0))

    def _run_at(self, stage: Stage, cycle: int) -> tuple[int, int, int]:
        """The run of states that holds the cycle before `cycle`."""
        runs = self.runs[stage]
        return runs[max(bisect_left(runs, cycle, key=itemgetter(0)) - 1, 0)]

    def _own(self, wait: Wait, begin: int) -> None:
        """The stage's own cycles, cut where an instruction retires: each has its piece."""
        cut = begin
        if wait.stage != Stage.FETCH and wait.index is not None:
            order = self.history.order[wait.stage]
            position = bisect_left(order, wait.index)
            if position:
                cut = max(begin, min(self.history.retired[order[position - 1]], self.at - 1))
        self._piece(wait, cut)

    def _piece(self, wait: Wait, begin: int) -> None:
        begin = max(begin, 0)
        self.pieces.append(
            Wait(wait.stage, wait.state, begin, self.at, wait.index, wait.cause, wait.text)
        )
        self.at = begin

    def _cause(self, wait: Wait) -> tuple[Stage, int] | None:
        """Where the chain goes on: a stage, and the cycle at which it had done its part."""
        history = self.history
        if wait.state == StageState.IDLE and wait.stage != Stage.FETCH:
            if wait.index is None:
                return None
            return Stage.FETCH, min(self.at, history.dispatched[wait.index] + 1)
        if wait.cause is None or wait.cause == wait.index:
            return None
        stage = history.stages[wait.cause]
        if stage is None:
            return None
        for_token = NEIGHBOUR.get(wait.state, (0, False))[1]
        done: Callable[[int], int] = (
            history.retired.__getitem__
            if for_token or wait.stage == Stage.FETCH
            else history.started.__getitem__
        )
        cycle = done(wait.cause)
        return stage, self.at if cycle == NEVER else min(self.at, cycle + 1)
