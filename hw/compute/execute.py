"""Execution: the GEMM and the ALU pipeline side by side on one ACC scratchpad."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from vta.hw.compute.accumulator import execute_ports
from vta.hw.compute.alu_pipeline import AluPipeline
from vta.hw.compute.gemm_pipeline import GemmPipeline, operand_ports
from vta.hw.compute.sequencer import step_layout
from vta.hw.config import Config
from vta.hw.frontend.retire import DONE_BITS
from vta.hw.library.window import window_layout
from vta.hw.transfers.bus import ErrorPort, passed_on

__all__ = ["Execute"]


class Execute(wiring.Component):
    """Shares ACC's ports between the pipelines.

    GEMM reads through port s, the ALU through port d and, for a tensor operand, s when GEMM does
    not read. Both write five cycles after issue, so the write port is allotted at issue: GEMM
    goes first where both want to write, but the ALU waits one cycle at the most; ALU steps with a
    tensor operand go before GEMM steps that do not add to the one before.

    Members
    -------
    gemm, alu: steps in.
    inp_*, wgt_*: operand scratchpads; acc: the accumulator scratchpad's ports but `load`, OUT's.
    load_waits: in, a LOAD's write to ACC waits for a free cycle: one is made for it.
    loading, older, older_src: windows (`vta.hw.compute.pipeline`): of a LOAD; of the ALU
        operations that are older than the GEMM steps.
    gemm_done, alu_done: out, instructions completed this cycle.
    gemm_issued, alu_issued, blocked: out, what happens in this cycle.
    gemm_step, alu_step: out, what issues.
    alu_waits: in, ALU steps must not issue yet; epoch: in, of GEMM steps behind the ALU operations.
    gemm_quiet, gemm_leaves, alu_quiet, gemm_empty, alu_empty: out, as the pipelines have them.
    stop: in; error: SRAM_BOUNDS of a step.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        windows = ("loading", "older", "older_src")
        flags = (
            "gemm_issued",
            "alu_issued",
            "blocked",
            "gemm_quiet",
            "gemm_leaves",
            "gemm_empty",
            "alu_quiet",
            "alu_empty",
        )
        super().__init__(
            {
                "gemm": In(stream.Signature(step_layout(config))),
                "alu": In(stream.Signature(step_layout(config))),
                **operand_ports(config),
                "acc": In(wiring.Signature(execute_ports(config))),
                "load_waits": In(1),
                "alu_waits": In(1),
                "epoch": In(1),
                **{name: In(window_layout()) for name in windows},
                "gemm_done": Out(DONE_BITS),
                "alu_done": Out(DONE_BITS),
                **{name: Out(1) for name in flags},
                "gemm_step": Out(step_layout(config)),
                "alu_step": Out(step_layout(config)),
                "stop": In(1),
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.gemm_pipeline = gemm = GemmPipeline(self._config)
        m.submodules.alu_pipeline = alu = AluPipeline(self._config)
        connect(m, wiring.flipped(self.gemm), gemm.i)
        connect(m, wiring.flipped(self.alu), alu.i)
        for name, member in operand_ports(self._config).items():
            inner, outer = getattr(gemm, name), getattr(self, name)
            m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
        self._allot(m, gemm, alu)
        self._ports(m, gemm, alu)
        m.d.comb += [
            alu.hold.eq(self.alu_waits),
            gemm.epoch.eq(self.epoch),
            gemm.stop.eq(self.stop),
            alu.stop.eq(self.stop),
            gemm.loading.eq(self.loading),
            alu.loading.eq(self.loading),
            gemm.older.eq(self.older),
            gemm.older_src.eq(self.older_src),
            self.gemm_done.eq(gemm.done),
            self.alu_done.eq(alu.done),
            self.gemm_issued.eq(gemm.issued),
            self.gemm_step.eq(gemm.step),
            self.alu_issued.eq(alu.issued),
            self.alu_step.eq(alu.step),
            self.blocked.eq(gemm.blocked | alu.blocked),
            self.gemm_quiet.eq(gemm.quiet),
            self.gemm_leaves.eq(gemm.leaves),
            self.gemm_empty.eq(gemm.empty),
            self.alu_quiet.eq(alu.quiet),
            self.alu_empty.eq(alu.empty),
        ]
        for unit in (gemm, alu):
            with m.If(unit.error.valid):
                m.d.comb += passed_on(self.error, unit.error)
        return m

    def _allot(self, m: Module, gemm: GemmPipeline, alu: AluPipeline) -> None:
        """Who writes five cycles from now, and who reads port s.

        An ALU step with a tensor operand needs a cycle in which no GEMM step reads; beside such
        steps GEMM pauses for a cycle in three, and they then go before a GEMM write. All that
        decides comes from registers.
        """
        denied, bubble, keep_free, waits = (
            Signal(name=name) for name in ("denied", "bubble", "keep_free", "waits")
        )
        paused = Signal(3)  # the GEMM steps of 1, 2 and 3 cycles ago; the last would read now
        # Zero flags are few, and GEMM steps wait behind them. A step that adds to the one before
        # does not read if it comes at once, and if it came late, what follows it will not write.
        gemm_first = gemm.step.adds | gemm.zeroes | ~(denied | alu.needs_s)
        able = alu.wants & ~(alu.needs_s & gemm.s_en)
        taken = (gemm.wants_write & gemm.slot) | (alu.wants & alu.slot)
        made = waits & (bubble | ~taken)  # a free cycle, for the LOAD that waits
        m.d.comb += [
            gemm.slot.eq(gemm.held | (~keep_free & (gemm_first | ~able))),
            gemm.pause.eq(alu.wants & alu.needs_s & (gemm.s_en | paused[2]) & ~paused[:2].any()),
            alu.slot.eq(able & ~keep_free & ~(gemm.wants_write & gemm_first)),
        ]
        m.d.sync += [
            denied.eq(able & gemm.wants_write & gemm_first),
            paused.eq(Cat(gemm.pause, paused)),
            waits.eq(self.load_waits),
            bubble.eq(made),
            keep_free.eq(self.load_waits & ~made),
        ]

    def _ports(self, m: Module, gemm: GemmPipeline, alu: AluPipeline) -> None:
        acc = self.acc
        m.d.comb += [
            acc.d_en.eq(alu.d_en),
            acc.d_addr.eq(alu.d_addr),
            alu.d_data.eq(acc.d_data),
            alu.d_zero.eq(acc.d_zero),
            acc.s_en.eq(gemm.s_en | alu.s_en),
            acc.s_addr.eq(Mux(gemm.s_en, gemm.s_addr, alu.s_addr)),
            *(
                getattr(unit, name).eq(getattr(acc, name))
                for unit in (gemm, alu)
                for name in ("s_data", "s_zero")
            ),
            acc.en.eq(gemm.en | alu.en),
            acc.addr.eq(Mux(gemm.en, gemm.addr, alu.addr)),
            acc.value.eq(Mux(gemm.en, gemm.value, alu.value)),
            acc.reset_en.eq(gemm.reset_en),
            acc.busy_next.eq(gemm.writes | alu.writes),
            acc.reset_row.eq(gemm.reset_row),
            acc.reset_mask.eq(gemm.reset_mask),
        ]
