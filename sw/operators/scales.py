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
from vta.sw.operators.channel import (
    DROPPED,
    ERROR,
    INT8,
    INT32,
    SHIFT,
    Channel,
    Scale,
    as_int8,
    fraction,
    preshift,
)
from vta.sw.operators.requantize import BORDER, Epilogue
from vta.sw.operators.residual import with_residual
from vta.sw.operators.residual_steps import Residue, steps_with_residual
from vta.sw.operators.steps import RESIDUAL

__all__ = ["Channel", "Requantization", "Scale", "as_int8", "chosen", "requantization"]

MATRIX = 2  # axes of the weights of a matrix product


@dataclass(frozen=True)
class Requantization:
    """Steps and their operands.

    Members
    -------
    steps: in words, as `vta.sw.operators.requantize.Epilogue.parse` takes them.
    operands: int32, by name: (channels,); `BORDER`: (channels, classes of rows, of columns).
    channels: what is meant exactly.
    residue: of the residual that the steps add, if they do.
    residual_factor: the operator's attribute; 1 without a residual.
    """

    steps: str
    operands: Mapping[str, np.ndarray]
    channels: tuple[Channel, ...]
    residue: Residue | None = None
    residual_factor: int = 1

    def golden(self, acc: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
        """int8 from accumulators (channels, n), border included, as the core computes it.

        `residual` is int8, of the same shape.
        """
        operands = {n: v[:, None] for n, v in self.operands.items() if v.ndim == 1}
        if residual is not None:
            operands[RESIDUAL] = residual
        steps = [s for s in Epilogue.parse(self.steps).steps if s.operand in ("", *operands)]
        made = Epilogue(tuple(steps))
        if residual is not None:
            made = with_residual(made, self.residual_factor)
        return made.golden(acc, operands)

    def exact(self, acc: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
        """The same as it is meant: half up, of the real numbers."""
        added = np.zeros(acc.shape, object)
        if self.residue is not None and residual is not None:
            added = np.vectorize(self.residue.worth, otypes=[object])(residual.astype(object))
        rows = [
            [channel.exact(int(value), more) for value, more in zip(*row, strict=True)]
            for channel, *row in zip(self.channels, acc, added, strict=True)
        ]
        return np.array(rows, np.int8)

    def differences(self, acc: np.ndarray, residual: np.ndarray | None = None) -> tuple[int, int]:
        """How many values of `golden` differ from `exact`, and by how much at most."""
        off = np.abs(self.golden(acc, residual).astype(int) - self.exact(acc, residual))
        return int(np.count_nonzero(off)), int(off.max(initial=0))


def chosen(
    channels: tuple[Channel, ...], limits: tuple[int, int], residue: Residue | None = None
) -> Requantization:
    """The cheapest steps for these channels, whose results' ends are `limits`."""
    factor = 1
    if residue is None:
        steps, operands = _steps(channels, limits)
    else:
        steps, operands, factor = steps_with_residual(channels, residue, limits)
    arrays = {name: np.array(values, np.int32) for name, values in operands.items()}
    return Requantization(steps, arrays, channels, residue, factor)


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
    preshifts = [
        0 if c.constant is not None else preshift(c.window, c.ratio, shift) for c in channels
    ]
    solved = [c.solved(shift, p) for c, p in zip(channels, preshifts, strict=True)]
    operands = {name: [channel[name] for channel in solved] for name in solved[0]}
    steps = f"min high, max low, mul multiplier, add addend, shr {shift}"
    steps += f", {clip}" if most > 1 else ""
    if any(preshifts):
        steps = f"shr preshift, {steps}"
        operands["preshift"] = preshifts
    return steps, operands


def _powers_of_two(channels: tuple[Channel, ...], clip: str) -> tuple[str, dict[str, Any]]:
    """Exact steps. Constant channels whose sums are 0 are shifted as the others; else all are
    multiplied, these by 0.
    """
    live = [c.exponent or 0 for c in channels if c.constant is None]
    alike, still = set(live), all(c.constant is None or c.least == c.most == 0 for c in channels)
    other = alike.pop() if still and len(alike) == 1 else 0
    if any(
        c.constant is not None and not INT32[0] <= c.constant << other <= INT32[1] for c in channels
    ):
        other = 0
    shifts = [other if c.constant is not None else c.exponent or 0 for c in channels]
    bias = [
        c.constant << n if c.constant is not None else c.addend(n)
        for c, n in zip(channels, shifts, strict=True)
    ]
    if still and len(set(shifts)) == 1:
        return f"add bias, shr {shifts[0]}, {clip}", {"bias": bias}
    if still:
        return f"add bias, shr shift, {clip}", {"bias": bias, "shift": shifts}
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
    residual: Scale | None = None,
) -> Requantization:
    """Steps of a convolution or matrix product.

    Arguments
    ---------
    weight_scale: of all weights, or an array with one for each output channel.
    weight: whole numbers (outputs, inputs, ...), whose zero point is 0.
    bias: int32 (outputs,), in units of data's scale times weight's; None: zeros.
    low, high: the ends of the result, in its own type, such as the zero point for a relu.
    edges: of a convolution (its `edges`): what is padded stands for the data's zero point. None
        will do for a matrix product, and where that is 0.
    residual: the scale of an int8 tensor that is added to the result before it is rounded and
        clipped: the operator's attributes are then `steps`, residual=true and `residual_factor`.

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
    limits = out.ends(low, high)
    factor = fraction("scale", data.scale) / fraction("scale", out.scale)
    channels = tuple(
        Channel(
            ratio=factor * fraction("weight_scale", scales[n]),
            bias=int(added[n]),
            zero=out.zero,
            low=limits[0],
            high=limits[1],
            least=int(least[n]),
            most=int(most[n]),
        )
        for n in range(outputs)
    )
    residue = None
    if residual is not None:
        step = fraction("scale", residual.scale) / fraction("scale", out.scale)
        residue = Residue(step, residual.zero)
    made = chosen(channels, limits, residue)
    border = correction(weight, data.zero, edges) if edges else np.zeros(1)
    if border.any():
        operands = {BORDER: border.astype(np.int32), **made.operands}
        first = "add residual, " * made.steps.startswith("add residual, ")  # GEMM adds it then
        steps = f"{first}add {BORDER}, {made.steps.removeprefix(first)}"
        return replace(made, steps=steps, operands=operands)
    return made
