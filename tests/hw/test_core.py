"""The whole core behind its registers: launches in a row, every error, how each run ends.

A few programs in the Amaranth simulator, on a small configuration. What random programs do on
cores of full size is tested in co-simulation.
"""

import random
from typing import Any

import numpy as np
import pytest

from tests.hw.axi import ReadSlave, WriteSlave
from tests.hw.frontend.test_control import BUSY, ERROR, FINISH, LAUNCH, Lite
from tests.hw.harness import simulate, small
from vta.hw.core import Core
from vta.hw.isa import Alu, ErrorClass, Finish, Gemm, Instruction, Load, MemoryType, Raw, Store
from vta.hw.registers import COUNTERS, STAGE_STATES, address_of
from vta.sw.codec import encode_all, pack_uops

CONFIG = small(axi_data_bits=64, queue_depth=4, token_capacity=3)
BYTES = 1 << 13
BASES = {"insn": 0x000, "uop": 0x800, "inp": 0xA00, "wgt": 0xC00, "acc": 0x1000, "out": 0x1800}
NOP = Load(memory_type=MemoryType.ACC)  # of the compute stage
UOPS = Load(memory_type=MemoryType.UOP, x_size=4, y_size=1)
STORE = Store(memory_type=MemoryType.OUT, x_size=2, y_size=2, x_stride=3)


def work(flags: bool = True) -> list[Instruction]:
    """``out = ((acc + inp @ wgt.T) + 3)`` for four elements, with tokens along the way."""
    token = int(flags)
    return [
        Load(memory_type=MemoryType.INP, x_size=4, y_size=1),
        Load(memory_type=MemoryType.WGT, x_size=1, y_size=1, push_next=token),
        UOPS,
        Load(memory_type=MemoryType.ACC, x_size=4, y_size=1, pop_prev=token),
        Gemm(uop_end=1, iter_out=4, iter_in=1, dst_factor_out=1, src_factor_out=1),
        Alu(
            alu_opcode=2,
            use_imm=1,
            imm=3,
            uop_end=1,
            iter_out=4,
            iter_in=1,
            dst_factor_out=1,
            push_next=token,
        ),
        Store(
            memory_type=MemoryType.OUT,
            x_size=2,
            y_size=2,
            x_stride=3,
            pop_prev=token,
            push_prev=token,
        ),
        Finish(pop_next=token),
    ]


class Bench:
    """A core in the simulator, its memory, and what each run showed."""

    def __init__(self, seed: int, stall: float) -> None:
        self.rng, self.stall = random.Random(seed), stall
        self.memory = np.random.default_rng(seed).integers(0, 256, BYTES, np.uint8)
        uops = pack_uops(CONFIG, [(0, 0, 0), (1, 1, 1), (2, 2, 2), (63, 63, 63)])
        self.memory[BASES["uop"] :][:16] = uops.view(np.uint8)
        self.dut = Core(CONFIG)
        common: dict[str, Any] = {"rng": self.rng, "stall": stall, "latency": 5}
        self.reads = ReadSlave(self.dut.m_axi, CONFIG, self.memory, **common)
        self.writes = WriteSlave(self.dut.m_axi, CONFIG, self.memory, **common)
        self.edges = 0  # from the last launch to finish
        self.retired = {"load": [], "compute": [], "store": []}

    async def watch(self, ctx) -> None:
        """Count edges from the launch's write handshake to finish; collect retired indices."""
        dut, bus = self.dut, self.dut.s_axi
        events = [
            getattr(dut, f"event_{stage}_{what}")
            for stage in self.retired
            for what in ("retire", "retire_index")
        ]
        counting = False
        while True:
            _, _, write, address, value, finish, *retired = await ctx.tick().sample(
                bus.wvalid & bus.wready, bus.awaddr, bus.wdata, dut.finish, *events
            )
            if finish:
                counting = False
            if write and address == address_of("control") and value & 1 and not counting:
                counting, self.edges = True, -1  # finish shows one edge after it is set
            self.edges += counting
            for n, stage in enumerate(self.retired):
                self.retired[stage] += [retired[2 * n + 1]] * retired[2 * n]

    async def run(
        self, ctx, lite: Lite, program: list[Instruction], count: int | None = None
    ) -> dict[str, int]:
        """Launch a program, wait until it ends, check that the bus is quiet; all registers."""
        raw = encode_all(CONFIG, program)
        self.memory[: len(raw)] = raw
        self.retired = {stage: [] for stage in self.retired}
        for name, value in BASES.items():
            await lite.write(name, value)
        await lite.write("insn_count", len(program) if count is None else count)
        await lite.write("control", LAUNCH)
        await ctx.tick()
        while not ctx.get(self.dut.finish):
            await ctx.tick()
        await self.check_quiet(ctx)
        names = [
            "control",
            "cycles",
            "error_class",
            "error_index",
            "error_address",
            "acc_writes",
            *(counter.name for counter in COUNTERS),
        ]
        return {name: await lite.read(name) for name in names}

    async def check_quiet(self, ctx) -> None:
        """Every burst has all its beats and its response; nothing follows finish."""
        beats = sum(length for _, length in self.writes.bursts)
        assert self.reads.beats == sum(length for _, length in self.reads.bursts)
        assert len(self.writes.strobes) == beats
        assert self.writes.responses == len(self.writes.bursts)
        bus, asked = self.dut.m_axi, 0
        for _ in range(30):
            _, _, *valid = await ctx.tick().sample(bus.arvalid, bus.awvalid, bus.wvalid)
            asked += sum(valid)
        assert asked == 0

    def expected(self) -> np.ndarray:
        """The memory after `work`, from the one now."""
        memory = self.memory.copy()
        inp = memory[BASES["inp"] :][:16].view(np.int8).reshape(4, 4).astype(np.int32)
        wgt = memory[BASES["wgt"] :][:16].view(np.int8).reshape(4, 4).astype(np.int32)
        acc = memory[BASES["acc"] :][:64].view("<i4").reshape(4, 4)
        out = (acc + inp @ wgt.T + 3).astype(np.int8).view(np.uint8).reshape(2, 8)
        for row in range(2):
            memory[BASES["out"] + 12 * row :][:8] = out[row]
        return memory


