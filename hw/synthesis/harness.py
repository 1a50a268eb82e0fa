"""The core between registers, for place and route: five pins instead of hundreds."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring

from vta.hw.config import Config
from vta.hw.core import Core
from vta.hw.verilog import convert

__all__ = ["TOP", "Harness", "to_rtlil"]

TOP = "harness"


class Harness(Elaboratable):
    """Every input of the core comes from a register, every output goes to one.

    The core has more ports than a package has pins, and what stands around it in a system is
    registered. The registers form shift registers, so that no logic of the core can be removed.
    The event outputs are left open, as in any system: only a simulator looks at them.

    Attributes
    ----------
    scan_in: in, shifted through the inputs' registers.
    capture: in, the outputs' registers are copied to a shift register, whose end is
    scan_out: out.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.scan_in, self.scan_out, self.capture = Signal(), Signal(), Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = Core(self._config)
        inputs, outputs = [], []
        for path, member, value in core.signature.flatten(core):
            if str(path[0]).startswith("event_"):
                continue
            (inputs if member.flow is wiring.In else outputs).append(Value.cast(value))
        first = 0
        driven = Signal(len(Cat(inputs)), reset_less=True)
        seen, shifted = (
            Signal(len(Cat(outputs)), name=n, reset_less=True) for n in ("seen", "shifted")
        )
        m.d.comb += self.scan_out.eq(shifted[0])
        for value in inputs:
            m.d.comb += value.eq(driven[first : first + len(value)])
            first += len(value)
        m.d.sync += [
            driven.eq(Cat(driven[1:], self.scan_in)),
            seen.eq(Cat(outputs)),
            shifted.eq(Mux(self.capture, seen, shifted >> 1)),
        ]
        return m


def to_rtlil(config: Config) -> str:
    """The harness as RTLIL, top module `TOP`."""
    harness = Harness(config)
    ports = [harness.scan_in, harness.scan_out, harness.capture]
    return convert(harness, TOP, ports)
