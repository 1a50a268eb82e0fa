"""Fetch: reads instructions ahead, checks them, and dispatches each to its stage's queue."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bits import log2
from hw.bus import ADDRESS_BITS, ReadClient, command_layout, error_layout
from hw.config import Config
from hw.isa import (
    INDEX_BITS,
    INSTRUCTION_BYTES,
    MEMORIES,
    AluOpcode,
    ErrorClass,
    MemoryType,
    Opcode,
    Stage,
    instruction_layout,
    reserved_mask,
)
from hw.registers import StageState

__all__ = ["QUEUES", "Fetch"]

QUEUES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)
BUFFER_BEATS = 128
"""Fetched ahead: enough for an instruction in two cycles at a latency of 100; no more, since the
first LOAD stands behind it on the bus."""
CHUNK_BEATS = 16
"""Fetch bursts end at multiples of this many beats, and none is issued without room for it."""


class Fetch(wiring.Component):
    """Reads `count` instructions from `address` on, in order, and dispatches one a cycle.

    An instruction waits for its stage's queue, and everything behind it waits too. Errors are
    found at dispatch, in program order: nothing behind an illegal instruction is dispatched.

    Members
    -------
    start: in, one cycle: begin; address, count: in, from then on.
    read: the DMA client.
    queues: out, to each stage of `QUEUES`.
    index: out, of the instruction to be dispatched next.
    blocked: out, its queue is full; complete: out, all are dispatched, FINISH last.
    state: out, for the counters.
    stop: in, dispatch and issue nothing more.
    error: ILLEGAL_OPCODE, ILLEGAL_DEPENDENCY, NO_FINISH, BUS_ERROR.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({
            "start": In(1),
            "address": In(ADDRESS_BITS),
            "count": In(32),
            "read": Out(ReadClient(config)),
            "queues": Out(stream.Signature(command_layout())).array(len(QUEUES)),
            "index": Out(INDEX_BITS + 1),
            "blocked": Out(1),
            "complete": Out(1),
            "state": Out(StageState),
            "stop": In(1),
            "error": Out(error_layout()),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = Signal()
        with m.If(self.start):
            m.d.sync += running.eq(1)
        m.submodules.buffer = buffer = fifo.SyncFIFOBuffered(
            width=self._config.axi_data_bits, depth=BUFFER_BEATS
        )
        self._request(m, buffer)
        valid, bits, taken = self._assemble(m, buffer)
        self._dispatch(m, running, valid, bits, taken)
        return m

    def _request(self, m: Module, buffer) -> None:
        """Bursts to the end of the program, as far ahead as the buffer has room."""
        config = self._config
        lane_bits = log2(config.beat_bytes)
        beat = Signal(ADDRESS_BITS - lane_bits + 1)  # the next to ask for
        left = Signal(34)  # beats to ask for
        first = Signal()
        promised = Signal(range(BUFFER_BEATS + 1))  # asked for and not taken from the buffer
        length = Signal(range(CHUNK_BEATS + 1))
        room = CHUNK_BEATS - beat[: log2(CHUNK_BEATS)]
        burst = self.read.burst
        end = self.address[:lane_bits] + (self.count << log2(INSTRUCTION_BYTES))
        past_end = beat[-1]  # of the 32-bit address space
        wanted = (left != 0) & (promised <= BUFFER_BEATS - CHUNK_BEATS) & ~self.stop
        with m.If(self.start):
            m.d.sync += [
                beat.eq(self.address >> lane_bits),
                left.eq(Mux(self.count == 0, 0, (end + config.beat_bytes - 1) >> lane_bits)),
                first.eq(1),
            ]
        m.d.comb += [
            length.eq(Mux(left < room, left, room)),
            burst.payload.addr.eq(Mux(first, self.address, beat << lane_bits)),
            burst.payload.len.eq(length - 1),
            burst.valid.eq(wanted & ~past_end),
            buffer.w_data.eq(self.read.beat.payload.data),
            buffer.w_en.eq(self.read.beat.valid),
            self.read.beat.ready.eq(1),
        ]
        asked = burst.valid & burst.ready
        taken = buffer.r_en & buffer.r_rdy
        m.d.sync += promised.eq(promised + Mux(asked, length, 0) - taken)
        with m.If(asked):
            m.d.sync += [beat.eq(beat + length), left.eq(left - length), first.eq(0)]
        self._faults(m, wanted & past_end, beat << lane_bits)

    def _faults(self, m: Module, overflow, next_address) -> None:
        """A bus error, or an address past 2^32, belongs to the first instruction of its beat."""
        for condition, address in (
            (overflow, next_address),
            (self.read.fault, self.read.fault_address),
        ):
            with m.If(condition):
                m.d.comb += [
                    self.error.valid.eq(1),
                    self.error.error_class.eq(ErrorClass.BUS_ERROR),
                    self.error.index.eq((address - self.address) >> log2(INSTRUCTION_BYTES)),
                    self.error.address.eq(address),
                ]

    def _assemble(self, m: Module, buffer):
        """Instructions from beats; returns (valid, the 128 bits, taken: drives it on)."""
        bits, taken = Signal(128), Signal()
        beat_bytes = self._config.beat_bytes
        if beat_bytes <= INSTRUCTION_BYTES:  # collect its parts
            parts = INSTRUCTION_BYTES // beat_bytes
            have = Signal(range(parts + 1))
            valid = have == parts
            free = ~valid | taken
            m.d.comb += buffer.r_en.eq(free)
            arrives = free & buffer.r_rdy
            with m.If(arrives):
                m.d.sync += bits.eq(Cat(bits, buffer.r_data)[8 * beat_bytes :])
            m.d.sync += have.eq(Mux(valid & taken, 0, have) + arrives)
        else:  # step through its lanes
            lanes = beat_bytes // INSTRUCTION_BYTES
            lane = Signal(range(lanes))
            valid = buffer.r_rdy
            words = Array([buffer.r_data.word_select(n, 128) for n in range(lanes)])
            m.d.comb += [bits.eq(words[lane]), buffer.r_en.eq(taken & (lane == lanes - 1))]
            with m.If(self.start):
                m.d.sync += lane.eq(self.address[log2(INSTRUCTION_BYTES) :])
            with m.Elif(taken):
                m.d.sync += lane.eq(lane + 1)
        return valid, bits, taken

    def _dispatch(self, m: Module, running, valid, bits, taken) -> None:
        stage = Signal(Stage)
        illegal, dependency, finish = Signal(), Signal(), Signal()
        finished = Signal()  # FINISH is dispatched
        self._check(m, bits, stage, illegal, dependency, finish)
        ready = Signal()
        with m.Switch(stage):
            for n, queue in enumerate(QUEUES):
                with m.Case(queue):
                    m.d.comb += ready.eq(self.queues[n].ready)
        at_end = running & (self.index == self.count)
        wrong = illegal | dependency | finished
        some = running & valid & ~at_end
        legal = some & ~wrong & ~self.stop
        for n, queue in enumerate(QUEUES):
            m.d.comb += [
                self.queues[n].payload.bits.eq(bits),
                self.queues[n].payload.index.eq(self.index),
                self.queues[n].valid.eq(legal & (stage == queue)),
            ]
        m.d.comb += [
            taken.eq(legal & ready),
            self.blocked.eq(legal & ~ready),
            self.complete.eq(at_end & finished),
        ]
        with m.If(taken):
            m.d.sync += [self.index.eq(self.index + 1), finished.eq(finish)]
        failures = (
            (some & finished, ErrorClass.NO_FINISH),
            (some & illegal, ErrorClass.ILLEGAL_OPCODE),
            (some & dependency, ErrorClass.ILLEGAL_DEPENDENCY),
            (at_end & ~finished, ErrorClass.NO_FINISH),
        )
        for condition, error_class in reversed(failures):
            with m.If(condition):
                m.d.comb += [
                    self.error.valid.eq(1),
                    self.error.error_class.eq(error_class),
                    self.error.index.eq(self.index),
                ]
        with m.If(taken):
            m.d.comb += self.state.eq(StageState.BUSY)
        with m.Elif(self.blocked):
            m.d.comb += self.state.eq(StageState.WAIT_QUEUE)
        with m.Elif(running & ~at_end):
            m.d.comb += self.state.eq(StageState.WAIT_BUS)

    def _check(self, m: Module, bits, stage, illegal, dependency, finish) -> None:
        """What can be wrong with an instruction by itself (isa.md section 6), and its stage."""
        config = self._config
        views = {op: data.View(instruction_layout(config, op), bits) for op in Opcode}
        load, store, alu = views[Opcode.LOAD], views[Opcode.STORE], views[Opcode.ALU]

        def reserved(opcode: Opcode):
            return (bits & reserved_mask(config, opcode)).any()

        def flags(*names: str):
            return Cat(getattr(load, name) for name in names).any()

        m.d.comb += stage.eq(Stage.COMPUTE)
        with m.Switch(load.opcode):
            with m.Case(Opcode.LOAD):
                loadable = [t for t, memory in MEMORIES.items() if memory.stage != Stage.STORE]
                m.d.comb += illegal.eq(
                    ~Cat(load.memory_type == t for t in loadable).any() | reserved(Opcode.LOAD)
                )
                in_load = [t for t in loadable if MEMORIES[t].stage == Stage.LOAD]
                with m.If(Cat(load.memory_type == t for t in in_load).any()):
                    m.d.comb += [
                        stage.eq(Stage.LOAD),
                        dependency.eq(flags("pop_prev", "push_prev")),
                    ]
            with m.Case(Opcode.STORE):
                moves = (store.x_size != 0) & (store.y_size != 0)
                pads = Cat(store.y_pad_0, store.y_pad_1, store.x_pad_0, store.x_pad_1).any()
                m.d.comb += [
                    stage.eq(Stage.STORE),
                    illegal.eq(
                        (moves & (pads | (store.memory_type != MemoryType.OUT)))
                        | reserved(Opcode.STORE)
                    ),
                    dependency.eq(flags("pop_next", "push_next")),
                ]
            with m.Case(Opcode.GEMM):
                m.d.comb += illegal.eq(reserved(Opcode.GEMM))
            with m.Case(Opcode.FINISH):
                m.d.comb += [illegal.eq(reserved(Opcode.FINISH)), finish.eq(1)]
            with m.Case(Opcode.ALU):
                m.d.comb += illegal.eq((alu.alu_opcode > max(AluOpcode)) | reserved(Opcode.ALU))
            with m.Default():
                m.d.comb += illegal.eq(1)
