"""Starts the compute stage's instructions in order, and folds those that can share a pass."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import MOST_FOLDED
from vta.hw.compute.alu import chain_layout, extend
from vta.hw.compute.analyse import Turn, analysed_layout
from vta.hw.compute.sequencer import Kind, operation_layout
from vta.hw.config import Config
from vta.hw.frontend.retire import Unit, ticket_layout
from vta.hw.isa import ErrorClass, MemoryType, Opcode, instruction_layout
from vta.hw.library.bits import log2
from vta.hw.library.window import window_layout
from vta.hw.transfers.bus import ErrorPort, command_layout

__all__ = ["Issue"]


class Issue(wiring.Component):
    """Takes an instruction's tokens, then passes it on to the loader or the sequencer.

    One operation is kept back until the sequencer takes it: meanwhile ALU instructions over the
    same entries fold into it, as long as no token moves between them, the entries are distinct,
    the tensor operand is none of them, and the chain can be extended (`vta.hw.compute.alu`). So
    folding costs no time, and the result is that of one instruction after the other.

    Members
    -------
    i: analysed instructions.
    loader: LOADs; gemm, alu: what the sequencers execute; ticket: to retirement.
    prev_available, next_available, sound: in, from the token counters (`sound`: of both pushes).
    pop_prev, pop_next, reserve_prev, reserve_next: out, to the token counters.
    foldable_next: in, an instruction that may fold is being analysed.
    loads_pending, window_valid: in, from the loader.
    uop_active, uop_bgn, uop_end: in, the uops that may still be read.
    gemm_quiet, gemm_empty, alu_quiet, alu_empty: in, from execution, operations that wait for
        their steps counted: others may start, or nothing is executing.
    gemm_leaves: in, the last step of a GEMM operation writes in the next cycle.
    alu_waits: out, older GEMM operations have still to write.
    epoch: out, that of GEMM operations behind the last ALU operation.
    older, older_src: out, windows of ACC entries that ALU operations have yet to write and read.
    started, started_index: out, an instruction starts.
    wait_prev, wait_next, wait_room, wait_hazard: out, why the instruction at `i` does not.
    waiting_for_load: out, an operation waits for loads before it.
    occupied: out, an operation is kept.
    stop: in; error: SRAM_BOUNDS of uop_end.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        flags = (
            "prev_available",
            "next_available",
            "sound",
            "foldable_next",
            "window_valid",
            "uop_active",
            "gemm_quiet",
            "gemm_leaves",
            "gemm_empty",
            "alu_quiet",
            "alu_empty",
            "stop",
        )
        reports = (
            "pop_prev",
            "pop_next",
            "reserve_prev",
            "reserve_next",
            "started",
            "wait_prev",
            "wait_next",
            "wait_room",
            "wait_hazard",
            "waiting_for_load",
            "occupied",
            "alu_waits",
            "epoch",
        )
        super().__init__(
            {
                "i": In(stream.Signature(analysed_layout(config))),
                "loader": Out(stream.Signature(command_layout())),
                "gemm": Out(stream.Signature(operation_layout(config))),
                "alu": Out(stream.Signature(operation_layout(config))),
                "older": Out(window_layout()),
                "older_src": Out(window_layout()),
                "ticket": Out(stream.Signature(ticket_layout())),
                **{name: In(1) for name in flags},
                **{name: Out(1) for name in reports},
                "loads_pending": In(7),
                "uop_bgn": In(config.log_uop_depth),
                "uop_end": In(config.log_uop_depth + 1),
                "started_index": Out(command_layout()["index"].width),
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        new = self.i.payload
        self._irregular = Signal()  # an ALU operation that is not finished has no window
        self._views = {
            opcode: data.View(instruction_layout(self._config, opcode), new.bits)
            for opcode in (Opcode.GEMM, Opcode.ALU, Opcode.LOAD)
        }
        head = self._views[Opcode.ALU]
        tokens = (~head.pop_prev | self.prev_available) & (~head.pop_next | self.next_available)
        can_start, clear = Signal(), Signal()
        # A cycle late: only an instruction that starts takes room away, and the next one comes two
        # cycles behind it at the earliest.
        m.d.sync += clear.eq(self.sound & self.ticket.ready & ~self.stop)
        m.d.comb += can_start.eq(self.i.valid & tokens & clear)
        take_operation = self._keep(m, can_start)
        load_safe = self._load_hazards(m)

        unit = Signal(Unit)
        with m.Switch(new.turn):
            with m.Case(Turn.NOTHING):
                m.d.comb += self.i.ready.eq(can_start)
            with m.Case(Turn.EXECUTE):
                m.d.comb += [
                    self.i.ready.eq(can_start & take_operation),
                    unit.eq(Mux(head.opcode == Opcode.ALU, Unit.ALU, Unit.GEMM)),
                ]
            with m.Case(Turn.LOAD):
                m.d.comb += [
                    self.loader.valid.eq(can_start & load_safe),
                    self.i.ready.eq(can_start & load_safe & self.loader.ready),
                    unit.eq(Unit.TRANSFER),
                ]
        started = self.i.ready  # only high with a valid instruction
        ticket = self.ticket.payload
        m.d.comb += [
            self.loader.payload.bits.eq(new.bits),
            self.loader.payload.index.eq(new.index),
            self.started.eq(started),
            self.started_index.eq(new.index),
            self.ticket.valid.eq(started),
            ticket.index.eq(new.index),
            ticket.unit.eq(unit),
            ticket.push_prev.eq(head.push_prev),
            ticket.push_next.eq(head.push_next),
            ticket.finish.eq(head.opcode == Opcode.FINISH),
            self.pop_prev.eq(started & head.pop_prev),
            self.pop_next.eq(started & head.pop_next),
            self.reserve_prev.eq(started & head.push_prev),
            self.reserve_next.eq(started & head.push_next),
            self.wait_prev.eq(self.i.valid & head.pop_prev & ~self.prev_available),
            self.wait_next.eq(self.i.valid & head.pop_next & ~self.next_available),
            self.wait_room.eq(self.i.valid & ~self.sound),
            self.wait_hazard.eq(can_start & (new.turn == Turn.LOAD) & ~load_safe),
        ]
        return m

    def _load_hazards(self, m: Module) -> Signal:
        """Whether a LOAD may be in flight beside what executes.

        What executes is looked at a cycle late: an operation that was sent in the cycle before
        counts as kept.
        """
        load = self._views[Opcode.LOAD]
        safe, quiet, active, waits = Signal(), Signal(), Signal(), Signal()
        bgn, end = Signal.like(self.uop_bgn), Signal.like(self.uop_end)
        m.d.sync += [
            quiet.eq(self.gemm_empty & self.alu_empty),
            active.eq(self.uop_active),
            bgn.eq(self.uop_bgn),
            end.eq(self.uop_end),
            waits.eq(self.occupied),
        ]
        free = ~self.occupied & ~waits
        above = load.sram_base >= end
        below = self.i.payload.end <= bgn
        with m.If(load.memory_type == MemoryType.UOP):
            m.d.comb += safe.eq(free & (~active | above | below))
        with m.Else():
            m.d.comb += safe.eq(free & quiet)
        return safe

    def _keep(self, m: Module, can_start: Signal) -> Signal:
        """The kept operation; returns whether it can take in the instruction at `i`."""
        config = self._config
        new = self.i.payload
        alu = self._views[Opcode.ALU]
        kept = Signal(operation_layout(config))
        dst, dst_max, src_max = (
            Signal.like(new[name], name=f"kept_{name}") for name in ("dst", "dst_max", "src_max")
        )
        worth_waiting, folds, loaded = Signal(), Signal(), Signal()
        sent, fold = Signal(), Signal()

        is_alu = alu.opcode == Opcode.ALU
        operand = ~alu.use_imm
        chain = kept.carried.chain
        possible, longer = extend(m, chain, alu)
        one_operand = ~(operand & (chain.first_tensor | chain.shift_tensor))
        matches = (
            Signal()
        )  # found in the cycle before `i` is valid, see `vta.hw.compute.analyse.READY`
        with m.If(self.foldable_next):
            m.d.sync += matches.eq(
                folds
                & self._same_loops(kept, dst)
                & possible
                & one_operand
                & (kept.carried.instructions != MOST_FOLDED)
            )
        no_pop = ~alu.pop_prev & ~alu.pop_next
        m.d.comb += fold.eq(self.occupied & matches & new.foldable & no_pop)

        to_alu = kept.carried.kind == Kind.ALU
        flag_reset = kept.carried.kind == Kind.FLAG_RESET
        wait = (can_start & fold) | (worth_waiting & folds & self.foldable_next & ~self.i.valid)
        ready = self.occupied & loaded & ~wait & ~self.stop
        m.d.comb += [
            loaded.eq(
                (self.loads_pending == 0)
                | ((self.loads_pending == 1) & self.window_valid & ~flag_reset)
            ),
            self.alu.payload.eq(kept),
            self.gemm.valid.eq(ready & ~to_alu & self._beside_alu(m, kept, flag_reset)),
            self.alu.valid.eq(ready & to_alu & self._behind_gemm(m, kept)),
            self.waiting_for_load.eq(self.occupied & ~loaded),
            sent.eq((self.gemm.valid & self.gemm.ready) | (self.alu.valid & self.alu.ready)),
        ]
        self._windows(m, kept, dst_max, src_max)
        execute = can_start & (new.turn == Turn.EXECUTE)
        with m.If(execute & new.over):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
                self.error.index.eq(new.index),
            ]
        take = ~new.over & (~self.occupied | fold)
        no_push = ~alu.push_prev & ~alu.push_next
        with m.If(execute & take & self.occupied):  # it folds, and is not sent in this cycle
            m.d.sync += [
                chain.eq(longer),
                kept.carried.instructions.eq(kept.carried.instructions + 1),
                folds.eq(no_push),
            ]
            with m.If(operand):
                m.d.sync += [
                    kept.src.eq(new.src),
                    src_max.eq(new.src_max),
                    kept.src_factor_out.eq(alu.src_factor_out),
                    kept.src_factor_in.eq(alu.src_factor_in),
                ]
        with m.Elif(execute & take):
            m.d.sync += [
                self.occupied.eq(1),
                worth_waiting.eq(new.many),
                folds.eq(new.foldable & no_push),
                dst.eq(new.dst),
                dst_max.eq(new.dst_max),
                src_max.eq(new.src_max),
            ]
            self._keep_new(m, kept, is_alu)
        with m.Elif(sent):
            m.d.sync += self.occupied.eq(0)
        return take

    def _same_loops(self, kept, dst) -> Value:
        """Whether the kept operation and the instruction at `i` run over the same entries."""
        new, alu = self.i.payload, self._views[Opcode.ALU]
        loops = ("iter_out", "iter_in", "dst_factor_out", "dst_factor_in")
        return Cat(dst == new.dst, *(kept[name] == getattr(alu, name) for name in loops)).all()

    def _keep_new(self, m: Module, kept, is_alu) -> None:
        """The instruction at `i` as an operation; a reset by zero flags loops over rows of them."""
        new = self.i.payload
        alu, gemm = self._views[Opcode.ALU], self._views[Opcode.GEMM]
        _, first = extend(m, Signal(chain_layout(), name="empty_chain"), alu)
        flags = gemm.reset_reg & new.dense & ~is_alu
        row = self._config.zero_row
        row_bits = log2(row)
        rows = (new.dst_max >> row_bits) - (new.dst >> row_bits) + 1
        kind = Mux(flags, Kind.FLAG_RESET, Mux(gemm.reset_reg, Kind.RESET, Kind.GEMM))
        m.d.sync += [
            kept.direct.eq(flags | (is_alu & new.regular)),
            kept.dst.eq(new.dst & Mux(flags, ~(row - 1), -1)),
            kept.src.eq(new.src),
            kept.carried.kind.eq(Mux(is_alu, Kind.ALU, kind)),
            kept.carried.chain.eq(first),
            kept.carried.instructions.eq(1),
            kept.carried.index.eq(new.index),
            kept.carried.base.eq(new.dst),
            kept.carried.limit.eq(new.dst_max + 1),
            kept.uop_bgn.eq(alu.uop_bgn),
            kept.uop_end.eq(alu.uop_end),
            kept.iter_out.eq(Mux(flags, 1, alu.iter_out)),
            kept.iter_in.eq(Mux(flags, rows, alu.iter_in)),
            kept.dst_factor_out.eq(alu.dst_factor_out),
            kept.dst_factor_in.eq(Mux(flags, row, alu.dst_factor_in)),
            kept.src_factor_out.eq(Mux(is_alu, alu.src_factor_out, gemm.src_factor_out)),
            kept.src_factor_in.eq(Mux(is_alu, alu.src_factor_in, gemm.src_factor_in)),
            kept.wgt_factor_out.eq(gemm.wgt_factor_out),
            kept.wgt_factor_in.eq(gemm.wgt_factor_in),
        ]

    def _behind_gemm(self, m: Module, kept) -> Value:
        """Whether the kept operation can be sent to the ALU; orders it behind GEMM.

        Its steps wait until the GEMM operations sent before have written; those sent later, which
        follow without a gap and are of the next epoch, wait for what they share with it (`older`).
        So that nobody waits in a circle, and two epochs are enough, there must be no other ALU
        operation then, or no GEMM step that can wait.
        """
        unwritten, ahead = Signal(6), Signal(6)
        gemm_sent, alu_sent = (port.valid & port.ready for port in (self.gemm, self.alu))
        m.d.sync += unwritten.eq(unwritten + gemm_sent - self.gemm_leaves)
        with m.If(alu_sent):
            m.d.sync += [
                ahead.eq(unwritten - self.gemm_leaves),
                self.epoch.eq(self.epoch ^ self.alu_empty),
            ]
        with m.Elif(self.gemm_leaves & self.alu_waits):
            m.d.sync += ahead.eq(ahead - 1)
        m.d.comb += [
            self.alu_waits.eq(ahead != 0),
            self.gemm.payload.eq(kept),
            self.gemm.payload.epoch.eq(self.epoch),
        ]
        return self.gemm_quiet | (kept.direct & self.alu_empty & ~self.alu_waits)

    def _beside_alu(self, m: Module, kept, flag_reset) -> Signal:
        """Whether the kept operation can start beside the ALU operations before it."""
        beside = Signal()
        touches = Signal()
        for window in (self.older, self.older_src):
            with m.If(
                window.valid
                & (kept.carried.base < window.end)
                & (window.start < kept.carried.limit)
            ):
                m.d.comb += touches.eq(1)
        m.d.comb += beside.eq(self.alu_empty | (~self._irregular & ~(flag_reset & touches)))
        return beside

    def _windows(self, m: Module, kept, dst_max, src_max) -> None:
        """Hulls of what the ALU operations that are not finished write and read."""
        tensor = kept.carried.chain.first_tensor | kept.carried.chain.shift_tensor
        ranges = (
            (self.older, kept.carried.base, dst_max, 1),
            (self.older_src, kept.src, src_max, tensor),
        )
        sent = self.alu.valid & self.alu.ready
        for n, (window, first, last, used) in enumerate(ranges):
            known = Signal(name=f"known_{n}")
            bounds = Signal(window_layout(), name=f"bounds_{n}")
            m.d.comb += [window.start.eq(bounds.start), window.end.eq(bounds.end)]
            m.d.sync += window.valid.eq(known & ~self.alu_quiet)
            with m.If(sent & used):
                fresh = self.alu_empty | ~known
                m.d.sync += [
                    known.eq(1),
                    bounds.start.eq(Mux(fresh | (first < bounds.start), first, bounds.start)),
                    bounds.end.eq(Mux(fresh | (last >= bounds.end), last + 1, bounds.end)),
                ]
            with m.Elif(self.alu_empty):
                m.d.sync += known.eq(0)
        with m.If(sent):
            m.d.sync += self._irregular.eq(~kept.direct | (self._irregular & ~self.alu_empty))
