"""The read side of the bus: three clients share one address and one data channel."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from hw.bus import ADDRESS_BITS, BURST_BEATS, ReadClient, burst_layout
from hw.config import Config

__all__ = ["READ_CHANNELS", "ReadDma"]

READ_CHANNELS = {
    "araddr": Out(ADDRESS_BITS), "arlen": Out(8), "arvalid": Out(1), "arready": In(1),
    "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1),
}  # fmt: skip
BEATS_IN_FLIGHT = 512
"""Read beats ordered ahead: covers a latency of 448 cycles, and bounds how long one client's
burst stands behind another's."""


class ReadDma(wiring.Component):
    """Arbitrates bursts by fixed priority (the lowest client first) and routes their beats.

    All bursts carry one ID, so data come back in order; a client that does not take its beat
    holds the bus. A burst is on the bus the cycle after the client offers it.

    Members
    -------
    clients: `ReadClient` of each, seen from here.
    rdata, and the signals of `READ_CHANNELS`: the AXI channels.
    stop: in, issue nothing more and drop what still arrives.
    idle: out, no burst is issued, waiting or in flight.
    """

    def __init__(self, config: Config, *, clients: int) -> None:
        self._config = config
        self._clients = clients
        super().__init__({
            "clients": In(ReadClient(config)).array(clients),
            **READ_CHANNELS,
            "rdata": In(config.axi_data_bits),
            "stop": In(1),
            "idle": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        owner = data.StructLayout({"client": range(self._clients), "burst": burst_layout()})
        m.submodules.owners = owners = fifo.SyncFIFOBuffered(
            width=owner.size, depth=self._config.outstanding_reads
        )
        pushed = Signal()
        self._issue(m, owners, owner, pushed)
        self._deliver(m, owners, owner)
        return m

    def _issue(self, m, owners, owner, pushed) -> None:
        chosen = Signal(owner)
        found = Signal()
        beats = Signal(range(BEATS_IN_FLIGHT + BURST_BEATS + 1))
        m.d.comb += chosen.client.eq(0)
        for n, client in reversed(list(enumerate(self.clients))):
            with m.If(client.burst.valid):
                m.d.comb += [
                    chosen.client.eq(n),
                    chosen.burst.eq(client.burst.payload),
                    found.eq(1),
                ]
        free = Signal()
        m.d.comb += [
            free.eq((~self.arvalid | self.arready) & owners.w_rdy & ~self.stop
                    & (beats < BEATS_IN_FLIGHT)),
            pushed.eq(found & free),
            owners.w_data.eq(chosen),
            owners.w_en.eq(pushed),
            self.idle.eq(~self.arvalid & (beats == 0)),
        ]  # fmt: skip
        for n, client in enumerate(self.clients):
            m.d.comb += client.burst.ready.eq(free & (chosen.client == n))
        taken = self.rvalid & self.rready
        m.d.sync += beats.eq(beats + Mux(pushed, chosen.burst.len + 1, 0) - taken)
        with m.If(self.arready):
            m.d.sync += self.arvalid.eq(0)
        with m.If(pushed):
            m.d.sync += [
                self.arvalid.eq(1),
                self.araddr.eq(chosen.burst.addr),
                self.arlen.eq(chosen.burst.len),
            ]

    def _deliver(self, m, owners, owner) -> None:
        lane_bits = self._config.beat_bytes.bit_length() - 1
        head = data.View(owner, owners.r_data)
        count = Signal(range(BURST_BEATS))  # of the beat within its burst
        fault = self.rresp != 0
        aligned = Cat(Const(0, lane_bits), head.burst.addr[lane_bits:] + count)
        address = Mux(count == 0, head.burst.addr, aligned)
        taken = Signal()
        m.d.comb += [taken.eq(self.rvalid & self.rready), owners.r_en.eq(taken & self.rlast)]
        with m.If(taken):
            m.d.sync += count.eq(Mux(self.rlast, 0, count + 1))
        for n, client in enumerate(self.clients):
            mine = owners.r_rdy & (head.client == n)
            m.d.comb += [
                client.beat.payload.data.eq(self.rdata),
                client.beat.valid.eq(mine & self.rvalid & ~fault & ~self.stop),
                client.fault.eq(mine & self.rvalid & fault & ~self.stop),
                client.fault_address.eq(address),
            ]
            with m.If(mine & (client.beat.ready | self.stop)):
                m.d.comb += self.rready.eq(1)