def on_a_core(script, seed: int = 0, stall: float = 0.0, cycles: int = 20_000) -> None:
    """Run ``script(ctx, bench, lite)``."""
    bench = Bench(seed, stall)

    async def main(ctx) -> None:
        await script(ctx, bench, Lite(ctx, bench.dut.s_axi, random.Random(seed)))

    background = (bench.reads.run, bench.writes.run, bench.watch)
    simulate(bench.dut, main, background=background, cycles=cycles)


def check_counters(result: dict[str, int]) -> None:
    """Each stage's states sum to the cycles."""
    for group in STAGE_STATES:
        total = sum(result[counter.name] for counter in COUNTERS if counter.group == group)
        assert total == result["cycles"], group


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_launches_in_a_row(stall: float) -> None:
    """The same result each time, with fresh input; cycles, counters and events tell the truth."""

    async def script(ctx, bench: Bench, lite: Lite) -> None:
        data = np.random.default_rng(9)
        for _ in range(3):
            bench.memory[BASES["inp"] : BASES["out"]] = data.integers(0, 256, 0xE00, np.uint8)
            bench.memory[BASES["out"] :] = 0x77
            program = work()
            bench.memory[: 16 * len(program)] = encode_all(CONFIG, program)
            expected = bench.expected()
            result = await bench.run(ctx, lite, program)
            np.testing.assert_array_equal(bench.memory, expected)
            assert result["control"] == FINISH
            assert result["error_class"] == ErrorClass.NONE
            assert result["cycles"] == bench.edges
            check_counters(result)
            counts = {
                "gemm_uops": 4,
                "alu_uops": 4,
                "reset_uops": 0,
                "acc_writes": 8,
                "load_instructions": 2,
                "compute_instructions": 5,
                "store_instructions": 1,
            }
            assert {name: result[name] for name in counts} == counts
            assert bench.retired == {"load": [0, 1], "compute": [2, 3, 4, 5, 7], "store": [6]}

    on_a_core(script, seed=int(10 * stall), stall=stall)


