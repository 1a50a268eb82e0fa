"""Element-wise operators of quantised tensors: each operand with a scale and zero point of its own.

Multipliers are 16-bit constants; `of_scales` makes them, and all else, from the real scales. They
are exact to 2^-15 of a value, so that about 1 result in 1000 is one off exact half up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, ClassVar, Self

import numpy as np

from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.pointwise import BROADCASTS, Pointwise, least, most, shifted
from vta.sw.operators.scales import Scale

__all__ = ["QUANTIZED", "HardSwish", "LeakyRelu", "Prelu", "QuantizedAdd", "QuantizedMaximum"]
__all__ += ["QuantizedMinimum", "QuantizedMultiply", "Rescale"]

MULTIPLIER = (1 << 15) - 1  # largest constant of the ALU
SHIFT = 22  # last shift, at most: 2^8 results, shifted left by it, leave room for a sum in int32


def _multiplier(help: str, default: int = 1) -> Any:
    return attribute(help, default, minimum=-MULTIPLIER - 1, maximum=MULTIPLIER)


def _fitted(largest: Fraction, most: int = MULTIPLIER) -> int:
    """The shift that gives a factor as many bits as `most` has."""
    if largest > most:
        raise OperatorError(
            f"a scale of {float(largest):g} (an operand's by the result's) is more than {most}: "
            "its results are -128, 127 and the zero point only"
        )
    return next(n for n in range(SHIFT, -1, -1) if round(largest * (1 << n)) <= most)


def _addend(zero: int, shift: int) -> int:
    """The zero point of a result and half of its unit, before the shift."""
    return floor((zero + Fraction(1, 2)) * (1 << shift))


def _ends(out: Scale, low: int | None, high: int | None) -> dict[str, int]:
    """Clip limits, given in the result's own type."""
    return dict(zip(("low", "high"), out.ends(low, high), strict=True))


# One tensor ---------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Rescale(Pointwise):
    """Another scale and zero point. Relu, clip and hard sigmoid of quantised graphs are this."""

    name = "rescale"
    help = "int8 to another scale: clip((a * multiplier + addend) >> shift, low, high)"

    multiplier: int = _multiplier("multiplies a")

    def value(self, values: Mapping[str, Any]) -> Any:
        return values["a"] * self.multiplier

    @classmethod
    def of_scales(
        cls, a: Scale, out: Scale, *, low: int | None = None, high: int | None = None, **shape: Any
    ) -> Self:
        """Between two scales. low, high: the ends in the result's type (relu: its zero point)."""
        return cls._linear(a, out, Fraction(1), Fraction(0), **_ends(out, low, high), **shape)

    @classmethod
    def hard_sigmoid(
        cls, a: Scale, out: Scale, *, alpha: float = 0.2, beta: float = 0.5, **shape: Any
    ) -> Self:
        """``min(max(alpha * a + beta, 0), 1)``, with ONNX's alpha and beta."""
        one = floor(1 / Fraction(out.scale) + Fraction(1, 2)) + out.zero
        ends = {"low": max(out.zero, -128), "high": min(one, 127)}
        return cls._linear(a, out, Fraction(alpha), Fraction(beta), **ends, **shape)

    @classmethod
    def _linear(
        cls, a: Scale, out: Scale, slope: Fraction, offset: Fraction, **values: Any
    ) -> Self:
        unit = Fraction(out.scale)
        ratio = Fraction(a.scale) * slope / unit
        there = out.zero + Fraction(1, 2) + offset / unit
        most = abs(there) + 256 * abs(ratio)
        shift = next((n for n in range(_fitted(abs(ratio)), 0, -1) if most * (1 << n) < 1 << 31), 0)
        multiplier = round(ratio * (1 << shift))
        addend = floor(there * (1 << shift))
        return cls(
            multiplier=multiplier, addend=addend - a.zero * multiplier, shift=shift, **values
        )


@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Pointwise):
    """Positive values times one multiplier, negative ones times another."""

    name = "leaky_relu"
    help = "int8 leaky relu: a * multiplier, or a * negative + offset"
    temporaries: ClassVar[int] = 1

    scalars: ClassVar[tuple[str, ...]] = ("addend", "offset")

    multiplier: int = _multiplier("multiplies what is positive")
    negative: int = _multiplier("multiplies what is negative", 0)
    offset: int = attribute("added to the latter: a's zero point times their difference", 0)

    def value(self, values: Mapping[str, Any]) -> Any:
        either = most if self.negative <= self.multiplier else least
        negative = self.plus(values["a"] * self.negative, "offset", values)
        return either(values["a"] * self.multiplier, negative)

    @classmethod
    def of_scales(cls, a: Scale, out: Scale, *, slope: float, **shape: Any) -> Self:
        """`slope` is that of negative values."""
        ratio = Fraction(a.scale) / Fraction(out.scale)
        shift = _fitted(ratio * max(Fraction(1), abs(Fraction(slope))))
        unit = ratio * (1 << shift)
        positive, negative = round(unit), round(unit * Fraction(slope))
        return cls(
            multiplier=positive,
            negative=negative,
            offset=a.zero * (positive - negative),
            addend=_addend(out.zero, shift) - a.zero * positive,
            shift=shift,
            **shape,
        )


