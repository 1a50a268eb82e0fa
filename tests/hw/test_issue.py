"""What folds and what must not: the same result as one instruction after the other."""

import dataclasses
import random

import numpy as np

from hw.isa import (
    Alu,
    AluOpcode,
    Load,
    MemoryType,
)
from tests.hw.compute_stage import (
    FOLDED,
    SET_UP,
    Stage,
    alu,
    gemm,
    set_up_state,
)
from tests.hw.harness import simulate

ENTRIES = 24
RELOAD = Load(memory_type=MemoryType.ACC_8BIT, x_size=64, y_size=1)


def tensor(opcode: AluOpcode, src: int, **fields: int) -> Alu:
    """An ALU instruction over ENTRIES entries from 4 on; its operand begins at entry `src`."""
    uop = {4: 2, 40: 3}[src]
    return alu(alu_opcode=opcode, use_imm=0, uop_bgn=uop, uop_end=uop + 1, iter_out=ENTRIES,
               dst_factor_out=1, **fields)  # fmt: skip


def over(opcode: AluOpcode, imm: int) -> Alu:
    """The same with an immediate."""
    return alu(alu_opcode=opcode, imm=imm, uop_bgn=2, uop_end=3, iter_out=ENTRIES,
               dst_factor_out=1)  # fmt: skip


ADD, SHR, MAX, MIN, MUL = (AluOpcode[n] for n in ("ADD", "SHR", "MAX", "MIN", "MUL"))
FOLDS = {  # instructions, and how many of them share a pass with one before
    "immediates": ([over(ADD, 77), over(SHR, 3), over(MAX, -99), over(MIN, 99)], 3),
    "bias by tensor": ([tensor(ADD, 40), over(SHR, 3), over(MIN, 99)], 2),
    "bias row by row": ([tensor(ADD, 40, src_factor_out=1), over(MAX, 0)], 1),
    "shift by tensor": ([over(ADD, 5), tensor(SHR, 40), over(MAX, 0)], 2),
    "own entries": ([tensor(ADD, 4), over(SHR, 3)], 0),
    "own entries later": ([over(ADD, 5), tensor(SHR, 4), over(MAX, 0)], 0),
    "own entries, moving": ([tensor(ADD, 4, src_factor_out=1), over(MIN, 0)], 0),
    "fewer entries": ([over(ADD, 5), dataclasses.replace(over(SHR, 3), iter_out=20)], 0),
    "other entries": ([over(ADD, 5), dataclasses.replace(over(SHR, 3), uop_bgn=1, uop_end=2)], 0),
    "another order": (
        [over(ADD, 5), dataclasses.replace(over(SHR, 3), iter_in=2, iter_out=12,
                                           dst_factor_in=12)], 0),
    "two tensors": ([tensor(ADD, 40), tensor(SHR, 40)], 0),
    "a product": ([over(MUL, 3), over(MAX, -9), over(MIN, 9)], 2),
    "a token between": ([over(ADD, 5), dataclasses.replace(over(SHR, 3), pop_prev=1)], 0),
    "a push behind": ([over(ADD, 5), dataclasses.replace(over(SHR, 3), push_next=1)], 1),
    "a push in the middle": (
        [over(ADD, 5), dataclasses.replace(over(SHR, 3), push_next=1), over(MAX, 0)], 1),
    "a push before": ([dataclasses.replace(over(ADD, 5), push_next=1), over(SHR, 3)], 0),
}  # fmt: skip


def test_folds_what_may_fold_and_nothing_else() -> None:
    """OUT is that of one instruction after the other; the passes saved are counted."""
    state = set_up_state()
    stage = Stage(state, random.Random(0), 0.0)
    saved, expected, out = {}, {}, {}

    async def main(ctx) -> None:
        await stage.run(ctx, SET_UP)
        for instruction in SET_UP:
            state.execute(instruction)
        for name, (instructions, _) in FOLDS.items():
            program = [RELOAD, gemm(iter_out=20), *instructions]  # GEMM holds the first one back
            before = stage.counts[FOLDED]
            await stage.run(ctx, program)
            for instruction in program:
                state.execute(instruction)
            saved[name] = stage.counts[FOLDED] - before
            expected[name] = state.acc.astype(np.int8)
            out[name] = await stage.read_out(ctx)

    simulate(stage.dut, main, background=(stage.server.run, stage.operands, stage.watch))
    for name, (_, passes) in FOLDS.items():
        np.testing.assert_array_equal(out[name], expected[name], err_msg=name)
        assert saved[name] == ENTRIES * passes, name
