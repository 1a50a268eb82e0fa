"""The MAC array: BATCH x BLOCK dot products of BLOCK int8 values a cycle."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vta.hw.config import Config

__all__ = ["GEMM_LATENCY", "MacArray", "dot_bits"]

GEMM_LATENCY = 3
"""Cycles from `valid` to `dots`."""


def dot_bits(config: Config) -> int:
    """Bits of a dot product: 16 for one product, plus one for each level of the adder tree."""
    return 16 + config.log_block


def _tree_sum(m: Module, values: list[Value], name: str) -> Value:
    """Their sum, by a balanced tree of adders.

    The partial sums are kept, so that synthesis makes an adder of each (and puts the first level,
    of signed products, into the DSPs) instead of merging them into one carry-save tree, which
    takes 40% more LUTs. The later levels are unsigned: nothing is extended between the adders.
    """
    while len(values) > 1:
        sums = []
        for n, (a, b) in enumerate(zip(values[::2], values[1::2], strict=True)):
            width = (a + b).shape().width
            total = Signal(width, name=f"{name}_{len(values) // 2}_{n}", attrs={"keep": 1})
            m.d.comb += total.eq(a + b)
            sums.append(total ^ (1 << width - 1) if a.shape().signed else total)
        values = sums
    return values[0]


class MacArray(wiring.Component):
    """``dots[b][o] = sum over k of inp[b][k] * wgt[o][k]``, exact.

    Three register stages: operands (the DSP's own input registers), products, sum. One uop a
    cycle, no stalls; a stage without a valid uop keeps its values.

    Members
    -------
    valid: in, `inp` (BATCH x BLOCK int8) and `wgt` (BLOCK x BLOCK int8) hold a uop's operands.
    dots: out, GEMM_LATENCY cycles later, BATCH * BLOCK sums of `dot_bits` bits, signed.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "inp": In(8 * config.inp_bytes),
                "wgt": In(8 * config.wgt_bytes),
                "dots": Out(signed(dot_bits(config))).array(config.batch * config.block),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        batch, block = self._config.batch, self._config.block
        bits = dot_bits(self._config)
        excess = 1 << bits - 1  # BLOCK / 2 sums are each 2^16 too large, to be unsigned
        inp, wgt = (
            Signal(p.shape(), name=n, reset_less=True)
            for n, p in (("inp_0", self.inp), ("wgt_0", self.wgt))
        )
        valid = [Signal(name=f"valid_{n}") for n in range(2)]
        m.d.sync += [valid[0].eq(self.valid), valid[1].eq(valid[0])]
        with m.If(self.valid):  # Cycle 0: operands
            m.d.sync += [inp.eq(self.inp), wgt.eq(self.wgt)]
        for b in range(batch):
            for o in range(block):
                products = []
                for k in range(block):
                    product = Signal(16, name=f"product_{b}_{o}_{k}", reset_less=True)
                    x = inp.word_select(b * block + k, 8).as_signed()
                    w = wgt.word_select(o * block + k, 8).as_signed()
                    with m.If(valid[0]):  # Cycle 1: products
                        m.d.sync += product.eq(x * w)
                    products.append(product.as_signed())
                total = _tree_sum(m, products, f"sum_{b}_{o}")
                dot = Signal(signed(bits), name=f"dot_{b}_{o}", reset_less=True)
                with m.If(valid[1]):  # Cycle 2: sum
                    m.d.sync += dot.eq(total[:bits] ^ excess)
                m.d.comb += self.dots[b * block + o].eq(dot)
        return m
