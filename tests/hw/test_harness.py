"""A unit test that times out says which side of each handshake waits."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.hw.harness import receive, send, simulate


class _Stuck(wiring.Component):
    """Takes nothing at `i`, offers `o` all the time, and never anything at `axi_w`."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))
    wvalid: Out(1)
    wready: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.valid.eq(1)
        return m


def test_a_timeout_says_who_waits() -> None:
    dut = _Stuck()
    with pytest.raises(TimeoutError, match="after 50 cycles these have not ended") as caught:
        simulate(dut, send(dut.i, [1]), cycles=50)
    lines = str(caught.value).splitlines()
    assert "sender" in lines[0]
    assert lines[1:] == [
        "  i: the test offers, the unit does not take it",
        "  o: the unit offers, the test does not take it",
        "  w: neither side wants anything",
    ]


def test_a_receiver_that_waits() -> None:
    dut = _Stuck()

    async def ready(ctx) -> None:
        ctx.set(dut.wready, 1)
        await ctx.tick().repeat(100)

    with pytest.raises(TimeoutError) as caught:
        simulate(dut, ready, receive(dut.o, 100, []), cycles=50)
    text = str(caught.value)
    assert "o: the unit offers, the test takes" in text
    assert "w: the test waits, the unit offers nothing" in text
