"""Tokens: enough of them (any queue order is right), none too many (each one is needed),
balanced.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.sw.compiler.random_networks import random_inputs, random_network
from vta.hw.config import Config
from vta.hw.isa import Finish, Instruction, Load, Stage, Store
from vta.sw.check import check
from vta.sw.codec import encode_all
from vta.sw.compiler.passes.tokens import outstanding
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Kernel
from vta.sw.operators.shape import Tiling
from vta.sw.program import Program
from vta.sw.rules import stage_of

FLAGS = ("pop_prev", "pop_next", "push_prev", "push_next")


def small_conv(config: Config | None = None) -> Kernel:
    """Nine tiles of four steps each: every slot is used again and again."""
    conv = Conv2d(
        height=9, width=9, channels=64, outputs=16, bias=True, shift=8, low=-128, high=127
    )
    return conv.bind(config or Config(), Tiling(1, 1, 9, 1))


def small_tiles() -> Kernel:
    """Forty tiles, each a reset and one GEMM: compute soon comes back to a slot being stored."""
    conv = Conv2d(height=40, width=4, channels=16, outputs=16)
    return conv.bind(Config(), Tiling(1, 1, 4, 1))


def rewritten(program: Program, instructions: list[Instruction]) -> Program:
    """`program` with other instructions (as many)."""
    memory = program.memory.copy()
    start = program.registers.insn - program.memory_base
    encoded = encode_all(program.config, instructions)
    memory[start : start + len(encoded)] = encoded
    return replace(program, memory=memory)


def without(program: Program, popper: Stage, pop: str, push: str) -> Program:
    """`program` without the tokens that `popper` takes by flag `pop`, both ends of each."""
    source = {"pop_prev": -1, "pop_next": 1}[pop] + popper
    stripped = []
    for instruction in program.instructions():
        stage = stage_of(instruction)
        if isinstance(instruction, (Load, Store)) or hasattr(instruction, pop):
            if stage == popper:
                instruction = replace(instruction, **{pop: 0})
            elif stage == source:
                instruction = replace(instruction, **{push: 0})
        stripped.append(instruction)
    return rewritten(program, stripped)


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_the_stages_is_right(seed: int) -> None:
    program = small_conv().program(seed=seed)
    result = GoldenDevice(seed=seed).run(program)
    assert result.error is None
    assert program.first_mismatch(result.memory) is None


@pytest.mark.parametrize(
    ("popper", "pop", "push", "make"),
    [
        (Stage.COMPUTE, "pop_prev", "push_next", small_conv),  # load -> compute: data is there
        (Stage.LOAD, "pop_next", "push_prev", small_conv),  # compute -> load: slot is free
        (Stage.STORE, "pop_prev", "push_next", small_conv),  # compute -> store
        (Stage.COMPUTE, "pop_next", "push_prev", small_tiles),  # store -> compute
    ],
)
def test_each_kind_of_token_is_needed(
    popper: Stage, pop: str, push: str, make: Callable[[], Kernel]
) -> None:
    """Without one kind, the checker finds a race and some order of the stages goes wrong."""
    program = make().program(seed=1)
    stripped = without(program, popper, pop, push)
    assert any(warning.kind == "race" for warning in check(stripped).warnings)
    results = (GoldenDevice(seed=seed).run(stripped) for seed in range(30))
    assert any(stripped.first_mismatch(result.memory) for result in results)


def test_finish_waits_for_the_last_store() -> None:
    instructions = small_conv().compiled.instructions
    last = max(n for n, i in enumerate(instructions) if isinstance(i, Store))
    assert instructions[last].push_prev == 1  # pyright: ignore
    assert isinstance(instructions[-1], Finish)
    assert instructions[-1].pop_next == 1


def test_pushes_and_pops_balance() -> None:
    counts = dict.fromkeys(FLAGS, 0)
    per_stage = {stage: dict(counts) for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE)}
    for instruction in small_conv().compiled.instructions:
        for flag in FLAGS:
            per_stage[stage_of(instruction)][flag] += getattr(instruction, flag)
    load, compute, store = per_stage.values()
    assert load["push_next"] == compute["pop_prev"] > 0
    assert compute["push_prev"] == load["pop_next"] > 0
    assert compute["push_next"] == store["pop_prev"] > 0
    assert store["push_prev"] == compute["pop_next"] > 0


def test_double_buffering_lets_loads_run_ahead() -> None:
    """The first two steps' loads wait for nothing; the third waits for the first GEMM."""
    loads = [i for i in small_conv().compiled.instructions if stage_of(i) == Stage.LOAD]
    waits = [i.pop_next for i in loads[:5]]  # pyright: ignore
    assert waits == [0, 0, 0, 0, 1]


def test_small_queues_and_counters() -> None:
    """Depth 1 and capacity 2: forward edges deadlock no queue."""
    config = Config(queue_depth=1, token_capacity=2)
    program = small_conv(config).program(seed=2)
    assert not check(program).errors
    result = GoldenDevice(seed=2).run(program)
    assert program.first_mismatch(result.memory) is None


def test_outstanding_tokens() -> None:
    assert outstanding([]) == 0
    assert outstanding([(0, 5), (1, 6), (2, 3)]) == 3
    assert outstanding([(0, 1), (1, 2), (2, 3)]) == 1


@pytest.mark.parametrize("capacity", [1, 2])
@pytest.mark.parametrize("depth", [1, 2, 8])
def test_counters_that_hold_little(capacity: int, depth: int) -> None:
    """Nothing stands still: where it would, waits are for later operations."""
    config = Config(token_capacity=capacity, queue_depth=depth)
    for seed in range(4):
        network = random_network(seed, config)
        program = network.program(random_inputs(network, seed))
        report = check(program)
        assert (report.errors, report.warnings) == ([], [])
        result = GoldenDevice(seed=seed).run(program)
        assert program.first_mismatch(result.memory) is None


def test_results_do_not_depend_on_old_scratchpad_contents() -> None:
    program = small_conv().program(seed=3)
    memories = [GoldenDevice(seed=seed).run(program).memory for seed in (None, 1, 2)]
    np.testing.assert_array_equal(memories[0], memories[1])
    np.testing.assert_array_equal(memories[0], memories[2])
