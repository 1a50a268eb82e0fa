"""The AXI4-Lite register block, made from the register table."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vta.hw.config import Config
from vta.hw.isa import INSTRUCTION_BYTES, MEMORIES
from vta.hw.library.bits import log2
from vta.hw.registers import (
    COUNTERS,
    IDENTIFICATION,
    REGISTERS,
    VERSION,
    address_of,
    configuration_words,
)
from vta.hw.transfers.bus import ADDRESS_BITS, LITE_ADDRESS_BITS, AxiLite

__all__ = ["BASES", "Control"]

BASES = ("insn", "uop", "inp", "wgt", "acc", "out")
REPORTS = (
    "error_class",
    "error_index",
    "error_address",
    "fetch_index",
    "load_index",
    "compute_index",
    "store_index",
    "stage_states",
    "tokens_0",
    "tokens_1",
    "acc_writes",
    *(counter.name for counter in COUNTERS),
)


GROUP_WORDS = 4


class Control(wiring.Component):
    """Registers, launch and finish, the interrupt.

    A write is taken the cycle after its address and data are both there; responses are always OKAY;
    registers that are not in the table read as 0. Reads answer three cycles after their address,
    one at a time.

    Members
    -------
    bus: the AXI4-Lite slave.
    launch: out, high in the one cycle before the first of a run; ignored launches only set the
        status bit.
    running: out, from launch to done; cycles counts the cycles in which it is high.
    abort: out, stop cleanly.
    done, failed: in, the run ends in this cycle, and whether with an error.
    insn, uop, ...: out, base registers, aligned; insn_count: out.
    finish: out, the finish flag; irq: out.
    The others: in, what the registers of that name show.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "bus": Out(AxiLite()),
                "launch": Out(1),
                "running": Out(1),
                "abort": Out(1),
                "done": In(1),
                "failed": In(1),
                "insn_count": Out(32),
                **{name: Out(ADDRESS_BITS) for name in BASES},
                "finish": Out(1),
                "irq": Out(1),
                **{name: In(32) for name in REPORTS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        write, address, value, wants_launch = self._write_channel(m)
        error, pending, enable, ignored = Signal(), Signal(), Signal(), Signal()
        cycles = Signal(32)
        at = {r.name: write & (address == r.address >> 2) for r in REGISTERS if "w" in r.access}
        m.d.comb += [self.launch.eq(wants_launch & ~self.running), self.irq.eq(pending & enable)]
        self._bases(m, at, value)
        with m.If(at["interrupt_enable"]):
            m.d.sync += enable.eq(value[0])
        with m.If(at["interrupt_pending"] & value[0]):
            m.d.sync += pending.eq(0)
        with m.If(wants_launch & self.running):
            m.d.sync += ignored.eq(1)
        with m.Elif(at["status"] & value[0]):
            m.d.sync += ignored.eq(0)
        with m.If(at["abort"] & value[0] & self.running):
            m.d.sync += self.abort.eq(1)
        with m.If(self.running):
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(self.launch):
            m.d.sync += [self.running.eq(1), self.finish.eq(0), error.eq(0), cycles.eq(0)]
        with m.Elif(self.running & self.done):
            m.d.sync += [
                self.running.eq(0),
                self.finish.eq(1),
                error.eq(self.failed),
                pending.eq(1),
                self.abort.eq(0),
            ]
        config_0, config_1 = configuration_words(self._config)
        values = {
            "control": Cat(0, self.finish, error, self.running),
            "cycles": cycles,
            "insn_count": self.insn_count,
            **{name: getattr(self, name) for name in (*BASES, *REPORTS)},
            "identification": IDENTIFICATION,
            "version": VERSION,
            "config_0": config_0,
            "config_1": config_1,
            "status": ignored,
            "interrupt_enable": enable,
            "interrupt_pending": pending,
        }
        self._read_channel(m, values)
        return m

    def _bases(self, m: Module, at: dict, value) -> None:
        """Base registers keep no bits below their element's size."""
        aligned = {m.base: m.element_bytes(self._config) for m in reversed(MEMORIES.values())}
        aligned["insn"] = INSTRUCTION_BYTES
        with m.If(at["insn_count"] & ~self.running):
            m.d.sync += self.insn_count.eq(value)
        for name in BASES:
            low = log2(aligned[name])
            with m.If(at[name] & ~self.running):
                m.d.sync += getattr(self, name).eq(value[low:] << low)

    def _write_channel(self, m: Module):
        """Returns (a write happens, its word address, its value, it wants to launch).

        All from registers: a launch resets the whole engine in the same cycle.
        """
        bus = self.bus
        there = bus.awvalid & bus.wvalid & ~bus.bvalid
        taken, write, wants_launch = Signal(), Signal(), Signal()
        address, value = Signal(LITE_ADDRESS_BITS - 2), Signal(32)
        m.d.comb += [bus.awready.eq(taken), bus.wready.eq(taken)]
        new = bus.awaddr[2:LITE_ADDRESS_BITS]
        fresh = there & ~taken & bus.wstrb.all()  # registers are written as whole words
        m.d.sync += [
            taken.eq(there & ~taken),
            write.eq(fresh),
            wants_launch.eq(fresh & (new == address_of("control") >> 2) & bus.wdata[0]),
        ]
        with m.If(there):
            m.d.sync += [address.eq(new), value.eq(bus.wdata)]
        with m.If(taken):
            m.d.sync += bus.bvalid.eq(1)
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return write, address, value, wants_launch

    def _read_channel(self, m: Module, values: dict) -> None:
        """Two steps: each group of four words shows the one that is wanted, if any; then all OR."""
        bus = self.bus
        wanted = Signal(LITE_ADDRESS_BITS - 2)
        waits, grouped = Signal(), Signal()
        m.d.comb += bus.arready.eq(~waits & ~bus.rvalid)
        with m.If(bus.arready):
            m.d.sync += [waits.eq(bus.arvalid), wanted.eq(bus.araddr[2:])]
        words: dict[int, dict[int, object]] = {}
        for register in REGISTERS:
            if "r" in register.access:
                group, word = divmod(register.address >> 2, GROUP_WORDS)
                words.setdefault(group, {})[word] = values[register.name]
        shown = []
        for group, members in words.items():
            choice, show = Signal(32, name=f"choice_{group}"), Signal(32, name=f"show_{group}")
            with m.Switch(wanted[: log2(GROUP_WORDS)]):
                for word, value in members.items():
                    with m.Case(word):
                        m.d.comb += choice.eq(value)
            m.d.sync += show.eq(choice)
            with m.If(wanted[log2(GROUP_WORDS) :] != group):
                m.d.sync += show.eq(0)
            shown.append(show)
        m.d.sync += grouped.eq(waits & ~grouped)
        with m.If(grouped):
            m.d.sync += [waits.eq(0), bus.rvalid.eq(1), bus.rdata.eq(reduce(or_, shown))]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