E = ErrorClass
ERRORS: dict[str, tuple[list[Instruction], ErrorClass, int]] = {
    "illegal opcode": ([NOP, Raw(7), NOP, Finish()], E.ILLEGAL_OPCODE, 1),
    "dependency": ([UOPS, Store(push_next=1), Finish()], E.ILLEGAL_DEPENDENCY, 1),
    "LOAD beyond INP": (
        [Load(memory_type=MemoryType.INP, sram_base=63, x_size=2, y_size=1), Finish()],
        E.SRAM_BOUNDS,
        0,
    ),
    "STORE beyond OUT": (
        [NOP, Store(memory_type=MemoryType.OUT, sram_base=60, x_size=5, y_size=1), Finish()],
        E.SRAM_BOUNDS,
        1,
    ),
    "uop_end beyond UOP": (
        [UOPS, Gemm(uop_end=65, iter_out=1, iter_in=1), Finish()],
        E.SRAM_BOUNDS,
        1,
    ),
    "dst beyond ACC": (
        [UOPS, Gemm(reset_reg=1, uop_end=4, iter_out=2, iter_in=1, dst_factor_out=1), Finish()],
        E.SRAM_BOUNDS,
        1,
    ),
    "LOAD past 2^32": (
        [Load(memory_type=MemoryType.WGT, dram_base=0x0FFF_FFFF, x_size=1, y_size=1), Finish()],
        E.BUS_ERROR,
        0,
    ),
    "token that never comes": ([NOP, Gemm(pop_prev=1), Finish()], E.DEADLOCK, 1),
    "token that never comes, twice": (
        [Store(pop_prev=1), Gemm(pop_prev=1), Finish()],
        E.DEADLOCK,
        0,
    ),
    "counter that stays full": (
        [*[Load(memory_type=MemoryType.INP, push_next=1)] * 5, Finish()],
        E.DEADLOCK,
        3,
    ),
    "queue that stays full": ([*[Store(pop_prev=1)] * 5, Finish()], E.DEADLOCK, 0),
    "FINISH that waits": ([UOPS, Finish(pop_next=1)], E.DEADLOCK, 1),
    "FINISH missing": ([UOPS, NOP], E.NO_FINISH, 2),
    "FINISH not last": ([UOPS, Finish(), NOP], E.NO_FINISH, 2),
    "nothing": ([], E.NO_FINISH, 0),
}


@pytest.mark.parametrize("part", range(3))
def test_every_error_is_named_and_leaves_nothing_behind(part: int) -> None:
    """Each error, then a good run on the same core: tokens, queues and flags start afresh."""

    async def script(ctx, bench: Bench, lite: Lite) -> None:
        for name in list(ERRORS)[part::3]:
            program, error_class, index = ERRORS[name]
            before = bench.memory.copy()
            before[: 16 * len(program)] = encode_all(CONFIG, program)
            result = await bench.run(ctx, lite, program)
            assert result["control"] == FINISH | ERROR, name
            assert (result["error_class"], result["error_index"]) == (error_class, index), name
            np.testing.assert_array_equal(bench.memory, before, err_msg=name)
            check_counters(result)
            program = work()
            bench.memory[: 16 * len(program)] = encode_all(CONFIG, program)
            expected = bench.expected()
            result = await bench.run(ctx, lite, program)
            assert result["control"] == FINISH, name
            np.testing.assert_array_equal(bench.memory, expected, err_msg=name)

    on_a_core(script, seed=part, stall=0.1 * part)


def test_bad_responses_are_named_by_instruction_and_address() -> None:
    async def script(ctx, bench: Bench, lite: Lite) -> None:
        wgt, out = BASES["wgt"] + 8, BASES["out"] + 12
        for where, address, index in (
            (bench.reads, wgt, 1),
            (bench.writes, out, 6),
            (bench.reads, BASES["insn"] + 5 * 16 + 8, 5),
        ):
            where.errors = frozenset({address})
            result = await bench.run(ctx, lite, work())
            assert result["control"] == FINISH | ERROR
            assert result["error_class"] == ErrorClass.BUS_ERROR
            assert (result["error_index"], result["error_address"]) == (index, address)
            where.errors = frozenset()
        assert (await bench.run(ctx, lite, work()))["control"] == FINISH

    on_a_core(script, seed=4)


def test_abort_stops_a_long_run() -> None:
    """Stores without end are cut short; each burst on the bus still gets its beats."""
    store = Store(memory_type=MemoryType.OUT, x_size=64, y_size=1)

    async def script(ctx, bench: Bench, lite: Lite) -> None:
        async def abort(ctx) -> None:
            while len(bench.writes.bursts) < 3:
                await ctx.tick()
            assert await lite.read("control") == BUSY
            await lite.write("control", LAUNCH)  # ignored
            assert await lite.read("status") == 1
            await lite.write("abort", 1)

        program = [store] * 40 + [Finish()]
        raw = encode_all(CONFIG, program)
        bench.memory[: len(raw)] = raw
        for name, value in BASES.items():
            await lite.write(name, value)
        await lite.write("insn_count", len(program))
        await lite.write("control", LAUNCH)
        await abort(ctx)
        while not ctx.get(bench.dut.finish):
            await ctx.tick()
        await bench.check_quiet(ctx)
        assert await lite.read("error_class") == ErrorClass.ABORTED
        assert len(bench.writes.bursts) < 40
        assert (await bench.run(ctx, lite, work()))["control"] == FINISH

    on_a_core(script, seed=5)
