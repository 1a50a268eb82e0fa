"""What folds and what must not, what LOADs wait for: as one instruction after the other."""

import dataclasses
import random

import numpy as np
import pytest

from tests.hw.compute.compute_stage import FOLDED, SET_UP, Stage, alu, gemm, set_up_state
from tests.hw.harness import collect, simulate, small
from vta.hw.compute.analyse import Turn
from vta.hw.compute.issue import Issue
from vta.hw.compute.sequencer import Kind
from vta.hw.isa import Alu, AluOpcode, Finish, Gemm, Instruction, Load, MemoryType
from vta.sw.codec import encode

ENTRIES = 24
RELOAD = Load(memory_type=MemoryType.ACC_8BIT, x_size=64, y_size=1)


def tensor(opcode: AluOpcode, src: int, **fields: int) -> Alu:
    """An ALU instruction over ENTRIES entries from 4 on; its operand begins at entry `src`."""
    uop = {4: 2, 40: 3}[src]
    return alu(
        alu_opcode=opcode,
        use_imm=0,
        uop_bgn=uop,
        uop_end=uop + 1,
        iter_out=ENTRIES,
        dst_factor_out=1,
        **fields,
    )


def over(opcode: AluOpcode, imm: int) -> Alu:
    """The same with an immediate."""
    return alu(alu_opcode=opcode, imm=imm, uop_bgn=2, uop_end=3, iter_out=ENTRIES, dst_factor_out=1)


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
        [over(ADD, 5), dataclasses.replace(over(SHR, 3), iter_in=2, iter_out=12, dst_factor_in=12)],
        0,
    ),
    "two tensors": ([tensor(ADD, 40), tensor(SHR, 40)], 0),
    "a product": ([over(MUL, 3), over(MAX, -9), over(MIN, 9)], 2),
    "a token between": ([over(ADD, 5), dataclasses.replace(over(SHR, 3), pop_prev=1)], 0),
    "a push behind": ([over(ADD, 5), dataclasses.replace(over(SHR, 3), push_next=1)], 1),
    "a push in the middle": (
        [over(ADD, 5), dataclasses.replace(over(SHR, 3), push_next=1), over(MAX, 0)],
        1,
    ),
    "a push before": ([dataclasses.replace(over(ADD, 5), push_next=1), over(SHR, 3)], 0),
}


HELD_BACK = [RELOAD, gemm(iter_out=20)]
"""Before an ALU operation: it is kept until the GEMM has issued."""


class Run:
    """Instructions, with the cycles in which each started and retired, and what they left."""

    def __init__(self, program: list[Instruction]) -> None:
        self.program = program
        self.started: list[int] = []
        self.retired: list[int] = []
        self.folded = 0
        self.out = np.zeros(0)
        self.expected = np.zeros(0)


def run_all(programs: dict[str, list[Instruction]]) -> dict[str, Run]:
    """The programs by name, one after the other in one stage that begins with SET_UP.

    All executions are counted, and OUT after each program is that of one instruction after the
    other.
    """
    state = set_up_state()
    stage = Stage(state, random.Random(0), 0.0)
    runs = {name: Run(program) for name, program in programs.items()}

    async def main(ctx) -> None:
        await stage.run(ctx, SET_UP)
        for instruction in SET_UP:
            state.execute(instruction)
        for run in runs.values():
            first, before = len(stage.retired), stage.counts[FOLDED]
            await stage.run(ctx, run.program)
            for instruction in run.program:
                state.execute(instruction)
            run.started, run.retired = stage.started_at[first:], stage.retired_at[first:]
            run.folded = stage.counts[FOLDED] - before
            run.expected = state.acc.astype(np.int8)
            run.out = await stage.read_out(ctx)

    background = (stage.server.run, stage.operands, stage.watch)
    simulate(stage.dut, main, background=background, cycles=20_000)
    for name, run in runs.items():
        np.testing.assert_array_equal(run.out, run.expected, err_msg=name)
    assert not stage.errors
    assert {name: stage.counts[name] for name in state.counts} == state.counts
    return runs


