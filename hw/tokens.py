"""A dependency token counter between two stages."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

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
    """

    def __init__(self, *, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}: it must be 1 or more")
        self._capacity = capacity
        super().__init__({
            "available": Out(1),
            "pop": In(1),
            "reserve": In(1),
            "room": Out(1),
            "push": In(1),
            "sound": Out(1),
            "count": Out(range(capacity + 1)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        promised = Signal(range(2 * self._capacity + 2))  # tokens and reservations
        m.d.sync += [
            self.count.eq(self.count + self.push - self.pop),
            promised.eq(promised + self.reserve - self.pop),
        ]
        m.d.comb += [
            self.available.eq(self.count != 0),
            self.room.eq(self.count != self._capacity),
            self.sound.eq(promised <= self._capacity),
        ]
        return m
