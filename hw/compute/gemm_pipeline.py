"""The GEMM pipeline: the MAC array, accumulation with forwarding, resets, write-back."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import FLAG_RESET_DISTANCE
from vta.hw.compute.gemm import MacArray
from vta.hw.compute.pipeline import STAGES, chosen, pipeline, source_of, written_in
from vta.hw.compute.sequencer import Kind, step_layout
from vta.hw.config import Config
from vta.hw.frontend.retire import DONE_BITS
from vta.hw.isa import ErrorClass
from vta.hw.library.bits import sign_extended
from vta.hw.library.window import inside, window_layout
from vta.hw.transfers.bus import ErrorPort

__all__ = ["GemmPipeline", "operand_ports"]


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


class GemmPipeline(wiring.Component):
    """Executes GEMM and reset steps in order, one a cycle, however they depend on each other.

    ACC is read two cycles after issue and added to in cycle 4, with the sums of the three steps
    before forwarded. A step whose successor adds to the same entry in the very next cycle does
    not write, and the successor does not read: the ports are then free for the ALU. `held` says
    that the step in cycle 0 is such a successor: it issues now, come what may.

    Members
    -------
    i: steps (`step_layout`), GEMM, RESET or FLAG_RESET.
    inp_en, inp_addr, wgt_en, wgt_addr: to the scratchpads; inp_data, wgt_data: a cycle later.
    s_en, s_addr: to ACC; s_data, s_zero: a cycle later.
    writes: out, cycle 5 writes in the next cycle; leaves: out, an operation's last step does.
    en, addr, value: out, the write of cycle 5; reset_en, reset_row, reset_mask: or zero flags.
    wants_write: out, a step would issue that writes; slot: in, the write is free.
    pause: in, issue nothing in the next cycle unless `held`.
    zeroes: out, the step that would issue sets zero flags.
    loading, older, older_src: in, windows that a LOAD has yet to write, that older ALU steps have
        yet to write, and that they have yet to read; epoch: in, that of steps behind the latter.
    issued, blocked, done, empty, stop, error, step: as in `vta.hw.compute.alu_pipeline`.
    quiet: out, an ALU operation started now reads what these steps write: it takes longer
        to its first step than they to their write.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        address, bits = config.log_acc_depth, 8 * config.acc_bytes
        row = config.zero_row
        super().__init__(
            {
                "i": In(stream.Signature(step_layout(config))),
                **operand_ports(config),
                "s_en": Out(1),
                "s_addr": Out(address),
                "s_data": In(bits),
                "s_zero": In(1),
                "en": Out(1),
                "addr": Out(address),
                "value": Out(bits),
                "reset_en": Out(1),
                "reset_row": Out(range(max(1, config.acc_depth // row))),
                "reset_mask": Out(row),
                "writes": Out(1),
                "leaves": Out(1),
                "wants_write": Out(1),
                "slot": In(1),
                "pause": In(1),
                "held": Out(1),
                "zeroes": Out(1),
                "issued": Out(1),
                "blocked": Out(1),
                "loading": In(window_layout()),
                "older": In(window_layout()),
                "older_src": In(window_layout()),
                "epoch": In(1),
                "done": Out(DONE_BITS),
                "empty": Out(1),
                "quiet": Out(1),
                "stop": In(1),
                "step": Out(step_layout(config)),
                "error": Out(ErrorPort()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, steps = pipeline(m, self._config, self.issued, self.step)
        waiting = self._issue(m)
        self._accumulate(m, valid, steps)
        m.d.comb += [
            self.empty.eq(~waiting & ~Cat(valid[1:STAGES]).any()),
            self.quiet.eq(~waiting),
            self.leaves.eq(valid[4] & steps[4].last),
            self.done.eq(Mux(valid[5] & steps[5].last, steps[5].carried.instructions, 0)),
        ]
        return m

    def _issue(self, m: Module) -> Signal:
        """Cycle 0, from registers; returns its valid bit.

        Whether a step may issue is found in the cycle before, for the one that waits and for the
        one behind it, so that only the ports' allotment is left to this cycle.
        """
        config = self._config
        waiting, able = Signal(), Signal()
        step = Signal(step_layout(config), name="step_0", reset_less=True)
        following = self.i.payload
        gemm = step.carried.kind == Kind.GEMM
        settle = Signal(range(FLAG_RESET_DISTANCE))
        passes_on = following.adds
        m.d.comb += [
            self.wants_write.eq((self.held | able) & ~passes_on),
            self.issued.eq(self.held | (able & (passes_on | self.slot))),
            self.blocked.eq(waiting & ~step.over & ~self.issued),
            self.i.ready.eq(~waiting | self.issued),
            self.step.eq(step),
            self.step.passes_on.eq(passes_on),
            self.error.valid.eq(waiting & step.over),
            self.error.error_class.eq(ErrorClass.SRAM_BOUNDS),
            self.error.index.eq(step.carried.index),
            self.inp_en.eq((able | self.held) & gemm),
            self.inp_addr.eq(step.src),
            self.wgt_en.eq((able | self.held) & gemm),
            self.wgt_addr.eq(step.wgt),
        ]
        m.d.sync += self.held.eq(self.issued & passes_on)
        settling = settle > 1
        with m.If(self.i.ready):
            free = self._free(following, settling | self.zeroes) & ~self.pause
            m.d.sync += [
                self.zeroes.eq(self.i.valid & (following.carried.kind == Kind.FLAG_RESET)),
                waiting.eq(self.i.valid),
                able.eq(self.i.valid & ~following.over & free & ~self.stop),
            ]
            with m.If(self.i.valid):
                m.d.sync += step.eq(following)
        with m.Else():
            free = self._free(step, settling) & ~self.pause
            m.d.sync += able.eq(waiting & ~step.over & free & ~self.stop)
        with m.If(self.issued & self.zeroes):
            m.d.sync += settle.eq(FLAG_RESET_DISTANCE - 1)
        with m.Elif(settle != 0):
            m.d.sync += settle.eq(settle - 1)
        return waiting

    def _free(self, step, settling: Value) -> Value:
        """Whether what others have still to do to ACC leaves the step's entry alone.

        Nothing stands in the way of zero flags: Issue sees to it that nobody needs the entries.
        """
        touched_by_load = inside(self.loading, step.dst)
        touched_by_alu = inside(self.older, step.dst) | inside(self.older_src, step.dst)
        flags = step.carried.kind == Kind.FLAG_RESET
        other_epoch = step.epoch != self.epoch
        return flags | (~settling & ~touched_by_load & (~touched_by_alu | other_epoch))

    def _accumulate(self, m: Module, valid: list, steps: list) -> None:
        config = self._config
        is_gemm = [valid[n] & (steps[n].carried.kind == Kind.GEMM) for n in range(STAGES)]
        values = [valid[n] & (steps[n].carried.kind != Kind.FLAG_RESET) for n in range(STAGES + 1)]
        m.submodules.mac = mac = MacArray(config)
        source = source_of(m, values, steps, steps[2].dst, self.s_zero, "total")
        again = Signal()  # the step in cycle 4 adds to the result in cycle 5
        again_3 = written_in(values, steps, steps[1].dst, range(2, 3))  # in the next cycle
        m.d.sync += [
            again.eq(written_in(values, steps, steps[3].dst, range(4, 5))),
            self.s_en.eq(is_gemm[1] & ~again_3),
        ]
        m.d.comb += [
            mac.valid.eq(is_gemm[1]),
            mac.inp.eq(self.inp_data),
            mac.wgt.eq(self.wgt_data),
            self.s_addr.eq(steps[2].dst),
        ]
        results = []
        for lane in range(config.batch * config.block):
            result, before, total = (
                Signal(32, name=f"{name}_{lane}", reset_less=True)
                for name in ("result", "before", "total")
            )
            read = self.s_data.word_select(lane, 32)
            with m.If(is_gemm[3]):  # Cycle 3: what to add to
                m.d.sync += total.eq(chosen(source, read, before, result))
            with m.If(valid[4]):  # Cycle 4: accumulate
                m.d.sync += result.eq(sign_extended(mac.dots[lane], 32) + Mux(again, result, total))
            with m.If(valid[4] & ~is_gemm[4]):
                m.d.sync += result.eq(0)
            with m.If(valid[5]):
                m.d.sync += before.eq(result)
            results.append(result)
        self._write(m, valid, steps, results)

    def _write(self, m: Module, valid: list, steps: list, results: list) -> None:
        """Cycle 5: one element, or a row of zero flags."""
        row = self._config.zero_row
        row_bits = row.bit_length() - 1
        flags = [valid[n] & (steps[n].carried.kind == Kind.FLAG_RESET) for n in range(STAGES)]
        starts, ends = Signal(), Signal()  # in this row; the mask is found two cycles ahead
        base, limit = steps[4].carried.base[:row_bits], steps[4].carried.limit[:row_bits]
        ones = Const((1 << row) - 1, row)
        first = Mux(starts, ones << base, ones)[:row]
        before = Mux(ends, ~(ones << limit), ones)[:row]
        writes = valid[4] & ~flags[4] & ~steps[4].passes_on
        m.d.sync += [
            starts.eq(steps[3].dst < steps[3].carried.base),
            ends.eq(steps[3].dst + row > steps[3].carried.limit),
            self.en.eq(writes),
            self.reset_en.eq(flags[4]),
        ]
        with m.If(flags[4]):
            m.d.sync += self.reset_mask.eq(first & before)
        m.d.comb += [
            self.writes.eq(writes | flags[4]),
            self.addr.eq(steps[5].dst),
            self.value.eq(Cat(results)),
            self.reset_row.eq(steps[5].dst >> row_bits),
        ]
