"""Registers over AXI4-Lite: against the table, and launch, finish, interrupt and abort."""

import random

import numpy as np
import pytest

from tests.hw.harness import simulate
from vta.hw.config import PRESETS, Config
from vta.hw.frontend.control import BASES, REPORTS, Control
from vta.hw.isa import INSTRUCTION_BYTES
from vta.hw.registers import IDENTIFICATION, REGISTERS, VERSION, address_of, configuration_words

CONFIG = Config()
LAUNCH, FINISH, ERROR, BUSY = 1, 2, 4, 8


class Lite:
    """An AXI4-Lite master: address and data in any order, responses taken late."""

    def __init__(self, ctx, bus, rng: random.Random) -> None:
        self.ctx, self.bus, self.rng = ctx, bus, rng

    async def _pause(self) -> None:
        while self.rng.random() < 0.4:
            await self.ctx.tick()

    async def write(self, name: str | int, value: int, strobes: int = 0xF) -> None:
        ctx, bus = self.ctx, self.bus
        await self._pause()
        ctx.set(bus.awaddr, address_of(name) if isinstance(name, str) else name)
        ctx.set(bus.wdata, value)
        ctx.set(bus.wstrb, strobes)
        first, second = self.rng.sample((bus.awvalid, bus.wvalid), 2)
        ctx.set(first, 1)
        if self.rng.random() < 0.5:
            await ctx.tick()
            assert not ctx.get(bus.awready) or not ctx.get(bus.wready)
        ctx.set(second, 1)
        await ctx.tick().until(bus.awready & bus.wready)
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        await self._pause()
        ctx.set(bus.bready, 1)
        (response,) = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
        ctx.set(bus.bready, 0)
        assert response == 0

    async def read(self, name: str | int) -> int:
        ctx, bus = self.ctx, self.bus
        await self._pause()
        ctx.set(bus.araddr, address_of(name) if isinstance(name, str) else name)
        ctx.set(bus.arvalid, 1)
        await ctx.tick().until(bus.arready)
        ctx.set(bus.arvalid, 0)
        await self._pause()
        ctx.set(bus.rready, 1)
        value, response = await ctx.tick().sample(bus.rdata, bus.rresp).until(bus.rvalid)
        ctx.set(bus.rready, 0)
        assert response == 0
        return value


def run_control(script, config: Config = CONFIG, seed: int = 0) -> None:
    """Run ``script(ctx, dut, lite)`` on a register block."""
    dut = Control(config)

    async def main(ctx) -> None:
        await script(ctx, dut, Lite(ctx, dut.bus, random.Random(seed)))

    simulate(dut, main)


@pytest.mark.parametrize("name", ["1x16", "1x4", "2x8", "4x32"])
def test_base_registers_keep_no_bits_below_their_element(name: str) -> None:
    config = Config.preset(name)
    sizes = {
        "insn": INSTRUCTION_BYTES,
        "uop": 4,
        "inp": config.inp_bytes,
        "wgt": config.wgt_bytes,
        "acc": config.acc_bytes,
        "out": config.out_bytes,
    }
    seen: dict[str, tuple[int, int]] = {}

    async def script(ctx, dut, lite: Lite) -> None:
        for base in BASES:
            await lite.write(base, 0xFFFF_FFFF)
        await lite.write("insn_count", 0xFFFF_FFFF)
        for base in BASES:
            seen[base] = (await lite.read(base), ctx.get(getattr(dut, base)))
        assert await lite.read("insn_count") == ctx.get(dut.insn_count) == 0xFFFF_FFFF

    run_control(script, config)
    assert name in PRESETS
    assert seen == {base: 2 * (0x1_0000_0000 - size,) for base, size in sizes.items()}


def test_every_register_reads_what_the_table_says() -> None:
    rng = np.random.default_rng(3)
    reports = {name: int(rng.integers(1 << 32)) for name in REPORTS}
    words = dict(zip(("config_0", "config_1"), configuration_words(CONFIG), strict=True))
    expected = {register.name: 0 for register in REGISTERS} | reports | words
    expected |= {"identification": IDENTIFICATION, "version": VERSION}
    seen: dict[str, int] = {}

    async def script(ctx, dut, lite: Lite) -> None:
        for name, value in reports.items():
            ctx.set(getattr(dut, name), value)
        for register in REGISTERS:
            seen[register.name] = await lite.read(register.address)
        assert await lite.read(0xFFC) == 0  # no register

    run_control(script)
    assert seen == expected


