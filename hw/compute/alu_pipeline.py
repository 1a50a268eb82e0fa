"""The ALU pipeline: operands, lanes, clamp, write-back."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import FORWARD_DISTANCE
from vta.hw.compute.alu import AluLane
from vta.hw.compute.pipeline import STAGES, chosen, pipeline, source_of
from vta.hw.compute.sequencer import step_layout
from vta.hw.config import Config
from vta.hw.frontend.retire import DONE_BITS
from vta.hw.isa import ErrorClass
from vta.hw.library.bits import sign_extended
from vta.hw.library.window import inside, window_layout
from vta.hw.transfers.bus import ErrorPort

__all__ = ["AluPipeline"]


class AluPipeline(wiring.Component):
    """Executes ALU steps in order, one a cycle.

    Both operands are read at issue; results of the steps four and five before are forwarded, and
    a step waits up to three cycles for a nearer one.

    Members
    -------
    i: steps (`step_layout`).
    d_en, d_addr, s_en, s_addr: to ACC; d_data, d_zero, s_data, s_zero: a cycle later.
    writes: out, cycle 5 writes in the next cycle; en, addr, value: out, the write of cycle 5.
    wants: out, a step would issue if there is a `slot`; needs_s: out, it reads port s.
    slot: in, the write five cycles from now is free, and port s now.
    issued: out, a step issues; step: out, which; blocked: out, one waits.
    loading: in, the window that a LOAD has yet to write.
    quiet: out, a GEMM step found free to issue in two cycles reads what these steps write.
    done: out, number of instructions whose last step is written this cycle.
    empty: out, no issued step has still to be written.
    hold, stop: in, issue nothing from the next cycle on.
    error: SRAM_BOUNDS of a step, which is not issued.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        address, bits = config.log_acc_depth, 8 * config.acc_bytes
        super().__init__(
            {
                "i": In(stream.Signature(step_layout(config))),
                "d_en": Out(1),
                "d_addr": Out(address),
                "d_data": In(bits),
                "d_zero": In(1),
                "s_en": Out(1),
                "s_addr": Out(address),
                "s_data": In(bits),
                "s_zero": In(1),
                "writes": Out(1),
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
                "quiet": Out(1),
                "hold": In(1),
                "stop": In(1),
                "step": Out(step_layout(config)),
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, steps = pipeline(m, self._config, self.issued, self.step)
        waiting = self._issue(m, valid, steps)
        sources = (
            source_of(m, valid, steps, self.step.dst, self.d_zero, "x"),
            source_of(m, valid, steps, self.step.src, self.s_zero, "y"),
        )
        results = [
            self._lane(m, n, valid, steps, sources)
            for n in range(self._config.batch * self._config.block)
        ]
        m.d.comb += [
            self.writes.eq(valid[4]),
            self.en.eq(valid[5]),
            self.addr.eq(steps[5].dst),
            self.value.eq(Cat(results)),
            self.done.eq(Mux(valid[5] & steps[5].last, steps[5].carried.instructions, 0)),
            self.empty.eq(~waiting & ~Cat(valid[1:STAGES]).any()),
            self.quiet.eq(~waiting & ~valid[1]),
        ]
        return m

    def _issue(self, m: Module, valid: list, steps: list) -> Signal:
        """Cycle 0, from registers; returns its valid bit.

        Whether a step may issue is found in the cycle before, for the one that waits and for the
        one behind it. `conflicts` says in which cycles, of 1 to 3, are results that the step needs.
        """
        waiting, able, needs_s = Signal(), Signal(), Signal()
        conflicts = Signal(FORWARD_DISTANCE - 1)
        step = Signal(step_layout(self._config), name="step_0", reset_less=True)
        following = self.i.payload
        tensor = _has_tensor(following)
        ahead = zip((waiting, *valid[1:3]), (step, *steps[1:3]), strict=True)
        met = Cat(
            there & ((other.dst == following.dst) | (tensor & (other.dst == following.src)))
            for there, other in ahead
        )
        m.d.comb += [
            self.step.eq(step),
            self.needs_s.eq(needs_s),
            self.wants.eq(able),
            self.issued.eq(self.wants & self.slot),
            self.blocked.eq(waiting & ~step.over & ~self.issued),
            self.i.ready.eq(~waiting | self.issued),
            self.error.valid.eq(waiting & step.over),
            self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
            self.error.index.eq(step.carried.index),
            self.d_en.eq(able),
            self.d_addr.eq(step.dst),
            self.s_en.eq(able & needs_s),
            self.s_addr.eq(step.src),
        ]
        with m.If(self.i.ready):
            free = ~met.any() & ~self.hold & self._untouched(following, tensor)
            m.d.sync += [
                waiting.eq(self.i.valid),
                able.eq(self.i.valid & ~following.over & free & ~self.stop),
            ]
            with m.If(self.i.valid):
                m.d.sync += [step.eq(following), needs_s.eq(tensor), conflicts.eq(met)]
        with m.Else():
            free = ~conflicts[:-1].any() & ~self.hold & self._untouched(step, needs_s)
            m.d.sync += [
                conflicts.eq(conflicts << 1),
                able.eq(waiting & ~step.over & free & ~self.stop),
            ]
        return waiting

    def _untouched(self, step, tensor: Value) -> Value:
        """Whether a LOAD has written the step's operands."""
        window = self.loading
        return ~(inside(window, step.dst) | (tensor & inside(window, step.src)))

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


def _has_tensor(step) -> Value:
    chain = step.carried.chain
    return chain.first_tensor | chain.shift_tensor


def _clamped(value: Value, chain: data.View) -> Value:
    """The value between the chain's bounds, which have 16 bits: so has what is compared."""
    short = value[:16].as_signed()

    def fits() -> Value:  # an expression for each use: a simulator skips it with what it is for
        return value[15:].all() | ~value[15:].any()

    low = chain.low_en & Mux(fits(), short < chain.low, value[31])
    high = chain.high_en & Mux(fits(), short > chain.high, ~value[31])
    return Mux(low, sign_extended(chain.low, 32), Mux(high, sign_extended(chain.high, 32), value))
