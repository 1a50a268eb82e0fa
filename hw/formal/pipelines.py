"""GEMM and ALU pipelines: forwarding, interlocks and passed-on sums equal one step after another.

Every hazard is between two ACC entries at most: the one that a step writes and the one that it
reads. So two entries (0 and 1) and one lane stand for all. The sums are whatever data come in:
the MAC array multiplies by a unit matrix, and the ALU adds.
"""

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from hw.accumulator import flag_row_elements
from hw.alu import FirstOp
from hw.alu_pipeline import AluPipeline
from hw.config import Config
from hw.execute import Execute
from hw.formal.prove import Properties
from hw.gemm_pipeline import GemmPipeline
from hw.sequencer import Kind, step_layout
from hw.window import window_layout

__all__ = ["AluPipelineProperties", "GemmPipelineProperties", "PortProperties"]

CONFIG = Config(
    log_block=2, log_uop_buff_size=8, log_inp_buff_size=8, log_wgt_buff_size=10,
    log_acc_buff_size=10, axi_data_bits=32,
)  # fmt: skip
BITS = 2
"""Of a value that are compared: carries go up only, so the low bits of sums are a smaller core."""
WRITE_CYCLE = 5
"""A step is written five cycles after it issues."""


class _Memory:
    """Lane 0 of ACC entries 0 and 1 with their zero flags: a write is seen in the next cycle."""

    def __init__(self, m: Module) -> None:
        self._m = m
        self.values = Array(Signal(BITS, name=f"value_{n}") for n in range(2))
        self.zeros = Array(Signal(name=f"zero_{n}") for n in range(2))

    def write(self, en: Value, addr: Value, value: Value) -> None:
        with self._m.If(en):
            self._m.d.sync += [self.values[addr[0]].eq(value[:BITS]), self.zeros[addr[0]].eq(0)]

    def reset(self, en: Value, mask: Value) -> None:
        for n, zero in enumerate(self.zeros):
            with self._m.If(en & mask[n]):
                self._m.d.sync += zero.eq(1)

    def read(self, en: Value, addr: Value, data: Value, zero: Value) -> None:
        held, held_zero = Signal(BITS), Signal()
        with self._m.If(en):
            self._m.d.sync += [held.eq(self.values[addr[0]]), held_zero.eq(self.zeros[addr[0]])]
        self._m.d.comb += [data.eq(held), zero.eq(held_zero)]


def _delayed(m: Module, value: Value, cycles: int, name: str) -> list[Value]:
    """The value, and what it was 1, 2, ... `cycles` cycles ago."""
    stages = [value]
    for n in range(cycles):
        stages.append(Signal.like(stages[-1], name=f"{name}_{n + 1}"))
        m.d.sync += stages[-1].eq(stages[-2])
    return stages


def _hold(m: Module, stream, inputs: Value) -> None:
    """Assume that steps on offer are held: the sequencer does so (`hw.formal.channels`)."""
    before, offered = Signal.like(inputs), Signal()
    m.d.sync += [before.eq(inputs), offered.eq(stream.valid & ~stream.ready)]
    m.d.comb += Assume(~offered | (stream.valid & (inputs == before)))


def _adds_to(before, step) -> Value:
    """What `adds` says of a step, given the one before."""
    kinds = (before.carried.kind == Kind.GEMM) & (step.carried.kind == Kind.GEMM)
    return kinds & (before.dst == step.dst) & ~step.over