def test_folds_what_may_fold_and_nothing_else() -> None:
    """The passes saved are counted."""
    runs = run_all({name: HELD_BACK + program for name, (program, _) in FOLDS.items()})
    for name, (_, passes) in FOLDS.items():
        assert runs[name].folded == ENTRIES * passes, name


STALE = {  # what comes right behind an ALU instruction that could fold into itself
    "GEMM": [gemm(iter_out=3)],
    "GEMM over the same entries": [gemm(uop_bgn=2, uop_end=3, iter_out=ENTRIES, dst_factor_out=1)],
    "LOAD": [Load(memory_type=MemoryType.ACC, sram_base=9, x_size=6, y_size=1)],
    "LOAD UOP": [Load(memory_type=MemoryType.UOP, sram_base=16, x_size=2, y_size=1)],
    "NOP": [Load(memory_type=MemoryType.ACC, sram_base=9, x_size=0, y_size=1)],
    "an empty GEMM": [gemm(iter_out=0)],
    "an empty ALU": [dataclasses.replace(over(MIN, 5), iter_in=0)],
    "FINISH": [Finish()],
    "reset": [gemm(reset_reg=1, uop_bgn=2, uop_end=3, iter_out=2, dst_factor_out=4)],
    "reset by zero flags": [
        gemm(reset_reg=1, uop_bgn=2, uop_end=3, iter_out=ENTRIES, dst_factor_out=1)
    ],
    "ALU of two uops": [dataclasses.replace(over(MIN, -7), uop_end=4)],
}


@pytest.mark.parametrize("chain", [1, 2])
def test_nothing_folds_because_the_one_before_would(chain: int) -> None:
    """What was found of an instruction says nothing of the next one, as soon as that may come."""
    alus = [over(MIN, 60), over(MIN, 50)][:chain]
    runs = run_all({name: [*HELD_BACK, *alus, *then, gemm()] for name, then in STALE.items()})
    for name, run in runs.items():  # zero flags save a pass, too
        passes = chain - 1 + (name == "reset by zero flags")
        assert run.folded == ENTRIES * passes, name


