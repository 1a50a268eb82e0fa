"""Both pipelines side by side: ports are never used twice, hazards and patience."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib.wiring import In

from vta.hw.compute.execute import Execute
from vta.hw.compute.sequencer import Kind, step_layout
from vta.hw.formal.prove import Properties
from vta.hw.formal.steps import CONFIG, WRITE_CYCLE, adds_to, delayed, hold
from vta.hw.library.window import inside, window_layout

__all__ = ["PortProperties"]


class PortProperties(Properties):
    """Both pipelines side by side, given any steps, windows and loads.

    Proved for all time: they never use the write port together; where GEMM reads port s, it gets
    it, and no ALU step issues that needs it; the ALU's reads are those of the step that issues;
    no step issues whose entries were in a window that it waits for in the cycle before;
    each issued step that does not pass its sum on gets the write of its fifth cycle. With
    `patience`, checked for the first cycles: a LOAD that waits for a free write gets one within
    so many cycles.
    """

    def __init__(self, *, patience: int | None = None) -> None:
        self._patience = patience
        windows = ("loading", "older", "older_src")
        super().__init__(
            {
                "gemm_valid": In(1),
                "gemm_step": In(step_layout(CONFIG)),
                "alu_valid": In(1),
                "alu_step": In(step_layout(CONFIG)),
                **{name: In(window_layout()) for name in windows},
                "load_valid": In(1),
                "stop": In(1),
                "alu_waits": In(1),
                "epoch": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = Execute(CONFIG)
        for name in ("loading", "older", "older_src", "stop", "alu_waits", "epoch"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        for name in ("gemm", "alu"):
            port, step = getattr(dut, name), getattr(self, f"{name}_step")
            m.d.comb += [
                port.valid.eq(getattr(self, f"{name}_valid")),
                port.payload.eq(step),
                Assume((step.carried.kind == Kind.ALU) == (name == "alu")),
            ]
            hold(m, port, step.as_value())
        writes = [
            self.probe(f"dut.{path}", 1)
            for path in ("gemm_pipeline.en", "gemm_pipeline.reset_en", "alu_pipeline.en")
        ]
        self._reads(m, dut)
        self._windows(m, dut)
        # While a GEMM step waits, it is the one before that on offer.
        adds = ~dut.gemm_quiet & self.gemm_step.adds
        m.d.comb += [
            Assume(~adds | adds_to(dut.gemm_step, self.gemm_step)),
            Assume(~self.gemm_step.adds | self.gemm_valid),
            Assert(sum(writes) <= 1),
            Assert(dut.acc.en == (writes[0] | writes[2])),
            Assert(dut.acc.reset_en == writes[1]),
        ]
        issued = [
            delayed(m, now, WRITE_CYCLE, name)[-1]
            for now, name in (
                (dut.gemm_issued & ~dut.gemm_step.passes_on, "gemm"),
                (dut.alu_issued, "alu"),
            )
        ]
        m.d.comb += [Assert((writes[0] | writes[1]) == issued[0]), Assert(writes[2] == issued[1])]
        if self._patience is None:
            m.d.comb += dut.load_waits.eq(self.load_valid)
        else:
            self._wait(m, dut, self._patience)
        return m

    def _reads(self, m: Module, dut: Execute) -> None:
        """ALU steps may read before they issue, in vain."""
        acc, step = dut.acc, dut.alu_step
        chain = step.carried.chain
        tensor = chain.first_tensor | chain.shift_tensor
        gemm_reads = self.probe("dut.gemm_pipeline.s_en", 1)
        gemm_reads_at = self.probe("dut.gemm_pipeline.s_addr", CONFIG.log_acc_depth)
        needs_s = self.probe("dut.alu_pipeline.needs_s", 1)
        waits = ~dut.alu.ready | dut.alu_issued
        m.d.comb += [
            Assert(~waits | (needs_s == tensor)),
            Assert(~gemm_reads | (acc.s_en & (acc.s_addr == gemm_reads_at))),
            Assert(~dut.alu_issued | (acc.d_en & (acc.d_addr == step.dst))),
            Assert(
                ~(dut.alu_issued & tensor) | (~gemm_reads & acc.s_en & (acc.s_addr == step.src))
            ),
        ]

    def _windows(self, m: Module, dut: Execute) -> None:
        """What issues was in no window a cycle before; but zero flags and steps `held` do.

        Windows of ALU steps are for GEMM steps of the epoch behind them.
        """
        before = {}
        epoch, waits = Signal(), Signal()
        m.d.sync += [epoch.eq(self.epoch), waits.eq(self.alu_waits)]
        for name in ("loading", "older", "older_src"):
            before[name] = Signal(window_layout(), name=f"{name}_before")
            m.d.sync += before[name].eq(getattr(self, name))
        held = self.probe("dut.gemm_pipeline.held", 1)
        step = dut.gemm_step
        looked_at = dut.gemm_issued & ~held & (step.carried.kind != Kind.FLAG_RESET)
        chain = dut.alu_step.carried.chain
        tensor = chain.first_tensor | chain.shift_tensor
        loading = before["loading"]
        m.d.comb += [
            Assert(~looked_at | ~inside(loading, step.dst)),
            *(
                Assert(~(looked_at & (step.epoch == epoch)) | ~inside(before[name], step.dst))
                for name in ("older", "older_src")
            ),
            Assert(~(dut.alu_issued & waits)),
            Assert(~dut.alu_issued | ~inside(loading, dut.alu_step.dst)),
            Assert(~(dut.alu_issued & tensor) | ~inside(loading, dut.alu_step.src)),
        ]

    def _wait(self, m: Module, dut: Execute, patience: int) -> None:
        """A LOAD's write, held until it is taken."""
        waits, offered, ready = Signal(range(patience + 1)), Signal(), Signal()
        m.d.sync += ready.eq(~dut.acc.busy_next)  # as ACC's load port is
        m.d.comb += [
            Assert(~ready | ~(dut.acc.en | dut.acc.reset_en)),
            dut.load_waits.eq(self.load_valid & ~ready),
            Assume(~offered | self.load_valid),
            Assert(waits != patience),
        ]
        m.d.sync += [offered.eq(dut.load_waits), waits.eq(Mux(dut.load_waits, waits + 1, 0))]
