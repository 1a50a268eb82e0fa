"""cocotb tests of the register port, with cocotbext-axi's master; run by test_registers.py."""

import random
from itertools import chain, repeat

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from vta.hw.registers import IDENTIFICATION, REGISTERS, address_of
from vta.sim.driver import RegisterDriver
from vta.sim.monitors import Monitor

BASES = ("insn_count", "insn", "uop", "inp", "wgt", "acc", "out")
ALIGNMENT = 256  # of the largest element
SEED = 20


async def _start(dut) -> AxiLiteMaster:
    bus = AxiLiteBus.from_prefix(dut, "s_axi")
    master = AxiLiteMaster(bus, dut.clk, dut.rst)
    await _reset(dut)
    return master


async def _reset(dut) -> None:
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    Monitor().begin()


def _check_protocol() -> None:
    assert Monitor().violations() == []


def _pauses(seed: int):
    draw = random.Random(seed)
    return chain.from_iterable(repeat(draw.random() < 0.6, 1) for _ in iter(int, 1))


@cocotb.test(timeout_time=200, timeout_unit="us")
async def known_values(dut) -> None:
    master = await _start(dut)
    assert await master.read_dword(address_of("identification")) == IDENTIFICATION
    assert await master.read_dword(address_of("control")) == 0
    assert await master.read_dword(0x3C) == 0, "a register that is not there"
    _check_protocol()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def written_values_come_back_whatever_the_pauses(dut) -> None:
    master = await _start(dut)
    writer, reader = master.write_if, master.read_if
    channels = (
        writer.aw_channel,
        writer.w_channel,
        writer.b_channel,
        reader.ar_channel,
        reader.r_channel,
    )
    for n, channel in enumerate(channels):
        channel.set_pause_generator(_pauses(SEED + n))
    draw = random.Random(SEED)
    for _ in range(8):
        values = {name: draw.randrange(1 << 24) * ALIGNMENT for name in BASES}
        for name, value in values.items():
            await master.write_dword(address_of(name), value)
        for name, value in values.items():
            assert await master.read_dword(address_of(name)) == value, f"{name}, seed {SEED}"
    _check_protocol()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def accesses_may_overlap(dut) -> None:
    """Addresses and data ahead of their responses; reads beside writes."""
    master = await _start(dut)
    for name in BASES:
        await master.write_dword(address_of(name), 0)
    operations = [
        master.init_write(address_of(name), (ALIGNMENT * (n + 1)).to_bytes(4, "little"))
        for n, name in enumerate(BASES)
    ]
    reads = [master.init_read(address_of("identification"), 4) for _ in range(4)]
    for operation in (*operations, *reads):
        await operation.wait()
    assert all(read.data.data == IDENTIFICATION.to_bytes(4, "little") for read in reads)
    for n, name in enumerate(BASES):
        assert await master.read_dword(address_of(name)) == ALIGNMENT * (n + 1)
    _check_protocol()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def read_only_registers_stay(dut) -> None:
    master = await _start(dut)
    for register in REGISTERS:
        if register.access == "r":
            before = await master.read_dword(register.address)
            await master.write_dword(register.address, ~before & 0xFFFFFFFF)
            assert await master.read_dword(register.address) == before, register.name
    _check_protocol()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_empty_program_finishes_with_an_interrupt(dut) -> None:
    """Zero instructions: NO_FINISH, finish and error flags, the interrupt until it is cleared."""
    master = await _start(dut)
    await master.write_dword(address_of("interrupt_enable"), 1)
    assert not dut.irq.value
    await master.write_dword(address_of("insn_count"), 0)
    await master.write_dword(address_of("control"), 1)
    await ClockCycles(dut.clk, 200)
    assert dut.finish.value and dut.irq.value
    assert await master.read_dword(address_of("control")) == 0b110
    await master.write_dword(address_of("interrupt_pending"), 1)
    await RisingEdge(dut.clk)
    assert not dut.irq.value
    assert dut.finish.value, "reading or clearing the interrupt leaves finish"
    _check_protocol()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def our_driver_agrees(dut) -> None:
    await _reset(dut)
    driver = RegisterDriver(dut)
    driver.idle()
    for n, name in enumerate(BASES):
        await driver.write(address_of(name), ALIGNMENT * (n + 7))
    for n, name in enumerate(BASES):
        assert await driver.read(address_of(name)) == ALIGNMENT * (n + 7)
    await driver.write(address_of("inp"), 0, strobes=0b0011)
    assert await driver.read(address_of("inp")) == ALIGNMENT * (BASES.index("inp") + 7), (
        "registers are written whole or not at all"
    )
    _check_protocol()
