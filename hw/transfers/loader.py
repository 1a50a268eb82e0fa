"""LOAD, without its tokens: checks, bursts, and the writer that pads and fills scratchpads.

`Loader` serves the load stage (INP, WGT) and the compute stage (UOP, ACC, ACC_8BIT). It accepts
instructions ahead: bursts of later ones are on the bus before the data of earlier ones are in.
Data return in order, so `hw/transfers/writer.py` writes in program order.
"""

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from vta.hw.capacities import DESCRIPTORS
from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS, MEMORIES, ErrorClass, MemoryType, Opcode, instruction_layout
from vta.hw.library.bits import count_up_down, log2
from vta.hw.library.small_fifo import SmallFifo
from vta.hw.transfers.bursts import BurstGenerator
from vta.hw.transfers.bus import ADDRESS_BITS, ErrorPort, ReadClient, command_layout
from vta.hw.transfers.writer import (
    EXTENT_BITS,
    Writer,
    lanes_of,
    parts_of,
    plan_layout,
    select,
    write_layout,
)

__all__ = ["Loader", "lanes_of", "parts_of", "write_layout"]


class Loader(wiring.Component):
    """Executes LOADs in order.

    Latency of a burst: four cycles from `i`. One LOAD in three cycles, or its beats and zero
    writes plus one.

    Members
    -------
    i: LOAD instructions (opcode and flags are not looked at) whose tokens are taken.
    bases: base register of each memory type, in the order of `memories`.
    read: the DMA client.
    write: writes to scratchpads (`write_layout`); a stall here stalls the bus.
    done: out, one instruction has written everything.
    pending, pending_uop: out, instructions accepted and not done; those of type UOP.
    window_memory, window_start, window_end: out, what is being loaded and not yet written, while
        `window_valid`; other pending instructions are behind it.
    waiting: out, the writer waits for the bus.
    stop: in, accept nothing.
    error: SRAM_BOUNDS or BUS_ERROR.
    """

    def __init__(self, config: Config, *, memories: tuple[MemoryType, ...]) -> None:
        self._config = config
        self._memories = memories
        super().__init__(
            {
                "i": In(stream.Signature(command_layout())),
                "bases": In(ADDRESS_BITS).array(len(memories)),
                "read": Out(ReadClient(config)),
                "write": Out(stream.Signature(write_layout(config))),
                "done": Out(1),
                "pending": Out(range(128)),
                "pending_uop": Out(range(128)),
                "window_valid": Out(1),
                "window_memory": Out(MemoryType),
                "window_start": Out(EXTENT_BITS),
                "window_end": Out(EXTENT_BITS),
                "waiting": Out(1),
                "stop": In(1),
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = plan_layout(self._config)
        m.submodules.bursts = bursts = BurstGenerator(self._config)
        m.submodules.plans = plans = SmallFifo(width=layout.size, depth=DESCRIPTORS)
        m.submodules.writer = writer = Writer(self._config, memories=self._memories)
        self._plan(m, bursts, plans)
        self._issue(m, bursts)
        connect(m, writer.write, flipped(self.write))
        connect(m, flipped(self.read.beat), writer.beat)
        m.d.comb += [
            writer.plans.valid.eq(plans.r_rdy),
            writer.plans.payload.eq(plans.r_data),
            plans.r_en.eq(writer.plans.ready),
            self.waiting.eq(writer.waiting),
        ]
        m.d.comb += [
            getattr(self, name).eq(getattr(writer, name))
            for name in ("window_valid", "window_memory", "window_start", "window_end")
        ]
        self._count(m)
        with m.If(self.read.fault & self.read.beat.ready):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.BUS_ERROR),
                self.error.index.eq(writer.index),
                self.error.address.eq(self.read.fault_address),
            ]
        return m

    def _count(self, m: Module) -> None:
        accepted = self.i.valid & self.i.ready
        loads = instruction_layout(self._config, Opcode.LOAD)
        new = data.View(loads, self.i.payload.bits)
        m.d.comb += self.done.eq(self.write.valid & self.write.ready & self.write.payload.last)
        count_up_down(m, self.pending, accepted, self.done)
        uop_done = self.done & (self.write.payload.memory == MemoryType.UOP)
        uop_new = accepted & (new.memory_type == MemoryType.UOP)
        count_up_down(m, self.pending_uop, uop_new, uop_done)

    def _plan(self, m: Module, bursts: BurstGenerator, plans: SmallFifo) -> None:
        """Three pipeline stages from an instruction to its burst rows and its writer's plan."""
        config = self._config
        loads = instruction_layout(config, Opcode.LOAD)
        depths = {mt: MEMORIES[mt].depth(config) for mt in self._memories}
        shifts = {mt: MEMORIES[mt].element_bytes(config).bit_length() - 1 for mt in self._memories}
        bases = Array(
            [
                self.bases[self._memories.index(MemoryType(n))]
                if n in MEMORIES and MemoryType(n) in self._memories
                else Const(0, ADDRESS_BITS)
                for n in range(8)
            ]
        )
        valid = [Signal(name=f"plan_valid_{n}") for n in range(3)]
        go, accept, room_for_plan = Signal(), Signal(), Signal()
        # A LOAD every other cycle at most: `i.ready` depends on little.
        m.d.comb += [go.eq(~valid[2] | accept), self.i.ready.eq(~valid[0] & ~self.stop)]

        # Cycle 0: the padded width and height.
        one = Signal(loads)
        one_index = Signal(INDEX_BITS)
        width, height = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        space = Signal(signed(EXTENT_BITS + 1))  # from sram_base to the scratchpad's end
        new = data.View(loads, self.i.payload.bits)
        # Cycle 1: their product (one DSP), the zero runs and the DRAM address.
        two = Signal(loads)
        two_index = Signal(INDEX_BITS)
        extent = Signal(2 * EXTENT_BITS)
        top, bottom = Signal(EXTENT_BITS + 4), Signal(EXTENT_BITS + 4)
        room = Signal(EXTENT_BITS)  # for elements
        nop, has_rows = Signal(), Signal()
        rows = Signal.like(bursts.i.payload)
        nbytes = Signal.like(rows.span)
        shift = select(one.memory_type, shifts)
        with m.If(~valid[0]):
            m.d.sync += [
                valid[0].eq(self.i.valid & ~self.stop),
                one.eq(new),
                one_index.eq(self.i.payload.index),
                width.eq(new.x_pad_0 + new.x_size + new.x_pad_1),
                height.eq(new.y_pad_0 + new.y_size + new.y_pad_1),
                space.eq(select(new.memory_type, depths) - new.sram_base),
            ]
        with m.Elif(go):
            m.d.sync += valid[0].eq(0)
        with m.If(go):
            m.d.sync += valid[1].eq(valid[0])
        with m.If(go & valid[0]):
            m.d.sync += [
                two.eq(one),
                two_index.eq(one_index),
                extent.eq(width * height),
                top.eq(width * one.y_pad_0),
                bottom.eq(width * one.y_pad_1),
                room.eq(Mux(space[-1], 0, space)),
                nop.eq(one.x_size == 0),
                has_rows.eq(one.y_size != 0),
                rows.addr.eq(bases[one.memory_type] + (one.dram_base << shift)),
                nbytes.eq(one.x_size << shift),
                rows.stride.eq(one.x_stride << shift),
                rows.rows.eq(one.y_size),
                rows.index.eq(one_index),
            ]

        # Cycle 2: bounds.
        plan = Signal(plan_layout(config))
        needs_bus = plan.has_rows
        out_rows = Signal.like(rows)
        bad = Signal()
        with m.If(go):
            m.d.sync += valid[2].eq(valid[1])
        with m.If(go & valid[1]):
            m.d.sync += [
                out_rows.eq(rows),
                out_rows.span.eq(nbytes - 1),
                bad.eq(~nop & (extent > room)),
                plan.memory.eq(two.memory_type),
                plan.sram_base.eq(two.sram_base),
                plan.end.eq(two.sram_base + extent),
                plan.x_size.eq(two.x_size),
                plan.rows.eq(Mux(nop, 0, two.y_size)),
                plan.first_run.eq(Mux(nop, 0, top + Mux(has_rows, two.x_pad_0, bottom))),
                plan.middle_run.eq(two.x_pad_0 + two.x_pad_1),
                plan.last_run.eq(bottom + two.x_pad_1),
                plan.has_rows.eq(~nop & has_rows),
                plan.lane.eq(self._lane(two.memory_type, rows.addr)),
                plan.stride.eq(self._lane(two.memory_type, rows.stride)),
                plan.index.eq(two_index),
            ]
        described = Signal.like(plan)
        go_on = valid[2] & ~bad
        m.d.comb += [
            room_for_plan.eq(plans.w_rdy),
            accept.eq(~bad & room_for_plan & (bursts.i.ready | ~needs_bus)),
            described.eq(plan),
            described.begins_with_run.eq((plan.first_run != 0) | ~plan.has_rows),
            described.has_middle_run.eq(plan.middle_run != 0),
            described.has_last_run.eq(plan.last_run != 0),
            plans.w_data.eq(described),
            plans.w_en.eq(go_on & room_for_plan & (bursts.i.ready | ~needs_bus)),
            bursts.i.payload.eq(out_rows),
            bursts.i.valid.eq(go_on & needs_bus & room_for_plan),
        ]
        with m.If(valid[2] & bad):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
                self.error.index.eq(plan.index),
            ]

    def _lane(self, memory, address):
        """The lane of an address, or of a stride: its place in a beat, in elements."""
        config = self._config
        lanes = {mt: lanes_of(config, mt) for mt in self._memories}
        places = {}
        for memory_type, count in lanes.items():
            low = log2(config.beat_bytes // count)
            places[memory_type] = address[low : log2(config.beat_bytes)] if count > 1 else Const(0)
        return Array(
            [places.get(MemoryType(n), Const(0)) if n in MEMORIES else Const(0) for n in range(8)]
        )[memory]

    def _issue(self, m: Module, bursts: BurstGenerator) -> None:
        burst = bursts.o.payload
        m.d.comb += [
            self.read.burst.payload.addr.eq(burst.addr),
            self.read.burst.payload.len.eq(burst.len),
            self.read.burst.valid.eq(bursts.o.valid & ~burst.overflow),
            bursts.o.ready.eq(self.read.burst.ready & ~burst.overflow),
        ]
        with m.If(bursts.o.valid & burst.overflow):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.BUS_ERROR),
                self.error.index.eq(burst.index),
                self.error.address.eq(burst.addr),
            ]
