"""From the real scales of a quantised layer to integer steps and their operands.

A layer of a quantised file means ``q = round(scale * (sum of (x - zero point) * w + bias)) + zero
point``, clipped to its type, with scale = data's * weight's / result's. Here the rounding is half
up (the core's shifts round down, so half is added before). What the core computes of it:

- one power of two for all channels: ADD bias, SHR n, clip: exact;
- powers of two: the same, with SHR by a tensor: exact;
- scales that are much alike: ADD bias, [SHR n], clip to 16 bits, MUL multiplier, ADD addend, SHR n,
  clip: three passes of the core;
- any other: [SHR preshift], MIN high, MAX low, MUL multiplier, ADD addend, SHR n. It clips first,
  so that what is multiplied is small and the sum fits int32: four passes, or five.

`Requantization.differences` counts what is not the exact value.

Padding stands for the data's zero point: what that adds to the sums at the border is a step before
these (`vta.sw.operators.border`).

Ranges come from interval arithmetic on the weights: a channel whose results are all alike becomes a
constant, however large its bias or small its scale is. Python's integers and fractions are used
throughout: nothing overflows here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.border import Edge, correction
from vta.sw.operators.requantize import BORDER, Epilogue

__all__ = ["Channel", "Requantization", "Scale", "as_int8", "chosen", "requantization"]

INT8 = (-128, 127)
INT32 = (-(1 << 31), (1 << 31) - 1)
SHIFT = 24  # last shift, at most: -128 to 127 shifted left by it still fit int32
DROPPED = 2.0**-6  # of the result's unit: dropped bits, at most; they change a quarter of it
ERROR = 2.0**-6  # of the result's unit: more, by the multiplier's rounding, asks for a preshift


MATRIX = 2  # axes of the weights of a matrix product


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
        _fraction("scale", self.scale)
        if not INT8[0] <= self.zero <= INT8[1]:
            raise OperatorError(f"zero_point is {self.zero_point}, which is no {self.dtype}")

    @property
    def zero(self) -> int:
        """The zero point as int8."""
        return int(self.zero_point) - (128 if self.dtype == "uint8" else 0)


def as_int8(array: np.ndarray) -> np.ndarray:
    """A uint8 array as VTA has it, 128 less; int8 arrays as they are."""
    return array if array.dtype == np.int8 else (array ^ np.uint8(0x80)).view(np.int8)


def _fraction(name: str, scale: Any) -> Fraction:
    value = float(scale)
    if not 0 < value < float("inf"):
        raise OperatorError(f"{name} is {value}; scales are positive and finite")
    return Fraction(value)


# A channel ----------------------------------------------------------------------------------------
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

    def exact(self, acc: int) -> int:
        """The result for an accumulator."""
        value = floor((acc + self.bias) * self.ratio + Fraction(1, 2)) + self.zero
        return max(self.low, min(value, self.high))

    @property
    def constant(self) -> int | None:
        """The result where all are alike."""
        first, last = self.exact(self.least), self.exact(self.most)
        return first if first == last else None

    @property
    def exponent(self) -> int | None:
        """n where the ratio is 2^-n, and adding the bias, with half of a unit, fits int32."""
        if self.ratio.numerator != 1 or self.ratio.denominator & (self.ratio.denominator - 1):
            return None
        n = self.ratio.denominator.bit_length() - 1
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

    def preshift(self, shift: int) -> int:
        """Bits to drop first, so that the multiplier has enough of them; 0 where it has.

        A window of w values is off by w / 4 / 2^shift at its ends, by the multiplier's rounding;
        bits that are dropped make this less, and are half a dropped unit off themselves.
        """
        low, high = self.window
        rounding = (high - low) / 4 / 2.0**shift
        if rounding <= ERROR:
            return 0
        return min(range(31), key=lambda p: rounding / 2.0**p + float(self.ratio) * 2.0**p / 2)

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
        return {"high": high, "low": low, "multiplier": multiplier, "addend": _wrapped(addend)}


def _wrapped(value: int) -> int:
    return (value - INT32[0]) % (1 << 32) + INT32[0]


# All channels -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Requantization:
    """Steps and their operands.

    Members
    -------
    steps: in words, as `vta.sw.operators.requantize.Epilogue.parse` takes them.
    operands: int32, by name: (channels,); `BORDER`: (channels, classes of rows, of columns).
    channels: what is meant exactly.
    """

    steps: str
    operands: Mapping[str, np.ndarray]
    channels: tuple[Channel, ...]

    def golden(self, acc: np.ndarray) -> np.ndarray:
        """int8 from accumulators (channels, n), border included, as the core computes it."""
        operands = {n: v[:, None] for n, v in self.operands.items() if v.ndim == 1}
        steps = [s for s in Epilogue.parse(self.steps).steps if s.operand in ("", *operands)]
        return Epilogue(tuple(steps)).golden(acc, operands)

    def exact(self, acc: np.ndarray) -> np.ndarray:
        """The same as it is meant: half up, of the real numbers."""
        rows = [
            [channel.exact(int(value)) for value in row]
            for channel, row in zip(self.channels, acc, strict=True)
        ]
        return np.array(rows, np.int8)

    def differences(self, acc: np.ndarray) -> tuple[int, int]:
        """How many values of `golden` differ from `exact`, and by how much at most."""
        off = np.abs(self.golden(acc).astype(int) - self.exact(acc))
        return int(np.count_nonzero(off)), int(off.max(initial=0))


def chosen(channels: tuple[Channel, ...], limits: tuple[int, int]) -> Requantization:
    """The cheapest steps for these channels, whose results' ends are `limits`."""
    steps, operands = _steps(channels, limits)
    arrays = {name: np.array(values, np.int32) for name, values in operands.items()}
    return Requantization(steps, arrays, channels)


