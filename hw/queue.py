"""A stage's command queue."""

from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus import command_layout

__all__ = ["CommandQueue"]


class CommandQueue(wiring.Component):
    """Holds the instructions dispatched to one stage.

    The depth is architectural: an instruction counts against it from dispatch until it retires,
    wherever it is by then. Latency two cycles, one instruction a cycle.

    Members
    -------
    i: instructions from fetch; not ready while `depth` instructions are unretired.
    o: instructions to the stage, in order.
    retire: in, one instruction has retired.
    unretired: out, instructions dispatched and not retired, 0 to `depth`.
    """

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        super().__init__({
            "i": In(stream.Signature(command_layout())),
            "o": Out(stream.Signature(command_layout())),
            "retire": In(1),
            "unretired": Out(range(depth + 1)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = command_layout().size
        m.submodules.storage = storage = fifo.SyncFIFOBuffered(width=width, depth=self._depth)
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq((self.unretired != self._depth) & storage.w_rdy),
            taken.eq(self.i.valid & self.i.ready),
            storage.w_data.eq(self.i.payload),
            storage.w_en.eq(taken),
            self.o.payload.eq(storage.r_data),
            self.o.valid.eq(storage.r_rdy),
            storage.r_en.eq(self.o.ready),
        ]
        m.d.sync += self.unretired.eq(self.unretired + taken - self.retire)
        return m
