"""Looks at compute instructions ahead of their turn: what they are, what they touch."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import RANGES, READY, WORTH_FLAGS, WORTH_WAITING
from vta.hw.config import Config
from vta.hw.isa import INDEX_BITS, Opcode, instruction_layout, uop_layout
from vta.hw.transfers.bus import command_layout

__all__ = ["Analyse", "Turn", "analysed_layout"]


class Turn(enum.Enum, shape=2):
    """What has to be done when an instruction's turn comes."""

    NOTHING = 0  # NOPs, empty loops, FINISH: only tokens move
    LOAD = 1
    EXECUTE = 2


def analysed_layout(config: Config) -> data.StructLayout:
    """An instruction and what is known of it.

    For `regular` ones (a single uop, no ACC index repeated, none beyond ACC), `dst` and `dst_max`
    are the first and last ACC entry written, `src` and `src_max` those read as the tensor operand.
    `dense` ones write all entries between, more than `WORTH_FLAGS`; `many` ones span more than
    `WORTH_WAITING` entries; `foldable` ones are ALU instructions that may share a pass with
    another one over the same entries. `over`: uop_end is beyond UOP. `end`: of a LOAD of one row,
    the first entry behind it, of another one a number beyond any.
    """
    a = config.log_acc_depth
    return data.StructLayout(
        {
            "bits": 128,
            "index": INDEX_BITS,
            "turn": Turn,
            "over": 1,
            "end": 18,
            "regular": 1,
            "dense": 1,
            "many": 1,
            "foldable": 1,
            "dst": a,
            "dst_max": a,
            "src": a,
            "src_max": a,
        }
    )


