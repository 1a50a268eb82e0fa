"""Folded ALU chains: one pass equals its instructions one after another; lanes do what it says."""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In

from vta.hw.compute.alu import ALU_LATENCY, AluLane, FirstOp, chain_layout, extend
from vta.hw.config import Config
from vta.hw.formal.prove import Properties
from vta.hw.isa import AluOpcode, Opcode, instruction_layout

__all__ = ["ChainProperties", "LaneProperties"]

MOST = 15
"""Instructions in a chain, at most: `vta.hw.compute.issue` folds no more."""


def _minimum(a: Value, b: Value) -> Value:
    return Mux(a < b, a, b)


def _maximum(a: Value, b: Value) -> Value:
    return Mux(a > b, a, b)


def _any_function(a: Value, b: Value) -> Value:
    """Stands for the product and the shift: folding uses nothing but that they depend on both."""
    return a - Cat(b[7:], b[:7]).as_signed()


def _shift_right(m: Module, name: str, value: Value, amount: Value) -> Value:
    """isa.md section 4: right by a signed amount; a negative one shifts left; never masked."""
    back = Signal(signed(33), name=f"{name}_back")
    right = Signal(range(32), name=f"{name}_right")
    m.d.comb += [back.eq(-amount), right.eq(Mux(amount > 31, 31, amount[:5]))]
    left = Mux(back > 31, 0, (value << back[:5])[:32])
    result = Signal(signed(32), name=f"{name}_shifted")
    m.d.comb += result.eq(Mux(amount < 0, left, value >> right))
    return result


def _operate(m: Module, name: str, alu: data.View, x: Value, y: Value) -> Signal:
    """One ALU instruction on 32 bits, with any functions for SHR and MUL."""
    operand, result = (Signal(signed(32), name=f"{name}_{n}") for n in ("operand", "result"))
    m.d.comb += operand.eq(Mux(alu.use_imm, alu.imm, y))
    results = {
        AluOpcode.MIN: _minimum(x, operand),
        AluOpcode.MAX: _maximum(x, operand),
        AluOpcode.ADD: x + operand,
        AluOpcode.SHR: _any_function(operand, x),
        AluOpcode.MUL: _any_function(x, operand),
    }
    with m.Switch(alu.alu_opcode):
        for opcode, value in results.items():
            with m.Case(opcode):
                m.d.comb += result.eq(value)
    return result


def _unclamped(m: Module, name: str, chain: data.View, x: Value, y: Value, shift) -> Signal:
    """A chain without its clamp, on 32 bits; ``shift(value, amount)`` is its shift."""
    operand, first = (Signal(signed(32), name=f"{name}_{n}") for n in ("operand", "first"))
    amount = Signal(signed(32), name=f"{name}_amount")
    m.d.comb += [
        operand.eq(Mux(chain.first_tensor, y, chain.first_imm)),
        amount.eq(Mux(chain.shift_tensor, y, chain.shift_imm)),
        first.eq(x),
    ]
    with m.Switch(chain.first):
        for op, value in (
            (FirstOp.ADD, x + operand),
            (FirstOp.MIN, _minimum(x, operand)),
            (FirstOp.MAX, _maximum(x, operand)),
            (FirstOp.MUL, _any_function(x, operand)),
        ):
            with m.Case(op):
                m.d.comb += first.eq(value)
    result = Signal(signed(32), name=f"{name}_unclamped")
    m.d.comb += result.eq(Mux(chain.shift, shift(first, amount), first))
    return result


def _clamped(m: Module, name: str, chain: data.View, value: Value) -> Signal:
    """A chain's clamp alone."""
    high, result = (Signal(signed(32), name=f"{name}_{n}") for n in ("high", "clamped"))
    m.d.comb += [
        high.eq(Mux(chain.high_en, _minimum(value, chain.high), value)),
        result.eq(Mux(chain.low_en, _maximum(high, chain.low), high)),
    ]
    return result


def _legal(chain: data.View, count: Value | int) -> Value:
    """What holds of every chain of `count` instructions."""
    none = chain.first == FirstOp.NONE
    compares = (chain.first == FirstOp.MIN) | (chain.first == FirstOp.MAX)
    bound = Value.cast(count) << 15
    sums = (
        (chain.first != FirstOp.ADD)
        | chain.first_tensor
        | ((chain.first_imm <= bound) & (chain.first_imm >= -bound))
    )
    return Cat(
        chain.first.as_value() <= FirstOp.MUL.value,
        ~none | (~chain.first_tensor & (chain.first_imm == 0)),
        ~compares | chain.first_tensor,
        (chain.first != FirstOp.MUL) | ~chain.shift,
        chain.shift | ~chain.shift_tensor,
        ~(chain.first_tensor & chain.shift_tensor),
        ~(chain.low_en & chain.high_en) | (chain.low <= chain.high),
        sums,
    ).all()


