"""A stage's command queue."""

from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.library.bits import count_up_down
from vta.hw.transfers.bus import command_layout

__all__ = ["CommandQueue"]


class CommandQueue(wiring.Component):
    """Holds the instructions dispatched to one stage.

    The depth is architectural: an instruction counts against it from dispatch until it retires,
    wherever it is by then. Latency three cycles, one instruction a cycle; `o` and `i.ready`
    come from registers.

    Members
    -------
    i: instructions from fetch; not ready while `depth` instructions are unretired.
    o: instructions to the stage, in order.
    retire: in, one instruction has retired.
    unretired: out, instructions dispatched and not retired, 0 to `depth`.
    """

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(command_layout())),
                "o": Out(stream.Signature(command_layout())),
                "retire": In(1),
                "unretired": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = command_layout().size
        # One more than ever stands in it, so that it always has room.
        m.submodules.storage = storage = fifo.SyncFIFOBuffered(width=width, depth=self._depth + 1)
        taken, full = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            taken.eq(self.i.valid & ~full),
            storage.w_data.eq(self.i.payload),
            storage.w_en.eq(taken),
            storage.r_en.eq(~self.o.valid),
        ]
        with m.If(storage.r_en):  # behind a block RAM, whose data come late in the cycle
            m.d.sync += self.o.valid.eq(storage.r_rdy)
            with m.If(storage.r_rdy):
                m.d.sync += self.o.payload.eq(storage.r_data)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        count_up_down(m, self.unretired, taken, self.retire)
        fills = taken & (self.unretired == self._depth - 1)
        m.d.sync += full.eq(~self.retire & (full | fills))
        return m
