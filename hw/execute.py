"""The execution pipeline that GEMM and ALU share: interlocks, operands, write-back."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import execute_ports, flag_row_elements
from hw.alu import AluLane
from hw.bus import error_layout
from hw.config import Config
from hw.gemm import MacArray
from hw.isa import ErrorClass
from hw.retire import DONE_BITS
from hw.sequencer import Kind, step_layout

__all__ = ["Execute", "operand_ports"]

STAGES = 6
"""Cycle 0 issues, 1 reads, 2 and 3 compute, 4 accumulates or clamps, 5 writes."""
FORWARD_DISTANCE = 4
"""The distance from which on an ALU uop gets its operands by forwarding; nearer ones wait."""
FLAG_RESET_DISTANCE = 6
"""Cycles after which the first read of any later uop sees the zero flags."""


def operand_ports(config: Config) -> dict[str, wiring.Member]:
    """Read ports of INP and WGT, seen from the pipeline."""
    return {
        "inp_en": Out(1),
        "inp_addr": Out(config.log_inp_depth),
        "inp_data": In(8 * config.inp_bytes),
        "wgt_en": Out(1),
        "wgt_addr": Out(config.log_wgt_depth),
        "wgt_data": In(8 * config.wgt_bytes),
    }


class Execute(wiring.Component):
    """Executes steps in order, one a cycle; once issued, a step never stalls.

    GEMM reads ACC two cycles after issue and adds in cycle 4, with the sums of the two uops
    before it forwarded, so that it never waits for a dependent uop. ALU steps read both operands
    at issue, go through their lanes in cycles 2 and 3 and are clamped in cycle 4. An ALU step
    waits up to three cycles for a result nearer than `FORWARD_DISTANCE`; a tensor ALU step waits
    a cycle where a GEMM step needs the second read port; any step waits for what a LOAD of the
    compute stage has yet to write.

    Members
    -------
    i: steps (`step_layout`).
    inp_en, inp_addr, wgt_en, wgt_addr: to the scratchpads; inp_data, wgt_data: a cycle later.
    acc: the accumulator scratchpad's ports but `load` and those of OUT.
    load_waits: in, a LOAD's write to ACC waits for a free cycle: a bubble is made for it.
    window_valid, window_start, window_end: in, ACC entries that a LOAD has yet to write.
    done: out, number of instructions whose last step is written this cycle.
    issued: out, a step is issued; blocked: out, one waits for a hazard.
    empty: out, nothing is in the pipeline behind `i`.
    stop: in, issue nothing.
    error: SRAM_BOUNDS of a step; it and those after it are not issued.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({
            "i": In(stream.Signature(step_layout(config))),
            **operand_ports(config),
            "acc": In(wiring.Signature(execute_ports(config))),
            "load_waits": In(1),
            "window_valid": In(1),
            "window_start": In(17),
            "window_end": In(17),
            "done": Out(DONE_BITS),
            "issued": Out(1),
            "blocked": Out(1),
            "empty": Out(1),
            "stop": In(1),
            "error": Out(error_layout()),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = step_layout(self._config)
        valid = [Signal(name=f"valid_{n}") for n in range(STAGES + 1)]
        steps = [Signal(layout, name=f"step_{n}", reset_less=True) for n in range(STAGES + 1)]
        m.d.comb += [valid[0].eq(self.issued), steps[0].eq(self.i.payload)]
        for n in range(STAGES):
            m.d.sync += valid[n + 1].eq(valid[n])
            with m.If(valid[n]):
                m.d.sync += steps[n + 1].eq(steps[n])
        m.d.comb += self.empty.eq(~Cat(valid).any())
        self._issue(m, valid, steps)
        self._compute(m, valid, steps)
        return m

    def _issue(self, m: Module, valid: list, steps: list) -> None:
        """Cycle 0: interlocks and bounds."""
        step = self.i.payload
        kind = step.carried.kind
        chain = step.carried.chain
        alu = kind == Kind.ALU
        gemm = kind == Kind.GEMM
        tensor = alu & (chain.first_tensor | chain.shift_tensor)
        settle = Signal(range(FLAG_RESET_DISTANCE))
        bubble = Signal()

        def near(address: Value) -> Value:
            hits = [
                valid[n] & (steps[n].dst == address) & (steps[n].carried.kind != Kind.FLAG_RESET)
                for n in range(1, FORWARD_DISTANCE)
            ]
            return Cat(hits).any()

        def loading(address: Value) -> Value:
            inside = (address >= self.window_start) & (address < self.window_end)
            return self.window_valid & inside

        over = (step.dst_over & (kind != Kind.FLAG_RESET)) | (tensor & step.acc_src_over) | (
            gemm & (step.inp_src_over | step.wgt_over))  # fmt: skip
        port_taken = valid[2] & (steps[2].carried.kind == Kind.GEMM)
        wait = Signal()
        m.d.comb += wait.eq(
            (alu & near(step.dst))
            | (tensor & (near(step.src) | port_taken | loading(step.src)))
            | loading(step.dst)
            | ((kind != Kind.FLAG_RESET) & (settle != 0))
            | (self.load_waits & ~bubble)
        )
        m.d.comb += [
            self.issued.eq(self.i.valid & ~over & ~wait & ~self.stop),
            self.blocked.eq(self.i.valid & ~over & wait),
            self.i.ready.eq(self.issued),
            self.error.valid.eq(self.i.valid & over),
            self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
            self.error.index.eq(step.carried.index),
            self.inp_en.eq(self.issued & gemm),
            self.inp_addr.eq(step.src),
            self.wgt_en.eq(self.issued & gemm),
            self.wgt_addr.eq(step.wgt),
            self.acc.d_en.eq(self.issued & alu),
            self.acc.d_addr.eq(step.dst),
            self.acc.s_en.eq(port_taken | (self.issued & tensor)),
            self.acc.s_addr.eq(Mux(port_taken, steps[2].dst, step.src)),
        ]
        m.d.sync += bubble.eq(self.load_waits)
        with m.If(self.issued & (kind == Kind.FLAG_RESET)):
            m.d.sync += settle.eq(FLAG_RESET_DISTANCE - 1)
        with m.Elif(settle != 0):
            m.d.sync += settle.eq(settle - 1)

    def _compute(self, m: Module, valid: list, steps: list) -> None:
        config = self._config
        is_alu = [valid[n] & (steps[n].carried.kind == Kind.ALU) for n in range(5)]
        is_gemm = [valid[n] & (steps[n].carried.kind == Kind.GEMM) for n in range(5)]
        m.submodules.mac = mac = MacArray(config)
        m.d.comb += [mac.valid.eq(is_gemm[1]), mac.inp.eq(self.inp_data), mac.wgt.eq(self.wgt_data)]

        def writes(n: int) -> Value:
            return valid[n] & (steps[n].carried.kind != Kind.FLAG_RESET)

        def forward(n: int, address: Value) -> tuple[Value, Value]:
            """Whether the results in cycles 5 and 6 are for `address`, read in cycle n - 1."""
            return tuple(writes(k) & (steps[k].dst == address) for k in (5, 6))

        d_5, d_6 = forward(1, steps[1].dst)
        s_5, s_6 = forward(1, steps[1].src)
        a_5, a_6 = forward(3, steps[3].dst)
        again = Signal()  # the GEMM step in cycle 4 adds to the result in cycle 5
        m.d.sync += again.eq(writes(4) & (steps[4].dst == steps[3].dst))

        lanes = config.batch * config.block
        results = []
        for lane in range(lanes):
            value, before, x, y, total = (
                Signal(signed(32), name=f"{name}_{lane}", reset_less=True)
                for name in ("result", "before", "x", "y", "total")
            )
            m.submodules[f"lane_{lane}"] = alu = AluLane()
            d_data = self.acc.d_data.word_select(lane, 32)
            s_data = self.acc.s_data.word_select(lane, 32)
            with m.If(is_alu[1]):  # Cycle 1: the ALU's operands
                m.d.sync += [
                    x.eq(Mux(d_5, value, Mux(d_6, before, d_data))),
                    y.eq(Mux(s_5, value, Mux(s_6, before, s_data))),
                ]
            with m.If(is_gemm[3]):  # Cycle 3: GEMM's accumulator
                m.d.sync += total.eq(Mux(a_5, value, Mux(a_6, before, s_data)))
            m.d.comb += [
                alu.valid.eq(is_alu[2]),
                alu.valid_1.eq(is_alu[3]),
                alu.x.eq(x),
                alu.y.eq(y),
                alu.chain.eq(steps[2].carried.chain),
                alu.chain_1.eq(steps[3].carried.chain),
            ]
            with m.If(valid[4]):  # Cycle 4: accumulate or clamp
                with m.Switch(steps[4].carried.kind):
                    with m.Case(Kind.GEMM):
                        m.d.sync += value.eq(Mux(again, value, total) + mac.dots[lane])
                    with m.Case(Kind.ALU):
                        m.d.sync += value.eq(_clamped(alu.result, steps[4].carried.chain))
                    with m.Default():
                        m.d.sync += value.eq(0)
            with m.If(valid[5]):
                m.d.sync += before.eq(value)
            results.append(value)
        self._write(m, valid, steps, writes(5), results)

    def _write(self, m: Module, valid: list, steps: list, writes: Value, results: list) -> None:
        """Cycle 5: one element, or a row of zero flags."""
        row = flag_row_elements(self._config)
        row_bits = row.bit_length() - 1
        step = steps[5]
        base, limit = step.carried.base, step.carried.limit
        first, after = Signal(row), Signal(row)  # entries at or behind base, before limit
        ones = Const((1 << row) - 1, row)
        m.d.comb += [
            self.acc.en.eq(writes),
            self.acc.addr.eq(step.dst),
            self.acc.value.eq(Cat(results)),
            self.acc.reset_en.eq(valid[5] & ~writes),
            self.acc.reset_row.eq(step.dst >> row_bits),
            first.eq(Mux(step.dst < base, ones << base[:row_bits], ones)),
            after.eq(Mux(step.dst + row > limit, ~(ones << limit[:row_bits]), ones)),
            self.acc.reset_mask.eq(first & after),
            self.done.eq(Mux(valid[5] & step.last, step.carried.instructions, 0)),
        ]


def _clamped(value: Value, chain: data.View) -> Value:
    low = chain.low_en & (value < chain.low)
    high = chain.high_en & (value > chain.high)
    return Mux(low, chain.low, Mux(high, chain.high, value))
