"""The load stage: LOAD INP and WGT."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from vta.hw.config import Config
from vta.hw.frontend.retire import Retire, Unit
from vta.hw.frontend.stage import SimpleStart, StagePort, choose_state, connect_retirement
from vta.hw.isa import MemoryType, Opcode
from vta.hw.registers import StageState
from vta.hw.transfers.bus import ADDRESS_BITS, ReadClient, passed_on
from vta.hw.transfers.loader import Loader, write_layout

__all__ = ["LoadStage"]

MEMORIES = (MemoryType.INP, MemoryType.WGT)


class LoadStage(wiring.Component):
    """Starts LOADs as soon as their tokens are there; the loader runs ahead on the bus.

    Members
    -------
    port: commands, tokens, events and errors.
    inp_base, wgt_base: in, base registers.
    read: the DMA client.
    write, write_valid: out, writes to INP and WGT, by `write.memory`; always taken.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "port": Out(StagePort()),
                "inp_base": In(ADDRESS_BITS),
                "wgt_base": In(ADDRESS_BITS),
                "read": Out(ReadClient(config)),
                "write": Out(write_layout(config)),
                "write_valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.start = start = SimpleStart(self._config, opcode=Opcode.LOAD)
        m.submodules.loader = loader = Loader(self._config, memories=MEMORIES)
        m.submodules.retire = retire = Retire(units=(Unit.TRANSFER,))
        connect(m, wiring.flipped(self.port.command), start.i)
        connect(m, start.unit, loader.i)
        connect(m, start.ticket, retire.start)
        connect(m, loader.read, wiring.flipped(self.read))
        connect_retirement(m, self.port, start, retire)
        busy = loader.pending != 0
        m.d.comb += [
            start.stop.eq(self.port.stop),
            loader.stop.eq(self.port.stop),
            loader.bases[0].eq(self.inp_base),
            loader.bases[1].eq(self.wgt_base),
            self.write.eq(loader.write.payload),
            self.write_valid.eq(loader.write.valid),
            loader.write.ready.eq(1),
            retire.transfer_done.eq(loader.done),
            *passed_on(self.port.error, loader.error),
            self.port.busy.eq(busy),
        ]
        choose_state(
            m,
            self.port.state,
            (
                (loader.waiting, StageState.WAIT_BUS),
                (busy, StageState.BUSY),
                (retire.blocked_next, StageState.WAIT_NEXT_ROOM),
                (start.wait_next, StageState.WAIT_NEXT_TOKEN),
                (self.port.unretired, StageState.BUSY),
            ),
        )
        return m
