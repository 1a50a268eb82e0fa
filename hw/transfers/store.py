"""The store stage: STORE."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from vta.hw.config import Config
from vta.hw.frontend.retire import Retire, Unit
from vta.hw.frontend.stage import SimpleStart, StagePort, choose_state, connect_retirement
from vta.hw.isa import Opcode
from vta.hw.registers import StageState
from vta.hw.transfers.bus import passed_on
from vta.hw.transfers.storer import Storer, storer_ports

__all__ = ["StoreStage"]


class StoreStage(wiring.Component):
    """Starts STOREs as soon as their tokens are there; their bursts overlap.

    Members
    -------
    port: commands, tokens, events and errors.
    The others are those of `vta.hw.transfers.storer.Storer`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({"port": Out(StagePort()), **storer_ports(config)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.start = start = SimpleStart(self._config, opcode=Opcode.STORE)
        m.submodules.storer = storer = Storer(self._config)
        m.submodules.retire = retire = Retire(units=(Unit.TRANSFER,))
        connect(m, wiring.flipped(self.port.command), start.i)
        connect(m, start.unit, storer.i)
        connect(m, start.ticket, retire.start)
        connect_retirement(m, self.port, start, retire)
        for name, member in storer_ports(self._config).items():
            inner, outer = getattr(storer, name), getattr(self, name)
            m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
        m.d.comb += [
            start.stop.eq(self.port.stop),
            storer.stop.eq(self.port.stop),
            retire.transfer_done.eq(storer.done),
            *passed_on(self.port.error, storer.error),
            self.port.busy.eq(storer.busy),
        ]
        choose_state(
            m,
            self.port.state,
            (
                (storer.waiting, StageState.WAIT_BUS),
                (storer.busy, StageState.BUSY),
                (retire.blocked_prev, StageState.WAIT_PREV_ROOM),
                (start.wait_prev, StageState.WAIT_PREV_TOKEN),
                (self.port.unretired, StageState.BUSY),
            ),
        )
        return m
