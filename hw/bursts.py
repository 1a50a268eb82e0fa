"""Cuts the rows of a two-dimensional transfer into bus bursts."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus import ADDRESS_BITS, BURST_BEATS
from hw.config import Config
from hw.isa import INDEX_BITS

__all__ = ["SPAN_BITS", "BurstGenerator", "burst_info_layout", "rows_layout"]

SPAN_BITS = 43
"""Byte addresses before the check against 2^32: base + 65535 strides of 65535 elements of 1 KiB."""


def rows_layout(config: Config) -> data.StructLayout:
    """Rows in DRAM: address of the first, bytes of each (not 0), bytes from one to the next."""
    return data.StructLayout({
        "addr": SPAN_BITS,
        "nbytes": 27,
        "stride": 27,
        "rows": 16,
        "sram_base": 16,
        "index": INDEX_BITS,
    })  # fmt: skip


def burst_info_layout(config: Config) -> data.StructLayout:
    """A burst, where it stands in its row and transfer, and whose it is."""
    lanes = range(config.beat_bytes)
    return data.StructLayout({
        "addr": ADDRESS_BITS,
        "len": range(BURST_BEATS),
        "end": lanes,  # the place of the row's last byte in its beat
        "row_end": 1,  # the burst ends the row
        "first": 1,  # of the transfer
        "last": 1,  # of the transfer
        "sram_base": 16,
        "index": INDEX_BITS,
        "overflow": 1,  # the address has more than 32 bits: must not be issued
    })  # fmt: skip


class BurstGenerator(wiring.Component):
    """Turns rows into INCR bursts that end at row ends and at multiples of `BURST_BEATS` beats.

    One burst a cycle, one idle cycle between transfers; `o` follows its own ready.

    Members
    -------
    i: transfers (`rows_layout`), with rows of 1 byte or more, 1 row or more.
    o: bursts (`burst_info_layout`).
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({
            "i": In(stream.Signature(rows_layout(config))),
            "o": Out(stream.Signature(burst_info_layout(config))),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lane_bits = self._config.beat_bytes.bit_length() - 1
        rows = Signal(rows_layout(self._config))
        active, first = Signal(), Signal()
        at = Signal(SPAN_BITS)  # where the next burst starts
        beats = Signal(27)  # left of the row
        left = Signal(16)  # rows after this one
        row = Signal(SPAN_BITS)  # where the row starts

        def beats_of(addr, nbytes):  # a row's beats, from its place in the first one
            return (addr[:lane_bits] + nbytes + (1 << lane_bits) - 1) >> lane_bits

        room = Signal(range(BURST_BEATS + 1))  # beats to the boundary
        in_chunk = at[lane_bits:][: BURST_BEATS.bit_length() - 1]
        row_end, taken = Signal(), Signal()
        length = Signal(range(BURST_BEATS + 1))
        next_row = Signal(SPAN_BITS)
        out = self.o.payload
        m.d.comb += [
            room.eq(BURST_BEATS - in_chunk),
            row_end.eq(beats <= room),
            length.eq(Mux(row_end, beats, room)),
            next_row.eq(row + rows.stride),
            taken.eq(active & self.o.ready),
            self.o.valid.eq(active),
            out.addr.eq(at),
            out.len.eq(length - 1),
            out.end.eq(row[:lane_bits] + rows.nbytes - 1),
            out.row_end.eq(row_end),
            out.first.eq(first),
            out.last.eq(row_end & (left == 0)),
            out.sram_base.eq(rows.sram_base),
            out.index.eq(rows.index),
            out.overflow.eq(at[ADDRESS_BITS:].any()),
            self.i.ready.eq(~active),
        ]
        with m.If(taken):
            m.d.sync += first.eq(0)
            with m.If(~row_end):
                m.d.sync += [
                    at.eq(Cat(at[:lane_bits] & 0, at[lane_bits:] + length)),
                    beats.eq(beats - length),
                ]
            with m.Elif(left != 0):
                m.d.sync += [
                    at.eq(next_row),
                    row.eq(next_row),
                    beats.eq(beats_of(next_row, rows.nbytes)),
                    left.eq(left - 1),
                ]
            with m.Else():
                m.d.sync += active.eq(0)
        with m.If(self.i.valid & self.i.ready):
            new = self.i.payload
            m.d.sync += [
                rows.eq(new),
                active.eq(1),
                first.eq(1),
                at.eq(new.addr),
                row.eq(new.addr),
                beats.eq(beats_of(new.addr, new.nbytes)),
                left.eq(new.rows - 1),
            ]
        return m
