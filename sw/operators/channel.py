"""A quantised number's scale, and a channel of a quantised layer, exactly.

Python's integers and fractions are used throughout: nothing overflows here.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from vta.sw.operators.attribute import OperatorError

__all__ = ["DROPPED", "ERROR", "INT8", "INT32", "SHIFT", "Channel", "Scale", "as_int8", "fraction"]
__all__ += ["preshift", "wrapped"]

INT8 = (-128, 127)
INT32 = (-(1 << 31), (1 << 31) - 1)
SHIFT = 24  # last shift, at most: -128 to 127 shifted left by it still fit int32
DROPPED = 2.0**-6  # of the result's unit: dropped bits, at most; they change a quarter of it
ERROR = 2.0**-6  # of the result's unit: more, by the multiplier's rounding, asks for a preshift


@dataclass(frozen=True)
class Scale:
    """What an 8-bit number means: (number - zero_point) * scale; `dtype` is int8 or uint8.

    uint8 goes through VTA as int8, 128 less; `zero` is the zero point then.
    """

    scale: float
    zero_point: int = 0
    dtype: str = "int8"

    def __post_init__(self) -> None:
        if self.dtype not in ("int8", "uint8"):
            raise OperatorError(f"dtype is {self.dtype}; quantised tensors are int8 or uint8")
        fraction("scale", self.scale)
        if not INT8[0] <= self.zero <= INT8[1]:
            raise OperatorError(f"zero_point is {self.zero_point}, which is no {self.dtype}")

    @property
    def zero(self) -> int:
        """The zero point as int8."""
        return int(self.zero_point) - (128 if self.dtype == "uint8" else 0)

    def ends(self, low: int | None, high: int | None) -> tuple[int, int]:
        """The ends of results as int8; `low` and `high` are in this type, None: the type's."""
        offset = self.zero_point - self.zero
        return (
            INT8[0] if low is None else max(INT8[0], int(low) - offset),
            INT8[1] if high is None else min(INT8[1], int(high) - offset),
        )


def as_int8(array: np.ndarray) -> np.ndarray:
    """A uint8 array as VTA has it, 128 less; int8 arrays as they are."""
    return array if array.dtype == np.int8 else (array ^ np.uint8(0x80)).view(np.int8)


def fraction(name: str, scale: Any) -> Fraction:
    """A scale exactly; `name` is what a message calls it."""
    value = float(scale)
    if not 0 < value < float("inf"):
        raise OperatorError(f"{name} is {value}; scales are positive and finite")
    return Fraction(value)


@dataclass(frozen=True)
class Channel:
    """One channel: ``clip(round half up((acc + bias) * ratio) + zero, low, high)``.

    `least` and `most` are the ends of what acc can be.
    """

    ratio: Fraction
    bias: int
    zero: int
    low: int
    high: int
    least: int
    most: int

    def exact(self, acc: int, added: Fraction | int = 0) -> int:
        """The result for an accumulator; `added` is in units of the result, before rounding."""
        value = floor((acc + self.bias) * self.ratio + added + Fraction(1, 2)) + self.zero
        return max(self.low, min(value, self.high))

    @property
    def constant(self) -> int | None:
        """The result where all are alike."""
        first, last = self.exact(self.least), self.exact(self.most)
        return first if first == last else None

    @property
    def power(self) -> int | None:
        """n where the ratio is 2^-n."""
        if self.ratio.numerator != 1 or self.ratio.denominator & (self.ratio.denominator - 1):
            return None
        return self.ratio.denominator.bit_length() - 1

    @property
    def exponent(self) -> int | None:
        """The same where adding the bias, with half of a unit, fits int32."""
        n = self.power
        if n is None:
            return None
        added = self.addend(n)
        ends = (added, self.least + added, self.most + added)
        fits = n <= 31 and all(INT32[0] <= end <= INT32[1] for end in ends)
        return n if fits else None

    def addend(self, n: int) -> int:
        """The bias, the half and the zero point, before a shift by n."""
        return self.bias + (1 << n >> 1) + (self.zero << n)

    @property
    def centre(self) -> int:
        """What brings results round 0 when it is added to accumulators: bias and zero point."""
        return self.bias + round(self.zero / self.ratio)

    @property
    def window(self) -> tuple[int, int]:
        """Accumulators beyond it have the result of its ends."""
        half = Fraction(1, 2)
        high = ceil((self.high - self.zero - half) / self.ratio) - self.bias
        low = ceil((self.low - self.zero + half) / self.ratio) - self.bias - 1
        return max(low, self.least), min(high, self.most)

    def solved(self, shift: int, preshift: int) -> dict[str, int]:
        """Operands for ``(clip(acc >> preshift, low, high) * multiplier + addend) >> shift``."""
        constant = self.constant
        if constant is not None:
            return {"high": 0, "low": 0, "multiplier": 0, "addend": constant << shift}
        first, last = self.window
        low, high = first >> preshift, last >> preshift
        multiplier = round(self.ratio * (1 << (preshift + shift)))
        middle = (low + high) // 2
        acc = middle * (1 << preshift) + Fraction((1 << preshift) - 1, 2)
        there = (acc + self.bias) * self.ratio + self.zero + Fraction(1, 2)
        addend = floor(there * (1 << shift)) - middle * multiplier
        if multiplier:  # the ends where the product says so: there, it has been rounded
            whole = multiplier <= 1 << shift  # no result is skipped, the ends are met exactly
            most = (((self.high + 1) << shift) - 1 if whole else self.high << shift) - addend
            least = (self.low << shift) - addend
            most = most // multiplier if whole else -(-most // multiplier)
            least = -(-least // multiplier) if whole else least // multiplier
            high = min(self.most >> preshift, most)
            low = max(self.least >> preshift, least)
        if low > high:  # the rounding leaves one of its two results
            value = self.exact((first + last) // 2)
            return {"high": 0, "low": 0, "multiplier": 0, "addend": value << shift}
        return {"high": high, "low": low, "multiplier": multiplier, "addend": wrapped(addend)}


def preshift(window: tuple[int, int], ratio: Fraction, shift: int) -> int:
    """Bits to drop first, so that the multiplier has enough of them; 0 where it has.

    A window of w values is off by w / 4 / 2^shift at its ends, by the multiplier's rounding;
    bits that are dropped make this less, and are half a dropped unit off themselves.
    """
    low, high = window
    rounding = (high - low) / 4 / 2.0**shift
    if rounding <= ERROR:
        return 0
    return min(range(31), key=lambda p: rounding / 2.0**p + float(ratio) * 2.0**p / 2)


def wrapped(value: int) -> int:
    """int32 with the same low 32 bits."""
    return (value - INT32[0]) % (1 << 32) + INT32[0]
