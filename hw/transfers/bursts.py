"""Cuts the rows of a two-dimensional transfer into bus bursts."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import BURST_BEATS
from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS
from vta.hw.transfers.bus import ADDRESS_BITS

__all__ = ["SPAN_BITS", "BurstGenerator", "burst_info_layout", "rows_layout"]

SPAN_BITS = 43
"""Byte addresses before the check against 2^32: base + 65535 strides of 65535 elements of 1 KiB."""


def rows_layout(config: Config) -> data.StructLayout:
    """Rows in DRAM: address of the first, bytes of each less one, bytes from one to the next."""
    return data.StructLayout(
        {
            "addr": SPAN_BITS,
            "span": 27,
            "stride": 27,
            "rows": 16,
            "sram_base": 16,
            "index": INDEX_BITS,
        }
    )


def burst_info_layout(config: Config) -> data.StructLayout:
    """A burst, where it stands in its row and transfer, and whose it is."""
    lanes = range(config.beat_bytes)
    return data.StructLayout(
        {
            "addr": ADDRESS_BITS,
            "len": range(BURST_BEATS),
            "end": lanes,  # the place of the row's last byte in its beat
            "row_end": 1,  # the burst ends the row
            "first": 1,  # of the transfer
            "last": 1,  # of the transfer
            "sram_base": 16,
            "index": INDEX_BITS,
            "overflow": 1,  # the address has more than 32 bits: must not be issued
        }
    )


class BurstGenerator(wiring.Component):
    """Turns rows into INCR bursts that end at row ends and at multiples of `BURST_BEATS` beats.

    One burst a cycle, one idle cycle between transfers; `o` follows its own ready, and comes from
    registers but for the subtraction of `len`.

    Members
    -------
    i: transfers (`rows_layout`), with rows of 1 byte or more, 1 row or more.
    o: bursts (`burst_info_layout`).
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(rows_layout(config))),
                "o": Out(stream.Signature(burst_info_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lane_bits = self._config.beat_bytes.bit_length() - 1
        chunk_bits = lane_bits + BURST_BEATS.bit_length() - 1  # bursts end at multiples of a chunk
        rows = Signal(rows_layout(self._config))
        active, first = Signal(), Signal()
        at = Signal(SPAN_BITS)  # where the next burst starts
        row = Signal(SPAN_BITS)  # where the row starts
        following = Signal(chunk_bits)  # where the row after it starts in its chunk
        chunks = Signal(28 - chunk_bits)  # to the row's last
        last_beat = Signal(range(BURST_BEATS))  # of the row, in its last chunk
        left = Signal(16)  # rows with this one
        last_row = Signal()
        out = self.o.payload
        new = self.i.payload
        taken, next_row = Signal(), Signal()
        m.d.comb += [
            taken.eq(active & self.o.ready),
            next_row.eq(taken & out.row_end & ~last_row),
            self.o.valid.eq(active),
            self.i.ready.eq(~active),
            out.addr.eq(at),
            out.len.eq(Mux(out.row_end, last_beat, BURST_BEATS - 1) - at[lane_bits:chunk_bits]),
            out.last.eq(out.row_end & last_row),
            out.first.eq(first),
            out.sram_base.eq(rows.sram_base),
            out.index.eq(rows.index),
        ]

        # The row that starts next: the transfer's first, or the one behind `row`.
        start, reach = Signal(SPAN_BITS), Signal(28)  # its address; its last byte, in its chunk
        in_chunk = Signal(chunk_bits)
        of = data.View(rows.shape(), Mux(active, rows.as_value(), new.as_value()))
        short = Signal()  # a row is no longer than a chunk
        # Past 2^32: so is every row behind it, and the first one sets the bit above.
        row_over = Signal()
        over = Signal()
        next_chunk = Cat(at[:chunk_bits] & 0, at[chunk_bits:] + 1)
        is_short = Mux(active, short, new.span[chunk_bits:] == 0)
        m.d.comb += [
            start.eq(Mux(active, row + rows.stride, new.addr)),
            in_chunk.eq(Mux(active, following, new.addr)),
            reach.eq(in_chunk + of.span),
            over.eq(Mux(active, row_over | start[ADDRESS_BITS], new.addr[ADDRESS_BITS:].any())),
        ]
        with m.If(next_row | (~active & self.i.valid)):
            m.d.sync += [
                at.eq(start),
                row.eq(start),
                row_over.eq(over),
                out.overflow.eq(over),
                following.eq(in_chunk + of.stride),
                chunks.eq(reach[chunk_bits:]),
                last_beat.eq(reach[lane_bits:]),
                out.end.eq(reach),
                out.row_end.eq(is_short & ~reach[chunk_bits]),
                left.eq(Mux(active, left - 1, new.rows)),
                last_row.eq(Mux(active, left == 2, new.rows == 1)),
            ]
        with m.Elif(taken & ~out.row_end):
            m.d.sync += [
                at.eq(next_chunk),
                out.overflow.eq(row_over | next_chunk[ADDRESS_BITS]),
                chunks.eq(chunks - 1),
                out.row_end.eq(chunks == 1),
            ]
        with m.If(~active):
            m.d.sync += active.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += [first.eq(1), rows.eq(new), short.eq(new.span[chunk_bits:] == 0)]
        with m.Elif(taken):
            m.d.sync += [active.eq(~out.last), first.eq(0)]
        return m
