"""The compute stage: LOAD UOP, ACC and ACC_8BIT, GEMM, ALU and FINISH."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from vta.hw.compute.accumulator import AccumulatorScratchpad, out_ports
from vta.hw.compute.analyse import Analyse
from vta.hw.compute.execute import Execute
from vta.hw.compute.gemm_pipeline import operand_ports
from vta.hw.compute.issue import Issue
from vta.hw.compute.sequencer import Kind, Sequencer
from vta.hw.config import Config
from vta.hw.frontend.retire import Retire
from vta.hw.frontend.stage import StagePort, choose_state, connect_retirement
from vta.hw.isa import MemoryType
from vta.hw.library.scratchpad import Scratchpad
from vta.hw.registers import StageState
from vta.hw.transfers.bus import ADDRESS_BITS, ErrorPort, ReadClient, passed_on
from vta.hw.transfers.loader import Loader

__all__ = ["ComputeStage"]

MEMORIES = (MemoryType.UOP, MemoryType.ACC, MemoryType.ACC_8BIT)
ACC_PORTS = (
    "en",
    "addr",
    "value",
    "reset_en",
    "reset_row",
    "reset_mask",
    "busy_next",
    "d_en",
    "d_addr",
    "s_en",
    "s_addr",
)
ACC_RESULTS = ("d_data", "d_zero", "s_data", "s_zero")


class ComputeStage(wiring.Component):
    """Instructions are analysed, started in order, and executed by the loader or the pipeline.

    Members
    -------
    port: commands, tokens, events and errors (`StagePort`).
    uop_base, acc_base: in, base registers.
    read: the DMA client of its LOADs.
    inp_en, inp_addr, inp_data, wgt_en, wgt_addr, wgt_data: to INP and WGT.
    out_en, out_pos, out_data: OUT's read port, for the store stage.
    finished: out, FINISH has retired (one cycle).
    gemm_uops, reset_uops, alu_uops, folded_uops: out, executions counted this cycle.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "port": Out(StagePort()),
                "uop_base": In(ADDRESS_BITS),
                "acc_base": In(ADDRESS_BITS),
                "read": Out(ReadClient(config)),
                **operand_ports(config),
                **out_ports(config),
                "finished": Out(1),
                "gemm_uops": Out(1),
                "reset_uops": Out(config.log_acc_depth + 1),
                "alu_uops": Out(4),
                "folded_uops": Out(config.log_acc_depth + 2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.analyse = analyse = Analyse(config)
        m.submodules.issue = issue = Issue(config)
        m.submodules.loader = loader = Loader(config, memories=MEMORIES)
        m.submodules.uop = uop = Scratchpad(config, memory_type=MemoryType.UOP)
        m.submodules.gemm_sequencer = sequencer = Sequencer(config)
        m.submodules.alu_sequencer = alu_sequencer = Sequencer(config)
        m.submodules.execute = execute = Execute(config)
        m.submodules.acc = acc = AccumulatorScratchpad(config)
        m.submodules.retire = retire = Retire()
        connect(m, wiring.flipped(self.port.command), analyse.i)
        connect(m, analyse.o, issue.i)
        connect(m, issue.loader, loader.i)
        connect(m, issue.gemm, sequencer.i)
        connect(m, issue.alu, alu_sequencer.i)
        connect(m, sequencer.o, execute.gemm)
        connect(m, alu_sequencer.o, execute.alu)
        connect(m, issue.ticket, retire.start)
        connect(m, loader.read, wiring.flipped(self.read))
        self._loads(m, loader, uop, acc, execute)
        self._uops(m, analyse, sequencer, alu_sequencer, uop, loader)
        self._execute(m, execute, acc, issue)
        connect_retirement(m, self.port, issue, retire)
        stop = self.port.stop
        m.d.comb += [
            analyse.stop.eq(stop),
            issue.stop.eq(stop),
            loader.stop.eq(stop),
            execute.stop.eq(stop),
            issue.foldable_next.eq(analyse.foldable),
            issue.loads_pending.eq(loader.pending),
            issue.window_valid.eq(loader.window_valid),
            issue.uop_active.eq(sequencer.active | alu_sequencer.reading),
            issue.uop_bgn.eq(Mux(alu_sequencer.reading, alu_sequencer.uop_bgn, sequencer.uop_bgn)),
            issue.uop_end.eq(Mux(alu_sequencer.reading, alu_sequencer.uop_end, sequencer.uop_end)),
            issue.gemm_quiet.eq(sequencer.empty & execute.gemm_quiet),
            issue.gemm_leaves.eq(execute.gemm_leaves),
            execute.alu_waits.eq(issue.alu_waits),
            execute.epoch.eq(issue.epoch),
            issue.gemm_empty.eq(sequencer.empty & execute.gemm_empty),
            issue.alu_quiet.eq(alu_sequencer.empty & execute.alu_quiet),
            issue.alu_empty.eq(alu_sequencer.empty & execute.alu_empty),
            retire.transfer_done.eq(loader.done),
            retire.gemm_done.eq(execute.gemm_done),
            retire.alu_done.eq(execute.alu_done),
            self.finished.eq(retire.finished),
        ]
        for unit in (issue, loader, execute):
            error = ErrorPort().create()
            m.d.sync += error.valid.eq(unit.error.valid)
            with m.If(unit.error.valid):
                m.d.sync += passed_on(error, unit.error)
            with m.If(error.valid):
                m.d.comb += passed_on(self.port.error, error)
        executing = ~(issue.gemm_empty & issue.alu_empty)
        busy = executing | (loader.pending != 0) | issue.occupied
        m.d.comb += self.port.busy.eq(busy)
        self._state(m, issue, loader, execute, retire, busy, executing)
        self._events(m, execute)
        return m

    def _loads(self, m: Module, loader, uop, acc, execute) -> None:
        write = loader.write
        is_uop = write.payload.memory == MemoryType.UOP
        m.d.comb += [
            loader.bases[0].eq(self.uop_base),
            loader.bases[1].eq(self.acc_base),
            loader.bases[2].eq(self.acc_base),
            uop.write.eq(write.payload),
            uop.write_valid.eq(write.valid & is_uop),
            acc.load.payload.eq(write.payload),
            acc.load.valid.eq(write.valid & ~is_uop),
            write.ready.eq(is_uop | acc.load.ready),
            execute.load_waits.eq(acc.load.valid & ~acc.load.ready),
            execute.loading.valid.eq(
                loader.window_valid & (loader.window_memory != MemoryType.UOP)
            ),
            execute.loading.start.eq(loader.window_start),
            execute.loading.end.eq(loader.window_end),
        ]

    def _uops(self, m: Module, analyse, sequencer, alu_sequencer, uop, loader) -> None:
        """UOP's read port: an ALU operation that reads it runs alone; analysis is quick."""
        alone = alu_sequencer.reading
        loading = loader.window_valid & (loader.window_memory == MemoryType.UOP)
        m.d.comb += [
            analyse.peek_ready.eq(~alone),
            analyse.settled.eq(loader.pending_uop == 0),
            uop.read_en.eq(analyse.peek | sequencer.uop_en | alu_sequencer.uop_en),
            uop.read_addr.eq(sequencer.uop_addr),
        ]
        with m.If(alone):
            m.d.comb += uop.read_addr.eq(alu_sequencer.uop_addr)
        with m.Elif(analyse.peek):
            m.d.comb += uop.read_addr.eq(analyse.peek_addr)
        for reader in (analyse, sequencer, alu_sequencer):
            m.d.comb += reader.uop_data.eq(uop.read_data)
        for reader in (sequencer, alu_sequencer):
            m.d.comb += [
                reader.loading.valid.eq(loading),
                reader.loading.start.eq(loader.window_start),
                reader.loading.end.eq(loader.window_end),
            ]
        m.d.comb += sequencer.hold.eq(analyse.peek)

    def _execute(self, m: Module, execute, acc, issue) -> None:
        m.d.comb += [getattr(acc, name).eq(getattr(execute.acc, name)) for name in ACC_PORTS]
        m.d.comb += [
            *(getattr(execute.acc, name).eq(getattr(acc, name)) for name in ACC_RESULTS),
            acc.out_en.eq(self.out_en),
            acc.out_pos.eq(self.out_pos),
            self.out_data.eq(acc.out_data),
            execute.older.eq(issue.older),
            execute.older_src.eq(issue.older_src),
        ]
        for name in ("inp", "wgt"):
            m.d.comb += [
                getattr(self, f"{name}_en").eq(getattr(execute, f"{name}_en")),
                getattr(self, f"{name}_addr").eq(getattr(execute, f"{name}_addr")),
                getattr(execute, f"{name}_data").eq(getattr(self, f"{name}_data")),
            ]

    def _state(self, m: Module, issue, loader, execute, retire, busy, executing) -> None:
        state = self.port.state
        gemm_issued, alu_issued, blocked = Signal(), Signal(), Signal()
        m.d.sync += [  # which are known late in the cycle
            gemm_issued.eq(execute.gemm_issued),
            alu_issued.eq(execute.alu_issued),
            blocked.eq(execute.blocked),
        ]
        choose_state(
            m,
            state,
            (
                (gemm_issued, StageState.BUSY),
                (alu_issued, StageState.BUSY_ALU),
                (loader.waiting & (blocked | ~executing), StageState.WAIT_BUS),
                (blocked | (issue.wait_hazard & busy), StageState.WAIT_HAZARD),
                (busy, StageState.BUSY),
                (retire.blocked_prev, StageState.WAIT_PREV_ROOM),
                (retire.blocked_next, StageState.WAIT_NEXT_ROOM),
                (issue.wait_prev, StageState.WAIT_PREV_TOKEN),
                (issue.wait_next, StageState.WAIT_NEXT_TOKEN),
                (self.port.unretired, StageState.BUSY),
            ),
        )

    def _events(self, m: Module, execute) -> None:
        """Counts of executions, the same whatever is folded."""
        alu = execute.alu_step.carried
        carried = execute.gemm_step.carried
        entries = Signal(self._config.log_acc_depth + 1)
        folded, saved = Signal(4), Signal.like(entries)
        m.d.comb += [entries.eq(carried.limit - carried.base), self.folded_uops.eq(folded + saved)]
        with m.If(execute.gemm_issued):
            with m.Switch(carried.kind):
                with m.Case(Kind.GEMM):
                    m.d.comb += self.gemm_uops.eq(1)
                with m.Case(Kind.RESET):
                    m.d.comb += self.reset_uops.eq(1)
                with m.Default():
                    with m.If(execute.gemm_step.last):
                        m.d.comb += [self.reset_uops.eq(entries), saved.eq(entries)]
        with m.If(execute.alu_issued):
            m.d.comb += [self.alu_uops.eq(alu.instructions), folded.eq(alu.instructions - 1)]
