"""The read side of the bus: three clients share one address and one data channel."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import BEATS_IN_FLIGHT, BURST_BEATS
from vta.hw.config import Config
from vta.hw.library.bits import count_up_down
from vta.hw.library.small_fifo import SmallFifo
from vta.hw.transfers.bus import ADDRESS_BITS, ReadClient, burst_layout

__all__ = ["READ_CHANNELS", "ReadDma"]

READ_CHANNELS = {
    "araddr": Out(ADDRESS_BITS),
    "arlen": Out(8),
    "arvalid": Out(1),
    "arready": In(1),
    "rresp": In(2),
    "rlast": In(1),
    "rvalid": In(1),
    "rready": Out(1),
}


class ReadDma(wiring.Component):
    """Arbitrates bursts by fixed priority (the lowest client first) and routes their beats.

    All bursts carry one ID, so data come back in order; a client that does not take its beat
    holds the bus. A burst is on the bus the cycle after the client offers it.

    Members
    -------
    clients: `ReadClient` of each, seen from here.
    rdata, and the signals of `READ_CHANNELS`: the AXI channels.
    stop: in, issue nothing more and, from the next cycle on, drop what still arrives.
    idle: out, no burst is issued or in flight; may rise a cycle late.
    """

    def __init__(self, config: Config, *, clients: int) -> None:
        self._config = config
        self._clients = clients
        super().__init__(
            {
                "clients": In(ReadClient(config)).array(clients),
                **READ_CHANNELS,
                "rdata": In(config.axi_data_bits),
                "stop": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken, ended = Signal(), Signal()  # a beat, the last of its burst
        owner = data.StructLayout({"client": range(self._clients), "addr": ADDRESS_BITS})
        depth = max(2, 1 << (self._config.outstanding_reads - 1).bit_length())
        m.submodules.owners = owners = SmallFifo(width=owner.size, depth=depth)
        m.d.comb += [taken.eq(self.rvalid & self.rready), ended.eq(taken & self.rlast)]
        self._issue(m, owners, owner, taken, ended)
        self._deliver(m, owners, owner, taken, ended)
        return m

    def _issue(self, m, owners, owner, taken, ended) -> None:
        burst, about = Signal(burst_layout()), Signal(owner)
        beats = Signal(range(BEATS_IN_FLIGHT + 2 * BURST_BEATS + 1))
        found, free, pushed = Signal(), Signal(), Signal()
        most = self._config.outstanding_reads
        outstanding, full = Signal(range(most + 1)), Signal()
        count_up_down(m, outstanding, pushed, ended)
        m.d.sync += full.eq(~ended & (full | (pushed & (outstanding == most - 1))))
        m.d.comb += [
            free.eq(
                (~self.arvalid | self.arready) & ~full & ~self.stop & (beats < BEATS_IN_FLIGHT)
            ),
            pushed.eq(found & free),
            about.addr.eq(burst.addr),
            owners.w_data.eq(about),
            owners.w_en.eq(pushed),
            self.idle.eq(~self.arvalid & (beats == 0)),
        ]
        for n, client in reversed(list(enumerate(self.clients))):
            with m.If(client.burst.valid):
                m.d.comb += [about.client.eq(n), burst.eq(client.burst.payload), found.eq(1)]
        others = Const(0)  # a client with priority offers a burst
        for client in self.clients:
            m.d.comb += client.burst.ready.eq(free & ~others)
            others = others | client.burst.valid
        with m.If(self.arready):
            m.d.sync += self.arvalid.eq(0)
        with m.If(pushed):
            m.d.sync += self.arvalid.eq(1)
        with m.If(free):
            m.d.sync += [self.araddr.eq(burst.addr), self.arlen.eq(burst.len)]
        # A cycle late: one burst more may go out, and `arvalid` covers the cycle for `idle`.
        was_pushed, was_taken = Signal(), Signal()
        m.d.sync += [
            was_pushed.eq(pushed),
            was_taken.eq(taken),
            beats.eq(beats + Mux(was_pushed, self.arlen + 1, 0) - was_taken),
        ]

    def _deliver(self, m, owners, owner, taken, ended) -> None:
        lane_bits = self._config.beat_bytes.bit_length() - 1
        addr = Signal(ADDRESS_BITS)  # of the burst whose beats come
        mine = Signal(self._clients)  # one-hot: whose it is; 0 while there is none
        free = Signal()
        new = data.View(owner, owners.r_data)
        m.d.comb += [free.eq(~mine.any() | ended), owners.r_en.eq(free)]
        dropping = Signal()
        m.d.sync += dropping.eq(self.stop)
        m.d.comb += self.rready.eq(dropping)
        with m.If(self.stop):
            m.d.sync += mine.eq(0)
        with m.Elif(free):
            m.d.sync += [
                addr.eq(new.addr),
                *(mine[n].eq(owners.r_rdy & (new.client == n)) for n in range(self._clients)),
            ]
        count = Signal(range(BURST_BEATS))  # of the beat within its burst
        fault = self.rresp != 0
        aligned = Cat(Const(0, lane_bits), addr[lane_bits:] + count)
        with m.If(taken):
            m.d.sync += count.eq(Mux(self.rlast, 0, count + 1))
        for n, client in enumerate(self.clients):
            m.d.comb += [
                client.beat.payload.data.eq(self.rdata),
                client.beat.valid.eq(mine[n] & self.rvalid & ~fault),
                client.fault.eq(mine[n] & self.rvalid & fault),
                client.fault_address.eq(Mux(count == 0, addr, aligned)),
            ]
            with m.If(mine[n] & client.beat.ready):
                m.d.comb += self.rready.eq(1)