@dataclass(frozen=True, kw_only=True)
class Prelu(Pointwise):
    """Leaky relu with a slope for each channel."""

    name = "prelu"
    help = "int8 leaky relu with an int32 tensor, negative, that has a multiplier a channel"
    parameters: ClassVar[tuple[str, ...]] = ("negative",)
    temporaries: ClassVar[int] = 1

    zero: int = attribute("zero point of a", 0, minimum=-128, maximum=127)
    multiplier: int = _multiplier("multiplies what is positive")

    def value(self, values: Mapping[str, Any]) -> Any:
        value = values["a"] - self.zero if self.zero else values["a"]
        return most(value, 0) * self.multiplier + least(value, 0) * values["negative"]

    @classmethod
    def of_scales(
        cls, a: Scale, out: Scale, *, slopes: np.ndarray, **shape: Any
    ) -> tuple[Self, dict[str, np.ndarray]]:
        """The operator, and its tensor, from the slopes of negative values, one a channel."""
        ratio = Fraction(a.scale) / Fraction(out.scale)
        exact = [Fraction(float(slope)) for slope in slopes]
        shift = _fitted(ratio * max(Fraction(1), *map(abs, exact)))
        unit = ratio * (1 << shift)
        made = cls(
            zero=a.zero,
            multiplier=round(unit),
            addend=_addend(out.zero, shift),
            shift=shift,
            channels=len(exact),
            **shape,
        )
        return made, {"negative": np.array([round(unit * s) for s in exact], np.int32)}


@dataclass(frozen=True, kw_only=True)
class HardSwish(Pointwise):
    """``(a - zero) * min(max((a * slope + offset) >> slope_shift, 0), gate)``."""

    name = "hard_swish"
    help = "int8 hard swish: a times a gate that rises from 0 to its largest value"
    temporaries: ClassVar[int] = 1
    scalars: ClassVar[tuple[str, ...]] = ("addend", "offset")

    zero: int = attribute("zero point of a", 0, minimum=-128, maximum=127)
    slope: int = _multiplier("multiplies a, for the gate")
    offset: int = attribute("added to that: half of the gate, without a's zero point", 0)
    slope_shift: int = attribute("shifts that right", 0, unit="bits", minimum=0, maximum=31)
    gate: int = attribute("the largest gate", MULTIPLIER, minimum=0, maximum=MULTIPLIER)

    def value(self, values: Mapping[str, Any]) -> Any:
        value = values["a"] - self.zero if self.zero else values["a"]
        gate = self.plus(values["a"] * self.slope, "offset", values)
        return most(least(shifted(gate, self.slope_shift), self.gate), 0) * value

    @classmethod
    def of_scales(cls, a: Scale, out: Scale, **shape: Any) -> Self:
        """``a * min(max(a + 3, 0), 6) / 6``."""
        ratio = Fraction(a.scale) / Fraction(out.scale)
        shift = _fitted(ratio)
        gate = round(ratio * (1 << shift))
        steep = Fraction(a.scale) / 6 * gate  # of the gate, for a step of a
        more = next((n for n in range(15, -1, -1) if round(steep * (1 << n)) <= MULTIPLIER), None)
        if more is None:
            raise OperatorError(f"hard_swish: a's scale is {a.scale:g}; it must be less than 6")
        slope = round(steep * (1 << more))
        return cls(
            zero=a.zero,
            slope=slope,
            offset=(gate << more >> 1) + (1 << more >> 1) - a.zero * slope,
            slope_shift=more,
            gate=gate,
            addend=_addend(out.zero, shift),
            shift=shift,
            **shape,
        )


# Two tensors --------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class _Pair(Pointwise):
    """Of a and b, which may be broadcast."""

    operands: ClassVar[tuple[str, ...]] = ("a", "b")

    broadcast: str = attribute(
        "what b has: values as a has, one a channel, or one", "none", choices=BROADCASTS
    )

    def broadcast_of(self, operand: str) -> str:
        return self.broadcast if operand == "b" else "none"


