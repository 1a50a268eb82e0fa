"""The ACC and OUT scratchpads: one write port fills both, zero flags make resets cheap."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.config import ZERO_FLAGS, Config
from vta.hw.isa import MemoryType
from vta.hw.library.bits import log2, sign_extended
from vta.hw.library.scratchpad import bank_writes
from vta.hw.transfers.loader import lanes_of, parts_of, write_layout

__all__ = ["AccumulatorScratchpad", "ZeroFlags", "execute_ports", "out_ports"]


def execute_ports(config: Config) -> dict[str, wiring.Member]:
    """The ports of ACC that the execution pipeline drives, seen from the scratchpad."""
    row = config.zero_row
    address = range(config.acc_depth)
    return {
        "en": In(1),
        "addr": In(address),
        "value": In(8 * config.acc_bytes),
        "reset_en": In(1),
        "reset_row": In(range(max(1, config.acc_depth // row))),
        "reset_mask": In(row),
        "busy_next": In(1),
        "d_en": In(1),
        "d_addr": In(address),
        "d_data": Out(8 * config.acc_bytes),
        "d_zero": Out(1),
        "s_en": In(1),
        "s_addr": In(address),
        "s_data": Out(8 * config.acc_bytes),
        "s_zero": Out(1),
    }


def out_ports(config: Config) -> dict[str, wiring.Member]:
    """OUT's read port, seen from the scratchpad."""
    return {
        "out_en": In(1),
        "out_pos": In(range(config.acc_depth)),
        "out_data": Out(8 * config.out_bytes * lanes_of(config, MemoryType.OUT)),
    }


