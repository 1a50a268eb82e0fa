"""Footprints of GEMM and ALU instructions against their uop executions, one by one."""

import numpy as np
import pytest

from vta.hw.capacities import FORWARD_DISTANCE, WORTH_FLAGS, WORTH_WAITING
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Gemm
from vta.sw.estimate.loops import WINDOW, Footprint, footprint
from vta.sw.golden.uops import execution_indices

CONFIG = Config()


def executed(instruction: Gemm | Alu, uops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dst and src of every step."""
    fields = instruction
    columns = [
        (uops[:, 0], fields.dst_factor_out, fields.dst_factor_in),
        (uops[:, 1], fields.src_factor_out, fields.src_factor_in),
    ]
    chunks = list(execution_indices(instruction, columns))
    dst, src = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return dst, src


def alone(dst: np.ndarray, src: np.ndarray, *, tensor: bool) -> int:
    """Cycles of ALU steps in order, each `FORWARD_DISTANCE` behind what it needs."""
    issued: list[int] = []
    for n in range(len(dst)):
        cycle = issued[-1] + 1 if issued else 0
        for before in range(max(0, n - FORWARD_DISTANCE + 1), n):
            if dst[before] == dst[n] or (tensor and dst[before] == src[n]):
                cycle = max(cycle, issued[before] + FORWARD_DISTANCE)
        issued.append(cycle)
    return issued[-1] + 1


def random_instruction(rng: np.random.Generator) -> tuple[Gemm | Alu, np.ndarray]:
    """Small loops, often over one uop, with factors that make entries repeat or lie in rows."""
    count = int(rng.choice((1, 1, 2, 3, 5)))
    uops = rng.integers(0, 40, (count, 3))
    outer, inner = (int(n) for n in rng.integers(1, 7, 2))
    loops = {
        "uop_end": count,
        "iter_out": outer,
        "iter_in": inner,
        "dst_factor_out": int(rng.choice((0, 1, inner, 9))),
        "dst_factor_in": int(rng.choice((0, 1, 1, 3))),
        "src_factor_out": int(rng.choice((0, 1, 7))),
        "src_factor_in": int(rng.choice((0, 1, 2))),
    }
    if rng.random() < 0.5:
        return Gemm(**loops, reset_reg=int(rng.random() < 0.4)), uops
    return Alu(**loops, alu_opcode=AluOpcode.ADD, use_imm=int(rng.random() < 0.5)), uops


@pytest.mark.parametrize("seed", range(200))
def test_footprint_equals_the_steps(seed: int) -> None:
    instruction, uops = random_instruction(np.random.default_rng(seed))
    found = footprint(instruction, uops, CONFIG)
    dst, src = executed(instruction, uops)
    assert found.steps == len(dst)
    assert (found.first, found.last) == (dst[0], dst[-1])
    assert (found.low, found.high, found.peak) == (dst.min(), dst.max(), dst.argmax())
    adds = isinstance(instruction, Gemm) and not instruction.reset_reg
    assert found.run == (len(dst) / (1 + np.count_nonzero(np.diff(dst))) if adds else 1)
    tensor = isinstance(instruction, Alu) and not instruction.use_imm
    assert found.source == ((src.min(), src.max()) if tensor else ())
    alu = isinstance(instruction, Alu)
    assert found.cycles == (alone(dst, src, tensor=tensor) if alu else len(dst))
    if found.regular:
        assert found.measured and len(set(dst.tolist())) == len(dst)
        assert found.many == (dst.max() - dst.min() >= WORTH_WAITING)
    if found.dense:
        assert sorted(dst.tolist()) == list(range(dst.min(), dst.max() + 1))
        assert len(dst) > WORTH_FLAGS
    if found.foldable:
        assert not tensor or not set(src.tolist()) & set(dst.tolist())


def test_long_chains_of_dependent_steps_repeat_their_window() -> None:
    alu = Alu(uop_end=1, iter_out=3, iter_in=2 * WINDOW, use_imm=1)
    assert footprint(alu, np.zeros((1, 3), np.int64), CONFIG).cycles == pytest.approx(
        FORWARD_DISTANCE * 6 * WINDOW, rel=0.02
    )


def test_beyond_acc_nothing_is_regular() -> None:
    alu = Alu(uop_end=1, iter_out=1, iter_in=CONFIG.acc_depth + 1, dst_factor_in=1, use_imm=1)
    assert not footprint(alu, np.zeros((1, 3), np.int64), CONFIG).regular


def area(low: int, high: int, source: tuple[int, ...] = ()) -> Footprint:
    uops = np.array([[low, source[0] if source else 0, 0]])
    alu = Alu(
        uop_end=1,
        iter_out=1,
        iter_in=high - low + 1,
        dst_factor_in=1,
        src_factor_in=1 if source and source[1] > source[0] else 0,
        use_imm=int(not source),
    )
    return footprint(alu, uops, CONFIG)


def test_what_is_touched() -> None:
    assert area(9, 12).touches(0, 9)
    assert not area(10, 12).touches(0, 9)
    assert area(20, 29, (5, 14)).touches(0, 9)
    assert not area(20, 29, (5, 14)).touches(0, 4)
