"""Token counters: none dropped, none invented, every promised push finds room."""

from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib.wiring import In

from vta.hw.formal.prove import Properties
from vta.hw.frontend.tokens import TokenCounter

__all__ = ["TokenProperties"]

GHOST_BITS = 12


class TokenProperties(Properties):
    """A counter between two stages that keep to its protocol, doing anything else they like.

    Proved for all time:

    - `count` is what was pushed less what was popped;
    - a push is refused only by a full counter, a pop only by an empty one;
    - while `sound`, all pushes owed fit at once, even if nothing is popped any more.
    """

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        super().__init__({name: In(1) for name in ("reserve", "push", "pop")})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = TokenCounter(capacity=self._capacity)
        pushed, popped, owed = (Signal(GHOST_BITS, name=n) for n in ("pushed", "popped", "owed"))
        m.d.comb += [
            dut.reserve.eq(self.reserve),
            dut.push.eq(self.push),
            dut.pop.eq(self.pop),
            Assume(~self.reserve | dut.sound),
            Assume(~self.push | ((owed != 0) & dut.room)),
            Assume(~self.pop | dut.available),
        ]
        m.d.sync += [
            pushed.eq(pushed + self.push),
            popped.eq(popped + self.pop),
            owed.eq(owed + self.reserve - self.push),
        ]
        promised = self.probe("dut.promised", range(self._capacity + 2))
        m.d.comb += [
            Assert(dut.count == (pushed - popped)[:GHOST_BITS]),
            Assert(dut.count <= self._capacity),
            Assert(dut.room == (dut.count != self._capacity)),
            Assert(dut.available == (dut.count != 0)),
            Assert(promised == dut.count + owed),
            Assert(promised <= self._capacity + 1),  # one instruction a cycle may have started
            Assert(dut.sound == (dut.count + owed <= self._capacity)),
        ]
        return m