USED = range(8, 12)  # uops of the operation before the LOAD
ROUNDS = 10
UOP_LOADS = {  # first entry, entries, rows; whether the operation still reads some of them
    "directly above": (12, 3, 1, False),
    "directly below": (5, 3, 1, False),
    "the last one": (11, 3, 1, True),
    "the first one": (6, 3, 1, True),
    "all of them": (8, 4, 1, True),
    "one inside": (9, 1, 1, True),
    "two rows, the second one inside": (7, 1, 2, True),
}
OPERATIONS = {
    "GEMM": gemm(uop_bgn=USED.start, uop_end=USED.stop, iter_out=ROUNDS),
    "reset": gemm(reset_reg=1, uop_bgn=USED.start, uop_end=USED.stop, iter_out=ROUNDS),
    "ALU": alu(alu_opcode=ADD, imm=9, uop_bgn=USED.start, uop_end=USED.stop, iter_out=ROUNDS),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_load_of_uops_waits_for_those_that_read_them(operation: str) -> None:
    """It starts as soon as the operation before is sent if it leaves the uops of that alone.

    Other GEMMs before them, of several lengths, vary when the operation is sent.
    """
    op = OPERATIONS[operation]
    restore = Load(memory_type=MemoryType.UOP, x_size=32, y_size=1)
    programs: dict[str, list[Instruction]] = {}
    for name, (base, count, rows, _) in UOP_LOADS.items():
        load = Load(
            memory_type=MemoryType.UOP,
            sram_base=base,
            dram_base=40,
            x_size=count,
            x_stride=count,
            y_size=rows,
        )
        for length in (0, 1, 5, 12):
            after = gemm(uop_end=32)
            programs[f"{name}, {length}"] = [gemm(iter_out=length), op, load, after, restore]
    for name, run in run_all(programs).items():
        overlaps = UOP_LOADS[name.rpartition(", ")[0]][3]
        waited = run.started[2] - run.started[1]
        assert (waited > ROUNDS * len(USED)) == overlaps, (name, waited)


ACC_LOADS = {
    "int32": Load(memory_type=MemoryType.ACC, sram_base=6, dram_base=70, x_size=5, y_size=1),
    "int8": Load(memory_type=MemoryType.ACC_8BIT, sram_base=4, dram_base=3, x_size=8, y_size=1),
    "zeros first": Load(memory_type=MemoryType.ACC, sram_base=4, x_size=1, y_size=1, y_pad_0=15),
    "the operand": Load(memory_type=MemoryType.ACC, sram_base=50, dram_base=9, x_size=9, y_size=1),
    "others": Load(memory_type=MemoryType.ACC, sram_base=32, x_size=3, y_size=1),
}
BEFORE_LOAD = {
    "GEMM": gemm(uop_bgn=2, uop_end=3, iter_out=ENTRIES, dst_factor_out=1),
    "ALU": over(ADD, 3),
    "tensor ALU": tensor(ADD, 40, src_factor_out=1),
    "ALU of many uops": alu(alu_opcode=ADD, use_imm=0, uop_bgn=2, uop_end=20),
    "reset": gemm(reset_reg=1, uop_bgn=1, uop_end=20),
    "reset by zero flags": gemm(reset_reg=1, uop_end=1, iter_out=30, dst_factor_out=1),
}


@pytest.mark.parametrize("operation", BEFORE_LOAD)
def test_a_load_of_acc_waits_for_what_executes(operation: str) -> None:
    """Nothing is written to ACC before all that is older has read and written it."""
    programs: dict[str, list[Instruction]] = {}
    for name, load in ACC_LOADS.items():
        for length in (0, 1, 5, 12):
            first, op = gemm(iter_out=length), BEFORE_LOAD[operation]
            programs[f"{name}, {length}"] = [first, op, load, over(ADD, 1), gemm()]
    for name, run in run_all(programs).items():
        assert run.started[2] >= run.retired[1], name


ROWS = small(log_acc_buff_size=14)  # an ACC of 16 rows of zero flags


@pytest.mark.parametrize(
    ("base", "limit"),
    [(0, 1), (0, 64), (31, 33), (63, 65), (64, 128), (60, 200), (1023, 1024), (0, 1024)],
)
def test_flag_resets_loop_over_their_rows(base: int, limit: int) -> None:
    """A loop from the row of `base` to that of ``limit - 1``, a row of zero flags a round."""
    row = ROWS.zero_row
    assert row == 64
    dut = Issue(ROWS)
    # Loops of its own, all different from those it gets.
    reset = Gemm(
        reset_reg=1, uop_bgn=5, uop_end=6, iter_out=3, iter_in=25, dst_factor_out=9, dst_factor_in=3
    )
    sent: list[dict] = []

    async def run(ctx) -> None:
        for name in (
            "sound",
            "prev_available",
            "next_available",
            "gemm_empty",
            "alu_empty",
            "gemm_quiet",
            "alu_quiet",
        ):
            ctx.set(getattr(dut, name), 1)
        ctx.set(dut.ticket.ready, 1)
        ctx.set(dut.gemm.ready, 1)
        ctx.set(
            dut.i.payload,
            {
                "bits": encode(ROWS, reset),
                "index": 7,
                "turn": Turn.EXECUTE,
                "regular": 1,
                "dense": 1,
                "dst": base,
                "dst_max": limit - 1,
            },
        )
        ctx.set(dut.i.valid, 1)
        for _ in range(8):
            _, _, taken, valid, payload = await ctx.tick().sample(
                dut.i.ready, dut.gemm.valid, dut.gemm.payload
            )
            if taken:
                ctx.set(dut.i.valid, 0)
            if valid:
                sent.append(collect(payload))

    simulate(dut, run)
    (op,) = sent
    rows = range(base // row, (limit - 1) // row + 1)
    starts = [op["dst"] + n * op["dst_factor_in"] for n in range(op["iter_in"])]
    assert starts == [n * row for n in rows]
    assert (op["iter_out"], op["direct"], op["uop_end"] - op["uop_bgn"]) == (1, 1, 1)
    carried = op["carried"]
    assert Kind(carried["kind"]) == Kind.FLAG_RESET
    assert (carried["base"], carried["limit"]) == (base, limit)
    assert (carried["instructions"], carried["index"]) == (1, 7)
