"""A dependency token counter between two stages."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vta.hw.library.bits import count_up_down

__all__ = ["TokenCounter"]


class TokenCounter(wiring.Component):
    """Counts tokens from one stage to a neighbour; drops none.

    The pushing stage reserves room when it starts an instruction that will push, and pushes when
    the instruction's effects are visible. `sound` says that every reserved push has room: a stage
    starts no further instruction while it is low, so that running ahead never frees a stream
    that would deadlock if each instruction waited for the one before (isa.md section 5).

    Members
    -------
    available: out, a token can be popped now (a token is visible one cycle after its push).
    pop: in, take a token; only while `available`.
    reserve: in, an instruction that will push has started.
    room: out, a push is taken now.
    push: in, add a token; only while `room`.
    sound: out, tokens and reservations together fit the capacity.
    count: out, tokens now, 0 to `capacity`.

    All outputs are registers, and `push`, `pop` and `reserve` may come late in the cycle.
    """

    def __init__(self, *, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}: it must be 1 or more")
        self._capacity = capacity
        super().__init__(
            {
                "available": Out(1),
                "pop": In(1),
                "reserve": In(1),
                "room": Out(1, init=1),
                "push": In(1),
                "sound": Out(1, init=1),
                "count": Out(range(capacity + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        capacity = self._capacity
        promised = Signal(range(capacity + 2))  # tokens and reservations
        count_up_down(m, self.count, self.push, self.pop)
        count_up_down(m, promised, self.reserve, self.pop)
        fills = self.push & (self.count == capacity - 1)
        exceeds = self.reserve & (promised == capacity)
        m.d.sync += [
            self.available.eq(self.push | (self.count > 1) | (self.available & ~self.pop)),
            self.room.eq(self.pop | (self.room & ~fills)),
            self.sound.eq(self.pop | (self.sound & ~exceeds)),
        ]
        return m
