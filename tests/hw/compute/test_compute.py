"""The compute stage against one instruction after the other: whatever overlaps or folds inside.

Programs touch few ACC entries and few uops, so that neighbours depend on each other; they end by
reading all of ACC through OUT, a byte at a time. Written against the stage's ports only.
"""

import random

import numpy as np
import pytest

from tests.hw.compute.compute_stage import ACC_BASE, LAST, UOP_BASE, State, alu, gemm, rtl_compute
from tests.hw.harness import SMALL, small
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Gemm, Instruction, Load, MemoryType
from vta.sw.codec import pack_uops

BLOCK_16 = SMALL[4]
"""The block of the default core, 16 lanes, on small scratchpads."""


def random_loops(rng: random.Random, single: bool) -> dict[str, int]:
    bgn = rng.randrange(24)
    return {
        "uop_bgn": bgn,
        "uop_end": bgn + (1 if single else rng.randrange(4)),
        "iter_out": rng.choice((0, 1, 2, 3, 6, 6)),
        "iter_in": rng.choice((1, 1, 2, 4)),
        **{
            f"{name}_factor_{loop}": rng.choice((0, 1, 1, 2, 4))
            for name in ("dst", "src")
            for loop in ("out", "in")
        },
    }


def random_alus(rng: random.Random) -> list[Instruction]:
    """One to five ALU instructions, mostly over the same entries, so that some fold."""
    loops = random_loops(rng, rng.random() < 0.8)
    alus = []
    for _ in range(rng.randrange(1, 6)):
        if rng.random() < 0.15:
            loops = random_loops(rng, rng.random() < 0.8)
        elif rng.random() < 0.2:  # another tensor operand for the same entries
            loops = loops | {"src_factor_in": rng.randrange(4)}
        alus.append(
            Alu(
                **loops,
                alu_opcode=rng.choice(list(AluOpcode)),
                use_imm=rng.random() < 0.6,
                imm=rng.choice((rng.randrange(-9, 9), rng.randrange(-(2**15), 2**15))),
            )
        )
    return alus


def random_gemm(rng: random.Random) -> Instruction:
    """A GEMM, a reset, or a reset of a contiguous run of entries (by zero flags)."""
    kind = rng.choice(("gemm", "gemm", "reset", "run"))
    if kind == "run":
        bgn = rng.randrange(24)
        return Gemm(
            reset_reg=1,
            uop_bgn=bgn,
            uop_end=bgn + 1,
            iter_out=rng.randrange(8, 33),
            iter_in=1,
            dst_factor_out=1,
        )
    wgt = {"wgt_factor_out": rng.randrange(4), "wgt_factor_in": rng.randrange(4)}
    return Gemm(reset_reg=int(kind == "reset"), **wgt, **random_loops(rng, rng.random() < 0.4))


def random_load(rng: random.Random) -> Instruction:
    memory_type = rng.choice((MemoryType.UOP, MemoryType.ACC, MemoryType.ACC_8BIT))
    size = {"x_size": rng.randrange(0, 6), "y_size": rng.randrange(4), "x_stride": rng.randrange(9)}
    if memory_type == MemoryType.UOP:
        return Load(
            memory_type=memory_type,
            sram_base=rng.randrange(12),
            dram_base=rng.randrange(99),
            **size,
        )
    return Load(
        memory_type=memory_type,
        sram_base=rng.randrange(24),
        dram_base=rng.randrange(20),
        x_pad_0=rng.randrange(2),
        y_pad_1=rng.randrange(2),
        **size,
    )


def random_program(rng: random.Random, count: int) -> list[Instruction]:
    """Loads of everything, random instructions, then LAST as the uop that walks over ACC."""
    program: list[Instruction] = [
        Load(memory_type=MemoryType.UOP, dram_base=1, x_size=32, y_size=1),
        Load(memory_type=MemoryType.ACC, x_size=64, y_size=1),
    ]
    while len(program) < count:
        kind = rng.random()
        if kind < 0.45:
            program += random_alus(rng)
        elif kind < 0.85:
            program.append(random_gemm(rng))
        else:
            program.append(random_load(rng))
    return [*program, Load(memory_type=MemoryType.UOP, sram_base=LAST, x_size=1, y_size=1)]


