"""The loop sequencer against three Python loops."""

import random

import numpy as np
import pytest

from tests.hw.harness import receive, simulate, small, watch_stable
from vta.hw.capacities import STEPS
from vta.hw.compute.sequencer import Kind, Sequencer
from vta.hw.config import Config
from vta.hw.isa import uop_fields
from vta.sw.codec import pack_uops

FACTORS = (
    "dst_factor_out",
    "dst_factor_in",
    "src_factor_out",
    "src_factor_in",
    "wgt_factor_out",
    "wgt_factor_in",
)
SHOWN = ("dst", "src", "wgt", "over", "last", "adds")
CONFIGS = (
    small(),
    small(log_wgt_buff_size=15, log_uop_buff_size=4, log_acc_buff_size=7, log_inp_buff_size=4),
    small(log_inp_buff_size=12, log_acc_buff_size=8),
)
"""The second has many more weights than anything else; the third many more inputs than ACC."""
LATENCY = 5
"""Cycles from that in which an operation is offered to that of its first step."""
GARBAGE = 0xFFFF_FFFF


def ref_over(config: Config, op: dict, dst: int, src: int, wgt: int) -> bool:
    """Whether an index that the uop uses is beyond its scratchpad (isa.md section 6)."""
    kind, chain = op["carried"]["kind"], op["carried"].get("chain", {})
    if kind == Kind.FLAG_RESET:
        return False
    over = dst >= config.acc_depth
    if kind == Kind.GEMM:
        return over or src >= config.inp_depth or wgt >= config.wgt_depth
    tensor = any(chain.get(name) for name in ("first_tensor", "shift_tensor"))
    return over or (kind == Kind.ALU and tensor and src >= config.acc_depth)


def ref_steps(config: Config, operations: list[dict], uops: np.ndarray) -> list[dict]:
    """Every uop execution of the operations, in order (isa.md section 4)."""
    a, i, w = config.acc_depth, config.inp_depth, config.wgt_depth
    steps = []
    before = None  # the entry of the step before, if that is a GEMM's
    for op in operations:
        gemm = op["carried"]["kind"] == Kind.GEMM
        loops = [
            (x, y, k)
            for x in range(op["iter_out"])
            for y in range(op["iter_in"])
            for k in range(op["uop_bgn"], op["uop_end"])
        ]
        for n, (x, y, k) in enumerate(loops):
            first = (op["dst"], op["src"], 0) if op.get("direct") else uops[k]
            dst, src, wgt = (
                int(start)
                + x * op.get(f"{name}_factor_out", 0)
                + y * op.get(f"{name}_factor_in", 0)
                for start, name in zip(first, ("dst", "src", "wgt"), strict=True)
            )
            masked = (dst % a, src % max(a, i), wgt % w)
            over = ref_over(config, op, dst, src, wgt)
            adds = gemm and not over and before == dst
            before = masked[0] if gemm else None
            values = (*masked, over, n == len(loops) - 1, adds)
            steps.append({name: int(v) for name, v in zip(SHOWN, values, strict=True)})
    return steps


class UopPort:
    """UOP while it is being loaded and read by somebody else: what is not there is garbage."""

    def __init__(self, dut: Sequencer, memory: list[int], rng: random.Random, stall: float) -> None:
        self.dut, self.memory, self.rng, self.stall = dut, memory, rng, stall
        self.window = range(0)  # entries that a LOAD has still to write
        self.holds = 0
        self.waits = 0  # cycles in which a uop was asked for that is not loaded

    def load(self, ctx, op: dict) -> None:
        """A LOAD before `op`, in places that the operation before does not read any more."""
        dut, count = self.dut, len(self.memory)
        bgn = self.rng.randrange(count)
        window = range(bgn, self.rng.randrange(bgn, count) + 1)
        read = range(ctx.get(dut.uop_bgn), ctx.get(dut.uop_end)) if ctx.get(dut.active) else ()
        if self.rng.random() < 2 * self.stall and not set(window) & set(read):
            self.window = window

    async def run(self, ctx) -> None:
        dut, rng = self.dut, self.rng
        while True:
            hold, window = rng.random() < self.stall, self.window
            ctx.set(dut.hold, hold)
            ctx.set(
                dut.loading, {"valid": len(window) > 0, "start": window.start, "end": window.stop}
            )
            _, _, en, address, active, bgn, end = await ctx.tick().sample(
                dut.uop_en, dut.uop_addr, dut.active, dut.uop_bgn, dut.uop_end
            )
            assert not en or (active and bgn <= address < end)
            absent = hold or address in window or not en
            ctx.set(dut.uop_data, GARBAGE if absent else self.memory[address])
            if not ctx.get(dut.reading):  # then nobody looks at it
                ctx.set(dut.uop_data, GARBAGE)
            self.holds += hold and en
            self.waits += en and address in window
            if self.window is window and window and rng.random() < 0.15:
                self.window = window[1:]


