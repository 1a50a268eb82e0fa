"""The loop sequencer against three Python loops."""

import random

import numpy as np
import pytest

from hw.accumulator import flag_row_elements
from hw.config import Config
from hw.isa import pack_uops, uop_fields
from hw.sequencer import Kind, Sequencer
from tests.hw.harness import receive, simulate, small, watch_stable

FACTORS = ("dst_factor_out", "dst_factor_in", "src_factor_out", "src_factor_in",
           "wgt_factor_out", "wgt_factor_in")  # fmt: skip
SHOWN = ("dst", "src", "wgt", "dst_over", "acc_src_over", "inp_src_over", "wgt_over", "last")
CONFIGS = (
    small(),
    small(log_wgt_buff_size=15, log_uop_buff_size=4, log_acc_buff_size=7, log_inp_buff_size=4),
    small(log_inp_buff_size=12, log_acc_buff_size=8),
)
"""The second has many more weights than anything else; the third many more inputs than ACC."""


def ref_steps(config: Config, operations: list[dict], uops: np.ndarray) -> list[dict]:
    """Every uop execution of the operations, in order (isa.md section 4)."""
    a, i, w = config.acc_depth, config.inp_depth, config.wgt_depth
    steps = []
    for op in operations:
        loops = [(x, y, k) for x in range(op["iter_out"]) for y in range(op["iter_in"])
                 for k in range(op["uop_bgn"], op["uop_end"])]  # fmt: skip
        for n, (x, y, k) in enumerate(loops):
            dst, src, wgt = (
                int(uops[k][column]) + x * op[f"{name}_factor_out"] + y * op[f"{name}_factor_in"]
                for column, name in enumerate(("dst", "src", "wgt"))
            )
            overs = (dst >= a, src >= a, src >= i, wgt >= w)
            masked = (dst % a, src % max(a, i), wgt % w)
            values = (*masked, *overs, n == len(loops) - 1)
            steps.append({name: int(v) for name, v in zip(SHOWN, values, strict=True)})
    return steps


def rtl_steps(config: Config, operations: list[dict], uops: np.ndarray, count: int, seed: int,
              stall: float) -> list[dict]:  # fmt: skip
    """The sequencer's steps; UOP is held back and peeked at at random when `stall` is not 0."""
    rng = random.Random(seed)
    dut = Sequencer(config)
    memory = [int(word) for word in pack_uops(config, uops)]
    out: list[dict] = []
    peeks: list[bool] = []

    async def uop_port(ctx) -> None:
        while True:
            _, _, en, address = await ctx.tick().sample(dut.uop_en, dut.uop_addr)
            if en:
                ctx.set(dut.uop_data, memory[address])

    async def interfere(ctx) -> None:
        while True:
            ctx.set(dut.hold, rng.random() < stall)
            ctx.set(dut.peek, rng.random() < stall / 2)
            at = rng.randrange(len(memory))
            ctx.set(dut.peek_addr, at)
            _, _, ready = await ctx.tick().sample(dut.peek_ready)
            if ready:
                peeks.append(ctx.get(dut.uop_data) == memory[at])

    async def operate(ctx) -> None:
        for op in operations:
            ctx.set(dut.i.payload, op)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        while not ctx.get(dut.empty):
            await ctx.tick()

    simulate(
        dut,
        operate,
        receive(dut.o, count, out, rng, stall),
        background=(uop_port, interfere, watch_stable(dut.o)),
    )
    assert all(peeks)
    assert bool(peeks) == (stall > 0)
    return [{name: int(step[name]) for name in SHOWN} for step in out]


def random_operation(rng: random.Random, config: Config, uops: int) -> dict:
    """An operation with loops that are not empty; its indices may be beyond their scratchpads."""
    bgn = rng.randrange(uops)
    depths = {"dst": config.acc_depth, "src": config.inp_depth, "wgt": config.wgt_depth}
    factors = {
        name: rng.choice((0, 1, rng.randrange(depths[name[:3]]), depths[name[:3]] - 1))
        for name in FACTORS
    }
    kind = rng.choice((Kind.GEMM, Kind.ALU, Kind.RESET))
    return {
        "carried": {"kind": kind, "instructions": 1, "index": rng.getrandbits(28)},
        "uop_bgn": bgn,
        "uop_end": rng.randrange(bgn, uops) + 1,
        "iter_out": rng.randrange(1, 4),
        "iter_in": rng.randrange(1, 4),
        **factors,
    }


def random_uops(rng: random.Random, config: Config, count: int) -> np.ndarray:
    return np.array([[rng.choice((0, rng.randrange(1 << f.width))) for f in uop_fields(config)]
                     for _ in range(count)])  # fmt: skip


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", CONFIGS, ids=["small", "many weights", "many inputs"])
def test_steps_are_those_of_three_loops(config: Config, stall: float) -> None:
    seed = CONFIGS.index(config) + int(10 * stall)
    rng = random.Random(seed)
    uops = random_uops(rng, config, 4)
    operations = [random_operation(rng, config, 4) for _ in range(25)]
    expected = ref_steps(config, operations, uops)
    steps = rtl_steps(config, operations, uops, len(expected), seed, stall)
    assert steps == expected


def test_operations_follow_each_other_without_a_bubble() -> None:
    config = small()
    dut = Sequencer(config)
    op = {"carried": {"kind": Kind.GEMM}, "uop_bgn": 0, "uop_end": 1, "iter_out": 1, "iter_in": 3}
    seen: list[bool] = []

    async def watch(ctx) -> None:
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.payload, op)
        ctx.set(dut.i.valid, 1)
        while sum(seen) < 12:
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            seen.append(bool(valid))

    simulate(dut, watch)
    start = seen.index(True)
    assert start <= 3
    np.testing.assert_array_equal(seen[start:], True)


@pytest.mark.parametrize(("base", "limit"), [(0, 1), (0, 64), (31, 33), (5, 9), (32, 64)])
def test_flag_resets_cover_their_rows(base: int, limit: int) -> None:
    """One step a row of zero flags, from the row of `base` to that of ``limit - 1``."""
    config = small()
    row = flag_row_elements(config)
    op = {"carried": {"kind": Kind.FLAG_RESET, "base": base, "limit": limit}, "uop_end": 1,
          "iter_out": 1, "iter_in": 1}  # fmt: skip
    rows = range(base // row, (limit - 1) // row + 1)
    steps = rtl_steps(config, [op], np.zeros((1, 3), int), len(rows), 0, 0.0)
    assert [step["dst"] for step in steps] == [n * row for n in rows]
    assert [step["last"] for step in steps] == [0] * (len(rows) - 1) + [1]
