"""Where the cycles of a run went: by stage and cause, and the instructions that cost most.

Instructions of a stage retire in order, so the cycles between two retirements are those of the
second instruction. In some of them its stage worked: it started a uop, or moved data. The others
are what the instruction cost beyond its own work.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from vta.hw.isa import Stage
from vta.hw.registers import StageState
from vta.sim.timeline.advice import advice
from vta.sim.timeline.chain import critical_chain
from vta.sim.timeline.events import GROUPS, STAGES
from vta.sim.timeline.history import History
from vta.sim.timeline.series import multiplying
from vta.sim.timeline.waits import (
    NEIGHBOUR,
    Wait,
    bus_beats,
    bus_words,
    state_name,
    wait_of,
    waits_for_load,
)

__all__ = ["OVERHEAD", "Cause", "Cost", "Explanation", "explain_cycles"]

SHOWN = 10  # instructions
OVERHEAD = "handling"
"""Cycles in which compute was busy and started no GEMM uop: starts, resets, LOADs being written."""


@dataclass
class Cause:
    """Cycles of one cause.

    `state` is the counter's name of the state, or `OVERHEAD`; `instruction` the one that was waited
    for, if that is known; `meanwhile` what its stage did in these cycles, by state; `helps` what
    would make them fewer.
    """

    state: str
    cycles: int
    instruction: int | None
    text: str
    meanwhile: dict[str, int]
    helps: str


@dataclass
class Cost:
    """What an instruction cost: `cycles` between the retirement before and its own, `beyond` its
    own work, and why.
    """

    instruction: int
    text: str
    source: dict[str, Any]
    cycles: int
    beyond: int
    causes: list[Cause]


@dataclass
class Explanation:
    """Where a run's cycles went.

    Members
    -------
    cycles
        of the run.
    stages
        for fetch and each stage the cycles by state; they sum to all.
    meanwhile
        for each stage and state in which it waited for another one, what that did, by state.
    chain
        for fetch and each stage its cycles of the critical chain by state; all of them sum to the
        run's cycles.
    layers
        for each layer, where sources name them, its cycles of the chain.
    critical
        the stage with most of the chain.
    costs
        its instructions that cost most beyond their own work, the most first.
    """

    cycles: int
    stages: dict[str, dict[str, int]]
    meanwhile: dict[str, dict[str, dict[str, int]]]
    chain: dict[str, dict[str, int]]
    layers: dict[str, int]
    critical: str
    costs: list[Cost] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def explain_cycles(history: History, shown: int = SHOWN) -> Explanation:
    """The explanation of a run, whatever its end, with its `shown` costliest instructions."""
    chain: dict[str, Counter[str]] = {group: Counter() for group in GROUPS}
    layers: Counter[str] = Counter()
    for piece in critical_chain(history):
        if piece.index is not None and (layer := history.layer(piece.index)):
            layers[layer] += piece.end - piece.begin
        name = state_name(piece.stage, piece.state)
        chain[piece.stage.name.lower()][name] += piece.end - piece.begin
    of_stages = {stage.name.lower(): sum(chain[stage.name.lower()].values()) for stage in STAGES}
    critical = max(of_stages, key=lambda group: of_stages[group])
    stages, meanwhile = _by_state(history)
    return Explanation(
        cycles=history.end,
        stages=stages,
        meanwhile=meanwhile,
        chain={group: dict(counts.most_common()) for group, counts in chain.items() if counts},
        layers=dict(layers),
        critical=critical,
        costs=_costs(history, Stage[critical.upper()])[:shown],
    )


def _by_state(
    history: History,
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, dict[str, int]]]]:
    stages: dict[str, dict[str, int]] = {}
    meanwhile: dict[str, dict[str, dict[str, int]]] = {}
    for group in GROUPS:
        stage = Stage[group.upper()]
        counts: Counter[str] = Counter()
        others: dict[str, Counter[str]] = defaultdict(Counter)
        for begin, end, state in history.runs[group]:
            name = state_name(stage, state)
            counts[name] += end - begin
            wait = wait_of(history, stage, begin, end, state)
            if did := _meanwhile(history, wait):
                others[name].update(did)
        stages[group] = dict(counts.most_common())
        meanwhile[group] = {name: dict(did.most_common()) for name, did in others.items()}
    return stages, meanwhile


def _meanwhile(history: History, wait: Wait) -> Counter[str]:
    """What the stage that is waited for did: states by "stage state", in cycles."""
    if wait.state == StageState.IDLE and wait.index is not None and wait.stage != Stage.FETCH:
        other = Stage.FETCH
    elif wait.cause is None:
        return Counter()
    else:
        other = history.stages[wait.cause]
    if other is None:
        return Counter()
    did: Counter[str] = Counter()
    for begin, end, state in history.runs_between(other, wait.begin, wait.end):
        did[f"{other.name.lower()} {state_name(other, state)}"] += end - begin
    return did


# Instructions -------------------------------------------------------------------------------------
def _costs(history: History, stage: Stage) -> list[Cost]:
    costs = []
    work = _Work(history)
    at = 0
    for index in history.order[stage]:
        end = min(history.retired[index] + 1, history.end)
        if end <= at:
            continue
        waits = list(_lost(history, stage, at, end, work))
        beyond = sum(wait.cycles for wait in waits)
        if beyond:
            costs.append(
                Cost(
                    instruction=index,
                    text=history.text(index),
                    source=history.source(index),
                    cycles=end - at,
                    beyond=beyond,
                    causes=_merged(waits),
                )
            )
        at = end
    costs.sort(key=lambda cost: -cost.beyond)
    return costs


class _Work:
    """How many GEMM uops ran between two cycles; the first and last cycle of compute's work."""

    def __init__(self, history: History):
        runs = multiplying(history)
        self._begins = runs[:, 0].tolist()
        self._runs = runs.tolist()
        alu = [run for run in history.runs["compute"] if run[2] == StageState.BUSY_ALU]
        self.first = min([history.end, *(run[0] for run in (*self._runs, *alu))])
        self.last = max([0, *(run[1] for run in (*self._runs, *alu))])

    def between(self, begin: int, end: int) -> int:
        count = 0
        for n in range(max(bisect_right(self._begins, begin) - 1, 0), len(self._runs)):
            run_begin, run_end = self._runs[n]
            if run_begin >= end:
                break
            count += max(0, min(run_end, end) - max(run_begin, begin))
        return count


