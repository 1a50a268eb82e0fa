"""Steps of a quantised layer to whose sums a residual with a scale of its own is added.

The layer means ``q = round(ratio * (acc + bias) + step * (residual - its zero point)) + zero``,
clipped; `step` is the residual's scale by the result's. What the core computes of it:

- powers of two: ADD bias, SHR n, ADD residual, SHR k, clip: exact. A residual that is small beside
  the sums goes before them through GEMM: ADD bias, SHR n, clip;
- scales that are much alike: ADD bias, [SHR n], clip to 16 bits, MUL multiplier, ADD residual,
  [ADD addend], SHR n, clip;
- any other: [SHR preshift], MIN high, MAX low, MUL multiplier, ADD residual, ADD addend, SHR n,
  clip.

The residual's zero point is in the constant, which has no border: what a layer's padding means is
no matter of what is added to its result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.channel import DROPPED, ERROR, INT8, INT32, SHIFT, Channel, preshift, wrapped
from vta.sw.operators.residual import DIAGONAL, MULTIPLIER

__all__ = ["Added", "Residue", "steps_with_residual"]

HALF = Fraction(1, 2)
FACTOR = 1 << 20  # of the residual, at most: up to it powers of two are exact
FLAT = Fraction(1, 128)  # of the result's unit: what makes no difference


@dataclass(frozen=True)
class Residue:
    """A residual: a value is worth ``(value - zero) * step`` units of the result."""

    step: Fraction
    zero: int

    def worth(self, value: int) -> Fraction:
        return (value - self.zero) * self.step

    @property
    def exponent(self) -> int | None:
        """n where the step is 2^n."""
        ends = self.step.numerator, self.step.denominator
        if any(end & (end - 1) for end in ends):
            return None
        return ends[0].bit_length() - ends[1].bit_length()

    def factor(self, shift: int) -> int:
        """What a value is multiplied by, `shift` bits up: what GEMM and the ALU can do together."""
        wanted = self.step * (1 << shift)
        if round(wanted) <= MULTIPLIER:
            return max(1, round(wanted))
        least = -(-round(wanted) // MULTIPLIER)
        each = (n * min(round(wanted / n), MULTIPLIER) for n in range(least, DIAGONAL + 1))
        return min(each, key=lambda factor: abs(factor - wanted))

    def error(self, shift: int) -> float:
        """What the rounding of `factor` makes of a value at most, in units of the result."""
        off = abs(self.factor(shift) - self.step * (1 << shift))
        return float(off * -INT8[0] / (1 << shift))


class Added(NamedTuple):
    """Steps in words, their operands, and the residual's factor."""

    steps: str
    operands: dict[str, list[int]]
    factor: int


def steps_with_residual(
    channels: Sequence[Channel], residue: Residue, limits: tuple[int, int]
) -> Added:
    """The cheapest steps for these channels, whose results' ends are `limits`.

    Raises
    ------
    OperatorError
        for a scale that leaves nothing between the ends.
    """
    clip = f"max {limits[0]}, min {limits[1]}"
    exact = _powers_of_two(channels, residue, clip)
    if exact is not None:
        return exact
    sums = [_Sum(channel, residue) for channel in channels]
    return _alike(sums, residue, clip) or _any(sums, residue, clip)


def _fits(*values: int) -> bool:
    return all(INT32[0] <= value <= INT32[1] for value in values)


# Powers of two ------------------------------------------------------------------------------------
def _powers_of_two(channels: Sequence[Channel], residue: Residue, clip: str) -> Added | None:
    """Exact steps; None where a scale is no power of two, or a sum does not fit."""
    up, shifts = residue.exponent, [channel.power for channel in channels]
    if up is None or None in shifts:
        return None
    bits = [shift for shift in shifts if shift is not None]
    keep = max(0, -up)  # bits of the result's unit that the residual has
    if min(bits) < keep or max(bits) > min(SHIFT, 31 - keep) or up + keep >= DIAGONAL.bit_length():
        return None
    bias = [
        channel.addend(n) - (residue.zero << (up + n))
        for channel, n in zip(channels, bits, strict=True)
    ]
    ends = [
        (channel.least + b, channel.most + b) for channel, b in zip(channels, bias, strict=True)
    ]
    if not _fits(*bias, *(end for pair in ends for end in pair)):
        return None
    alike = len(set(bits)) == 1
    first = 1 << (up + bits[0])
    if alike and first <= DIAGONAL:
        reach = -INT8[0] * first
        if _fits(*(low - reach for low, _ in ends), *(high + reach for _, high in ends)):
            return Added(f"add residual, add bias, shr {bits[0]}, {clip}", {"bias": bias}, first)
    if not all(
        _fits((low >> n - keep) - (1 << 14), (high >> n - keep) + (1 << 14))
        for (low, high), n in zip(ends, bits, strict=True)
    ):
        return None
    operands, shift = {"bias": bias}, f"{bits[0] - keep}"
    if not alike:
        operands["shift"], shift = [n - keep for n in bits], "shift"
    rest = f"shr {keep}, " if keep else ""
    return Added(f"add bias, shr {shift}, add residual, {rest}{clip}", operands, 1 << (up + keep))


