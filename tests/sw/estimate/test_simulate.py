"""The simulation of whole streams: tokens, order, latency, layers, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Alu, Finish, Gemm, Instruction, Load, MemoryType, Raw, Stage, Store
from vta.sw.codec import pack_uops
from vta.sw.estimate import Estimate, EstimateError, Wait, estimate, estimate_program
from vta.sw.test_programs import BAD, CORNERS, random_program

CONFIG = Config()
UOPS = pack_uops(CONFIG, [(0, 0, 0), (1024, 0, 0)])
LOAD_UOPS = Load(memory_type=MemoryType.UOP, y_size=1, x_size=2)


def gemm(steps: int, **fields: int) -> Gemm:
    loops = {"uop_end": 1, "iter_out": 1, "iter_in": steps, "dst_factor_in": 1}
    return Gemm(**(loops | fields))


def tile(n: int, steps: int = 200) -> list[Instruction]:
    """Load, multiply, store, each waiting for the one before; n: 0 for the first."""
    inp = Load(memory_type=MemoryType.INP, y_size=1, x_size=64, pop_next=int(n > 0), push_next=1)
    multiply = gemm(steps, pop_prev=1, push_prev=1, push_next=1, pop_next=int(n > 0))
    return [inp, multiply, Store(memory_type=4, y_size=1, x_size=64, pop_prev=1, push_prev=1)]


def tiles(count: int, steps: int = 200) -> list[Instruction]:
    body = [each for n in range(count) for each in tile(n, steps)]
    return [LOAD_UOPS, *body, Load(memory_type=MemoryType.UOP, pop_next=1), Finish()]


def run(instructions: list[Instruction], **options: int) -> Estimate:
    return estimate(instructions, UOPS, CONFIG, **options)


def test_every_instruction_starts_and_ends_in_order() -> None:
    found = run(tiles(5))
    assert (found.starts >= 0).all() and (found.ends > found.starts).all()
    for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE):
        mine = [n for n, each in enumerate(found.stages) if each == stage]
        assert (np.diff(found.starts[mine]) > 0).all() and (np.diff(found.ends[mine]) > 0).all()
    assert found.cycles > found.ends.max()


def test_tokens_order_the_stages() -> None:
    found = run(tiles(4))
    for first in range(1, 13, 3):
        inp, multiply, store = range(first, first + 3)
        assert found.starts[multiply] > found.ends[inp]
        assert found.starts[store] > found.ends[multiply]
        assert found.waits[store] is Wait.PREV_TOKEN and found.waited[store] > 0
        if first > 1:
            assert found.starts[inp] > found.ends[multiply - 3]


def test_waits_add_up_by_stage() -> None:
    found = run(tiles(4))
    for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE):
        mine = [n for n, each in enumerate(found.stages) if each == stage]
        assert sum(found.stage_waits(stage).values()) == found.waited[mine].sum()
    assert found.stage_waits(Stage.STORE)[Wait.PREV_TOKEN] > 200


def test_latency_counts_where_it_is_waited_for() -> None:
    """Before the first instruction, before the data of all LOADs, and behind the STORE."""
    short, long = (run(tiles(1), latency=latency).cycles for latency in (16, 64))
    assert long - short == 3 * 48


def test_one_more_step_is_one_more_cycle() -> None:
    assert run(tiles(1, 201)).cycles == run(tiles(1, 200)).cycles + 1


def test_alu_runs_beside_the_gemm_of_the_next_tile() -> None:
    """Where it adds to one entry for long, its ports are free: the ALU pass costs next to none."""
    run_of_8 = {"iter_out": 64, "iter_in": 8, "dst_factor_out": 1, "dst_factor_in": 0}
    alu = Alu(uop_end=1, iter_out=1, iter_in=64, dst_factor_in=1, use_imm=1)
    first, second = gemm(0, **run_of_8), gemm(0, **run_of_8, uop_bgn=1)
    second = replace(second, uop_end=2)
    multiplied = run([LOAD_UOPS, first, second, Finish()]).cycles
    together = run([LOAD_UOPS, first, alu, second, Finish()]).cycles
    behind = run([LOAD_UOPS, first, second, alu, Finish()]).cycles
    assert together < multiplied + 20
    assert behind > multiplied + 50
    same = run([LOAD_UOPS, first, alu, first, Finish()]).cycles
    assert same > together + 50, "the next tile adds to the entries that the ALU works on"


def test_folded_instructions_share_a_pass() -> None:
    alu = Alu(uop_end=1, iter_out=1, iter_in=1000, dst_factor_in=1, use_imm=1)
    shift, clip = replace(alu, alu_opcode=3), replace(alu, alu_opcode=1)
    folded = run([LOAD_UOPS, shift, clip, clip, Finish()]).cycles
    apart = run([LOAD_UOPS, clip, shift, Finish()]).cycles
    assert folded < run([LOAD_UOPS, shift, Finish()]).cycles + 30
    assert apart > folded + 900


def test_a_reset_of_a_row_sets_zero_flags() -> None:
    alone = run([LOAD_UOPS, Finish()]).cycles
    assert run([LOAD_UOPS, gemm(1024, reset_reg=1), Finish()]).cycles < alone + 60
    apart = gemm(1000, reset_reg=1, dst_factor_in=2)
    assert run([LOAD_UOPS, apart, Finish()]).cycles > alone + 1000


def test_a_queue_stops_fetch() -> None:
    """Behind an instruction that waits, a queue of one holds back everything."""
    narrow = Config(queue_depth=1)
    found = estimate(tiles(3), UOPS, narrow)
    assert found.cycles > run(tiles(3)).cycles
    for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE):
        mine = [n for n, each in enumerate(found.stages) if each == stage]
        assert (found.starts[mine[1:]] > found.ends[mine[:-1]]).all()


def test_uops_are_counted_from_the_first_that_is_given() -> None:
    alu = Alu(uop_end=2, iter_out=1, iter_in=50, dst_factor_in=1, use_imm=1)
    stream = [replace(LOAD_UOPS, dram_base=1000), alu, Finish()]
    found = estimate(stream, UOPS, CONFIG, first_uop=1000)
    assert found.cycles == run([LOAD_UOPS, alu, Finish()]).cycles


@pytest.mark.parametrize("seed", range(20))
def test_the_estimate_of_a_program_is_deterministic_and_bounded(seed: int) -> None:
    program = random_program(seed, CONFIG)
    first, again = (estimate_program(program).cycles for _ in range(2))
    assert first == again
    assert estimate_program(program, latency=64).cycles > first


# What it refuses --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ([], "its last instruction must be FINISH"),
        ([LOAD_UOPS], "its last instruction must be FINISH"),
        ([Finish(), Finish()], "instruction 0: 1 instructions stand behind a FINISH"),
        ([Raw(7), Finish()], "instruction 0: opcode is 7"),
        ([gemm(4, pop_prev=1), Finish()], "instruction 0 waits for ever; vta check"),
        (
            [replace(LOAD_UOPS, sram_base=8191), Finish()],
            "instruction 0: it loads UOP up to 8193; there are 8192",
        ),
        ([gemm(4, uop_end=9000), Finish()], "instruction 0: uop_end is 9000; there are 8192 uops"),
        (
            [Store(memory_type=4, sram_base=2047, y_size=1, x_size=2), Finish()],
            "instruction 0: it stores OUT up to 2049; there are 2048",
        ),
        ([gemm(4000), Finish()], "instruction 0: it reaches ACC entry 3999; there are 2048"),
    ],
)
def test_what_has_no_estimate_is_named(stream: list[Instruction], message: str) -> None:
    with pytest.raises(EstimateError, match=message):
        run(stream)


@pytest.mark.parametrize("name", BAD)
def test_bad_streams_are_refused_or_estimated(name: str) -> None:
    """No other error than the one that names what is wrong."""
    for seed in range(3):
        program, *_ = BAD[name](CONFIG, seed)
        try:
            assert estimate_program(program).cycles > 0
        except EstimateError as error:
            assert "the stream has no estimate" in str(error)


@pytest.mark.parametrize("name", CORNERS)
def test_every_corner_has_an_estimate(name: str) -> None:
    for config in (CONFIG, Config(queue_depth=2, token_capacity=2, outstanding_reads=1)):
        assert estimate_program(CORNERS[name](config)).cycles > 0
