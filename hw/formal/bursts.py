"""Bursts: each row's bytes exactly once and in order, and AXI's rules, for rows of any shape."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib.wiring import In

from vta.hw.capacities import BURST_BEATS
from vta.hw.config import Config
from vta.hw.formal.prove import Properties
from vta.hw.library.scratchpad import log2
from vta.hw.transfers.bursts import SPAN_BITS, BurstGenerator, rows_layout
from vta.hw.transfers.bus import ADDRESS_BITS

__all__ = ["BurstProperties"]

PAGE_BITS = 12  # 4 KiB


class BurstProperties(Properties):
    """A generator given any transfers, and taken from at any time but past 2^32.

    Proved for all time:

    - a burst starts at the first byte that is still to come, and ends at the row's end or at a
      multiple of `BURST_BEATS` beats, whichever is nearer: so the bursts of a row are its bytes,
      once and in order;
    - a row starts `stride` bytes behind the one before, and there are `rows` of them;
    - no burst crosses 4 KiB, and one that starts beyond 2^32 is marked;
    - a burst that is offered stays as it is until it is taken.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({"rows": In(rows_layout(config)), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = BurstGenerator(self._config)
        taken = Signal()
        m.d.comb += [
            dut.i.payload.eq(self.rows),
            dut.i.valid.eq(self.valid),
            dut.o.ready.eq(taken),
            taken.eq(dut.o.valid & self.ready & ~dut.o.payload.overflow),
            Assume(self.rows.rows != 0),
            Assume(self.rows.span < 65535 * 1024),  # the largest row of any configuration
        ]
        rows = Signal(rows_layout(self._config))  # the transfer
        active, first = Signal(), Signal()
        row, at = Signal(SPAN_BITS), Signal(SPAN_BITS)  # where the row and its rest start
        rest, left = Signal(27), Signal(16)  # bytes of the row, rows with this one, to come
        length = self._check(m, dut.o.payload, dut.o.valid, rows, first, at, rest, left)
        with m.If(taken):
            m.d.sync += first.eq(0)
            with m.If(dut.o.payload.row_end):
                m.d.sync += [
                    row.eq(row + rows.stride),
                    at.eq(row + rows.stride),
                    rest.eq(rows.span + 1),
                    left.eq(left - 1),
                    active.eq(left != 1),
                ]
            with m.Else():
                m.d.sync += [at.eq(at + length), rest.eq(rest - length)]
        with m.If(self.valid & dut.i.ready):
            new = self.rows
            m.d.sync += [
                rows.eq(new),
                active.eq(1),
                first.eq(1),
                row.eq(new.addr),
                at.eq(new.addr),
                rest.eq(new.span + 1),
                left.eq(new.rows),
            ]
        m.d.comb += [Assert(dut.o.valid == active), Assert(dut.i.ready == ~active)]
        self._check_held(m, dut.o)
        self._invariants(m, rows, active, row, at, rest, left)
        return m

    def _check(self, m: Module, burst, valid, rows, first, at, rest, left):
        """The burst on offer against what is to come; returns its bytes, but in a row's last."""
        lane_bits = log2(self._config.beat_bytes)
        chunk = lane_bits + log2(BURST_BEATS)
        length, end = Signal(chunk + 1), Signal(28)
        beat = at[lane_bits:]
        last_beat = Signal(SPAN_BITS)
        to_boundary = BURST_BEATS - 1 - beat[: log2(BURST_BEATS)]  # beats, without this one
        m.d.comb += [
            length.eq((1 << chunk) - at[:chunk]),
            end.eq(at[:lane_bits] + rest - 1),  # of the row, from the first beat's first byte
            last_beat.eq(beat + burst.len),
        ]
        with m.If(valid):
            m.d.comb += [
                Assert(burst.addr == at[:ADDRESS_BITS]),
                Assert(burst.overflow == (at >> ADDRESS_BITS != 0)),
                Assert(burst.row_end == (rest <= length)),
                Assert(burst.len == Mux(burst.row_end, end >> lane_bits, to_boundary)),
                Assert((last_beat >> (PAGE_BITS - lane_bits)) == (at >> PAGE_BITS)),
                Assert(burst.first == first),
                Assert(burst.last == (burst.row_end & (left == 1))),
                Assert(burst.sram_base == rows.sram_base),
                Assert(burst.index == rows.index),
            ]
            m.d.comb += Assert(burst.end == end[:lane_bits])
        return length

    def _check_held(self, m: Module, o) -> None:
        payload, offered = Signal.like(o.payload), Signal()
        m.d.sync += [payload.eq(o.payload), offered.eq(o.valid & ~o.ready)]
        with m.If(offered):
            m.d.comb += Assert(o.valid & (o.payload.as_value() == payload.as_value()))

    def _invariants(self, m: Module, rows, active, row, at, rest, left) -> None:
        """What the generator's registers hold, so that the proof is by induction."""
        lane_bits = log2(self._config.beat_bytes)
        chunk = lane_bits + log2(BURST_BEATS)
        reach = Signal(29)  # the row's last byte, from the chunk of `at` on
        m.d.comb += reach.eq(at[:chunk] + rest - 1)
        probed = {
            name: self.probe(f"dut.{name}", shape)
            for name, shape in (
                ("at", SPAN_BITS),
                ("row", SPAN_BITS),
                ("following", chunk),
                ("chunks", 28 - chunk),
                ("last_beat", log2(BURST_BEATS)),
                ("left", 16),
                ("last_row", 1),
                ("short", 1),
                ("row_over", 1),
                ("rows", rows_layout(self._config).size),
            )
        }
        done = Signal(SPAN_BITS)
        m.d.comb += done.eq(at - row)
        with m.If(active):
            m.d.comb += [
                Assert(probed["at"] == at),
                Assert(probed["row"] == row),
                Assert(probed["left"] == left),
                Assert(probed["last_row"] == (left == 1)),
                Assert(probed["short"] == (rows.span >> chunk == 0)),
                Assert(probed["row_over"] == (row >> ADDRESS_BITS != 0)),
                Assert(probed["following"] == (row + rows.stride)[:chunk]),
                Assert(probed["chunks"] == reach >> chunk),
                Assert(probed["last_beat"] == reach[lane_bits:chunk]),
                Assert(probed["rows"] == rows.as_value()),
                Assert((rest != 0) & (left != 0)),
                Assert(done + rest == rows.span + 1),
                Assert((row >> ADDRESS_BITS == 0) | (done == 0)),  # nothing past 2^32 is taken
                Assert((done == 0) | (at[:lane_bits] == 0)),
                Assert(rows.span < 65535 * 1024),
            ]
