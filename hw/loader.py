"""LOAD, without its tokens: checks, bursts, and the writer that pads and fills scratchpads.

`Loader` serves the load stage (INP, WGT) and the compute stage (UOP, ACC, ACC_8BIT). It accepts
instructions ahead: bursts of later ones are on the bus before the data of earlier ones are in.
Data return in order, so writes happen in program order.
"""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bursts import BurstGenerator
from hw.bus import ADDRESS_BITS, ReadClient, command_layout, error_layout
from hw.config import Config
from hw.isa import (
    INDEX_BITS,
    MEMORIES,
    ErrorClass,
    MemoryType,
    Opcode,
    instruction_layout,
)

__all__ = ["DESCRIPTORS", "Loader", "lanes_of", "parts_of", "write_layout"]

DESCRIPTORS = 32
"""LOADs whose bursts may be issued ahead of the writer."""
EXTENT_BITS = 17  # of a number of SRAM elements, 0 to 65536


def lanes_of(config: Config, memory: MemoryType) -> int:
    """Elements of a memory type in one bus beat, 1 or more."""
    return max(1, config.beat_bytes // MEMORIES[memory].element_bytes(config))


def parts_of(config: Config, memory: MemoryType) -> int:
    """Bus beats in one element of a memory type, 1 or more."""
    return max(1, MEMORIES[memory].element_bytes(config) // config.beat_bytes)


def write_layout(config: Config) -> data.StructLayout:
    """One write to a scratchpad: a beat or part of one, or zeros.

    `count` elements from `pos` on; element `pos + n` is lane `lane + n` of the beat, or the beat
    is part `part` of element `pos`. With `zero`, whole elements become zero. `last` ends the
    instruction (with `count` 0 where there is nothing more to write).
    """
    return data.StructLayout({
        "memory": MemoryType,
        "pos": 16,
        "count": range(config.beat_bytes + 1),
        "lane": range(config.beat_bytes),
        "part": range(1024 // config.beat_bytes),
        "zero": 1,
        "last": 1,
        "data": config.axi_data_bits,
    })  # fmt: skip


def _plan_layout(config: Config) -> data.StructLayout:
    """What the writer must know of a LOAD; runs are numbers of zero elements in a row."""
    lane = range(config.beat_bytes)
    return data.StructLayout({
        "memory": MemoryType,
        "sram_base": 16,
        "end": EXTENT_BITS,
        "x_size": 16,
        "rows": 16,
        "first_run": EXTENT_BITS,  # before the first row
        "middle_run": 5,  # between rows
        "last_run": EXTENT_BITS,  # after the last row
        "offset": lane,  # of the first row within a beat
        "stride": lane,
        "index": INDEX_BITS,
    })  # fmt: skip


def _select(memory, table: dict[MemoryType, int]) -> Array:
    """The entry of a small table for a memory type."""
    return Array([table.get(MemoryType(n), 0) if n in MEMORIES else 0 for n in range(8)])[memory]


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
    stop: in, start nothing.
    error: SRAM_BOUNDS or BUS_ERROR.
    """

    def __init__(self, config: Config, *, memories: tuple[MemoryType, ...]) -> None:
        self._config = config
        self._memories = memories
        super().__init__({
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
            "error": Out(error_layout()),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = _plan_layout(self._config)
        m.submodules.bursts = bursts = BurstGenerator(self._config)
        m.submodules.plans = plans = fifo.SyncFIFO(width=layout.size, depth=DESCRIPTORS)
        self._plan(m, bursts, plans)
        self._issue(m, bursts)
        plan = Signal(layout)
        active = Signal()
        self._write(m, plan, active, plans)
        self._count(m)
        with m.If(self.read.fault & self.read.beat.ready):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.BUS_ERROR),
                self.error.index.eq(plan.index),
                self.error.address.eq(self.read.fault_address),
            ]
        return m

    def _count(self, m: Module) -> None:
        accepted = self.i.valid & self.i.ready
        loads = instruction_layout(self._config, Opcode.LOAD)
        new = data.View(loads, self.i.payload.bits)
        m.d.comb += self.done.eq(self.write.valid & self.write.ready & self.write.payload.last)
        m.d.sync += self.pending.eq(self.pending + accepted - self.done)
        uop_done = self.done & (self.write.payload.memory == MemoryType.UOP)
        uop_new = accepted & (new.memory_type == MemoryType.UOP)
        m.d.sync += self.pending_uop.eq(self.pending_uop + uop_new - uop_done)

    def _plan(self, m: Module, bursts: BurstGenerator, plans: fifo.SyncFIFO) -> None:
        """Three pipeline stages from an instruction to its burst rows and its writer's plan."""
        config = self._config
        loads = instruction_layout(config, Opcode.LOAD)
        shifts = {mt: MEMORIES[mt].element_bytes(config).bit_length() - 1 for mt in self._memories}
        bases = Array([
            self.bases[self._memories.index(MemoryType(n))]
            if n in MEMORIES and MemoryType(n) in self._memories else Const(0, ADDRESS_BITS)
            for n in range(8)
        ])  # fmt: skip
        valid = [Signal(name=f"plan_valid_{n}") for n in range(3)]
        go, accept = Signal(), Signal()
        m.d.comb += [go.eq(~valid[2] | accept), self.i.ready.eq(go & ~self.stop)]

        # Cycle 0: the padded width and height.
        one = Signal(loads)
        one_index = Signal(INDEX_BITS)
        width, height = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        new = data.View(loads, self.i.payload.bits)
        # Cycle 1: their product (one DSP), the zero runs and the DRAM address.
        two = Signal(loads)
        two_index = Signal(INDEX_BITS)
        extent = Signal(2 * EXTENT_BITS)
        top, bottom = Signal(EXTENT_BITS + 4), Signal(EXTENT_BITS + 4)
        rows = Signal.like(bursts.i.payload)
        shift = _select(one.memory_type, shifts)
        with m.If(go):
            m.d.sync += [
                valid[0].eq(self.i.valid & ~self.stop),
                one.eq(new),
                one_index.eq(self.i.payload.index),
                width.eq(new.x_pad_0 + new.x_size + new.x_pad_1),
                height.eq(new.y_pad_0 + new.y_size + new.y_pad_1),
                valid[1].eq(valid[0]),
                two.eq(one),
                two_index.eq(one_index),
                extent.eq(width * height),
                top.eq(width * one.y_pad_0),
                bottom.eq(width * one.y_pad_1),
                rows.addr.eq(bases[one.memory_type] + (one.dram_base << shift)),
                rows.nbytes.eq(one.x_size << shift),
                rows.stride.eq(one.x_stride << shift),
                rows.rows.eq(one.y_size),
                rows.index.eq(one_index),
            ]

        # Cycle 2: bounds.
        plan = Signal(_plan_layout(config))
        out_rows = Signal.like(rows)
        bad = Signal()
        nop = two.x_size == 0
        has_rows = two.y_size != 0
        depths = {mt: MEMORIES[mt].depth(config) for mt in self._memories}
        with m.If(go):
            m.d.sync += [
                valid[2].eq(valid[1]),
                out_rows.eq(rows),
                bad.eq(
                    ~nop
                    & (extent != 0)
                    & (two.sram_base + extent > _select(two.memory_type, depths))
                ),
                plan.memory.eq(two.memory_type),
                plan.sram_base.eq(two.sram_base),
                plan.end.eq(two.sram_base + extent),
                plan.x_size.eq(two.x_size),
                plan.rows.eq(Mux(nop, 0, two.y_size)),
                plan.first_run.eq(Mux(nop, 0, top + Mux(has_rows, two.x_pad_0, bottom))),
                plan.middle_run.eq(two.x_pad_0 + two.x_pad_1),
                plan.last_run.eq(bottom + two.x_pad_1),
                plan.offset.eq(rows.addr),
                plan.stride.eq(rows.stride),
                plan.index.eq(two_index),
            ]
        needs_bus = plan.rows != 0
        go_on = valid[2] & ~bad & ~self.stop
        m.d.comb += [
            accept.eq(~bad & ~self.stop & plans.w_rdy & (bursts.i.ready | ~needs_bus)),
            plans.w_data.eq(plan),
            plans.w_en.eq(go_on & (bursts.i.ready | ~needs_bus)),
            bursts.i.payload.eq(out_rows),
            bursts.i.valid.eq(go_on & needs_bus & plans.w_rdy),
        ]
        with m.If(valid[2] & bad):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
                self.error.index.eq(plan.index),
            ]

    def _issue(self, m: Module, bursts: BurstGenerator) -> None:
        burst = bursts.o.payload
        m.d.comb += [
            self.read.burst.payload.addr.eq(burst.addr),
            self.read.burst.payload.len.eq(burst.len),
            self.read.burst.valid.eq(bursts.o.valid & ~burst.overflow & ~self.stop),
            bursts.o.ready.eq(self.read.burst.ready & ~burst.overflow & ~self.stop),
        ]
        with m.If(bursts.o.valid & burst.overflow):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.BUS_ERROR),
                self.error.index.eq(burst.index),
                self.error.address.eq(burst.addr),
            ]

    def _write(self, m: Module, plan, active: Signal, plans: fifo.SyncFIFO) -> None:
        """Walks the padded rows: zero runs and rows of data alternate, from `pos` on."""
        config = self._config
        pos = Signal(16)
        run = Signal(EXTENT_BITS)
        rows, left = Signal(16), Signal(16)
        row_offset, offset = Signal.like(plan.offset), Signal.like(plan.offset)
        part = Signal.like(self.write.payload.part)
        lanes = {mt: lanes_of(config, mt) for mt in self._memories}
        parts = {mt: parts_of(config, mt) - 1 for mt in self._memories}
        sizes = {mt: (config.beat_bytes // n).bit_length() - 1 for mt, n in lanes.items()}
        lane_count = _select(plan.memory, lanes)
        lane = Signal.like(offset)
        count, fits = Signal.like(self.write.payload.count), Signal.like(self.write.payload.count)
        zero, row_data, end, step = (Signal(name=n) for n in ("zero", "row_data", "end", "step"))
        whole = Signal()  # this beat completes an element
        beat = self.read.beat

        m.d.comb += [
            zero.eq(run != 0),
            row_data.eq(~zero & (rows != 0)),
            end.eq(active & ~zero & (rows == 0)),
            lane.eq(Mux(lane_count == 1, 0, offset >> _select(plan.memory, sizes))),
            fits.eq(lane_count - Mux(zero, 0, lane)),
            count.eq(Mux(zero, Mux(run < fits, run, fits), Mux(left < fits, left, fits))),
            whole.eq(part == _select(plan.memory, parts)),
        ]
        free = ~self.write.valid | self.write.ready
        m.d.comb += [
            step.eq(active & free & (~row_data | beat.valid)),
            beat.ready.eq(active & free & row_data),
            self.waiting.eq(active & row_data & ~beat.valid),
        ]
        out = self.write.payload
        with m.If(self.write.ready):
            m.d.sync += self.write.valid.eq(0)
        with m.If(step):
            m.d.sync += [
                self.write.valid.eq(1),
                out.memory.eq(plan.memory),
                out.pos.eq(pos),
                out.count.eq(Mux(end, 0, count)),
                out.lane.eq(lane),
                out.part.eq(part),
                out.zero.eq(zero),
                out.last.eq(end),
                out.data.eq(beat.payload.data),
            ]
            with m.If(zero):
                m.d.sync += [pos.eq(pos + count), run.eq(run - count)]
            with m.Elif(row_data):
                m.d.sync += [part.eq(Mux(whole, 0, part + 1)), offset.eq(0)]
                with m.If(whole):
                    m.d.sync += [pos.eq(pos + count), left.eq(left - count)]
                with m.If(whole & (left == count)):
                    next_offset = (row_offset + plan.stride)[: len(offset)]
                    m.d.sync += [
                        rows.eq(rows - 1),
                        run.eq(Mux(rows == 1, plan.last_run, plan.middle_run)),
                        left.eq(plan.x_size),
                        offset.eq(next_offset),
                        row_offset.eq(next_offset),
                    ]
        self._next_plan(m, plan, active, plans, ~active | (end & free), (
            (pos, "sram_base"), (run, "first_run"), (rows, "rows"), (left, "x_size"),
            (offset, "offset"), (row_offset, "offset"),
        ))  # fmt: skip
        m.d.comb += [
            self.window_valid.eq(active | self.write.valid),
            self.window_memory.eq(plan.memory),
            self.window_start.eq(Mux(self.write.valid & ~out.last, out.pos, pos)),
            self.window_end.eq(plan.end),
        ]

    def _next_plan(self, m, plan, active, plans, free, initial) -> None:
        m.d.comb += plans.r_en.eq(free)
        with m.If(free):
            new = data.View(plan.shape(), plans.r_data)
            m.d.sync += [active.eq(plans.r_rdy), plan.eq(plans.r_data)]
            m.d.sync += [signal.eq(getattr(new, name)) for signal, name in initial]
