"""Writes what LOADs read: rows of data and runs of zeros, in order, into scratchpads."""

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS, MEMORIES, MemoryType
from vta.hw.transfers.bus import beat_layout

__all__ = ["EXTENT_BITS", "Writer", "lanes_of", "parts_of", "plan_layout", "select", "write_layout"]

EXTENT_BITS = 17  # of a number of SRAM elements, 0 to 65536


def lanes_of(config: Config, memory: MemoryType) -> int:
    """Elements of a memory type in one bus beat, 1 or more."""
    return MEMORIES[memory].lanes(config)


def parts_of(config: Config, memory: MemoryType) -> int:
    """Bus beats in one element of a memory type, 1 or more."""
    return MEMORIES[memory].parts(config)


def write_layout(config: Config) -> data.StructLayout:
    """One write to a scratchpad: a beat or part of one, or zeros.

    `count` elements from `pos` on; element `pos + n` is lane `lane + n` of the beat, or the beat
    is part `part` of element `pos`. With `zero`, whole elements become zero. `last` ends the
    instruction (with `count` 0: there is nothing more to write).
    """
    return data.StructLayout(
        {
            "memory": MemoryType,
            "pos": 16,
            "count": range(config.beat_bytes + 1),
            "lane": range(config.beat_bytes),
            "part": range(1024 // config.beat_bytes),
            "zero": 1,
            "last": 1,
            "data": config.axi_data_bits,
        }
    )


def plan_layout(config: Config) -> data.StructLayout:
    """What the writer must know of a LOAD; runs are numbers of zero elements in a row."""
    lane = range(config.beat_bytes)
    return data.StructLayout(
        {
            "memory": MemoryType,
            "sram_base": 16,
            "end": EXTENT_BITS,
            "x_size": 16,
            "rows": 16,
            "first_run": EXTENT_BITS,  # before the first row
            "middle_run": 5,  # between rows
            "last_run": EXTENT_BITS,  # after the last row
            "begins_with_run": 1,  # even an empty one, where there are no rows
            "has_rows": 1,
            "has_middle_run": 1,
            "has_last_run": 1,
            "lane": lane,  # of the first row within a beat
            "stride": lane,  # in lanes
            "index": INDEX_BITS,
        }
    )


def select(memory, table: dict[MemoryType, int]) -> Value:
    """The entry of a small table for a memory type."""
    return Array([table.get(MemoryType(n), 0) if n in MEMORIES else 0 for n in range(8)])[memory]


def _segment_layout(config: Config) -> data.StructLayout:
    """A run or a row, its first step measured; `excess`: elements after that step, less one."""
    lanes = range(config.beat_bytes + 1)
    return data.StructLayout(
        {
            "zero": 1,
            "opens": 1,  # the first of its LOAD
            "ends": 1,  # the last
            "lane": range(config.beat_bytes),
            "count": lanes,
            "excess": signed(EXTENT_BITS + 1),
            "memory": MemoryType,
            "sram_base": 16,
            "end": EXTENT_BITS,
            "index": INDEX_BITS,
        }
    )


class Writer(wiring.Component):
    """Pairs the beats of LOADs with their places, and pads.

    A beat, or a beat's worth of zeros, a cycle, and one cycle at the end of each LOAD. Two
    pipeline stages look ahead: one cuts a plan into segments, one holds the next segment while
    the one before is written; so they add nothing while data are on their way.

    Members
    -------
    plans: LOADs, in the order of their data; at most one every other cycle.
    beat: the data.
    write: writes to scratchpads (`write_layout`); a stall here stalls the beats.
    window_memory, window_start, window_end: out, what is being loaded and not yet written, while
        `window_valid`. index: out, the LOAD that the next beat belongs to.
    waiting: out, it waits for a beat.
    """

    def __init__(self, config: Config, *, memories: tuple[MemoryType, ...]) -> None:
        self._config = config
        self._lanes = {memory: lanes_of(config, memory) for memory in memories}
        self._parts = {memory: parts_of(config, memory) for memory in memories}
        super().__init__(
            {
                "plans": In(stream.Signature(plan_layout(config))),
                "beat": In(stream.Signature(beat_layout(config))),
                "write": Out(stream.Signature(write_layout(config))),
                "window_valid": Out(1),
                "window_memory": Out(MemoryType),
                "window_start": Out(EXTENT_BITS),
                "window_end": Out(EXTENT_BITS),
                "index": Out(INDEX_BITS),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = _segment_layout(self._config)
        next_valid, following = Signal(), Signal(layout)
        take = Signal()
        self._segments(m, next_valid, following, take)
        self._steps(m, next_valid, following, take)
        return m

    def _segments(self, m: Module, next_valid, following, take) -> None:
        """Runs and rows of a plan, one a cycle, into `following`."""
        plan, active = Signal(plan_layout(self._config)), Signal()
        in_run, opens = Signal(), Signal()
        rows, last_row, no_rows = Signal(16), Signal(), Signal()  # left
        lane = Signal.like(plan.lane)
        new = self.plans.payload
        m.d.comb += self.plans.ready.eq(~active)
        run, length = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        fits = Signal.like(following.count)
        excess = Signal.like(following.excess)
        lanes = select(plan.memory, self._lanes)
        go, ends = Signal(), Signal()
        m.d.comb += [
            go.eq(~next_valid | take),
            ends.eq(Mux(in_run, no_rows, last_row & ~plan.has_last_run)),
            run.eq(Mux(opens, plan.first_run, Mux(no_rows, plan.last_run, plan.middle_run))),
            length.eq(Mux(in_run, run, plan.x_size)),
            fits.eq(lanes - Mux(in_run, 0, lane)),
            excess.eq(length - fits - 1),
        ]
        with m.If(go):
            m.d.sync += next_valid.eq(active)
        with m.If(go & active):
            m.d.sync += [
                following.zero.eq(in_run),
                following.opens.eq(opens),
                following.ends.eq(ends),
                following.lane.eq(Mux(in_run, 0, lane)),
                following.count.eq(Mux(excess[-1], length, fits)),
                following.excess.eq(excess),
            ]
            m.d.sync += [
                following[name].eq(plan[name]) for name in ("memory", "sram_base", "end", "index")
            ]
        with m.If(~active):
            m.d.sync += active.eq(self.plans.valid)
            with m.If(self.plans.valid):
                m.d.sync += [
                    plan.eq(new),
                    in_run.eq(new.begins_with_run),
                    opens.eq(1),
                    rows.eq(new.rows),
                    last_row.eq(new.rows == 1),
                    no_rows.eq(~new.has_rows),
                    lane.eq(new.lane),
                ]
        with m.Elif(go):
            m.d.sync += [
                active.eq(~ends),
                in_run.eq(~in_run & Mux(last_row, plan.has_last_run, plan.has_middle_run)),
                opens.eq(0),
                rows.eq(rows - ~in_run),
                last_row.eq(Mux(in_run, last_row, rows == 2)),
                no_rows.eq(no_rows | (last_row & ~in_run)),
                lane.eq(Mux(in_run, lane, (lane + plan.stride) & (lanes - 1))),
            ]

    def _steps(self, m: Module, next_valid, following, take) -> None:
        """Steps through a segment; at the end of a LOAD, one step more that says so."""
        now = Signal(_segment_layout(self._config))
        active, ending, needs_beat = Signal(), Signal(), Signal()  # the last only while `active`
        pos = Signal(16)
        part = Signal.like(self.write.payload.part)
        whole = Signal()  # this step completes its elements
        free, proceed, step, done = Signal(), Signal(), Signal(), Signal()
        lanes = select(now.memory, self._lanes)
        before_last = select(now.memory, {mt: max(0, n - 2) for mt, n in self._parts.items()})
        single = select(following.memory, {mt: n == 1 for mt, n in self._parts.items()})
        single_now = select(now.memory, {mt: n == 1 for mt, n in self._parts.items()})
        excess = Signal.like(now.excess)
        out = self.write.payload
        m.d.comb += [
            free.eq(~self.write.valid | self.write.ready),
            proceed.eq(free & (~needs_beat | self.beat.valid)),
            step.eq(active & proceed),
            done.eq(now.excess[-1] & (ending | ~now.ends)),  # with the last step of the segment
            take.eq(proceed & (~active | (whole & done))),
            self.beat.ready.eq(free & needs_beat),
            self.waiting.eq(needs_beat & ~self.beat.valid),
            excess.eq(now.excess - lanes),
            self.index.eq(now.index),
            self.window_valid.eq(active | self.write.valid),
            self.window_memory.eq(now.memory),
            self.window_end.eq(now.end),
        ]
        with m.If(free):
            m.d.sync += [self.window_start.eq(pos), self.write.valid.eq(step)]
        with m.If(free & active):
            m.d.sync += [
                out.memory.eq(now.memory),
                out.pos.eq(pos),
                out.count.eq(now.count),
                out.lane.eq(now.lane),
                out.part.eq(part),
                out.zero.eq(now.zero),
                out.last.eq(ending),
                out.data.eq(self.beat.payload.data),
            ]
        with m.If(step & whole):
            m.d.sync += pos.eq(pos + now.count)
        with m.If(take):
            m.d.sync += [
                active.eq(next_valid),
                ending.eq(0),
                needs_beat.eq(next_valid & ~following.zero),
            ]
            with m.If(next_valid):
                m.d.sync += [now.eq(following), part.eq(0), whole.eq(single | following.zero)]
                with m.If(following.opens):
                    m.d.sync += [
                        pos.eq(following.sram_base),
                        self.window_start.eq(following.sram_base),
                    ]
        with m.Elif(step & ~whole):
            m.d.sync += [part.eq(part + 1), whole.eq(part == before_last)]
        with m.Elif(step):
            m.d.sync += [
                part.eq(0),
                whole.eq(single_now | now.zero),
                now.lane.eq(0),
                now.count.eq(Mux(excess[-1], now.excess + 1, lanes)),
                now.excess.eq(excess),
            ]
            with m.If(now.excess[-1]):  # `ending`, if not `done`
                m.d.sync += [
                    ending.eq(1),
                    needs_beat.eq(0),
                    whole.eq(1),
                    now.zero.eq(0),
                    now.count.eq(0),
                    now.excess.eq(-1),
                ]