@pytest.mark.parametrize(
    ("config", "seed", "stall"),
    [
        *((SMALL[n], n, 0.0) for n in range(3)),
        *((SMALL[n], n + 3, 0.3) for n in range(3)),
        (BLOCK_16, 6, 0.0),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_equals_one_instruction_after_the_other(config: Config, seed: int, stall: float) -> None:
    """Every lane of the default block too: forwarding is per lane."""
    program = random_program(random.Random(seed), 40)
    state = State(config, seed)
    stage, acc = rtl_compute(state, program, seed, stall)
    for instruction in program:
        state.execute(instruction)
    np.testing.assert_array_equal(acc, state.acc)
    assert not stage.errors
    assert stage.counts_after == state.counts
    indices = np.arange(len(program) + 4)
    np.testing.assert_array_equal(stage.started, indices)
    np.testing.assert_array_equal(stage.retired, indices)


def test_neighbours_on_the_same_entries_in_every_lane() -> None:
    """Each step adds to, or combines, what one of the three before it wrote: block 16."""
    state = State(BLOCK_16, 8)
    rng = np.random.default_rng(8)
    uops = state.memory[UOP_BASE:ACC_BASE].view(np.uint32)
    few = np.stack(
        [rng.integers(0, 3, 32), rng.integers(0, 3, 32), rng.integers(0, 32, 32)], axis=1
    )
    uops[1:33] = pack_uops(BLOCK_16, few)
    steps = {"uop_bgn": 0, "uop_end": 32}
    program = [
        Load(memory_type=MemoryType.UOP, dram_base=1, x_size=32, y_size=1),
        Load(memory_type=MemoryType.ACC, x_size=64, y_size=1),
        Load(memory_type=MemoryType.UOP, sram_base=LAST, x_size=1, y_size=1),
        gemm(**steps),
        alu(alu_opcode=AluOpcode.ADD, use_imm=0, **steps),
        gemm(**steps),
        alu(alu_opcode=AluOpcode.ADD, use_imm=0, src_factor_in=1, iter_in=2, **steps),
        alu(alu_opcode=AluOpcode.MUL, imm=3, iter_in=3, dst_factor_in=1, src_factor_in=1, **steps),
        gemm(**steps | {"uop_end": 5}),
    ]
    _, acc = rtl_compute(state, program, 8, 0.0)
    for instruction in program:
        state.execute(instruction)
    np.testing.assert_array_equal(acc, state.acc)


@pytest.mark.parametrize(
    ("base", "limit"),
    [(0, 64), (63, 73), (50, 70), (64, 128), (100, 200), (31, 193), (190, 256), (0, 256)],
)
def test_zero_flags_of_several_rows(base: int, limit: int) -> None:
    """A reset of a run of entries, from and to anywhere in a row of 64, with GEMMs around it."""
    config = small(log_uop_buff_size=10, log_acc_buff_size=12)
    state = State(config, base)
    uops = state.memory[UOP_BASE:ACC_BASE].view(np.uint32)
    uops[1] = pack_uops(config, np.array([[base, 7, 3]]))[0]
    run = {"uop_bgn": 1, "uop_end": 2, "iter_out": limit - base, "dst_factor_out": 1}
    program = [
        Load(memory_type=MemoryType.UOP, x_size=4, y_size=1),
        Load(memory_type=MemoryType.UOP, sram_base=LAST, x_size=1, y_size=1),
        Load(memory_type=MemoryType.ACC, x_size=256, y_size=1),
        gemm(**run),
        gemm(reset_reg=1, **run),
        gemm(**run | {"iter_out": 5}),
    ]
    stage, acc = rtl_compute(state, program, 0, 0.0)
    for instruction in program:
        state.execute(instruction)
    np.testing.assert_array_equal(acc, state.acc)
    assert stage.counts_after == state.counts