def _lost(history: History, stage: Stage, at: int, to: int, work: _Work) -> Iterator[Cause]:
    """The cycles of a stage from `at` to `to` that were no work, in order."""
    handling = 0
    for begin, end, state in history.runs_between(stage, at, to):
        if state == StageState.BUSY and stage == Stage.COMPUTE:
            handling += end - begin - work.between(begin, end)
        elif state not in (StageState.BUSY, StageState.BUSY_ALU):
            yield _cause(history, wait_of(history, stage, begin, end, state), work)
    if handling > 0:
        text = "was busy without a GEMM uop: starts, resets, writes of what was loaded"
        yield Cause(OVERHEAD, handling, None, text, {}, advice(OVERHEAD, {}))


def _cause(history: History, wait: Wait, work: _Work) -> Cause:
    did = dict(_meanwhile(history, wait).most_common())
    text, bus = wait.text, ""
    for_load = wait.state == StageState.WAIT_HAZARD and waits_for_load(history, wait.index)
    if for_load or (wait.state == StageState.WAIT_BUS and wait.stage != Stage.STORE):
        beats = bus_beats(history, wait.begin, wait.end)
        most = next(iter(beats), None)
        bus = "nothing" if most is None else "own" if most == wait.index else "others"
    elif any(name in ("load wait_bus", "load busy", "fetch wait_bus") for name in did):
        text += f"; the bus {bus_words(history, wait.begin, wait.end)}"
    name = state_name(wait.stage, wait.state)
    helps = advice(
        name,
        did,
        bus=bus,
        before_any=wait.end <= work.first,
        behind_all=wait.begin >= work.last,
        nobody=wait.state in NEIGHBOUR and wait.cause is None,
    )
    return Cause(name, wait.end - wait.begin, wait.cause, text, did, helps)


def _merged(causes: list[Cause]) -> list[Cause]:
    """Of equal state and instruction one, with the words of the longest; the most cycles first."""
    found: dict[tuple[str, int | None], Cause] = {}
    longest: dict[tuple[str, int | None], int] = {}
    for cause in causes:
        key = (cause.state, cause.instruction)
        if key not in found:
            found[key], longest[key] = cause, cause.cycles
            continue
        known = found[key]
        did = Counter(known.meanwhile) + Counter(cause.meanwhile)
        words = cause if cause.cycles > longest[key] else known
        longest[key] = max(longest[key], cause.cycles)
        found[key] = Cause(
            cause.state,
            known.cycles + cause.cycles,
            cause.instruction,
            words.text,
            dict(did.most_common()),
            words.helps,
        )
    return sorted(found.values(), key=lambda cause: -cause.cycles)
