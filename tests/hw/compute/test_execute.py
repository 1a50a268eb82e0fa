"""Bounds of every index, and what uops cost that need the one before."""

import random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from tests.hw.compute.compute_stage import (
    SET_UP,
    Stage,
    alu,
    cycles_of,
    gemm,
    marginal,
    rtl_compute,
    set_up_state,
)
from tests.hw.harness import simulate
from vta.hw.isa import AluOpcode, ErrorClass, Finish, Load, MemoryType

BEYOND = {  # isa.md section 6: uop_end, d always, s and w only where read
    "uop_end of GEMM": gemm(uop_end=65),
    "uop_end of ALU": alu(uop_end=65),
    "dst of GEMM": gemm(iter_out=3, dst_factor_out=32),
    "dst of reset": gemm(reset_reg=1, iter_in=65, dst_factor_in=1),
    "dst of ALU": alu(iter_in=2, iter_out=3, dst_factor_out=30, dst_factor_in=5),
    "src of GEMM": gemm(iter_out=3, src_factor_out=32),
    "wgt of GEMM": gemm(iter_in=3, wgt_factor_in=33),
    "src of ALU": alu(use_imm=0, iter_in=2, src_factor_in=63, uop_bgn=1, uop_end=2),
    "LOAD ACC": Load(memory_type=MemoryType.ACC, sram_base=62, x_size=3, y_size=1),
    "LOAD UOP": Load(memory_type=MemoryType.UOP, sram_base=64, x_size=1, y_size=1),
}
WITHIN = {  # not checked, or the last that is legal
    "uop_end at the depth": alu(uop_bgn=63, uop_end=64, alu_opcode=AluOpcode.ADD, imm=3),
    "uop_end of an empty loop": gemm(uop_end=65, iter_out=0),
    "uop_end behind its begin": gemm(uop_bgn=63, uop_end=62),
    "src and wgt of reset": gemm(reset_reg=1, iter_out=9, src_factor_out=63, wgt_factor_out=63),
    "src of an immediate": alu(iter_out=5, src_factor_out=63, imm=-4),
    "dst of an empty loop": alu(iter_in=0, iter_out=99, dst_factor_out=63),
    "LOAD of nothing": Load(memory_type=MemoryType.ACC, sram_base=9999, x_size=0, y_size=2),
}


def test_an_index_beyond_its_scratchpad_stops_the_stage() -> None:
    stage = Stage(set_up_state(), random.Random(0), 0.0)
    reset = Signal()

    async def main(ctx) -> None:
        for name, bad in BEYOND.items():
            stage.retired.clear()
            program = [*SET_UP, gemm(), bad, gemm(), Finish()]
            await stage.run(ctx, program)
            await ctx.tick().repeat(40)
            assert [e["error_class"] for e in stage.errors] == [ErrorClass.SRAM_BOUNDS], name
            assert stage.errors[0]["index"] == len(SET_UP) + 1, name
            assert len(SET_UP) + 1 not in stage.retired, name
            assert len(program) - 1 not in stage.retired, name  # FINISH
            ctx.set(stage.dut.port.stop, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            stage.errors.clear()

    background = (stage.server.run, stage.operands, stage.watch)
    simulate(ResetInserter(reset)(stage.dut), main, background=background)


def test_what_is_not_read_is_not_checked() -> None:
    program = [*SET_UP]
    for instruction in WITHIN.values():
        program += [instruction, gemm()]
    state = set_up_state()
    stage, acc = rtl_compute(state, program, 0, 0.0)
    for instruction in program:
        state.execute(instruction)
    assert not stage.errors
    np.testing.assert_array_equal(acc, state.acc)
    assert stage.counts_after == state.counts


def test_dependent_gemm_uops_cost_a_cycle_each() -> None:
    """targets.md: GEMM never stalls on a dependent uop; one more instruction costs n."""
    assert marginal(gemm(iter_out=4, iter_in=5)) == 20  # 20 times the same ACC entry


def test_alu_uops_cost_a_cycle_each_and_dependent_ones_four() -> None:
    """targets.md: n for a tensor ALU instruction; at most 3 stalls on a dependent uop."""
    operand = alu(use_imm=0, uop_bgn=1, uop_end=2, iter_out=20, dst_factor_out=1)
    assert marginal(operand) <= 21
    assert marginal(alu(iter_out=8, alu_opcode=AluOpcode.MUL, imm=3)) <= 4 * 8 + 1


@pytest.mark.parametrize("run", range(4, 13))
def test_gemm_goes_on_beside_a_tensor_operand_after_a_pause(run: int) -> None:
    """Analysis looks at the uops of `looked_at` meanwhile: GEMM's next step comes a cycle late."""
    beside = alu(use_imm=0, uop_bgn=3, uop_end=4, iter_out=36, dst_factor_out=1)
    sums = gemm(iter_out=4, iter_in=run, dst_factor_out=1)
    looked_at = alu(alu_opcode=AluOpcode.ADD, imm=1)
    undisturbed = cycles_of([beside, sums])
    assert undisturbed <= cycles_of([beside, sums, looked_at, looked_at]) <= undisturbed + 12
