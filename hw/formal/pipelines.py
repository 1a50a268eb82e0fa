"""GEMM and ALU pipelines: forwarding, interlocks and passed-on sums equal one step after another.

Every hazard is between two ACC entries at most: the one that a step writes and the one that it
reads. So two entries (0 and 1) and one lane stand for all. The sums are whatever data come in:
the MAC array multiplies by a unit matrix, and the ALU adds.
"""

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from vta.hw.compute.alu import FirstOp
from vta.hw.compute.alu_pipeline import AluPipeline
from vta.hw.compute.gemm_pipeline import GemmPipeline
from vta.hw.compute.sequencer import Kind, step_layout
from vta.hw.formal.prove import Properties
from vta.hw.formal.steps import CONFIG, WRITE_CYCLE, adds_to, delayed, hold, keep_order

__all__ = ["AluPipelineProperties", "GemmPipelineProperties"]

BITS = 2
"""Of a value that are compared: carries go up only, so the low bits of sums are a smaller core."""


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


class GemmPipelineProperties(Properties):
    """A GEMM pipeline given GEMM, RESET and FLAG_RESET steps, and write slots, at any time.

    Checked for the first cycles after reset, which reach every state of the pipeline's six: what
    each step writes is what the steps before it, one after the other, leave in its entry; a step
    that does not write passes its sum on to the next one, which comes in the very next cycle.
    Steps may say that they add to the entry of the GEMM step before only where they do.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": In(1),
                "kind": In(Kind),
                "dst": In(1),
                "base": In(1),
                "limit": In(2),
                "adds": In(1),
                "inp": In(BITS),
                "slot": In(1),
                "pause": In(1),
            }
        )

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
        offered = Cat(
            step.dst[0], step.carried.kind, step.carried.base[0], step.carried.limit[:2], step.adds
        )
        hold(m, dut.i, offered)
        now = dut.step
        keep_order(
            m,
            dut,
            offered,
            Cat(now.dst[0], now.carried.kind, now.carried.base[0], now.carried.limit[:2], now.adds),
        )
        before = Signal(step_layout(CONFIG))  # the step before
        known = Signal()
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += [before.eq(step), known.eq(1)]
        m.d.comb += Assume(~self.adds | (self.valid & known & adds_to(before, step)))
        memory = _Memory(m)
        memory.write(dut.en, dut.addr, dut.value)
        memory.reset(dut.reset_en, dut.reset_mask)
        memory.read(dut.s_en, dut.s_addr, dut.s_data, dut.s_zero)
        self._compare(m, dut)
        return m

    def _compare(self, m: Module, dut: GemmPipeline) -> None:
        """The steps one after the other, in the cycle behind issue, when INP is there."""
        issued = delayed(m, dut.issued, WRITE_CYCLE, "issued")
        steps = delayed(m, dut.step, WRITE_CYCLE, "step")
        now = steps[1]
        entries = Array(Signal(BITS, name=f"entry_{n}") for n in range(2))
        after = Signal(BITS)
        m.d.comb += after.eq(Mux(now.carried.kind == Kind.GEMM, entries[now.dst[0]] + self.inp, 0))
        for n, entry in enumerate(entries):
            covered = (now.carried.base <= n) & (n < now.carried.limit)
            hit = Mux(now.carried.kind == Kind.FLAG_RESET, covered, now.dst == n)
            with m.If(issued[1] & hit):
                m.d.sync += entry.eq(after)
        expected = delayed(m, after, WRITE_CYCLE - 1, "expected")[-1]
        old, valid = steps[WRITE_CYCLE], issued[WRITE_CYCLE]
        flags = valid & (old.carried.kind == Kind.FLAG_RESET)
        mask = Cat((old.carried.base <= n) & (n < old.carried.limit) for n in range(2))
        next_adds = issued[WRITE_CYCLE - 1] & (steps[WRITE_CYCLE - 1].carried.kind == Kind.GEMM)
        m.d.comb += [
            Assert(~dut.en | (valid & ~flags)),
            Assert(dut.reset_en == flags),
            Assert(~flags | (dut.reset_mask[:2] == mask)),
            Assert(~flags | ~dut.reset_mask[2 : CONFIG.zero_row].any()),
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
        super().__init__(
            {
                "valid": In(1),
                "dst": In(1),
                "src": In(1),
                "tensor": In(1),
                "imm": In(BITS),
                "slot": In(1),
            }
        )

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
        hold(m, dut.i, Cat(self.dst, self.src, self.tensor, self.imm))
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
        expected = delayed(m, after, WRITE_CYCLE, "expected")[-1]
        dst = delayed(m, now.dst, WRITE_CYCLE, "dst")[-1]
        valid = delayed(m, dut.issued, WRITE_CYCLE, "issued")[-1]
        m.d.comb += Assert(dut.en == valid)
        with m.If(dut.en):
            m.d.comb += Assert((dut.addr == dst) & (dut.value[:BITS] == expected))
        offered = Cat(self.dst, self.src, self.tensor, self.imm)
        keep_order(
            m,
            dut,
            offered,
            Cat(now.dst[0], now.src[0], chain.first_tensor, chain.first_imm.as_unsigned()[:BITS]),
        )
        return m