def test_only_registers_with_w_can_be_written() -> None:
    seen: dict[str, int] = {}
    writable = {register.name for register in REGISTERS if "w" in register.access}

    async def script(ctx, dut, lite: Lite) -> None:
        for register in REGISTERS:
            if register.name not in writable:
                await lite.write(register.address, 0xFFFF_FFFF)
                seen[register.name] = await lite.read(register.address)
        assert not ctx.get(dut.running)

    run_control(script)
    fixed = {"identification": IDENTIFICATION, "version": VERSION}
    fixed |= dict(zip(("config_0", "config_1"), configuration_words(CONFIG), strict=True))
    assert {name: value for name, value in seen.items() if value} == fixed


@pytest.mark.parametrize("seed", range(2))
def test_launch_finish_and_what_clears_them(seed: int) -> None:
    async def script(ctx, dut, lite: Lite) -> None:
        for failed in (0, 1, 0):
            assert not ctx.get(dut.running)
            await lite.write("control", LAUNCH)
            assert await lite.read("control") == BUSY  # launch cleared the others
            assert not ctx.get(dut.finish)
            ctx.set(dut.failed, failed)
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)
            for _ in range(2):  # reading does not clear
                assert await lite.read("control") == FINISH | (ERROR if failed else 0)
            assert ctx.get(dut.finish)
            await lite.write("control", 0)  # nor does writing 0
            assert await lite.read("control") & FINISH

    run_control(script, seed=seed)


def test_cycles_count_edges_from_the_launch_to_finish() -> None:
    async def script(ctx, dut, lite: Lite) -> None:
        for length in (1, 2, 37):
            ctx.set(dut.bus.awaddr, address_of("control"))
            ctx.set(dut.bus.wdata, LAUNCH)
            ctx.set(dut.bus.wstrb, 0xF)
            ctx.set(dut.bus.awvalid, 1)
            ctx.set(dut.bus.wvalid, 1)
            ctx.set(dut.bus.bready, 1)
            assert not ctx.get(dut.bus.awready)
            await ctx.tick()
            assert ctx.get(dut.bus.awready)
            assert ctx.get(dut.launch)  # in the cycle of the handshake
            await ctx.tick()  # the edge of the handshake
            ctx.set(dut.bus.awvalid, 0)
            ctx.set(dut.bus.wvalid, 0)
            for _ in range(length - 1):
                await ctx.tick()
            ctx.set(dut.done, 1)
            assert not ctx.get(dut.finish)
            await ctx.tick()
            ctx.set(dut.done, 0)
            assert ctx.get(dut.finish)
            ctx.set(dut.bus.bready, 0)
            assert await lite.read("cycles") == length
            await ctx.tick().repeat(5)
            assert await lite.read("cycles") == length

    run_control(script)


def test_a_launch_while_busy_is_ignored_and_flagged() -> None:
    async def script(ctx, dut, lite: Lite) -> None:
        launches = [0]

        async def again() -> None:
            await lite.write("control", LAUNCH)
            launches[0] += 1

        await again()
        assert await lite.read("status") == 0
        await lite.write("uop", 0x1000)  # bases hold still during a run
        await lite.write("insn_count", 99)
        await again()
        assert await lite.read("status") == 1
        assert await lite.read("uop") == 0
        assert await lite.read("insn_count") == 0
        before = await lite.read("cycles")
        await again()
        assert await lite.read("cycles") > before  # not started afresh
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        assert await lite.read("status") == 1
        await lite.write("status", 1)
        assert await lite.read("status") == 0

    run_control(script)


def test_interrupt_follows_pending_and_enable() -> None:
    async def script(ctx, dut, lite: Lite) -> None:
        for enable in (0, 1):
            await lite.write("interrupt_enable", enable)
            assert await lite.read("interrupt_enable") == enable
            await lite.write("control", LAUNCH)
            assert not ctx.get(dut.irq)
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)
            assert ctx.get(dut.irq) == enable
            await lite.write("interrupt_pending", 0)
            assert await lite.read("interrupt_pending") == 1
            await lite.write("interrupt_pending", 1)
            assert await lite.read("interrupt_pending") == 0
            assert not ctx.get(dut.irq)

    run_control(script)


def test_abort_lasts_to_the_end_of_the_run() -> None:
    async def script(ctx, dut, lite: Lite) -> None:
        await lite.write("abort", 1)
        assert not ctx.get(dut.abort)  # nothing runs
        await lite.write("control", LAUNCH)
        assert not ctx.get(dut.abort)
        await lite.write("abort", 0)
        assert not ctx.get(dut.abort)
        await lite.write("abort", 1)
        assert ctx.get(dut.abort)
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        assert not ctx.get(dut.abort)

    run_control(script)


def test_a_write_of_less_than_a_word_does_nothing() -> None:
    async def script(ctx, dut, lite: Lite) -> None:
        await lite.write("control", LAUNCH, strobes=0x1)
        await lite.write("uop", 0xFFFF_FFFF, strobes=0x7)
        assert await lite.read("control") == 0
        assert await lite.read("uop") == 0

    run_control(script)