class GemmPipelineProperties(Properties):
    """A GEMM pipeline given GEMM, RESET and FLAG_RESET steps, and write slots, at any time.

    Checked for the first cycles after reset, which reach every state of the pipeline's six: what
    each step writes is what the steps before it, one after the other, leave in its entry; a step
    that does not write passes its sum on to the next one, which comes in the very next cycle.
    Steps may say that they add to the entry of the GEMM step before only where they do.
    """

    def __init__(self) -> None:
        super().__init__({
            "valid": In(1), "kind": In(Kind), "dst": In(1), "base": In(1), "limit": In(2),
            "adds": In(1), "inp": In(BITS), "slot": In(1), "pause": In(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = GemmPipeline(CONFIG)
        step = dut.i.payload
        flags = self.kind == Kind.FLAG_RESET
        unit = bytes(k == o for o in range(CONFIG.block) for k in range(CONFIG.block))
        m.d.comb += [
            dut.i.valid.eq(self.valid),
            step.carried.kind.eq(self.kind),
            step.carried.base.eq(self.base),
            step.carried.limit.eq(self.limit),
            step.dst.eq(Mux(flags, 0, self.dst)),
            step.adds.eq(self.adds),
            dut.inp_data.eq(self.inp),
            dut.wgt_data.eq(int.from_bytes(unit, "little")),
            dut.slot.eq(self.slot),
            dut.pause.eq(self.pause),
            Assume(self.kind != Kind.ALU),
            Assume((self.limit > self.base) & (self.limit <= 2)),
            Assume(~dut.held | self.slot),
        ]
        _hold(m, dut.i, Cat(self.kind.as_value(), self.dst, self.base, self.limit, self.adds))
        before = Signal(step_layout(CONFIG))  # the step before
        known = Signal()
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += [before.eq(step), known.eq(1)]
        m.d.comb += Assume(~self.adds | (known & _adds_to(before, step)))
        memory = _Memory(m)
        memory.write(dut.en, dut.addr, dut.value)
        memory.reset(dut.reset_en, dut.reset_mask)
        memory.read(dut.s_en, dut.s_addr, dut.s_data, dut.s_zero)
        self._compare(m, dut)
        return m

    def _compare(self, m: Module, dut: GemmPipeline) -> None:
        """The steps one after the other, in the cycle behind issue, when INP is there."""
        issued = _delayed(m, dut.issued, WRITE_CYCLE, "issued")
        steps = _delayed(m, dut.step, WRITE_CYCLE, "step")
        now = steps[1]
        entries = Array(Signal(BITS, name=f"entry_{n}") for n in range(2))
        after = Signal(BITS)
        m.d.comb += after.eq(Mux(now.carried.kind == Kind.GEMM, entries[now.dst[0]] + self.inp, 0))
        for n, entry in enumerate(entries):
            covered = (now.carried.base <= n) & (n < now.carried.limit)
            hit = Mux(now.carried.kind == Kind.FLAG_RESET, covered, now.dst == n)
            with m.If(issued[1] & hit):
                m.d.sync += entry.eq(after)
        expected = _delayed(m, after, WRITE_CYCLE - 1, "expected")[-1]
        old, valid = steps[WRITE_CYCLE], issued[WRITE_CYCLE]
        flags = valid & (old.carried.kind == Kind.FLAG_RESET)
        mask = Cat((old.carried.base <= n) & (n < old.carried.limit) for n in range(2))
        next_adds = issued[WRITE_CYCLE - 1] & (steps[WRITE_CYCLE - 1].carried.kind == Kind.GEMM)
        m.d.comb += [
            Assert(~dut.en | (valid & ~flags)),
            Assert(dut.reset_en == flags),
            Assert(~flags | (dut.reset_mask[:2] == mask)),
            Assert(~flags | ~dut.reset_mask[2 : flag_row_elements(CONFIG)].any()),
            Assert(~dut.en | ((dut.addr == old.dst) & (dut.value[:BITS] == expected))),
            Assert(
                ~(valid & ~flags & ~dut.en) | (next_adds & (steps[WRITE_CYCLE - 1].dst == old.dst))
            ),
        ]


class AluPipelineProperties(Properties):
    """An ALU pipeline given additions of immediates and of tensors, and slots, at any time.

    Checked for the first cycles after reset: what each step writes is what the steps before it,
    one after the other, leave in its two entries. Each issued step writes, five cycles later.
    """

    def __init__(self) -> None:
        super().__init__({"valid": In(1), "dst": In(1), "src": In(1), "tensor": In(1),
                          "imm": In(BITS), "slot": In(1)})  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = AluPipeline(CONFIG)
        step = dut.i.payload
        m.d.comb += [
            dut.i.valid.eq(self.valid),
            step.carried.kind.eq(Kind.ALU),
            step.carried.chain.first.eq(FirstOp.ADD),
            step.carried.chain.first_tensor.eq(self.tensor),
            step.carried.chain.first_imm.eq(self.imm),
            step.dst.eq(self.dst),
            step.src.eq(self.src),
            dut.slot.eq(self.slot),
        ]
        _hold(m, dut.i, Cat(self.dst, self.src, self.tensor, self.imm))
        memory = _Memory(m)
        memory.write(dut.en, dut.addr, dut.value)
        memory.read(dut.d_en, dut.d_addr, dut.d_data, dut.d_zero)
        memory.read(dut.s_en, dut.s_addr, dut.s_data, dut.s_zero)
        entries = Array(Signal(BITS, name=f"entry_{n}") for n in range(2))
        after = Signal(BITS)
        now = dut.step  # what issues
        chain = now.carried.chain
        operand = Mux(chain.first_tensor, entries[now.src[0]], chain.first_imm)
        m.d.comb += after.eq(entries[now.dst[0]] + operand)
        with m.If(dut.issued):
            m.d.sync += entries[now.dst[0]].eq(after)
        expected = _delayed(m, after, WRITE_CYCLE, "expected")[-1]
        dst = _delayed(m, now.dst, WRITE_CYCLE, "dst")[-1]
        valid = _delayed(m, dut.issued, WRITE_CYCLE, "issued")[-1]
        m.d.comb += Assert(dut.en == valid)
        with m.If(dut.en):
            m.d.comb += Assert((dut.addr == dst) & (dut.value[:BITS] == expected))
        self._order(m, dut)
        return m

    def _order(self, m: Module, dut: AluPipeline) -> None:
        """What issues is what was taken, in order: cycle 0 holds one step."""
        fields = Cat(self.dst, self.src, self.tensor, self.imm)
        held, waiting = Signal.like(fields), Signal()
        chain = dut.step.carried.chain
        issuing = Cat(dut.step.dst[0], dut.step.src[0], chain.first_tensor,
                      chain.first_imm.as_unsigned()[:BITS])  # fmt: skip
        with m.If(dut.i.ready):
            m.d.sync += [waiting.eq(dut.i.valid), held.eq(fields)]
        m.d.comb += [
            Assert(~dut.issued | (waiting & (issuing == held))),
            Assert(dut.i.ready == (~waiting | dut.issued)),
        ]


class PortProperties(Properties):
    """Both pipelines side by side, given any steps, windows and loads.

    Proved for all time: they never use the write port together; where GEMM reads port s, it gets
    it, and no ALU step issues that needs it; the ALU's reads are those of the step that issues;
    each issued step that does not pass its sum on gets the write of its fifth cycle. With `patience`, checked for the
    first cycles: a LOAD that waits for a free write gets one within so many cycles.
    """

    def __init__(self, *, patience: int | None = None) -> None:
        self._patience = patience
        windows = ("loading", "older", "older_src")
        super().__init__({
            "gemm_valid": In(1), "gemm_step": In(step_layout(CONFIG)),
            "alu_valid": In(1), "alu_step": In(step_layout(CONFIG)),
            **{name: In(window_layout()) for name in windows},
            "load_valid": In(1), "stop": In(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = Execute(CONFIG)
        for name in ("loading", "older", "older_src", "stop"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        for name in ("gemm", "alu"):
            port, step = getattr(dut, name), getattr(self, f"{name}_step")
            m.d.comb += [
                port.valid.eq(getattr(self, f"{name}_valid")),
                port.payload.eq(step),
                Assume((step.carried.kind == Kind.ALU) == (name == "alu")),
            ]
            _hold(m, port, step.as_value())
        writes = [self.probe(f"dut.{path}", 1) for path in (
            "gemm_pipeline.en", "gemm_pipeline.reset_en", "alu_pipeline.en")]  # fmt: skip
        self._reads(m, dut)
        # While a GEMM step waits, it is the one before that on offer.
        adds = ~dut.gemm_quiet & self.gemm_step.adds
        m.d.comb += [
            Assume(~adds | _adds_to(dut.gemm_step, self.gemm_step)),
            Assert(sum(writes) <= 1),
            Assert(dut.acc.en == (writes[0] | writes[2])),
            Assert(dut.acc.reset_en == writes[1]),
        ]
        issued = [
            _delayed(m, now, WRITE_CYCLE, name)[-1]
            for now, name in (
                (dut.gemm_issued & ~dut.gemm_step.passes_on, "gemm"),
                (dut.alu_issued, "alu"),
            )
        ]
        m.d.comb += [
            Assert((writes[0] | writes[1]) == issued[0]),
            Assert(writes[2] == issued[1]),
        ]
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
                ~(dut.alu_issued & tensor)
                | (~gemm_reads & acc.s_en & (acc.s_addr == step.src))
            ),
        ]

    def _wait(self, m: Module, dut: Execute, patience: int) -> None:
        """A LOAD's write, held until it is taken."""
        waits, offered = Signal(range(patience + 1)), Signal()
        m.d.comb += [
            dut.load_waits.eq(self.load_valid & (dut.acc.en | dut.acc.reset_en)),
            Assume(~offered | self.load_valid),
            Assert(waits != patience),
        ]
        m.d.sync += [
            offered.eq(dut.load_waits),
            waits.eq(Mux(dut.load_waits, waits + 1, 0)),
        ]