@dataclass(frozen=True, kw_only=True)
class _Scaled(_Pair):
    """Each operand has a multiplier."""

    a_multiplier: int = _multiplier("multiplies a")
    b_multiplier: int = _multiplier("multiplies b")

    @classmethod
    def _factors(
        cls, a: Scale, b: Scale, out: Scale, sign: int
    ) -> tuple[dict[str, int], tuple[int, int]]:
        """Multipliers, addend and shift; and what the operands' zero points are worth."""
        ratios = [Fraction(a.scale) / Fraction(out.scale), sign * Fraction(b.scale)]
        ratios[1] /= Fraction(out.scale)
        shift = _fitted(max(map(abs, ratios)))
        factors = [round(ratio * (1 << shift)) for ratio in ratios]
        values = {"a_multiplier": factors[0], "b_multiplier": factors[1], "shift": shift}
        values["addend"] = _addend(out.zero, shift) - a.zero * factors[0]
        return values, (a.zero * factors[0], b.zero * factors[1])


@dataclass(frozen=True, kw_only=True)
class QuantizedAdd(_Scaled):
    """The difference is a sum with a negative b_multiplier."""

    name = "quantized_add"
    help = "int8 sum (or difference) of tensors with scales of their own"

    def value(self, values: Mapping[str, Any]) -> Any:
        return values["a"] * self.a_multiplier + values["b"] * self.b_multiplier

    @classmethod
    def of_scales(
        cls,
        a: Scale,
        b: Scale,
        out: Scale,
        *,
        sign: int = 1,
        low: int | None = None,
        high: int | None = None,
        **shape: Any,
    ) -> Self:
        """a + b, or a - b where sign is -1. low, high: the ends in the result's type."""
        values, (_, zero) = cls._factors(a, b, out, sign)
        values["addend"] -= zero
        return cls(**values, **_ends(out, low, high), **shape)


@dataclass(frozen=True, kw_only=True)
class _Either(_Scaled):
    """The smaller or the larger value."""

    scalars: ClassVar[tuple[str, ...]] = ("addend", "offset")
    larger: ClassVar[bool]

    offset: int = attribute("added to b's product: the difference of the zero points", 0)

    def value(self, values: Mapping[str, Any]) -> Any:
        right = self.plus(values["b"] * self.b_multiplier, "offset", values)
        return (most if self.larger else least)(values["a"] * self.a_multiplier, right)

    @classmethod
    def of_scales(
        cls,
        a: Scale,
        b: Scale,
        out: Scale,
        *,
        low: int | None = None,
        high: int | None = None,
        **shape: Any,
    ) -> Self:
        """low, high: the ends in the result's type."""
        values, (left, right) = cls._factors(a, b, out, 1)
        return cls(**values, offset=left - right, **_ends(out, low, high), **shape)


class QuantizedMinimum(_Either):
    name, larger = "quantized_minimum", False
    help = "int8 smaller value of tensors with scales of their own"


class QuantizedMaximum(_Either):
    name, larger = "quantized_maximum", True
    help = "int8 larger value of tensors with scales of their own"


@dataclass(frozen=True, kw_only=True)
class QuantizedMultiply(_Pair):
    """The operands without their zero points, times one multiplier."""

    name = "quantized_multiply"
    help = "int8 product of tensors with scales of their own"

    a_zero: int = attribute("zero point of a", 0, minimum=-128, maximum=127)
    b_zero: int = attribute("zero point of b", 0, minimum=-128, maximum=127)
    multiplier: int = _multiplier("multiplies the product")

    def value(self, values: Mapping[str, Any]) -> Any:
        left, right = values["a"], values["b"]
        left = left - self.a_zero if self.a_zero else left
        right = right - self.b_zero if self.b_zero else right
        return left * right * self.multiplier

    @classmethod
    def of_scales(
        cls,
        a: Scale,
        b: Scale,
        out: Scale,
        *,
        low: int | None = None,
        high: int | None = None,
        **shape: Any,
    ) -> Self:
        """low, high: the ends in the result's type. 255 * 255 * 2^14 still fits int32."""
        ratio = Fraction(a.scale) * Fraction(b.scale) / Fraction(out.scale)
        shift = _fitted(ratio, MULTIPLIER >> 1)
        return cls(
            a_zero=a.zero,
            b_zero=b.zero,
            multiplier=round(ratio * (1 << shift)),
            addend=_addend(out.zero, shift),
            shift=shift,
            **_ends(out, low, high),
            **shape,
        )


QUANTIZED: tuple[type[Pointwise], ...] = (
    Rescale,
    LeakyRelu,
    Prelu,
    HardSwish,
    QuantizedAdd,
    QuantizedMultiply,
    QuantizedMinimum,
    QuantizedMaximum,
)
