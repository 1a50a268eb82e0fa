"""STORE, without its tokens: checks, bursts, write data, responses."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import BURST_BEATS, BURSTS_AHEAD
from vta.hw.compute.accumulator import out_ports
from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS, ErrorClass, MemoryType, Opcode, instruction_layout
from vta.hw.library.bits import count_up_down, log2
from vta.hw.library.small_fifo import SmallFifo
from vta.hw.transfers.bursts import BurstGenerator
from vta.hw.transfers.bus import ADDRESS_BITS, ErrorPort, command_layout
from vta.hw.transfers.writer import lanes_of, parts_of

__all__ = ["WRITE_CHANNELS", "Storer", "storer_ports"]

WRITE_CHANNELS = {
    "awaddr": Out(ADDRESS_BITS),
    "awlen": Out(8),
    "awvalid": Out(1),
    "awready": In(1),
    "wlast": Out(1),
    "wvalid": Out(1),
    "wready": In(1),
    "bresp": In(2),
    "bvalid": In(1),
    "bready": Out(1),
}


def storer_ports(config: Config) -> dict[str, wiring.Member]:
    """What the store stage passes on: the base register, OUT's read port, the write channels."""
    return {
        "base": In(ADDRESS_BITS),
        **{name: member.flip() for name, member in out_ports(config).items()},
        **WRITE_CHANNELS,
        "wdata": Out(config.axi_data_bits),
        "wstrb": Out(config.beat_bytes),
        "idle": Out(1),
    }


