"""The loop sequencer: turns a GEMM or ALU operation into one uop's indices a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import flag_row_elements
from hw.alu import chain_layout
from hw.config import Config
from hw.isa import INDEX_BITS, uop_layout
from hw.retire import DONE_BITS

__all__ = ["Kind", "Sequencer", "carried_layout", "operation_layout", "step_layout"]


class Kind(enum.Enum, shape=2):
    """What a uop does to acc[d]."""

    GEMM = 0
    ALU = 1
    RESET = 2  # one entry a cycle, through the pipeline
    FLAG_RESET = 3  # the zero flags of a row of entries a cycle


def carried_layout(config: Config) -> data.StructLayout:
    """What an operation's uops take along the pipeline.

    A FLAG_RESET covers entries `base` to ``limit - 1``. `instructions` is how many instructions
    are folded into the operation; `index` is the first one's.
    """
    return data.StructLayout({
        "kind": Kind,
        "chain": chain_layout(),
        "instructions": DONE_BITS,
        "index": INDEX_BITS,
        "base": config.log_acc_depth,
        "limit": config.log_acc_depth + 1,
    })  # fmt: skip


def operation_layout(config: Config) -> data.StructLayout:
    """A GEMM or ALU instruction, or several folded, with loops that are not empty.

    A `direct` one has a single uop with indices `carried.base` and `src`: UOP is not read.
    """
    u = config.log_uop_depth
    a, i, w = config.log_acc_depth, config.log_inp_depth, config.log_wgt_depth
    s = max(a, i)
    return data.StructLayout({
        "carried": carried_layout(config),
        "direct": 1,
        "src": s,
        "uop_bgn": u,
        "uop_end": u + 1,
        "iter_out": u + 1,
        "iter_in": u + 1,
        "dst_factor_out": a,
        "dst_factor_in": a,
        "src_factor_out": s,
        "src_factor_in": s,
        "wgt_factor_out": w,
        "wgt_factor_in": w,
    })  # fmt: skip


def step_layout(config: Config) -> data.StructLayout:
    """One uop execution: its indices, and which of them are beyond their scratchpad."""
    return data.StructLayout({
        "carried": carried_layout(config),
        "dst": config.log_acc_depth,
        "src": max(config.log_acc_depth, config.log_inp_depth),
        "wgt": config.log_wgt_depth,
        "dst_over": 1,
        "acc_src_over": 1,
        "inp_src_over": 1,
        "wgt_over": 1,
        "last": 1,
        "passes_on": 1,  # the next step adds to the same entry: set by the GEMM pipeline
    })  # fmt: skip


class Sequencer(wiring.Component):
    """Runs the three loops of an operation; the next one starts in the cycle after its last uop.

    Three cycles from an operation to its first step, then one step a cycle. Other readers of UOP
    may `peek` in between, at the cost of a cycle.

    Members
    -------
    i: operations (`operation_layout`).
    o: steps (`step_layout`), from a register; follows its own ready.
    uop_en, uop_addr: to the UOP scratchpad; uop_data: in, a cycle later.
    hold: in, the UOP that would be read now is not loaded yet.
    peek, peek_addr: in, read a uop for somebody else; peek_ready: out, it is read now and
        `uop_data` is it in the next cycle.
    reading: out, UOP is read, or has just been read and is looked at.
    active, uop_bgn, uop_end: out, the uops of this range may still be read.
    empty: out, no operation and no step.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__({
            "i": In(stream.Signature(operation_layout(config))),
            "o": Out(stream.Signature(step_layout(config))),
            "uop_en": Out(1),
            "uop_addr": Out(config.log_uop_depth),
            "uop_data": In(32),
            "hold": In(1),
            "peek": In(1),
            "peek_addr": In(config.log_uop_depth),
            "peek_ready": Out(1),
            "reading": Out(1),
            "active": Out(1),
            "uop_bgn": Out(config.log_uop_depth),
            "uop_end": Out(config.log_uop_depth + 1),
            "empty": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        op = Signal(operation_layout(config))
        uop = Signal(config.log_uop_depth)
        advance, step, last = Signal(), Signal(), Signal()
        flags = op.carried.kind == Kind.FLAG_RESET
        reads = ~flags & ~op.direct
        widest = max(config.log_acc_depth, config.log_inp_depth, config.log_wgt_depth)
        offset_bits = config.log_uop_depth + 2 + widest
        at = self._loops(m, op, uop, step, last, flags, offset_bits)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.peek_ready.eq(advance & self.peek),
            step.eq(self.active & advance & ~self.peek & (~reads | ~self.hold)),
            self.uop_en.eq(advance & (self.peek | (self.active & reads))),
            self.uop_addr.eq(Mux(self.peek, self.peek_addr, uop)),
            self.uop_bgn.eq(op.uop_bgn),
            self.uop_end.eq(op.uop_end),
            self.i.ready.eq(~self.active | (step & last)),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.active.eq(self.i.valid),
                op.eq(self.i.payload),
                uop.eq(self.i.payload.uop_bgn),
            ]

        # Cycle 1: the uop is out of the scratchpad.
        valid_1, last_1, reads_1 = Signal(), Signal(), Signal()
        carried_1 = Signal(carried_layout(config))
        at_1 = {name: Signal.like(value, name=f"{name}_1") for name, value in at.items()}
        with m.If(advance):
            m.d.sync += [valid_1.eq(step), last_1.eq(last), reads_1.eq(reads)]
            m.d.sync += carried_1.eq(op.carried)
            m.d.sync += [at_1[name].eq(value) for name, value in at.items()]
        m.d.comb += [
            self.empty.eq(~self.active & ~valid_1 & ~self.o.valid),
            self.reading.eq((self.active & reads) | (valid_1 & reads_1)),
        ]

        # Cycle 2: indices.
        fields = data.View(uop_layout(config), self.uop_data)
        sums = {
            "dst": Signal(offset_bits + 1, name="dst_sum"),
            "src": Signal(offset_bits + 1, name="src_sum"),
            "wgt": Signal(offset_bits + 1, name="wgt_sum"),
        }
        m.d.comb += [
            sums[name].eq(at_1[name] + Mux(reads_1, getattr(fields, name), 0)) for name in sums
        ]
        out = self.o.payload
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(valid_1),
                out.carried.eq(carried_1),
                out.last.eq(last_1),
                out.dst.eq(sums["dst"]),
                out.src.eq(sums["src"]),
                out.wgt.eq(sums["wgt"]),
                out.dst_over.eq(sums["dst"][config.log_acc_depth :].any()),
                out.acc_src_over.eq(sums["src"][config.log_acc_depth :].any()),
                out.inp_src_over.eq(sums["src"][config.log_inp_depth :].any()),
                out.wgt_over.eq(sums["wgt"][config.log_wgt_depth :].any()),
            ]
        return m

    def _loops(self, m, op, uop, step, last, flags, bits) -> dict[str, Signal]:
        """Loop counters and the three running offsets; returns the offsets."""
        config = self._config
        left_out, left_in = Signal.like(op.iter_out), Signal.like(op.iter_in)
        last_uop, last_in = Signal(), Signal()
        row = flag_row_elements(config)
        at = {name: Signal(bits, name=f"{name}_at") for name in ("dst", "src", "wgt")}
        outer = {name: Signal(bits, name=f"{name}_outer") for name in at}
        m.d.comb += [
            last_uop.eq(uop + 1 == op.uop_end),
            last_in.eq(left_in == 1),
            last.eq(Mux(flags, at["dst"] + row >= op.carried.limit,
                        last_uop & last_in & (left_out == 1))),
        ]  # fmt: skip
        with m.If(step):
            with m.If(flags):
                m.d.sync += at["dst"].eq(at["dst"] + row)
            with m.Elif(~last_uop):
                m.d.sync += uop.eq(uop + 1)
            with m.Else():
                m.d.sync += uop.eq(op.uop_bgn)
                with m.If(~last_in):
                    m.d.sync += left_in.eq(left_in - 1)
                    for name, value in at.items():
                        m.d.sync += value.eq(value + op[f"{name}_factor_in"])
                with m.Else():
                    m.d.sync += [left_in.eq(op.iter_in), left_out.eq(left_out - 1)]
                    for name, value in at.items():
                        start = outer[name] + op[f"{name}_factor_out"]
                        m.d.sync += [value.eq(start), outer[name].eq(start)]
        new = self.i.payload
        first = Mux(new.direct, new.carried.base, 0)
        row_start = new.carried.base & ~(row - 1)
        src = Mux(new.direct, new.src, 0)
        with m.If(self.i.ready):
            m.d.sync += [left_out.eq(new.iter_out), left_in.eq(new.iter_in)]
            m.d.sync += [
                at["dst"].eq(Mux(new.carried.kind == Kind.FLAG_RESET, row_start, first)),
                outer["dst"].eq(first),
                at["src"].eq(src),
                outer["src"].eq(src),
                at["wgt"].eq(0),
                outer["wgt"].eq(0),
            ]
        return at
