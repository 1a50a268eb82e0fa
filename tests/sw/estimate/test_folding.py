"""Chains of ALU instructions against the core's own rule."""

import random

import numpy as np
import pytest

from tests.hw.compute.test_alu import rtl_extend
from vta.hw.capacities import MOST_FOLDED
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode
from vta.sw.estimate.folding import Chain
from vta.sw.estimate.loops import footprint

LOOPS = {"uop_end": 1, "iter_out": 1, "iter_in": 20, "dst_factor_in": 1}
UOP = np.array([[100, 0, 0]])


def chained(alus: list[Alu]) -> int:
    """How many instructions from the first on share a pass."""
    areas = [footprint(alu, UOP, Config()) for alu in alus]
    chain = Chain.of(alus[0], areas[0])
    for alu, area in zip(alus[1:], areas[1:], strict=True):
        longer = chain.extended(alu, area)
        if longer is None:
            break
        chain = longer
    return chain.count


def random_alu(rng: random.Random, **more: int) -> Alu:
    opcode, use_imm = rng.choice(list(AluOpcode)), int(rng.random() < 0.8)
    return Alu(alu_opcode=opcode, use_imm=use_imm, imm=rng.randrange(-9, 9), **LOOPS, **more)


def one_operand(alus: list[Alu]) -> int:
    """The instructions before the second tensor operand, which never folds."""
    tensors = [n for n, alu in enumerate(alus) if not alu.use_imm]
    return tensors[1] if len(tensors) > 1 else len(alus)


def test_what_folds_is_what_the_core_extends() -> None:
    rng = random.Random(3)
    chains = [[random_alu(rng) for _ in range(rng.randrange(2, 7))] for _ in range(300)]
    lengths = [chained(chain) for chain in chains]
    for chain, length, (folds, _) in zip(chains, lengths, rtl_extend(chains), strict=True):
        assert length == min(folds, one_operand(chain)), chain
    assert {1, 2, 3, 4} <= set(lengths)


@pytest.mark.parametrize(
    ("changes", "folds"),
    [
        ({}, True),
        ({"pop_prev": 1}, False),
        ({"pop_next": 1}, False),
        ({"push_next": 1}, True),  # the last may push
        ({"iter_in": 21}, False),
        ({"dst_factor_in": 2}, False),
    ],
)
def test_same_loops_and_no_token_between(changes: dict[str, int], folds: bool) -> None:
    first = Alu(alu_opcode=AluOpcode.SHR, use_imm=1, imm=3, **LOOPS)
    second = Alu(**({"alu_opcode": AluOpcode.MAX, "use_imm": 1, "imm": 0} | LOOPS | changes))
    assert chained([first, second]) == 1 + folds


def test_nothing_folds_behind_a_push() -> None:
    first = Alu(alu_opcode=AluOpcode.SHR, use_imm=1, imm=3, push_prev=1, **LOOPS)
    assert chained([first, Alu(alu_opcode=AluOpcode.MAX, use_imm=1, **LOOPS)]) == 1


def test_a_chain_has_a_most() -> None:
    more = [Alu(alu_opcode=AluOpcode.MAX, use_imm=1, **LOOPS)] * (MOST_FOLDED + 4)
    assert chained(more) == MOST_FOLDED