def rtl_steps(
    config: Config, operations: list[dict], uops: np.ndarray, count: int, seed: int, stall: float
) -> list[dict]:
    """The sequencer's steps; UOP is loaded and read by others at random when `stall` is not 0."""
    rng = random.Random(seed)
    dut = Sequencer(config)
    port = UopPort(dut, [int(word) for word in pack_uops(config, uops)], rng, stall)
    out: list[dict] = []

    async def operate(ctx) -> None:
        for op in operations:
            while port.window:  # one LOAD at a time
                await ctx.tick()
            if not op.get("direct"):
                port.load(ctx, op)
            ctx.set(dut.i.payload, op)
            ctx.set(dut.i.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        while not ctx.get(dut.empty):
            await ctx.tick()

    async def watch_empty(ctx) -> None:
        while True:
            _, _, empty, *busy = await ctx.tick().sample(
                dut.empty, dut.active, dut.reading, dut.o.valid
            )
            assert not (empty and any(busy))

    simulate(
        dut,
        operate,
        receive(dut.o, count, out, rng, stall),
        background=(port.run, watch_empty, watch_stable(dut.o)),
    )
    assert bool(port.holds) == bool(port.waits) == (stall > 0)
    return [{name: int(step[name]) for name in SHOWN} for step in out]


def random_operation(rng: random.Random, config: Config, uops: int) -> dict:
    """An operation with loops that are not empty; its indices may be beyond their scratchpads."""
    bgn = rng.randrange(uops)
    depths = {"dst": config.acc_depth, "src": config.inp_depth, "wgt": config.wgt_depth}
    factors = {
        name: rng.choice((0, 1, rng.randrange(depths[name[:3]]), depths[name[:3]] - 1))
        for name in FACTORS
    }
    kind = rng.choice((Kind.GEMM, Kind.GEMM, Kind.ALU, Kind.RESET))
    direct = kind == Kind.ALU and rng.random() < 0.5
    chain = {name: rng.getrandbits(1) for name in ("first_tensor", "shift_tensor")}
    return {
        "carried": {"kind": kind, "chain": chain, "instructions": 1, "index": rng.getrandbits(28)},
        "direct": int(direct),
        "dst": rng.randrange(config.acc_depth),
        "src": rng.randrange(config.acc_depth),
        "uop_bgn": bgn,
        "uop_end": bgn + 1 if direct else rng.randrange(bgn, uops) + 1,
        "iter_out": rng.randrange(1, 4),
        "iter_in": rng.randrange(1, 4),
        **factors,
    }


def random_uops(rng: random.Random, config: Config, count: int) -> np.ndarray:
    return np.array(
        [
            [rng.choice((0, rng.randrange(1 << f.width))) for f in uop_fields(config)]
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", CONFIGS, ids=["small", "many weights", "many inputs"])
def test_steps_are_those_of_three_loops(config: Config, stall: float) -> None:
    seed = CONFIGS.index(config) + int(10 * stall)
    rng = random.Random(seed)
    uops = random_uops(rng, config, 4)
    operations = [random_operation(rng, config, 4) for _ in range(30)]
    expected = ref_steps(config, operations, uops)
    assert all(0 < sum(step[name] for step in expected) < len(expected) for name in SHOWN[3:])
    steps = rtl_steps(config, operations, uops, len(expected), seed, stall)
    assert steps == expected


RUN = {"carried": {"kind": Kind.GEMM}, "uop_bgn": 0, "uop_end": 1, "iter_out": 1, "iter_in": 3}


def valids(operation: dict, cycles: int, blocked: range = range(0), **inputs: int) -> list[bool]:
    """Whether there is a step in each cycle; not one is taken in the cycles `blocked`.

    The operation is offered from cycle 0 on, again and again.
    """
    dut = Sequencer(small())
    seen: list[bool] = []

    async def watch(ctx) -> None:
        ctx.set(dut.i.payload, operation)
        ctx.set(dut.i.valid, 1)
        for name, value in inputs.items():
            ctx.set(getattr(dut, name), value)
        for cycle in range(cycles):
            ctx.set(dut.o.ready, cycle not in blocked)
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            seen.append(bool(valid))

    simulate(dut, watch)
    return seen


def test_operations_follow_each_other_without_a_bubble() -> None:
    seen = valids(RUN, 30)
    np.testing.assert_array_equal(seen, np.arange(30) >= LATENCY)


def test_there_is_no_bubble_behind_a_stall() -> None:
    """However long the pipeline has taken nothing: a step a cycle as soon as it takes them."""
    for length in (1, 2, 5, STEPS, 3 * STEPS):
        seen = valids(RUN, 80, range(20, 20 + length))
        np.testing.assert_array_equal(seen, np.arange(80) >= LATENCY, err_msg=str(length))


def test_a_direct_operation_does_not_wait_for_uop() -> None:
    assert not any(valids(RUN, 30, hold=1))
    np.testing.assert_array_equal(valids(RUN | {"direct": 1}, 30, hold=1), np.arange(30) >= LATENCY)
