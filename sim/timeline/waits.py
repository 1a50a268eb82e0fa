"""Why a stage waits: the instruction that waits, the one it waits for, and both in words."""

from collections import Counter
from dataclasses import dataclass

from vta.hw.isa import Load, Stage
from vta.hw.registers import STAGE_STATES, StageState
from vta.sim.timeline.bursts import FETCH, UNKNOWN
from vta.sim.timeline.history import NEVER, History

__all__ = ["WORK", "Wait", "bus_beats", "bus_words", "state_name", "wait_of", "waits_for_load"]

WORK = (StageState.BUSY, StageState.BUSY_ALU)
NEIGHBOUR = {  # state: towards which neighbour, and whether it waits for a token or for room
    StageState.WAIT_PREV_TOKEN: (-1, True),
    StageState.WAIT_NEXT_TOKEN: (1, True),
    StageState.WAIT_PREV_ROOM: (-1, False),
    StageState.WAIT_NEXT_ROOM: (1, False),
}
OWNERS_SHOWN = 3


@dataclass(frozen=True)
class Wait:
    """A stretch of one state of a stage, or of fetch (`stage` FETCH).

    `index` is the instruction that is at work or waits, `cause` the one it waits for; None where
    there is none, or where nobody knows.
    """

    stage: Stage
    state: StageState
    begin: int
    end: int
    index: int | None
    cause: int | None
    text: str


def state_name(stage: Stage, state: int) -> str:
    """The state as the counters call it."""
    known = STAGE_STATES[stage.name.lower()].get(StageState(state))
    return known[0] if known else str(state)


def wait_of(history: History, stage: Stage, begin: int, end: int, state: int) -> Wait:
    """What the run of a state means, from `begin` to `end` (exclusive), with its cause."""
    state = StageState(state)
    if stage == Stage.FETCH:
        index, cause, text = _fetch(history, begin, end, state)
    elif state in NEIGHBOUR:
        index, cause, text = _neighbour(history, stage, end, state)
    elif state == StageState.IDLE:
        index, cause, text = _idle(history, stage, end)
    else:
        index, cause = history.oldest(stage, end), None
        if index is None:
            index = history.oldest(stage, begin)
        text = _own(history, stage, index, begin, end, state)
    return Wait(stage, state, begin, end, index, cause, text)


def _own(
    history: History, stage: Stage, index: int | None, begin: int, end: int, state: StageState
) -> str:
    """Of states that no other stage is the cause of."""
    if state == StageState.WAIT_BUS and stage == Stage.STORE:
        return "waits for the bus to take its data, or for the response to them"
    if state == StageState.WAIT_BUS:
        return f"waits for the bus, which {bus_words(history, begin, end)}"
    if state == StageState.WAIT_HAZARD and waits_for_load(history, index):
        words = bus_words(history, begin, end)
        return f"the uops behind it wait for what it loads; the bus {words}"
    if state == StageState.WAIT_HAZARD:
        return "waits for the result of an instruction before it"
    return STAGE_STATES[stage.name.lower()][state][1] if index is not None else "at work"


def waits_for_load(history: History, index: int | None) -> bool:
    """Whether the oldest instruction of a stage in a hazard is a LOAD: its data are waited for."""
    return index is not None and isinstance(history.instructions[index], Load)


def _neighbour(history: History, stage: Stage, end: int, state: StageState):
    towards, for_token = NEIGHBOUR[state]
    other = Stage(stage + towards)
    name = other.name.lower()
    if for_token:
        index = history.next_to_start(stage, end)
        cause = history.pushers.get((index, (other, stage)))
        what = f"waits for a token from {name}"
        if cause is None:
            return index, None, f"{what} that no instruction pushes"
        return index, cause, f"{what}, which {_does(history, cause, 'pushes')}"
    index = history.oldest(stage, end)
    cause = None if index is None else history.frees(index, (stage, other))
    what = f"waits for room in the counter towards {name}"
    if cause is None:
        return index, None, f"{what}, from which no instruction is left to pop"
    return index, cause, f"{what}, from which {_does(history, cause, 'pops')}"


def _does(history: History, index: int, verb: str) -> str:
    when = history.retired[index] if verb == "pushes" else history.started[index]
    fate = "never in this run" if when == NEVER else f"in cycle {when}"
    return f"{history.short(index)} {verb} {fate}"


def _idle(history: History, stage: Stage, end: int):
    index = history.next_dispatched(stage, end - 1)
    if index is None:
        return None, None, "has nothing left to do"
    return index, None, f"has no instruction: fetch has not dispatched {history.short(index)}"


def _fetch(history: History, begin: int, end: int, state: StageState):
    index = history.next_dispatched(None, begin)
    if state == StageState.IDLE or index is None:
        return None, None, "everything is dispatched"
    if state == StageState.BUSY:
        return index, None, "dispatches"
    if state == StageState.WAIT_BUS:
        return index, None, f"waits for instructions; the bus {bus_words(history, begin, end)}"
    stage = history.stages[index]
    if stage is None:
        return index, None, "waits for a queue"
    cause = history.oldest(stage, end - 1)
    depth = history.program.config.queue_depth
    text = f"waits for the queue of {stage.name.lower()}, which holds {depth} instructions"
    return index, cause, text


def bus_beats(history: History, begin: int, end: int) -> Counter[int]:
    """The beats that were read in the cycles from `begin` to `end`, by owner, the most first."""
    beats: Counter[int] = Counter()
    for burst in history.reads_between(begin, end):
        span = min(burst.end, end) - max(burst.begin, begin)
        share = span / max(burst.end - burst.begin, 1)
        beats[burst.owner] += max(1, round(share * burst.beats))
    return Counter(dict(beats.most_common()))


def bus_words(history: History, begin: int, end: int) -> str:
    """What the read bus carried in the cycles from `begin` to `end`, as the end of a sentence."""
    beats = bus_beats(history, begin, end)
    if not beats:
        return "brought nothing (its latency)"
    most = [f"{count} for {_owner(history, who)}" for who, count in beats.most_common(OWNERS_SHOWN)]
    rest = len(beats) - OWNERS_SHOWN
    more = f" and {rest} others" if rest > 0 else ""
    return f"brought {sum(beats.values())} beats in {end - begin} cycles: {', '.join(most)}{more}"


def _owner(history: History, owner: int) -> str:
    names = {FETCH: "fetch", UNKNOWN: "nobody known"}
    return names[owner] if owner in names else history.short(owner)
