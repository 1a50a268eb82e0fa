"""Looks at compute instructions ahead of their turn: what they are, what they touch."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus import command_layout
from hw.config import Config
from hw.isa import INDEX_BITS, Opcode, instruction_layout, uop_layout

__all__ = ["Analyse", "Turn", "analysed_layout"]


class Turn(enum.Enum, shape=2):
    """What has to be done when an instruction's turn comes."""

    NOTHING = 0  # NOPs, empty loops, FINISH: only tokens move
    LOAD = 1
    EXECUTE = 2


def analysed_layout(config: Config) -> data.StructLayout:
    """An instruction and what is known of it.

    For `regular` ones (a single uop, no ACC index repeated, none beyond ACC), `dst` and `dst_max`
    are the first and last ACC entry written, `src` and `src_max` those read as the tensor operand;
    `contiguous` ones write all entries between.
    """
    a = config.log_acc_depth
    return data.StructLayout({
        "bits": 128,
        "index": INDEX_BITS,
        "turn": Turn,
        "regular": 1,
        "contiguous": 1,
        "dst": a,
        "dst_max": a,
        "src": a,
        "src_max": a,
    })  # fmt: skip


class Analyse(wiring.Component):
    """One instruction at a time; a single-uop ALU or reset instruction takes eight cycles and a
    look at its uop, any other one cycle.

    Members
    -------
    i: instructions of the compute stage; o: the same, analysed.
    peek, peek_addr, peek_ready, uop_data: reads a uop through the sequencer.
    settled: in, no earlier instruction has still to load UOP.
    foldable: out, what is being analysed may fold into an operation before it.
    stop: in, take nothing.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({
            "i": In(stream.Signature(command_layout())),
            "o": Out(stream.Signature(analysed_layout(config))),
            "peek": Out(1),
            "peek_addr": Out(config.log_uop_depth),
            "peek_ready": In(1),
            "uop_data": In(32),
            "settled": In(1),
            "foldable": Out(1),
            "stop": In(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        out = self.o.payload
        busy = Signal()
        step = Signal(range(8))
        gemm, alu, load = (
            data.View(instruction_layout(config, opcode), out.bits)
            for opcode in (Opcode.GEMM, Opcode.ALU, Opcode.LOAD)
        )
        loops = (load.opcode == Opcode.GEMM) | (load.opcode == Opcode.ALU)
        empty = (alu.iter_out == 0) | (alu.iter_in == 0) | (alu.uop_bgn >= alu.uop_end)
        single = (alu.uop_bgn + 1 == alu.uop_end) & (
            (alu.opcode == Opcode.ALU) | ((gemm.opcode == Opcode.GEMM) & gemm.reset_reg)
        )
        flags = alu.pop_prev | alu.pop_next
        with m.If(loops):
            m.d.comb += out.turn.eq(Mux(empty, Turn.NOTHING, Turn.EXECUTE))
        with m.Elif((load.opcode == Opcode.LOAD) & (load.x_size != 0)):
            m.d.comb += out.turn.eq(Turn.LOAD)
        m.d.comb += [
            self.i.ready.eq((~busy | (self.o.valid & self.o.ready)) & ~self.stop),
            self.foldable.eq(busy & single & (alu.opcode == Opcode.ALU) & ~flags & ~empty),
        ]
        peeked = self._peek(m, busy, single & ~empty, alu.uop_bgn)
        self._measure(m, alu, step)
        m.d.comb += self.o.valid.eq(busy & (~single | empty | (step == 7)))
        with m.If(busy & single & ((step != 5) | peeked) & (step != 7)):
            m.d.sync += step.eq(step + 1)
        with m.If(self.i.ready):
            m.d.sync += [
                busy.eq(self.i.valid),
                step.eq(0),
                out.bits.eq(self.i.payload.bits),
                out.index.eq(self.i.payload.index),
            ]
        return m

    def _peek(self, m: Module, busy, wanted, address) -> Signal:
        """Reads the uop; returns whether its indices are known."""
        asked, peeked = Signal(), Signal()
        uop = data.View(uop_layout(self._config), self.uop_data)
        m.d.comb += [
            self.peek.eq(busy & wanted & ~asked & self.settled),
            self.peek_addr.eq(address),
        ]
        with m.If(self.peek & self.peek_ready):
            m.d.sync += asked.eq(1)
        with m.If(asked & ~peeked):
            m.d.sync += [
                peeked.eq(1),
                self.o.payload.dst.eq(uop.dst),
                self.o.payload.src.eq(uop.src),
            ]
        with m.If(self.i.ready):
            m.d.sync += [asked.eq(0), peeked.eq(0)]
        return peeked

    def _measure(self, m: Module, alu, step: Signal) -> None:
        """Spans of the two loops, by one multiplier; then ranges and regularity."""
        config = self._config
        a = config.log_acc_depth
        factor = config.log_uop_depth + 1
        count, stride = Signal(factor), Signal(a)
        product = Signal(factor + a)
        spans = [Signal(factor + a, name=f"span_{name}")
                 for name in ("dst_in", "dst_out", "src_in", "src_out")]  # fmt: skip
        dst_in, dst_out, src_in, src_out = spans
        factors = (
            (alu.iter_in, alu.dst_factor_in),
            (alu.iter_out, alu.dst_factor_out),
            (alu.iter_in, alu.src_factor_in),
            (alu.iter_out, alu.src_factor_out),
        )
        with m.Switch(step):
            for n, (iterations, by) in enumerate(factors):
                with m.Case(n):
                    m.d.comb += [count.eq(iterations - 1), stride.eq(by)]
        m.d.sync += product.eq(count * stride)
        for n, span in enumerate(spans):
            with m.If(step == n + 1):
                m.d.sync += span.eq(product)
        out = self.o.payload
        dst_end, src_end = Signal(factor + a + 2), Signal(factor + a + 2)
        m.d.comb += [
            dst_end.eq(out.dst + dst_in + dst_out),
            src_end.eq(out.src + src_in + src_out),
        ]
        once_in, once_out = alu.iter_in == 1, alu.iter_out == 1
        outer_wider = once_out | (alu.dst_factor_out > dst_in)
        inner_wider = once_in | (alu.dst_factor_in > dst_out)
        distinct = ((once_in | (alu.dst_factor_in != 0)) & outer_wider) | (
            (once_out | (alu.dst_factor_out != 0)) & inner_wider
        )
        operand = (alu.opcode == Opcode.ALU) & ~alu.use_imm
        src_over = operand & src_end[a:].any()
        dense = (once_in | (alu.dst_factor_in == 1)) & (
            once_out | (alu.dst_factor_out == alu.iter_in)
        )
        single = alu.uop_bgn + 1 == alu.uop_end
        with m.If(self.i.ready):
            m.d.sync += [out.regular.eq(0), out.contiguous.eq(0)]
        with m.Elif(step == 6):
            m.d.sync += [
                out.regular.eq(single & distinct & ~dst_end[a:].any() & ~src_over),
                out.contiguous.eq(dense),
                out.dst_max.eq(dst_end),
                out.src_max.eq(src_end),
            ]
