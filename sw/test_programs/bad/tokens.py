"""Deadlocks, and streams that do not end with FINISH."""

from dataclasses import replace

from vta.hw.isa import ErrorClass, Finish, Instruction, Raw, Stage, Store
from vta.sw.test_programs.bad.common import MOST, bad
from vta.sw.test_programs.ordered import random_nop
from vta.sw.test_programs.state import State

__all__ = []


def _end(state: State, *instructions: Instruction) -> int:
    """Append; the index of the first."""
    index = len(state.stream.instructions)
    for instruction in instructions:
        state.stream.inject(instruction)
    return index


@bad
def pop_without_a_push(state: State) -> tuple[ErrorClass, int]:
    stage = Stage(state.below(3))
    flag = {Stage.LOAD: "pop_next", Stage.STORE: "pop_prev"}.get(
        stage, ("pop_prev", "pop_next")[state.below(2)]
    )
    index = _end(state, replace(random_nop(state.rng, stage), **{flag: 1}))
    return ErrorClass.DEADLOCK, index


@bad
def a_push_is_missing(state: State) -> tuple[ErrorClass, int]:
    """Without its last push, the last pop from a counter waits; so does what waits for that."""
    instructions = state.stream.instructions
    stages = [state.stream.stage(n) for n in range(len(instructions))]
    pops = [n for n, i in enumerate(instructions) if isinstance(i, Store) and i.pop_prev]
    pushes = [
        n
        for n, i in enumerate(instructions)
        if stages[n] == Stage.COMPUTE and getattr(i, "push_next", 0)
    ]
    last = instructions[pushes[-1]]
    if not isinstance(last, Raw):
        instructions[pushes[-1]] = replace(last, push_next=0)
    return ErrorClass.DEADLOCK, pops[-1]


@bad
def counter_full_for_ever(state: State) -> tuple[ErrorClass, int]:
    stage, flag = ((Stage.LOAD, "push_next"), (Stage.STORE, "push_prev"))[state.below(2)]
    count = min(state.config.token_capacity, MOST)
    nops = [replace(random_nop(state.rng, stage), **{flag: 1}) for _ in range(count + 1)]
    index = _end(state, *nops)
    if count < state.config.token_capacity:  # too many to write: wait for a token instead
        index = _end(state, replace(random_nop(state.rng, Stage.LOAD), pop_next=1))
        return ErrorClass.DEADLOCK, index
    return ErrorClass.DEADLOCK, index + count


@bad
def queue_full_for_ever(state: State) -> tuple[ErrorClass, int]:
    """The token that the first of them waits for stands behind them, in fetch."""
    count = min(state.config.queue_depth, MOST)
    nops = [random_nop(state.rng, Stage.LOAD) for _ in range(count)]
    give = replace(random_nop(state.rng, Stage.COMPUTE), push_prev=1)
    take = replace(random_nop(state.rng, Stage.LOAD), pop_next=1)
    full = count == state.config.queue_depth
    return ErrorClass.DEADLOCK, _end(state, take, *nops, *([give] if full else []))


@bad
def two_stages_wait_for_each_other(state: State) -> tuple[ErrorClass, int]:
    load = replace(random_nop(state.rng, Stage.LOAD), pop_next=1, push_next=1)
    compute = replace(random_nop(state.rng, Stage.COMPUTE), pop_prev=1, push_prev=1)
    pair = (load, compute) if state.chance(0.5) else (compute, load)
    return ErrorClass.DEADLOCK, _end(state, *pair)


@bad
def two_counters_full(state: State) -> tuple[ErrorClass, int]:
    """Load and compute push to each other until both counters are full, and pop behind that: who
    runs ahead of a push that waits would break the deadlock."""
    count = state.config.token_capacity + 1
    if 2 * count > MOST:
        return two_stages_wait_for_each_other(state)
    load, compute = random_nop(state.rng, Stage.LOAD), random_nop(state.rng, Stage.COMPUTE)
    index = _end(
        state,
        *[replace(load, push_next=1)] * count,
        *[replace(compute, push_prev=1)] * count,
        *[replace(load, pop_next=1)] * count,
        *[replace(compute, pop_prev=1)] * count,
    )
    return ErrorClass.DEADLOCK, index + count - 1


@bad
def no_finish(state: State) -> tuple[ErrorClass, int]:
    return ErrorClass.NO_FINISH, len(state.stream.instructions)


@bad
def no_finish_at_the_end(state: State) -> tuple[ErrorClass, int]:
    """Something legal follows FINISH; it may be another one."""
    after = Finish() if state.chance(0.3) else random_nop(state.rng, Stage(state.below(3)))
    return ErrorClass.NO_FINISH, _end(state, Finish(), after) + 1


@bad
def no_finish_nothing_at_all(state: State) -> tuple[ErrorClass, int]:
    state.stream.instructions.clear()
    return ErrorClass.NO_FINISH, 0
