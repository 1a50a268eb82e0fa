"""The loop sequencer: turns a GEMM or ALU operation into one uop's indices a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.capacities import STEPS
from vta.hw.compute.alu import chain_layout
from vta.hw.config import Config
from vta.hw.frontend.retire import DONE_BITS
from vta.hw.isa import INDEX_BITS, uop_layout
from vta.hw.library.small_fifo import SmallFifo
from vta.hw.library.window import inside, window_layout

__all__ = ["Kind", "Sequencer", "carried_layout", "operation_layout", "step_layout"]


class Kind(enum.Enum, shape=2):
    """What a uop does to acc[d]."""

    GEMM = 0
    ALU = 1
    RESET = 2  # one entry a cycle, through the pipeline
    FLAG_RESET = 3  # the zero flags of a row of entries a cycle


def carried_layout(config: Config) -> data.StructLayout:
    """What an operation's uops take along the pipeline.

    A FLAG_RESET covers entries `base` to ``limit - 1``, a row in a step. `instructions` is how
    many instructions are folded into the operation; `index` is the first one's.
    """
    return data.StructLayout(
        {
            "kind": Kind,
            "chain": chain_layout(),
            "instructions": DONE_BITS,
            "index": INDEX_BITS,
            "base": config.log_acc_depth,
            "limit": config.log_acc_depth + 1,
        }
    )


def operation_layout(config: Config) -> data.StructLayout:
    """A GEMM or ALU instruction, or several folded, with loops that are not empty.

    A `direct` one has a single uop with indices `dst` and `src`: UOP is not read. `epoch`
    changes with each ALU operation that was sent to an idle ALU.
    """
    u = config.log_uop_depth
    a, i, w = config.log_acc_depth, config.log_inp_depth, config.log_wgt_depth
    s = max(a, i)
    return data.StructLayout(
        {
            "carried": carried_layout(config),
            "direct": 1,
            "epoch": 1,
            "dst": a,
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
        }
    )


def step_layout(config: Config) -> data.StructLayout:
    """One uop execution: its indices, and whether one of those it uses is beyond its scratchpad."""
    return data.StructLayout(
        {
            "carried": carried_layout(config),
            "dst": config.log_acc_depth,
            "src": max(config.log_acc_depth, config.log_inp_depth),
            "wgt": config.log_wgt_depth,
            "over": 1,
            "last": 1,
            "epoch": 1,
            "adds": 1,  # valid; GEMM within bounds, to the entry of the step before, same epoch
            "passes_on": 1,  # the next step `adds` and comes at once: set by the GEMM pipeline
        }
    )


class Sequencer(wiring.Component):
    """Runs the three loops of an operation; the next one starts in the cycle after its last uop.

    Six cycles from an operation to cycle 0 of the pipeline, then one step a cycle. Up to `STEPS`
    of them wait for the pipeline, so that nothing here depends on what it does in the same cycle.

    Members
    -------
    i: operations (`operation_layout`).
    o: steps (`step_layout`), from a register.
    uop_en, uop_addr: to the UOP scratchpad; uop_data: in, a cycle later.
    loading: in, the window of UOP that is being loaded: its entries are waited for.
    hold: in, somebody else reads UOP now.
    reading: out, UOP is read, or has just been read and is looked at.
    active, uop_bgn, uop_end: out, the uops of this range may still be read.
    empty: out, no operation and no step.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(operation_layout(config))),
                "o": Out(stream.Signature(step_layout(config))),
                "uop_en": Out(1),
                "uop_addr": Out(config.log_uop_depth),
                "uop_data": In(32),
                "loading": In(window_layout()),
                "hold": In(1),
                "reading": Out(1),
                "active": Out(1),
                "uop_bgn": Out(config.log_uop_depth),
                "uop_end": Out(config.log_uop_depth + 1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        layout = step_layout(config)
        m.submodules.steps = steps = SmallFifo(width=layout.size, depth=STEPS)
        op = Signal(operation_layout(config))
        uop = Signal(config.log_uop_depth)
        step, last, absent = Signal(), Signal(), Signal()
        last_uop = Signal()
        room = self._room(m, step, steps)
        at = self._loops(m, op, (uop, last_uop), step, last)
        m.d.comb += [
            step.eq(self.active & room & (op.direct | ~(self.hold | absent))),
            self.uop_en.eq(self.active & ~op.direct),
            self.uop_addr.eq(uop),
            self.uop_bgn.eq(op.uop_bgn),
            self.uop_end.eq(op.uop_end),
            self.i.ready.eq(~self.active | (step & last)),
        ]
        # Whether the uop is loaded is found a cycle ahead; the first one of an operation that is
        # there when the loops come back to it stays there.
        with m.If(self.i.ready):
            m.d.sync += [self.active.eq(self.i.valid), op.eq(self.i.payload)]
            m.d.sync += absent.eq(self.loading.valid)
        with m.Elif(step):
            m.d.sync += absent.eq(~last_uop & inside(self.loading, (uop + 1)[: len(uop)]))
        with m.Else():
            m.d.sync += absent.eq(inside(self.loading, uop))

        # Cycle 1: the uop is out of the scratchpad.
        valid = [Signal(name=f"valid_{n}") for n in (1, 2)]
        last_1, reads_1, epoch_1 = Signal(), Signal(), Signal()
        carried_1 = Signal(carried_layout(config))
        at_1 = {name: Signal.like(value, name=f"{name}_1") for name, value in at.items()}
        m.d.sync += [valid[0].eq(step), valid[1].eq(valid[0])]
        with m.If(step):
            m.d.sync += [last_1.eq(last), reads_1.eq(~op.direct), epoch_1.eq(op.epoch)]
            m.d.sync += carried_1.eq(op.carried)
            m.d.sync += [at_1[name].eq(value) for name, value in at.items()]
        fields = data.View(uop_layout(config), self.uop_data)

        # Cycle 2: indices.
        sums, beyond = {}, {}
        for name, value in at.items():
            field = getattr(fields, name)
            sums[name] = Signal(max(len(value) - 1, len(field)) + 1, name=f"{name}_sum")
            beyond[name] = Signal(name=f"{name}_beyond")
        last_2, epoch_2, carried_2 = Signal(), Signal(), Signal(carried_layout(config))
        with m.If(valid[0]):
            m.d.sync += [last_2.eq(last_1), epoch_2.eq(epoch_1), carried_2.eq(carried_1)]
            for name, value in at_1.items():
                field = getattr(fields, name) & Mux(reads_1, -1, 0)
                m.d.sync += [sums[name].eq(value[:-1] + field), beyond[name].eq(value[-1])]
        out = Signal(layout)
        before, before_adds = Signal(config.log_acc_depth + 1), Signal()
        gemm = carried_2.kind == Kind.GEMM
        m.d.comb += [
            out.carried.eq(carried_2),
            out.last.eq(last_2),
            out.epoch.eq(epoch_2),
            out.dst.eq(sums["dst"]),
            out.src.eq(sums["src"]),
            out.wgt.eq(sums["wgt"]),
            out.over.eq(self._over(m, carried_2, sums, beyond)),
            out.adds.eq(gemm & before_adds & (Cat(out.dst, epoch_2) == before) & ~out.over),
            steps.w_data.eq(out),
            steps.w_en.eq(valid[1]),
            steps.r_en.eq(~self.o.valid | self.o.ready),
            self.reading.eq((self.active & ~op.direct) | (valid[0] & reads_1)),
            self.empty.eq(~self.active & ~Cat(valid).any() & ~steps.r_rdy & ~self.o.valid),
        ]
        with m.If(steps.r_en):
            m.d.sync += [self.o.valid.eq(steps.r_rdy), self.o.payload.adds.eq(0)]
            with m.If(steps.r_rdy):
                m.d.sync += self.o.payload.eq(data.View(layout, steps.r_data))
        with m.If(valid[1]):
            m.d.sync += [before.eq(Cat(out.dst, epoch_2)), before_adds.eq(gemm)]
        return m

    def _over(self, m: Module, carried, sums: dict, beyond: dict) -> Value:
        config, chain = self._config, carried.chain
        tensor = chain.first_tensor | chain.shift_tensor
        dst, acc_src, inp_src, wgt = (
            beyond[name] | sums[name][bits:].any()
            for name, bits in (
                ("dst", config.log_acc_depth),
                ("src", config.log_acc_depth),
                ("src", config.log_inp_depth),
                ("wgt", config.log_wgt_depth),
            )
        )
        over = Signal()
        with m.Switch(carried.kind):
            with m.Case(Kind.GEMM):
                m.d.comb += over.eq(dst | inp_src | wgt)
            with m.Case(Kind.ALU):
                m.d.comb += over.eq(dst | (tensor & acc_src))
            with m.Case(Kind.RESET):
                m.d.comb += over.eq(dst)
        return over

    def _room(self, m: Module, step: Signal, steps: SmallFifo) -> Value:
        """Whether there is a place for one more step, those on their way counted; a cycle late."""
        free, left, room = Signal(range(STEPS + 1), init=STEPS), Signal(), Signal()
        m.d.sync += [
            left.eq(steps.r_rdy & steps.r_en),
            free.eq(free - step + left),
            room.eq(free > 1),
        ]
        return room

    def _loops(self, m, op, uop_and_last, step, last) -> dict[str, Signal]:
        """Loop counters and the three running offsets; returns the offsets.

        The top bit of an offset says that it has been beyond the index's range: it only grows.
        """
        uop, last_uop = uop_and_last
        left_out, left_in = Signal.like(op.iter_out), Signal.like(op.iter_in)
        last_in, last_out = Signal(), Signal()
        single = Signal()  # the operation has one uop
        at, outer = (
            {
                name: Signal(len(op[f"{name}_factor_in"]) + 1, name=f"{name}_{what}")
                for name in ("dst", "src", "wgt")
            }
            for what in ("at", "outer")
        )
        new = self.i.payload
        m.d.comb += last.eq(last_uop & last_in & last_out)
        with m.If(step):
            with m.If(~last_uop):
                m.d.sync += [uop.eq(uop + 1), last_uop.eq(uop + 2 == op.uop_end)]
            with m.Else():
                m.d.sync += [uop.eq(op.uop_bgn), last_uop.eq(single)]
                with m.If(~last_in):
                    m.d.sync += [left_in.eq(left_in - 1), last_in.eq(left_in == 2)]
                    for name, value in at.items():
                        m.d.sync += value.eq(_advanced(value, op[f"{name}_factor_in"]))
                with m.Else():
                    m.d.sync += [
                        left_in.eq(op.iter_in),
                        last_in.eq(op.iter_in == 1),
                        left_out.eq(left_out - 1),
                        last_out.eq(left_out == 2),
                    ]
                    for name, value in at.items():
                        start = _advanced(outer[name], op[f"{name}_factor_out"])
                        m.d.sync += [value.eq(start), outer[name].eq(start)]
        with m.If(self.i.ready):
            one = new.uop_bgn + 1 == new.uop_end
            m.d.sync += [
                uop.eq(new.uop_bgn),
                single.eq(one),
                last_uop.eq(one),
                left_in.eq(new.iter_in),
                last_in.eq(new.iter_in == 1),
                left_out.eq(new.iter_out),
                last_out.eq(new.iter_out == 1),
            ]
            for name, value in at.items():
                first = Mux(new.direct, new[name], 0) if name != "wgt" else 0
                m.d.sync += [value.eq(first), outer[name].eq(first)]
        return at


def _advanced(offset: Signal, by: Value) -> Value:
    """The offset moved on; its top bit stays set."""
    return (offset[:-1] + by) | (offset & (1 << len(by)))
