"""The stages without time: the end does not depend on the interleaving."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.hw.config import Config
from vta.hw.isa import ErrorClass, Finish, Instruction, Load, MemoryType, Store
from vta.sw.stages import StageNetwork

CONFIG = Config(queue_depth=3, token_capacity=2)
FLAGS = st.booleans().map(int)
MIDDLE = st.builds(
    Load, memory_type=st.just(0), pop_prev=FLAGS, pop_next=FLAGS, push_prev=FLAGS, push_next=FLAGS
)
FIRST = st.builds(Load, memory_type=st.just(2), pop_next=FLAGS, push_next=FLAGS)
LAST = st.builds(Store, pop_prev=FLAGS, push_prev=FLAGS)


def _run(
    config: Config, stream: list[Instruction], seed: int | None
) -> tuple[list[int], tuple[ErrorClass, int] | None, list[int]]:
    """(instructions started, sorted; error; tokens in each counter)."""
    started: list[int] = []
    rng = None if seed is None else np.random.default_rng(seed)
    network = StageNetwork(config, stream, lambda index, pushers: started.append(index), rng)
    error = network.run()
    verdict = None if error is None else (error.error_class, error.index)
    return sorted(started), verdict, [len(tokens) for tokens in network.tokens.values()]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(MIDDLE, FIRST, LAST), max_size=16), st.integers(0, 1000))
def test_the_end_is_the_same_in_any_interleaving(body: list[Instruction], seed: int) -> None:
    stream = [*body, Finish()]
    assert _run(CONFIG, stream, None) == _run(CONFIG, stream, seed)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(MIDDLE, FIRST, LAST), max_size=12))
def test_what_pops_only_what_was_pushed_before_never_hangs(body: list[Instruction]) -> None:
    """In program order each pop finds a token and each push finds room: any depth will do."""
    config = CONFIG.replace(queue_depth=1)
    held = {(0, 1): 0, (1, 0): 0, (1, 2): 0, (2, 1): 0}
    for instruction in body:
        stage = {Load: 1, Store: 2}[type(instruction)]  # type: ignore[index]
        stage = 0 if getattr(instruction, "memory_type", 0) == 2 and stage == 1 else stage
        for flag, channel, step in (
            ("pop_prev", (stage - 1, stage), -1),
            ("pop_next", (stage + 1, stage), -1),
            ("push_prev", (stage, stage - 1), 1),
            ("push_next", (stage, stage + 1), 1),
        ):
            if getattr(instruction, flag):
                held[channel] += step
                if not 0 <= held[channel] <= config.token_capacity:
                    return
    assert _run(config, [*body, Finish()], None)[1] is None


def test_tokens_carry_who_pushed_them() -> None:
    pushers: dict[int, list[int]] = {}
    stream = [
        Load(memory_type=MemoryType.INP, push_next=1),
        Load(memory_type=MemoryType.INP, push_next=1),
        Store(push_prev=1),
        Load(pop_prev=1),
        Load(pop_prev=1, pop_next=1),
        Finish(),
    ]
    network = StageNetwork(Config(), stream, lambda index, who: pushers.update({index: who}))
    assert network.run() is None
    assert (pushers[3], pushers[4]) == ([0], [1, 2])


def test_deadlock_says_who_waits_for_whom() -> None:
    stream = [
        Load(memory_type=MemoryType.INP, pop_next=1),
        *[Load(memory_type=MemoryType.INP)] * 3,
        Load(pop_next=1),
        Finish(),
    ]
    error = StageNetwork(CONFIG, stream, lambda index, who: None).run()
    assert error is not None
    assert (error.error_class, error.index) == (ErrorClass.DEADLOCK, 0)
    assert error.reason == (
        "instruction 0 (load) waits for a token from compute; "
        "instruction 3 waits for a place in the command queue of load, which holds 3"
    )
    pushes = [Load(memory_type=MemoryType.INP, push_next=1)] * 3
    error = StageNetwork(CONFIG, [*pushes, Finish()], lambda index, who: None).run()
    assert error is not None
    assert error.reason == "instruction 2 (load) waits to push to compute: 2 tokens are there"
