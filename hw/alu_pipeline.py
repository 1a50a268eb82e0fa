"""The ALU pipeline: operands, lanes, clamp, write-back."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.alu import AluLane
from hw.bits import sign_extended
from hw.bus import error_layout
from hw.config import Config
from hw.isa import ErrorClass
from hw.pipeline import (
    STAGES,
    chosen,
    inside,
    pipeline,
    source_of,
    window_layout,
    written_in,
)
from hw.retire import DONE_BITS
from hw.sequencer import step_layout

__all__ = ["AluPipeline"]

FORWARD_DISTANCE = 4
"""The distance from which on a step gets its operands by forwarding; nearer ones wait."""


class AluPipeline(wiring.Component):
    """Executes ALU steps in order, one a cycle.

    Both operands are read at issue; results of the steps four and five before are forwarded, and
    a step waits up to three cycles for a nearer one.

    Members
    -------
    i: steps (`step_layout`).
    d_en, d_addr, s_en, s_addr: to ACC; d_data, d_zero, s_data, s_zero: a cycle later.
    en, addr, value: out, the write of cycle 5.
    wants: out, a step would issue if there is a `slot`; needs_s: out, it reads port s.
    slot: in, the write five cycles from now is free, and port s now; issued: out, it issues.
    blocked: out, one waits.
    loading: in, the window that a LOAD has yet to write.
    done: out, number of instructions whose last step is written this cycle.
    empty: out, no issued step has still to be written.
    stop: in, issue nothing; error: SRAM_BOUNDS of a step, which is not issued.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        address, bits = config.log_acc_depth, 8 * config.acc_bytes
        super().__init__({
            "i": In(stream.Signature(step_layout(config))),
            "d_en": Out(1),
            "d_addr": Out(address),
            "d_data": In(bits),
            "d_zero": In(1),
            "s_en": Out(1),
            "s_addr": Out(address),
            "s_data": In(bits),
            "s_zero": In(1),
            "en": Out(1),
            "addr": Out(address),
            "value": Out(bits),
            "needs_s": Out(1),
            "slot": In(1),
            "wants": Out(1),
            "issued": Out(1),
            "blocked": Out(1),
            "loading": In(window_layout()),
            "done": Out(DONE_BITS),
            "empty": Out(1),
            "stop": In(1),
            "error": Out(error_layout()),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, steps = pipeline(m, self._config, self.issued, self.i.payload)
        self._issue(m, valid, steps)
        sources = (
            source_of(valid, steps, steps[1].dst, self.d_zero),
            source_of(valid, steps, steps[1].src, self.s_zero),
        )
        results = [
            self._lane(m, n, valid, steps, sources)
            for n in range(self._config.batch * self._config.block)
        ]
        m.d.comb += [
            self.en.eq(valid[5]),
            self.addr.eq(steps[5].dst),
            self.value.eq(Cat(results)),
            self.done.eq(Mux(valid[5] & steps[5].last, steps[5].carried.instructions, 0)),
            self.empty.eq(~Cat(valid[1:STAGES]).any()),
        ]
        return m

    def _issue(self, m: Module, valid: list, steps: list) -> None:
        """Cycle 0: interlocks and bounds; the operands' addresses."""
        step = self.i.payload
        chain = step.carried.chain
        tensor = chain.first_tensor | chain.shift_tensor
        over = step.dst_over | (tensor & step.acc_src_over)
        near = range(1, FORWARD_DISTANCE)
        dst_waits = written_in(valid, steps, step.dst, near) | inside(self.loading, step.dst)
        src_waits = written_in(valid, steps, step.src, near) | inside(self.loading, step.src)
        hazard = Signal()
        m.d.comb += [
            hazard.eq(dst_waits | (tensor & src_waits)),
            self.needs_s.eq(tensor),
            self.wants.eq(self.i.valid & ~over & ~hazard & ~self.stop),
            self.issued.eq(self.wants & self.slot),
            self.blocked.eq(self.i.valid & ~over & ~self.issued),
            self.i.ready.eq(self.issued),
            self.error.valid.eq(self.i.valid & over),
            self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
            self.error.index.eq(step.carried.index),
            self.d_en.eq(self.issued),
            self.d_addr.eq(step.dst),
            self.s_en.eq(self.issued & tensor),
            self.s_addr.eq(step.src),
        ]

    def _lane(self, m: Module, lane: int, valid: list, steps: list, sources: tuple) -> Signal:
        """One lane of 32 bits; returns its result of cycle 5."""
        x, y, result, before = (
            Signal(32, name=f"{name}_{lane}", reset_less=True)
            for name in ("x", "y", "result", "before")
        )
        m.submodules[f"lane_{lane}"] = alu = AluLane()
        with m.If(valid[1]):  # Cycle 1: operands
            m.d.sync += [
                operand.eq(chosen(source, data.word_select(lane, 32), before, result))
                for operand, source, data in zip(
                    (x, y), sources, (self.d_data, self.s_data), strict=True
                )
            ]
        m.d.comb += [
            alu.valid.eq(valid[2]),
            alu.valid_1.eq(valid[3]),
            alu.x.eq(x),
            alu.y.eq(y),
            alu.chain.eq(steps[2].carried.chain),
            alu.chain_1.eq(steps[3].carried.chain),
        ]
        with m.If(valid[4]):  # Cycle 4: clamp
            m.d.sync += result.eq(_clamped(alu.result, steps[4].carried.chain))
        with m.If(valid[5]):
            m.d.sync += before.eq(result)
        return result


def _clamped(value: Value, chain: data.View) -> Value:
    """The value between the chain's bounds, which have 16 bits: so has what is compared."""
    fits = value[15:].all() | ~value[15:].any()
    short = value[:16].as_signed()
    low = chain.low_en & Mux(fits, short < chain.low, value[31])
    high = chain.high_en & Mux(fits, short > chain.high, ~value[31])
    bound = sign_extended(Mux(low, chain.low, chain.high), 32)
    return Mux(low | high, bound, value)