class ChainProperties(Properties):
    """`vta.hw.compute.alu.extend` on any chain, any ALU instruction, any data. No state: one cycle.

    Proved, by induction over the length of a chain:

    - where a chain can be extended, ``longer(x) == instruction(chain(x))``, for every x and every
      tensor operand, bit for bit;
    - the extended chain is a legal one again: one tensor operand at most, sums within their bits,
      bounds in order;
    - the empty chain does nothing, is legal, and can be extended by every instruction.
    """

    def __init__(self) -> None:
        self._alu = instruction_layout(Config(), Opcode.ALU)
        super().__init__(
            {
                "chain": In(chain_layout()),
                "alu": In(self._alu),
                "count": In(4),
                "x": In(signed(32)),
                "y": In(signed(32)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        possible, longer = extend(m, self.chain, self.alu)
        compares = (self.alu.alu_opcode == AluOpcode.MIN) | (self.alu.alu_opcode == AluOpcode.MAX)
        clamps = ("low_en", "low", "high_en", "high")
        m.d.comb += [
            Assume(_legal(self.chain, self.count)),
            Assume(self.count < MOST),
            Assume(self.alu.alu_opcode <= max(AluOpcode)),
            Assert((self.chain.as_value() != 0) | possible),
            Assert(~possible | _legal(longer, self.count + 1)),
        ]
        # An immediate MIN or MAX changes the clamp alone: `x` is what comes to it.
        before, after = (_clamped(m, n, c, self.x) for n, c in (("c", self.chain), ("d", longer)))
        with m.If(possible & compares & self.alu.use_imm):
            for name in chain_layout().members:
                if name not in clamps:
                    m.d.comb += Assert(longer[name] == self.chain[name])
            m.d.comb += Assert(after == _operate(m, "bound", self.alu, before, self.y))
        # Anything else comes before any clamp.
        before, after = (
            _unclamped(m, n, c, self.x, self.y, lambda value, by: _any_function(by, value))
            for n, c in (("before", self.chain), ("after", longer))
        )
        with m.If(possible & ~(compares & self.alu.use_imm)):
            for chain in (self.chain, longer):
                m.d.comb += Assert(~chain.low_en & ~chain.high_en)
            m.d.comb += Assert(after == _operate(m, "next", self.alu, before, self.y))
        return m


class LaneProperties(Properties):
    """`AluLane`, given a chain and data in every cycle, against the chain's meaning.

    Proved for all chains without a multiplication (whose partial products are tested, not
    proved), for all data, back to back: `result` is the chain without its clamp, `ALU_LATENCY`
    cycles later.
    """

    def __init__(self) -> None:
        super().__init__(
            {"chain": In(chain_layout()), "x": In(signed(32)), "y": In(signed(32)), "valid": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = AluLane()
        chain_1, valid_1 = Signal(chain_layout()), Signal()
        m.d.sync += [chain_1.eq(self.chain), valid_1.eq(self.valid)]
        m.d.comb += [
            dut.valid.eq(self.valid),
            dut.valid_1.eq(valid_1),
            dut.chain.eq(self.chain),
            dut.chain_1.eq(chain_1),
            dut.x.eq(self.x),
            dut.y.eq(self.y),
            Assume(_legal(self.chain, MOST)),
            Assume(self.chain.first != FirstOp.MUL),
        ]
        expected: list[Signal] = []
        valid: list[Signal] = []
        meant = _unclamped(
            m, "meant", self.chain, self.x, self.y, lambda v, by: _shift_right(m, "meant", v, by)
        )
        value, now = meant, self.valid
        for n in range(ALU_LATENCY):
            expected.append(Signal(signed(32), name=f"expected_{n}"))
            valid.append(Signal(name=f"valid_{n}"))
            m.d.sync += [expected[n].eq(value), valid[n].eq(now)]
            value, now = expected[n], valid[n]
        with m.If(valid[-1]):
            m.d.comb += Assert(dut.result.as_signed() == expected[-1])
        return m