class Storer(wiring.Component):
    """Executes STOREs in order, several bursts in flight.

    A burst's data follow its address; data are a beat a cycle without gaps, across bursts, rows
    and instructions. An instruction is done with its last response.

    Members
    -------
    i: STORE instructions that transfer something, whose tokens are taken.
    base: in, the OUT base register.
    out_en, out_pos, out_data: OUT's read port.
    wdata, wstrb, and the signals of `WRITE_CHANNELS`: the AXI channels.
    done: out, an instruction's last response is in.
    busy: out, something is in flight; waiting: out, the bus keeps data or a response waiting.
    stop: in, issue no more addresses, and give issued bursts beats without strobes.
    idle: out, no burst is on the bus or waiting for it.
    error: SRAM_BOUNDS or BUS_ERROR.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lanes = lanes_of(config, MemoryType.OUT)
        super().__init__(
            {
                "i": In(stream.Signature(command_layout())),
                **storer_ports(config),
                "done": Out(1),
                "busy": Out(1),
                "waiting": Out(1),
                "stop": In(1),
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.bursts = bursts = BurstGenerator(config)
        data_burst = data.StructLayout(
            {
                "len": range(BURST_BEATS),
                "first": 1,
                "start": range(config.beat_bytes),
                "end": range(config.beat_bytes),
                "row_end": 1,
                "sram_base": 16,
            }
        )
        owner = data.StructLayout({"addr": ADDRESS_BITS, "index": INDEX_BITS, "last": 1})
        m.submodules.ahead = ahead = SmallFifo(width=data_burst.size, depth=BURSTS_AHEAD)
        m.submodules.owners = owners = fifo.SyncFIFOBuffered(
            width=owner.size, depth=config.outstanding_writes + 1
        )
        pending = Signal(8)  # instructions accepted and not done
        accepted = self.i.valid & self.i.ready
        count_up_down(m, pending, accepted, self.done)
        m.d.comb += [
            self.busy.eq(pending != 0),
            self.idle.eq(
                ~self.awvalid
                & ~ahead.r_rdy
                & ~owners.r_rdy
                & (owners.level == 0)
                & ~self._sending(m, ahead, data_burst)
            ),
        ]
        self._plan(m, bursts)
        self._address(m, bursts, ahead, data_burst, owners, owner)
        self._respond(m, owners, owner)
        m.d.comb += self.waiting.eq(
            (self.wvalid & ~self.wready) | (~self.wvalid & self.busy & owners.r_rdy)
        )
        return m

    def _plan(self, m: Module, bursts: BurstGenerator) -> None:
        """Two pipeline stages from an instruction to its rows: the extent, then its bounds."""
        config = self._config
        shift = log2(config.out_bytes)
        stores = instruction_layout(config, Opcode.STORE)
        new = data.View(stores, self.i.payload.bits)
        valid = [Signal(name=f"plan_valid_{n}") for n in range(2)]
        bad = Signal()
        rows_0, rows_1 = (Signal.like(bursts.i.payload, name=f"rows_{n}") for n in range(2))
        extent = Signal(32)
        room = Signal(signed(18))  # from sram_base to OUT's end
        go = ~valid[1] | (bursts.i.ready & ~bad)
        # A STORE every other cycle at most: `i.ready` depends on little.
        m.d.comb += self.i.ready.eq(~valid[0] & ~self.stop)
        with m.If(~valid[0]):
            m.d.sync += [
                valid[0].eq(self.i.valid & ~self.stop),
                rows_0.addr.eq(self.base + (new.dram_base << shift)),
                rows_0.span.eq((new.x_size << shift) - 1),
                rows_0.stride.eq(new.x_stride << shift),
                rows_0.rows.eq(new.y_size),
                rows_0.sram_base.eq(new.sram_base),
                rows_0.index.eq(self.i.payload.index),
                extent.eq(new.x_size * new.y_size),
                room.eq(config.acc_depth - new.sram_base),
            ]
        with m.Elif(go):
            m.d.sync += valid[0].eq(0)
        with m.If(go):
            m.d.sync += valid[1].eq(valid[0])
        with m.If(go & valid[0]):
            m.d.sync += [rows_1.eq(rows_0), bad.eq(extent > room)]
        m.d.comb += [bursts.i.payload.eq(rows_1), bursts.i.valid.eq(valid[1] & ~bad)]
        with m.If(valid[1] & bad):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
                self.error.index.eq(rows_1.index),
            ]

    def _address(self, m, bursts, ahead, data_burst, owners, owner) -> None:
        """The AW channel, from a register; data and response units learn of each burst."""
        lane_bits = log2(self._config.beat_bytes)
        burst = bursts.o.payload
        free, issue = Signal(), Signal()
        most = self._config.outstanding_writes
        outstanding, full = Signal(range(most + 1)), Signal()
        ended = self.bvalid & self.bready
        count_up_down(m, outstanding, issue, ended)
        m.d.sync += full.eq(~ended & (full | (issue & (outstanding == most - 1))))
        about_data = data.View(data_burst, ahead.w_data)
        about_owner = data.View(owner, owners.w_data)
        m.d.comb += [
            free.eq((~self.awvalid | self.awready) & ahead.w_rdy & ~full & ~self.stop),
            issue.eq(bursts.o.valid & free & ~burst.overflow),
            bursts.o.ready.eq(issue),
            about_data.len.eq(burst.len),
            about_data.first.eq(burst.first),
            about_data.start.eq(burst.addr[:lane_bits]),
            about_data.end.eq(burst.end),
            about_data.row_end.eq(burst.row_end),
            about_data.sram_base.eq(burst.sram_base),
            about_owner.addr.eq(burst.addr),
            about_owner.index.eq(burst.index),
            about_owner.last.eq(burst.last),
            ahead.w_en.eq(issue),
            owners.w_en.eq(issue),
        ]
        with m.If(self.awready):
            m.d.sync += self.awvalid.eq(0)
        with m.If(issue):
            m.d.sync += [self.awvalid.eq(1), self.awaddr.eq(burst.addr), self.awlen.eq(burst.len)]
        with m.If(bursts.o.valid & burst.overflow):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.BUS_ERROR),
                self.error.index.eq(burst.index),
                self.error.address.eq(burst.addr),
            ]

    def _sending(self, m: Module, ahead, data_burst):
        """The W channel: reads OUT ahead through a pipeline of two; returns whether it is busy."""
        config = self._config
        beat, lanes = config.beat_bytes, self._lanes
        parts = parts_of(config, MemoryType.OUT)
        shift = log2(config.out_bytes) if lanes > 1 else 0
        head = data.View(data_burst, ahead.r_data)
        pos, part = Signal(16), Signal(range(max(2, parts)))
        count = Signal(range(BURST_BEATS))
        first_beat, last_beat = count == 0, count == head.len
        advance = Signal()
        m.d.comb += advance.eq(~self.wvalid | self.wready)

        # Cycle 0: the address of the beat's first element.
        at, start, end = Signal(16), Signal(range(beat)), Signal(range(beat))
        step = ahead.r_rdy & advance
        whole = part == parts - 1
        elements = ((end >> shift) - (start >> shift) + 1) if lanes > 1 else Const(1)
        m.d.comb += [
            at.eq(Mux(first_beat & head.first, head.sram_base, pos)),
            start.eq(Mux(first_beat, head.start, 0)),
            end.eq(Mux(last_beat & head.row_end, head.end, beat - 1)),
            self.out_en.eq(step),
            self.out_pos.eq(at),
            ahead.r_en.eq(step & last_beat),
        ]
        with m.If(step):
            m.d.sync += [
                count.eq(Mux(last_beat, 0, count + 1)),
                part.eq(Mux(whole, 0, part + 1)),
                pos.eq(at + Mux(whole, elements, 0)),
            ]

        # Cycle 1: the elements are out of the scratchpad.
        valid_1, last_1, part_1 = Signal(), Signal(), Signal.like(part)
        start_1, end_1 = Signal.like(start), Signal.like(end)
        with m.If(advance):
            m.d.sync += valid_1.eq(ahead.r_rdy)
        with m.If(step):
            m.d.sync += [last_1.eq(last_beat), part_1.eq(part), start_1.eq(start), end_1.eq(end)]

        # Cycle 2: on the bus.
        if lanes > 1:  # element n goes to lane start + n
            value = self._rotated(start_1)
        else:
            value = self.out_data.word_select(part_1, 8 * beat)
        strobes = Cat((n >= start_1) & (n <= end_1) for n in range(beat))
        with m.If(advance):
            m.d.sync += self.wvalid.eq(valid_1)
        with m.If(advance & valid_1):
            m.d.sync += [
                self.wlast.eq(last_1),
                self.wdata.eq(value),
                self.wstrb.eq(Mux(self.stop, 0, strobes)),
            ]
        return valid_1 | self.wvalid

    def _rotated(self, start):
        """Elements of OUT, each in the lane of the beat where it belongs."""
        size = 8 * self._config.out_bytes
        lane = start >> log2(self._config.out_bytes)
        elements = Array([self.out_data.word_select(n, size) for n in range(self._lanes)])
        return Cat(elements[(n - lane)[: log2(self._lanes)]] for n in range(self._lanes))

    def _respond(self, m: Module, owners, owner) -> None:
        head = data.View(owner, owners.r_data)
        taken = self.bvalid & self.bready
        m.d.comb += [
            self.bready.eq(owners.r_rdy),
            owners.r_en.eq(taken),
            self.done.eq(taken & head.last & (self.bresp == 0)),
        ]
        with m.If(taken & (self.bresp != 0) & ~self.stop):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.BUS_ERROR),
                self.error.index.eq(head.index),
                self.error.address.eq(head.addr),
            ]