class ZeroFlags(wiring.Component):
    """One bank of zero flags: an ACC entry whose flag is set reads as zero.

    Distributed RAM. A write is a read, a change under a mask and a write of one row, in a cycle.

    Members
    -------
    en, row, mask, value: in, the flags of `row` under `mask` become `value`.
    read, addr: in, look up entries of the bank; flag: out, theirs before that cycle's write, one
        cycle later, held while not `read`. The last port takes an address that comes late in its
        cycle; its flag comes late too.
    """

    def __init__(self, *, depth: int, ports: int) -> None:
        self._rows = max(1, depth // ZERO_FLAGS)
        self._ports = ports
        super().__init__(
            {
                "en": In(1),
                "row": In(range(self._rows)),
                "mask": In(ZERO_FLAGS),
                "value": In(1),
                "read": In(1).array(ports),
                "addr": In(16).array(ports),
                "flag": Out(1).array(ports),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.flags = flags = memory.Memory(shape=ZERO_FLAGS, depth=self._rows, init=[])
        write = flags.write_port()
        old = flags.read_port(domain="comb")
        m.d.comb += [
            old.addr.eq(self.row),
            write.addr.eq(self.row),
            write.en.eq(self.en),
            write.data.eq(Mux(self.value, old.data | self.mask, old.data & ~self.mask)),
        ]
        for n in range(self._ports):
            read = flags.read_port(domain="comb")
            m.d.comb += read.addr.eq(self.addr[n] >> log2(ZERO_FLAGS))
            column = self.addr[n][: log2(ZERO_FLAGS)]
            if n == self._ports - 1:
                flags_read = Signal(ZERO_FLAGS, name=f"flags_{n}")
                column_read = Signal(log2(ZERO_FLAGS), name=f"column_{n}")
                with m.If(self.read[n]):
                    m.d.sync += [flags_read.eq(read.data), column_read.eq(column)]
                m.d.comb += self.flag[n].eq(flags_read.bit_select(column_read, 1))
            else:
                with m.If(self.read[n]):
                    m.d.sync += self.flag[n].eq(read.data.bit_select(column, 1))
        return m


class AccumulatorScratchpad(wiring.Component):
    """ACC with two read ports, OUT with one, and a write port for both.

    OUT is the low OUT-width bits of ACC whatever wrote it (isa.md section 4). The pipeline's
    writes and resets go first; a load waits for a cycle without them. Where it pads, it sets zero
    flags, whatever else is written. Reads see writes of
    earlier cycles; data follow one cycle after the address and are held while not enabled.

    Members
    -------
    load: writes of LOAD ACC and ACC_8BIT (`write_layout`).
    en, addr, value: in, write one element of BATCH x BLOCK int32.
    busy_next: in, `en` or `reset_en` in the next cycle.
    reset_en, reset_row, reset_mask: in, set zero flags of a row of `Config.zero_row` entries.
    d_en, d_addr, s_en, s_addr: in; d_data, s_data: out, elements, zero instead while d_zero,
        s_zero: where they are used, that costs nothing.
    out_en, out_pos: in; out_data: out, the OUT elements of one bus beat (or the one element).
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._bits = 8 * config.acc_bytes
        self._lanes = lanes_of(config, MemoryType.OUT)
        super().__init__(
            {
                "load": In(stream.Signature(write_layout(config))),
                **execute_ports(config),
                **out_ports(config),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = self._load_values(m)
        lane_bits = log2(self._lanes)
        rows = max(1, self._config.acc_depth // self._lanes)
        load = self.load.payload
        loaded = self.load.valid & self.load.ready & self._whole
        writes = bank_writes(m, self._lanes, load.pos, load.count)
        outs = bank_writes(m, self._lanes, self.out_pos, self._lanes)
        d_reads, s_reads, out_reads = [], [], []
        for bank, ((hit, load_row, n), (_, out_row, _)) in enumerate(
            zip(writes, outs, strict=True)
        ):
            acc = memory.Memory(shape=self._bits, depth=rows, init=[])
            out = memory.Memory(shape=8 * self._config.out_bytes, depth=rows, init=[])
            flags = ZeroFlags(depth=rows, ports=3)
            m.submodules[f"acc_{bank}"] = acc
            m.submodules[f"out_{bank}"] = out
            m.submodules[f"flags_{bank}"] = flags
            mine = self.addr[:lane_bits] == bank if lane_bits else 1
            write, write_out = acc.write_port(), out.write_port()
            row = Mux(self.en, self.addr >> lane_bits, load_row)
            value = Mux(self.en, self.value, Array(values)[n])
            m.d.comb += [
                write.addr.eq(row),
                write.data.eq(value),
                write.en.eq(Mux(self.en, mine, loaded & hit)),
                write_out.addr.eq(row),
                write_out.data.eq(
                    Mux(self.en, self._truncate(self.value), self._truncate(Array(values)[n]))
                ),
                write_out.en.eq(write.en),
                flags.en.eq(write.en | self.reset_en),
                flags.row.eq(Mux(self.reset_en, self.reset_row, row >> log2(ZERO_FLAGS))),
                flags.mask.eq(
                    Mux(
                        self.reset_en,
                        Cat(self.reset_mask[bank + self._lanes * f] for f in range(ZERO_FLAGS)),
                        1 << row[: log2(ZERO_FLAGS)],
                    )
                ),
                flags.value.eq(self.reset_en | (load.zero & ~self.en)),
            ]
            for port, (reads, source, en, at) in enumerate(
                (
                    (d_reads, acc, self.d_en, self.d_addr >> lane_bits),
                    (s_reads, acc, self.s_en, self.s_addr >> lane_bits),
                    (out_reads, out, self.out_en, out_row),
                )
            ):
                read = source.read_port()
                m.d.comb += [
                    read.addr.eq(at),
                    read.en.eq(en),
                    flags.addr[port].eq(at),
                    flags.read[port].eq(en),
                ]
                reads.append((read.data, flags.flag[port]))
        for port in ("d", "s"):
            reads = {"d": d_reads, "s": s_reads}[port]
            first = self._first(m, getattr(self, f"{port}_en"), getattr(self, f"{port}_addr"))
            for target, values in zip(("data", "zero"), zip(*reads, strict=True), strict=True):
                m.d.comb += getattr(self, f"{port}_{target}").eq(self._rotated(values, first, 0))
        first = self._first(m, self.out_en, self.out_pos)
        for n in range(self._lanes):
            data, zero = (self._rotated(v, first, n) for v in zip(*out_reads, strict=True))
            element = self.out_data.word_select(n, 8 * self._config.out_bytes)
            m.d.comb += element.eq(Mux(zero, 0, data))
        return m

    def _first(self, m: Module, en, addr) -> Value:
        """The bank of the first element of a read, a cycle later."""
        first = Signal(range(self._lanes))
        with m.If(en):
            m.d.sync += first.eq(addr)
        return first

    def _rotated(self, banks: tuple, first, n: int) -> Value:
        """What the banks hold of element `n` of a read."""
        return banks[0] if self._lanes == 1 else Array(banks)[(first + n)[: log2(self._lanes)]]

    def _truncate(self, value):
        """OUT of an ACC element: the low byte of each value."""
        return Cat(value.word_select(n, 32)[:8] for n in range(self._bits // 32))

    def _load_values(self, m: Module) -> list:
        """The ACC elements that a write from the loader completes, by their place in it."""
        config = self._config
        load = self.load.payload
        beat = config.axi_data_bits
        narrow = load.memory == MemoryType.ACC_8BIT
        parts, narrow_parts = (parts_of(config, t) for t in (MemoryType.ACC, MemoryType.ACC_8BIT))
        last = Mux(narrow, narrow_parts - 1, parts - 1)
        self._whole = load.zero | (load.part == last)
        # Ready from a register: the next write may be this one, or the one that follows it.
        maybe_whole = ~self.load.valid | load.last | self._whole
        if parts > 1:
            maybe_whole = maybe_whole | (load.part + 1 == last)
        m.d.sync += self.load.ready.eq(~(self.busy_next & maybe_whole))
        collected = [Signal(beat, name=f"collected_{n}") for n in range(parts - 1)]
        for n, part in enumerate(collected):
            with m.If(self.load.valid & (load.part == n) & ~self._whole):
                m.d.sync += part.eq(load.data)

        def elements(nbytes: int, count: int) -> Array:
            raw = Cat(*collected[: count - 1], load.data) if count > 1 else load.data
            return Array([raw.word_select(n, 8 * nbytes) for n in range(len(raw) // 8 // nbytes)])

        wide_elements = elements(config.acc_bytes, parts)
        narrow_elements = elements(config.out_bytes, narrow_parts)
        values = []
        for n in range(self._lanes):
            lane = (load.lane + n)[: log2(self._lanes)] if self._lanes > 1 else 0
            wide = wide_elements[lane if len(wide_elements) > 1 else 0]
            small = Signal(8 * config.out_bytes, name=f"small_{n}")
            value = Signal(self._bits, name=f"load_value_{n}")
            m.d.comb += small.eq(narrow_elements[lane if len(narrow_elements) > 1 else 0])
            small_values = [small.word_select(k, 8) for k in range(config.out_bytes)]
            widened = Cat(sign_extended(byte, 32) for byte in small_values)
            m.d.comb += value.eq(Mux(narrow, widened, wide))
            values.append(value)
        return values