class Analyse(wiring.Component):
    """One instruction at a time; a single-uop ALU or reset instruction takes seven cycles and a
    look at its uop, any other one cycle. Between two instructions is a cycle.

    Members
    -------
    i: instructions of the compute stage; o: the same, analysed, from registers.
    peek, peek_addr, peek_ready: asks for a uop; uop_data: in, the uop a cycle later.
    settled: in, no earlier instruction has still to load UOP.
    foldable: out, what is or will be analysed may fold into an operation before it.
    stop: in, take nothing.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(command_layout())),
                "o": Out(stream.Signature(analysed_layout(config))),
                "peek": Out(1),
                "peek_addr": Out(config.log_uop_depth),
                "peek_ready": In(1),
                "uop_data": In(32),
                "settled": In(1),
                "foldable": Out(1),
                "stop": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        out = self.o.payload
        busy, measured, measures = Signal(), Signal(), Signal()
        step = Signal(range(READY + 1))
        alu = data.View(instruction_layout(self._config, Opcode.ALU), out.bits)
        coming = data.View(alu.shape(), self.i.payload.bits)
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(~busy & ~self.stop),
            measures.eq(self._classify(m, taken)),
            self.foldable.eq(
                Mux(busy, measured & _may_fold(alu), self.i.valid & _may_fold(coming))
            ),
        ]
        peeked = self._peek(m, taken, busy & measured, alu.uop_bgn)
        self._measure(m, alu, step, measured)
        with m.If(measured & ((step != RANGES) | peeked) & (step != READY)):
            m.d.sync += step.eq(step + 1)
        with m.If(measured & (step == READY - 1)):
            m.d.sync += self.o.valid.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [busy.eq(0), measured.eq(0), self.o.valid.eq(0)]
        with m.If(taken):
            m.d.sync += [busy.eq(1), step.eq(0), measured.eq(measures), self.o.valid.eq(~measures)]
        return m

    def _classify(self, m: Module, taken) -> Value:
        """What shows at once, kept when `taken`; returns whether there is more to measure."""
        config, out = self._config, self.o.payload
        gemm, alu, load = (
            data.View(instruction_layout(config, opcode), self.i.payload.bits)
            for opcode in (Opcode.GEMM, Opcode.ALU, Opcode.LOAD)
        )
        is_gemm, is_alu = gemm.opcode == Opcode.GEMM, alu.opcode == Opcode.ALU
        empty = (alu.iter_out == 0) | (alu.iter_in == 0) | (alu.uop_bgn >= alu.uop_end)
        transfers = (load.opcode == Opcode.LOAD) & (load.x_size != 0)
        one_row = (load.y_size == 1) & (load.y_pad_0 == 0) & (load.y_pad_1 == 0)
        end = load.sram_base + load.x_pad_0 + load.x_size + load.x_pad_1
        execute = (is_gemm | is_alu) & ~empty
        with m.If(taken):
            m.d.sync += [
                out.bits.eq(self.i.payload.bits),
                out.index.eq(self.i.payload.index),
                out.turn.eq(Mux(execute, Turn.EXECUTE, Mux(transfers, Turn.LOAD, Turn.NOTHING))),
                out.over.eq(alu.uop_end > config.uop_depth),
                out.end.eq(Mux(one_row, end, -1)),
            ]
        single = alu.uop_bgn + 1 == alu.uop_end
        return single & ~empty & (is_alu | (is_gemm & gemm.reset_reg))

    def _peek(self, m: Module, taken, wanted, address) -> Signal:
        """Reads the uop; returns whether its indices are known."""
        read, peeked = Signal(), Signal()
        uop = data.View(uop_layout(self._config), self.uop_data)
        ready = self.peek & self.peek_ready
        m.d.comb += self.peek_addr.eq(address)
        m.d.sync += [
            self.peek.eq(wanted & self.settled & ~ready & ~read & ~peeked),
            read.eq(ready),
            peeked.eq(~taken & (peeked | read)),
        ]
        with m.If(read):
            m.d.sync += [self.o.payload.dst.eq(uop.dst), self.o.payload.src.eq(uop.src)]
        return peeked

    def _measure(self, m: Module, alu, step: Signal, measured: Signal) -> None:
        """Spans of the two loops, then ranges, then what follows from them.

        The inner loop's product is there in step 2, the outer one's from step `RANGES` on.
        """
        a = self._config.log_acc_depth
        factor = self._config.log_uop_depth + 1
        inner = step == 0
        count = Signal(factor)
        with m.If(measured):
            m.d.sync += count.eq(Mux(inner, alu.iter_in, alu.iter_out) - 1)
        spans, beyond = {}, {}
        for name in ("dst", "src"):
            stride = Signal(a, name=f"{name}_stride")
            product = Signal(factor + a, name=f"{name}_product")
            span_in = Signal(a, name=f"{name}_span_in")
            wide = Signal(name=f"{name}_wide")
            with m.If(measured):
                m.d.sync += [
                    stride.eq(Mux(inner, alu[f"{name}_factor_in"], alu[f"{name}_factor_out"])),
                    product.eq(count * stride),
                ]
            with m.If(step == RANGES - 1):
                m.d.sync += [span_in.eq(product), wide.eq(product[a:].any())]
            with m.If(step == RANGES):
                m.d.sync += wide.eq(wide | product[a:].any())
            spans[name], beyond[name] = (span_in, product[:a]), wide
        (dst_in, dst_out), (src_in, src_out) = spans["dst"], spans["src"]
        out = self.o.payload
        dst_end, src_end, span = Signal(a + 2), Signal(a + 2), Signal(a + 1)
        with m.If(step == RANGES):  # until the indices are known
            m.d.sync += [
                dst_end.eq(out.dst + dst_in + dst_out),
                src_end.eq(out.src + src_in + src_out),
                span.eq(dst_in + dst_out),
            ]
        m.d.comb += [out.dst_max.eq(dst_end), out.src_max.eq(src_end)]
        once_in, once_out = alu.iter_in == 1, alu.iter_out == 1
        outer_wider = once_out | (alu.dst_factor_out > dst_in)
        inner_wider = once_in | (alu.dst_factor_in > dst_out)
        distinct = ((once_in | (alu.dst_factor_in != 0)) & outer_wider) | (
            (once_out | (alu.dst_factor_out != 0)) & inner_wider
        )
        is_alu, operand = alu.opcode == Opcode.ALU, ~alu.use_imm
        dst_over = beyond["dst"] | dst_end[a:].any()
        src_over = beyond["src"] | src_end[a:].any()
        regular = distinct & ~dst_over & ~(is_alu & operand & src_over)
        contiguous = (once_in | (alu.dst_factor_in == 1)) & (
            once_out | (alu.dst_factor_out == alu.iter_in)
        )
        apart = (out.src > out.dst_max) | (out.src_max < out.dst)
        solid, combines = Signal(), Signal()  # dense, foldable: if it is regular
        m.d.comb += [out.dense.eq(out.regular & solid), out.foldable.eq(out.regular & combines)]
        with m.If(step == RANGES + 1):
            m.d.sync += [
                out.regular.eq(regular),
                solid.eq(contiguous & (span >= WORTH_FLAGS)),
                combines.eq(is_alu & (~operand | apart)),
                out.many.eq(span >= WORTH_WAITING),
            ]
        with m.Elif(self.i.ready):
            m.d.sync += [out.regular.eq(0), out.many.eq(0)]


def _may_fold(alu) -> Value:
    """Whether an instruction may fold into the one before, as far as it shows at once."""
    return (alu.opcode == Opcode.ALU) & ~alu.pop_prev & ~alu.pop_next
