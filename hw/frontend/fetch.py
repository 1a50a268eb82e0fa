"""Fetch: reads instructions ahead, checks them, and dispatches each to its stage's queue."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import BUFFER_BEATS, CHUNK_BEATS
from vta.hw.config import Config
from vta.hw.isa import (
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
from vta.hw.library.bits import log2
from vta.hw.registers import StageState
from vta.hw.transfers.bus import ADDRESS_BITS, ErrorPort, ReadClient, command_layout

__all__ = ["QUEUES", "Fetch"]

QUEUES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)


class Fetch(wiring.Component):
    """Reads `count` instructions from `address` on, in order, and dispatches one a cycle.

    Latency from an instruction's last beat to its queue: four cycles. An instruction waits for its
    stage's queue, and everything behind it waits too. Errors are
    found at dispatch, in program order: nothing behind an illegal instruction is dispatched.

    Members
    -------
    start: in, one cycle: begin; address, count: in, from the cycle before on.
    read: the DMA client.
    queues: out, to each stage of `QUEUES`.
    index: out, of the instruction to be dispatched next.
    blocked: out, its queue is full; complete: out, all are dispatched, FINISH last.
    state: out, for the counters.
    stop: in, issue nothing more, and from the next cycle on dispatch nothing.
    error: ILLEGAL_OPCODE, ILLEGAL_DEPENDENCY, NO_FINISH, BUS_ERROR.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
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
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = fifo.SyncFIFOBuffered(
            width=self._config.axi_data_bits, depth=BUFFER_BEATS
        )
        self._request(m, buffer)
        valid, bits, taken = self._assemble(m, buffer)
        ahead = self._decode(m, valid, bits, taken)
        self._dispatch(m, *ahead)
        return m

    def _request(self, m: Module, buffer) -> None:
        """Bursts to the end of the program, as far ahead as the buffer has room."""
        config = self._config
        beat_bits = log2(config.beat_bytes)
        chunk_bits = beat_bits + log2(CHUNK_BEATS)
        instruction_bits = log2(INSTRUCTION_BYTES)
        low = Signal(chunk_bits)  # of the address to ask for: 0 but in the first burst
        chunk = Signal(ADDRESS_BITS - chunk_bits + 1)  # the rest of it
        chunks = Signal(34)  # to the last
        some, final = Signal(), Signal()  # left; in the last chunk
        promised = Signal(range(BUFFER_BEATS + 1))  # asked for and not taken from the buffer
        roomy, asked, was_asked, was_taken = Signal(), Signal(), Signal(), Signal()
        asked_for = Signal(range(CHUNK_BEATS + 1))
        burst = self.read.burst
        past_end = chunk[-1]  # of the 32-bit address space

        # The last instruction's place from the first one's chunk on; known before the start.
        reach = Signal(33, reset_less=True)
        m.d.sync += reach.eq(self.address[instruction_bits:chunk_bits] + self.count - 1)
        last_byte = Cat(Const(INSTRUCTION_BYTES - 1, instruction_bits), reach)
        last_beat = Signal(range(CHUNK_BEATS))
        with m.If(self.start):
            m.d.sync += [
                low.eq(self.address),
                chunk.eq(self.address >> chunk_bits),
                last_beat.eq(last_byte[beat_bits:]),
                chunks.eq(last_byte[chunk_bits:]),
                final.eq(last_byte[chunk_bits:] == 0),
                some.eq(self.count != 0),
            ]
        with m.Elif(asked):
            m.d.sync += [
                low.eq(0),
                chunk.eq(chunk + 1),
                chunks.eq(chunks - 1),
                final.eq(chunks == 1),
                some.eq(~final),
            ]
        most = BUFFER_BEATS - CHUNK_BEATS
        wanted = some & roomy
        length = Signal(range(CHUNK_BEATS))  # less one
        m.d.comb += [
            length.eq(Mux(final, last_beat, CHUNK_BEATS - 1) - low[beat_bits:]),
            burst.payload.addr.eq(Cat(low, chunk)),
            burst.payload.len.eq(length),
            burst.valid.eq(wanted & ~past_end & ~self.stop),
            asked.eq(burst.valid & burst.ready),
            buffer.w_data.eq(self.read.beat.payload.data),
            buffer.w_en.eq(self.read.beat.valid),
            self.read.beat.ready.eq(1),
        ]
        fits = [promised <= most - n * CHUNK_BEATS for n in range(3)]
        m.d.sync += [  # a cycle late
            roomy.eq(
                Mux(asked, Mux(was_asked, fits[2], fits[1]), Mux(was_asked, fits[1], fits[0]))
            ),
            was_asked.eq(asked),
            was_taken.eq(buffer.r_en & buffer.r_rdy),
            asked_for.eq(length + 1),
            promised.eq(promised + Mux(was_asked, asked_for, 0) - was_taken),
        ]
        self._faults(m, wanted & past_end, Cat(low, chunk))

    def _faults(self, m: Module, overflow, next_address) -> None:
        """A bus error, or an address past 2^32, belongs to the first instruction of its beat."""
        fault, address = Signal(), Signal(ADDRESS_BITS)  # a cycle late
        m.d.sync += [
            fault.eq(self.read.fault | overflow),
            address.eq(Mux(self.read.fault, self.read.fault_address, next_address)),
        ]
        with m.If(fault):
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

    def _decode(self, m: Module, valid, bits, taken):
        """One instruction a cycle, checked, into registers.

        Returns (an instruction is there, all are through, drives the next one in, what is known).
        """
        ahead = Signal(
            data.StructLayout(
                {
                    "bits": 128,
                    "queues": len(QUEUES),  # one-hot, 0 where it must not be dispatched
                    "illegal": 1,
                    "dependency": 1,
                    "behind_finish": 1,
                    "finish": 1,
                }
            )
        )
        there, proceed, some = Signal(), Signal(), Signal()
        left = Signal(32)  # instructions to come
        stage = Signal(Stage)
        illegal, dependency, finish = Signal(), Signal(), Signal()
        self._check(m, bits, stage, illegal, dependency, finish)
        ended = Signal()  # FINISH is through
        wrong = illegal | dependency | ended
        free = ~there | proceed
        m.d.comb += taken.eq(valid & some & free)
        with m.If(free):
            m.d.sync += [
                there.eq(valid & some),
                ahead.queues.eq(Cat(taken & ~wrong & (stage == queue) for queue in QUEUES)),
            ]
        with m.If(taken):
            m.d.sync += [
                ahead.bits.eq(bits),
                ahead.illegal.eq(illegal),
                ahead.dependency.eq(dependency),
                ahead.behind_finish.eq(ended),
                ahead.finish.eq(finish),
            ]
        with m.If(self.stop):
            m.d.sync += ahead.queues.eq(0)
        with m.If(self.start):
            m.d.sync += [left.eq(self.count), some.eq(self.count != 0)]
        with m.Elif(taken):
            m.d.sync += [left.eq(left - 1), some.eq(left != 1), ended.eq(ended | finish)]
        return there, ~some & ~there, proceed, ahead

    def _dispatch(self, m: Module, there, through, taken, ahead) -> None:
        running, finished = Signal(), Signal()  # FINISH is dispatched
        with m.If(self.start):
            m.d.sync += running.eq(1)
        at_end = running & through
        for n, queue in enumerate(self.queues):
            m.d.comb += [
                queue.payload.bits.eq(ahead.bits),
                queue.payload.index.eq(self.index),
                queue.valid.eq(ahead.queues[n]),
            ]
        ready = Cat(queue.ready for queue in self.queues)
        m.d.comb += [
            taken.eq((ahead.queues & ready).any()),
            self.blocked.eq((ahead.queues & ~ready).any()),
            self.complete.eq(at_end & finished),
        ]
        with m.If(taken):
            m.d.sync += [self.index.eq(self.index + 1), finished.eq(ahead.finish)]
        failures = (
            (there & ahead.behind_finish, ErrorClass.NO_FINISH),
            (there & ahead.illegal, ErrorClass.ILLEGAL_OPCODE),
            (there & ahead.dependency, ErrorClass.ILLEGAL_DEPENDENCY),
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