# Any ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Sum:
    """A channel with its residual."""

    channel: Channel
    residue: Residue

    @property
    def constant(self) -> Fraction:
        """What is added beside bias and residual: zero points, and half for the rounding."""
        return self.channel.zero + HALF + self.residue.worth(0)

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """What sums without the residual count: beyond it, its value decides nothing."""
        channel, worth = self.channel, self.residue.worth
        low = channel.low - 1 - channel.zero + HALF - worth(INT8[1])
        high = channel.high + 1 - channel.zero - HALF - worth(INT8[0])
        return low, high

    @property
    def window(self) -> tuple[int, int]:
        """Accumulators that count; where none does, the nearest one, twice."""
        channel, (low, high) = self.channel, self.ends
        first = max(floor(low / channel.ratio) - channel.bias, channel.least)
        last = min(ceil(high / channel.ratio) - channel.bias, channel.most)
        if first > last:
            first = last = channel.least if last < channel.least else channel.most
        return first, last

    @property
    def flat(self) -> bool:
        """Are all its sums without the residual the same, or hardly different?"""
        first, last = self.window
        return (last - first) * self.channel.ratio < FLAT

    @property
    def centre(self) -> int:
        """The bias with the constant, in units of accumulators, rounded."""
        return self.channel.bias + round(self.constant / self.channel.ratio)

    def value(self, acc: Fraction | int) -> Fraction:
        """The result for an accumulator without the residual's values; clipped to the ends."""
        low, high = self.ends
        return max(low, min((acc + self.channel.bias) * self.channel.ratio, high)) + self.constant


def _shift(residue: Residue, widest: Fraction) -> int:
    """The last shift, at most: sums up to `widest`, and the residual, fit int32."""
    widest += (INT8[1] + 2) * residue.step + 2
    for n in range(SHIFT, -1, -1):
        if widest * (1 << n) < 1 << 31 and residue.step * (1 << n) <= FACTOR:
            return n
    raise OperatorError(
        f"the residual's scale by the result's is {float(residue.step):g}, and sums reach "
        f"{float(widest):g} units of the result, which do not fit int32: scale the weights"
    )


def _alike(sums: Sequence[_Sum], residue: Residue, clip: str) -> Added | None:
    """Bias and constant first, then bits dropped and a clip to what a multiplier can take.

    None where the channels' scales are too different for that, or the bias is too large.
    """
    live = [one for one in sums if not one.flat]
    ends = [end + one.centre for one in live for end in one.window]
    if not ends:
        return None
    drop = next(p for p in range(33) if all(end >> p in IMM for end in ends))
    low, high = min(ends) >> drop, -(-max(ends) >> drop)
    most = max(one.channel.ratio for one in live) * (1 << drop)
    if (drop and most > DROPPED) or low not in IMM or high not in IMM:
        return None
    others = [abs(one.value(one.window[0])) for one in sums if one.flat]
    widest = max([(max(-low, high) + 1) * most, *others])
    shift, half = _shift(residue, widest), 1 << drop >> 1
    if residue.error(shift) > ERROR:
        return None
    operands: dict[str, list[int]] = {"bias": [], "multiplier": [], "addend": []}
    for one in sums:
        channel, (first, last) = one.channel, one.window
        bias, multiplier, rest = 0, 0, one.value(Fraction(first + last, 2))
        if not one.flat:
            bias = one.centre + half
            multiplier = round(channel.ratio * (1 << (drop + shift)))
            rest = (channel.bias - one.centre) * channel.ratio + one.constant
            if (last - first) / (1 << drop) / 4 / 2.0**shift > ERROR:
                return None
            if not _fits(bias, channel.least + bias, channel.most + bias):
                return None
        operands["bias"].append(bias)
        operands["multiplier"].append(multiplier)
        operands["addend"].append(floor(rest * (1 << shift)))
    exact = len(live) == len(sums) and max(one.channel.ratio for one in live) <= 2 * FLAT
    if exact:  # the bias alone is as near as makes no difference
        del operands["addend"]
    dropped, added = f"shr {drop}, " if drop else "", "" if exact else "add addend, "
    steps = f"add bias, {dropped}max {low}, min {high}, mul multiplier, add residual, {added}"
    return Added(f"{steps}shr {shift}, {clip}", operands, residue.factor(shift))


def _any(sums: Sequence[_Sum], residue: Residue, clip: str) -> Added:
    """Each channel's own clip, and its own preshift where it needs one."""
    widest = [
        max(map(abs, one.ends)) + abs(one.constant) + min(one.channel.ratio, 1 << 31)
        for one in sums
    ]
    shift = _shift(residue, max(widest))
    preshifts = [0 if one.flat else preshift(one.window, one.channel.ratio, shift) for one in sums]
    operands: dict[str, list[int]] = {"high": [], "low": [], "multiplier": [], "addend": []}
    for one, dropped in zip(sums, preshifts, strict=True):
        first, last = one.window
        low, high, multiplier, middle = 0, 0, 0, Fraction(first + last, 2)
        if not one.flat:
            low, high = first >> dropped, last >> dropped
            multiplier = round(one.channel.ratio * (1 << (dropped + shift)))
            middle = (low + high) // 2 * (1 << dropped) + Fraction((1 << dropped) - 1, 2)
        addend = floor(one.value(middle) * (1 << shift)) - (low + high) // 2 * multiplier
        for name, value in (("high", high), ("low", low), ("multiplier", multiplier)):
            operands[name].append(value)
        operands["addend"].append(wrapped(addend))
    steps = "min high, max low, mul multiplier, add residual, add addend"
    if any(preshifts):
        steps, operands["preshift"] = f"shr preshift, {steps}", preshifts
    return Added(f"{steps}, shr {shift}, {clip}", operands, residue.factor(shift))
