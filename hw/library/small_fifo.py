"""A small first in, first out queue whose flags are registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.library.bits import count_up_down, log2

__all__ = ["SmallFifo"]


class SmallFifo(wiring.Component):
    """An entry can be read the cycle after it was written, from LUT RAM; one of each a cycle.

    As `amaranth.lib.fifo.SyncFIFO`, but `w_en` and `r_en` may come late in the cycle: they pass a
    gate or two, and `w_rdy` and `r_rdy` are registers.

    Members
    -------
    w_data, w_en: in, write; only while w_rdy.
    r_data: out, the oldest entry while r_rdy; r_en: in, drop it; ignored without one.

    Raises
    ------
    ValueError
        for a depth that is not a power of two, 2 or more.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        if log2(depth) < 1:
            raise ValueError(f"depth is {depth}: it must be 2 or more")
        self._width = width
        self._depth = depth
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "w_rdy": Out(1, init=1),
                "r_data": Out(width),
                "r_en": In(1),
                "r_rdy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self._depth
        m.submodules.storage = storage = memory.Memory(shape=self._width, depth=depth, init=[])
        write, read = storage.write_port(), storage.read_port(domain="comb")
        level, gone = Signal(range(depth + 1)), Signal()
        m.d.comb += [
            gone.eq(self.r_en & self.r_rdy),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
            self.r_data.eq(read.data),
        ]
        with m.If(self.w_en):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(gone):
            m.d.sync += read.addr.eq(read.addr + 1)
        count_up_down(m, level, self.w_en, gone)
        fills = self.w_en & (level == depth - 1)
        m.d.sync += [
            self.r_rdy.eq(self.w_en | (level > 1) | (self.r_rdy & ~self.r_en)),
            self.w_rdy.eq(gone | (self.w_rdy & ~fills)),
        ]
        return m