def _steps(channels: tuple[Channel, ...], limits: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    clip = f"max {limits[0]}, min {limits[1]}"
    live = [channel for channel in channels if channel.constant is None]
    if not live:
        return "mul 0, add bias", {"bias": [channel.constant for channel in channels]}
    exponents = [channel.exponent for channel in live]
    if None not in exponents:
        return _powers_of_two(channels, clip)
    return _three_passes(channels, live, clip) or _any(channels, live, clip)


def _three_passes(
    channels: tuple[Channel, ...], live: list[Channel], clip: str
) -> tuple[str, dict[str, Any]] | None:
    """The bias first, then bits dropped and a clip to what a multiplier can take, all alike.

    None where the channels' scales are too different for that, or the bias is too large.
    """
    ends = []
    for channel in live:  # a unit of the result further, as the multiplier is rounded
        (first, last), unit = channel.window, ceil(1 / channel.ratio)
        ends += [first + channel.centre - unit, last + channel.centre + unit]
    drop = next(p for p in range(32) if all(end >> p in IMM for end in ends))
    most = max(channel.ratio for channel in live)
    if drop and float(most) * (1 << drop) > DROPPED:
        return None
    low, high = min(ends) >> drop, -(-max(ends) >> drop)
    if low not in IMM or high not in IMM:
        return None
    widest = max(-low, high) + 1
    shift = next(
        (n for n in range(SHIFT, 0, -1) if widest * most * (1 << (drop + n)) + (2 << n) < 1 << 31),
        0,
    )
    half = 1 << drop >> 1
    for channel in live:
        first, last = channel.window
        rounding = (last - first) / (1 << drop) / 4 / 2.0**shift
        sums = (channel.least + channel.centre + half, channel.most + channel.centre + half)
        if rounding > ERROR or not all(INT32[0] <= end <= INT32[1] for end in sums):
            return None
        if not INT32[0] <= channel.centre + half <= INT32[1]:
            return None
    operands: dict[str, list[int]] = {"bias": [], "multiplier": [], "addend": []}
    for channel in channels:
        value = channel.constant
        operands["bias"].append(0 if value is not None else channel.centre + half)
        scaled = 0 if value is not None else round(channel.ratio * (1 << (drop + shift)))
        rest = (channel.bias - channel.centre) * channel.ratio + channel.zero + Fraction(1, 2)
        addend = floor(rest * (1 << shift)) if value is None else value << shift
        operands["multiplier"].append(scaled)
        operands["addend"].append(addend)
    dropped = f"shr {drop}, " if drop else ""
    steps = f"add bias, {dropped}max {low}, min {high}, mul multiplier, add addend"
    return f"{steps}, shr {shift}, {clip}", operands


def _any(
    channels: tuple[Channel, ...], live: list[Channel], clip: str
) -> tuple[str, dict[str, Any]]:
    """Each channel's own clip, and its own preshift where it needs one."""
    most = max(channel.ratio for channel in live)
    shift = next(
        (n for n in range(SHIFT, -1, -1) if most <= 1 or (129 + most) * (1 << n) < 1 << 31), None
    )
    if shift is None:
        raise OperatorError(
            f"a scale of {float(most):g} (data's times weight's by the result's) is more than "
            "2^30: its results are -128, 127 and the zero point only: scale the weights"
        )
    preshifts = [0 if c.constant is not None else c.preshift(shift) for c in channels]
    solved = [c.solved(shift, p) for c, p in zip(channels, preshifts, strict=True)]
    operands = {name: [channel[name] for channel in solved] for name in solved[0]}
    steps = f"min high, max low, mul multiplier, add addend, shr {shift}"
    steps += f", {clip}" if most > 1 else ""
    if any(preshifts):
        steps = f"shr preshift, {steps}"
        operands["preshift"] = preshifts
    return steps, operands


def _powers_of_two(channels: tuple[Channel, ...], clip: str) -> tuple[str, dict[str, Any]]:
    """Exact steps. A constant channel is shifted until nothing but its bias is left."""
    live = [c.exponent or 0 for c in channels if c.constant is None]
    if len(live) == len(channels) and len(set(live)) == 1:
        bias = [channel.addend(live[0]) for channel in channels]
        return f"add bias, shr {live[0]}, {clip}", {"bias": bias}
    if len(live) == len(channels):
        bias = [c.addend(n) for c, n in zip(channels, live, strict=True)]
        return f"add bias, shr shift, {clip}", {"bias": bias, "shift": live}
    # Where some are constant: multiplied by 0 they are.
    shifts = [0 if c.constant is not None else c.exponent or 0 for c in channels]
    bias = [
        c.constant if c.constant is not None else c.addend(n)
        for c, n in zip(channels, shifts, strict=True)
    ]
    alive = [int(channel.constant is None) for channel in channels]
    return f"mul alive, add bias, shr shift, {clip}", {
        "alive": alive,
        "bias": bias,
        "shift": shifts,
    }


# A layer ------------------------------------------------------------------------------------------
def requantization(
    *,
    data: Scale,
    weight_scale: Any,
    out: Scale,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    low: int | None = None,
    high: int | None = None,
    edges: tuple[Edge, ...] | None = None,
) -> Requantization:
    """Steps of a convolution or matrix product.

    Arguments
    ---------
    weight_scale: of all weights, or an array with one for each output channel.
    weight: int8 (outputs, inputs, ...), whose zero point is 0.
    bias: int32 (outputs,), in units of data's scale times weight's; None: zeros.
    low, high: the ends of the result, in its own type, such as the zero point for a relu.
    edges: of a convolution (its `edges`): what is padded stands for the data's zero point. None
        will do for a matrix product, and where that is 0.

    Raises
    ------
    OperatorError
        for scales that are none, shapes that do not go together, and a zero point without `edges`.
    """
    outputs = len(weight)
    if data.zero and edges is None and weight.ndim > MATRIX:
        raise OperatorError(
            f"the data's zero point is {data.zero}, and nothing says what is padded: pass the "
            "convolution's edges"
        )
    scales = np.broadcast_to(np.asarray(weight_scale, np.float64).reshape(-1), (outputs,))
    added = np.zeros(outputs, np.int64) if bias is None else np.asarray(bias, np.int64)
    if added.shape != (outputs,):
        raise OperatorError(f"bias has shape {list(added.shape)}; it must be [{outputs}]")
    flat = weight.reshape(outputs, -1).astype(np.int64)
    ends = np.stack([flat * INT8[0], flat * INT8[1]])
    least, most = ends.min(axis=0).sum(axis=1), ends.max(axis=0).sum(axis=1)
    added = added - data.zero * flat.sum(axis=1)
    offset = 128 if out.dtype == "uint8" else 0
    limits = (
        INT8[0] if low is None else max(INT8[0], low - offset),
        INT8[1] if high is None else min(INT8[1], high - offset),
    )
    factor = _fraction("scale", data.scale) / _fraction("scale", out.scale)
    channels = tuple(
        Channel(
            ratio=factor * _fraction("weight_scale", scales[n]),
            bias=int(added[n]),
            zero=out.zero,
            low=limits[0],
            high=limits[1],
            least=int(least[n]),
            most=int(most[n]),
        )
        for n in range(outputs)
    )
    made = chosen(channels, limits)
    border = correction(weight, data.zero, edges) if edges else np.zeros(1)
    if border.any():
        operands = {BORDER: border.astype(np.int32), **made.operands}
        return replace(made, steps=f"add {BORDER}, {made.steps}", operands=operands)
    return made
