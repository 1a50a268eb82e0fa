"""Every channel that leaves a unit holds what it offers until it is taken."""

from collections.abc import Callable

from amaranth.hdl import Assert, Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from vta.hw.compute.sequencer import Sequencer
from vta.hw.config import Config
from vta.hw.formal.prove import Properties
from vta.hw.frontend.control import Control
from vta.hw.isa import MemoryType
from vta.hw.transfers.dma import ReadDma
from vta.hw.transfers.loader import Loader
from vta.hw.transfers.storer import Storer

__all__ = ["CHANNELS", "HeldProperties"]

SMALL = Config(
    log_block=2,
    log_uop_buff_size=8,
    log_inp_buff_size=8,
    log_wgt_buff_size=10,
    log_acc_buff_size=10,
    axi_data_bits=32,
    outstanding_reads=2,
    outstanding_writes=2,
)

CHANNELS: dict[str, tuple[Callable[[], wiring.Component], tuple[tuple[str, ...], ...]]] = {
    "read address": (
        lambda: ReadDma(SMALL, clients=3),
        (("arvalid", "arready", "araddr", "arlen"),),
    ),
    "write address and data": (
        lambda: Storer(SMALL),
        (
            ("awvalid", "awready", "awaddr", "awlen"),
            ("wvalid", "wready", "wdata", "wstrb", "wlast"),
        ),
    ),
    "registers": (
        lambda: Control(SMALL),
        (
            ("bus__bvalid", "bus__bready", "bus__bresp"),
            ("bus__rvalid", "bus__rready", "bus__rdata", "bus__rresp"),
        ),
    ),
    "loads": (
        lambda: Loader(SMALL, memories=(MemoryType.INP, MemoryType.WGT)),
        (("write__valid", "write__ready", "write__payload"),),
    ),
    "steps": (lambda: Sequencer(SMALL), (("o__valid", "o__ready", "o__payload"),)),
}
"""What drives channels, and for each of them its valid, its ready and its payload."""


class HeldProperties(Properties):
    """A unit whose inputs do anything in every cycle.

    Proved for all time: where a channel is valid and not ready, it is valid in the next cycle,
    too, with the same payload. (AXI demands it, and Amaranth of its streams.)
    """

    def __init__(self, name: str) -> None:
        make, self._channels = CHANNELS[name]
        self._dut = make()
        inputs = {
            "__".join(map(str, path)): In(value.shape())
            for path, member, value in self._dut.signature.flatten(self._dut)
            if member.flow is In
        }
        super().__init__(inputs)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = self._dut
        ports = {}
        for path, member, value in self._dut.signature.flatten(self._dut):
            name = "__".join(map(str, path))
            ports[name] = Value.cast(value)
            if member.flow is In:
                m.d.comb += ports[name].eq(Value.cast(getattr(self, name)))
        for n, (valid, ready, *payload) in enumerate(self._channels):
            now = Cat(ports[name] for name in payload)
            before, offered = Signal(len(now), name=f"before_{n}"), Signal(name=f"offered_{n}")
            m.d.sync += [before.eq(now), offered.eq(ports[valid] & ~ports[ready])]
            with m.If(offered):
                m.d.comb += Assert(ports[valid] & (now == before))
        return m
