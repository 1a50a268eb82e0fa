"""The vector ALU: chains of operations folded into one pass, and the lanes that execute them.

A chain is ``clamp(shift(add(x)))``: an addition (or the minimum or maximum with a tensor), a
shift, and any number of immediate MIN and MAX; or a multiplication and immediate MIN and MAX.
Each part is optional, so that a single ALU instruction is a chain too.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.isa import AluOpcode
from vta.hw.library.bits import repeated, sign_extended

__all__ = ["ALU_LATENCY", "AluLane", "FirstOp", "chain_layout", "extend"]

ALU_LATENCY = 2
"""Cycles from operands to `result`, before the clamp."""
SUM_BITS = 20  # of up to 16 immediates of 16 bits


class FirstOp(enum.Enum, shape=3):
    """The first step of a chain."""

    NONE = 0
    ADD = 1
    MIN = 2
    MAX = 3
    MUL = 4


def chain_layout() -> data.StructLayout:
    """A folded chain. At most one step has a tensor operand."""
    return data.StructLayout(
        {
            "first": FirstOp,
            "first_tensor": 1,
            "first_imm": signed(SUM_BITS),
            "shift": 1,
            "shift_tensor": 1,
            "shift_imm": signed(16),
            "low_en": 1,
            "low": signed(16),
            "high_en": 1,
            "high": signed(16),
        }
    )


def extend(m: Module, chain: data.View, alu: data.View) -> tuple[Signal, data.View]:
    """The chain with one more instruction at its end, and whether that is possible.

    Immediate ADDs add up (modulo 2^32 as the lanes do); immediate MIN and MAX compose into one
    clamp with ``low <= high``, whatever their order. Nothing may follow a step of a later kind.

    Arguments
    ---------
    chain: view of `chain_layout`; all zero is the empty chain.
    alu: view of the ALU instruction's fields.
    """
    possible, longer = Signal(), Signal(chain_layout())
    imm = alu.imm
    tensor = ~alu.use_imm
    no_clamp = ~chain.low_en & ~chain.high_en
    no_shift = no_clamp & ~chain.shift & (chain.first != FirstOp.MUL)
    empty = no_shift & (chain.first == FirstOp.NONE)
    m.d.comb += longer.eq(chain)
    with m.Switch(alu.alu_opcode):
        with m.Case(AluOpcode.ADD):
            more = no_shift & (chain.first == FirstOp.ADD) & ~chain.first_tensor & ~tensor
            m.d.comb += [
                possible.eq(empty | more),
                longer.first.eq(FirstOp.ADD),
                longer.first_tensor.eq(tensor),
                longer.first_imm.eq(chain.first_imm + imm),
            ]
        with m.Case(AluOpcode.MUL):
            m.d.comb += [
                possible.eq(empty),
                longer.first.eq(FirstOp.MUL),
                longer.first_tensor.eq(tensor),
                longer.first_imm.eq(imm),
            ]
        with m.Case(AluOpcode.SHR):
            m.d.comb += [
                possible.eq(no_shift & ~(tensor & chain.first_tensor)),
                longer.shift.eq(1),
                longer.shift_tensor.eq(tensor),
                longer.shift_imm.eq(imm),
            ]
        for opcode, first in ((AluOpcode.MIN, FirstOp.MIN), (AluOpcode.MAX, FirstOp.MAX)):
            with m.Case(opcode):
                with m.If(tensor):
                    m.d.comb += [
                        possible.eq(empty),
                        longer.first.eq(first),
                        longer.first_tensor.eq(1),
                    ]
                with m.Else():
                    m.d.comb += possible.eq(1)
                    _clamp(m, chain, longer, opcode, imm)
    return possible, longer


def _clamp(m: Module, chain, longer, opcode: AluOpcode, imm: Value) -> None:
    """Compose one more immediate MIN or MAX with the clamp."""
    lower = opcode == AluOpcode.MIN

    def bound(value):
        return Mux(value < imm, value, imm) if lower else Mux(value > imm, value, imm)

    set_low = chain.low_en if lower else 1
    set_high = 1 if lower else chain.high_en
    m.d.comb += [
        longer.low_en.eq(set_low),
        longer.low.eq(Mux(chain.low_en, bound(chain.low), imm)),
        longer.high_en.eq(set_high),
        longer.high.eq(Mux(chain.high_en, bound(chain.high), imm)),
    ]


class AluLane(wiring.Component):
    """One lane of 32 bits: everything of a chain but its clamp, in two cycles.

    Members
    -------
    valid: in, `x` (acc[d]), `y` (acc[s]) and `chain` are a uop's.
    result: out, ALU_LATENCY cycles later.

    The chain of the second cycle is `chain_1`, the same a cycle later, from the pipeline.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": In(1),
                "valid_1": In(1),
                "x": In(32),
                "y": In(32),
                "chain": In(chain_layout()),
                "chain_1": In(chain_layout()),
                "result": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first, distance, left = (
            Signal(bits, name=name, reset_less=True)
            for name, bits in (("first", 32), ("distance", 5), ("left", 1))
        )
        product = self._multiply(m)
        amount, to_left, far = self._shift_amount()
        self._first(m, first, lost=to_left & far)
        with m.If(self.valid):
            m.d.sync += [
                distance.eq(amount | repeated(far & ~to_left, 5)),  # 31 is as far as any
                left.eq(to_left),
            ]

        # Cycle 1: shift; sum of the partial products. A left shift by k is a rotation by -k too:
        # the two differ only in which bits of the rotated value are replaced, and by what.
        rotated = (Cat(first, first) >> distance)[:32]
        wrapped = (Const(0xFFFFFFFF << 32, 64) >> distance)[:32]  # bits 32 - distance and above
        fill = repeated(first[31] & ~left, 32)

        def replaced() -> Value:
            return wrapped ^ repeated(left, 32)

        shifted = (rotated & ~replaced()) | (fill & replaced())
        result = Signal(32, reset_less=True)
        with m.If(self.valid_1):
            m.d.sync += result.eq(Mux(self.chain_1.first == FirstOp.MUL, product, shifted))
        m.d.comb += self.result.eq(result)
        return m

    def _first(self, m: Module, first: Signal, lost: Value) -> None:
        """Cycle 0: one adder adds (nothing is an addition of 0) or compares; 0 if `lost`."""
        chain, x, y = self.chain, self.x, self.y
        compare = (chain.first == FirstOp.MIN) | (chain.first == FirstOp.MAX)
        imm = sign_extended(chain.first_imm, 33)
        addend = Mux(chain.first_tensor, Cat(y, y[31]), imm) ^ repeated(compare, 33)

        def total() -> Value:
            return (Cat(x, x[31]) + addend + compare)[:33]

        take_x = total()[32] ^ (chain.first == FirstOp.MAX)  # bit 32: x < y
        with m.If(self.valid):
            m.d.sync += first.eq(Mux(lost, 0, Mux(compare, Mux(take_x, x, y), total()[:32])))

    def _shift_amount(self) -> tuple[Value, Value, Value]:
        """Distance of the rotation to the right, whether to the left, whether by 32 or more.

        By 32 or more to the right is the same as by 31; to the left, all bits are lost.
        """
        chain = self.chain

        def decode(amount: Value) -> Value:
            left, high = amount[-1], amount[5:-1]
            return Cat(amount[:5], left, Mux(left, ~high.all(), high.any()))

        imm = decode(chain.shift_imm.as_unsigned())
        chosen = Mux(chain.shift, Mux(chain.shift_tensor, decode(self.y), imm), 0)
        return chosen[:5], chosen[5], chosen[6]

    def _multiply(self, m: Module) -> Value:
        """Cycle 0: partial products; returns their sum, modulo 2^32."""
        chain, x = self.chain, self.x
        y = Mux(chain.first_tensor, self.y, sign_extended(chain.first_imm, 32))
        low, middle_0, middle_1 = (
            Signal(bits, name=name, reset_less=True)
            for name, bits in (("low", 32), ("middle_0", 16), ("middle_1", 16))
        )
        with m.If(self.valid & (chain.first == FirstOp.MUL)):
            m.d.sync += [
                low.eq(x[:16] * y[:16]),
                middle_0.eq(x[16:] * y[:16]),
                middle_1.eq(x[:16] * y[16:]),
            ]
        return Cat(low[:16], low[16:] + middle_0 + middle_1)
