"""The requantising epilogue: bias, shift, clip, cast to int8; as NumPy golden and as TE stages.

With power-of-two scales, folding 2^(shift-1) into the bias makes it an exact round half up
(mappings.md). On the core each step is one ALU instruction, and all of them fold into one pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.operator import OperatorError, Parameter

__all__ = ["PARAMETERS", "Epilogue", "check_depth", "check_immediate"]

FULL = 127  # largest int8
MOST = 1 << 30  # largest random bias
MAX_DEPTH = 1 << 17  # products of two int8 that an int32 accumulator surely holds

PARAMETERS = (
    Parameter("bias", bool, False, "add an int32 bias for each output channel"),
    Parameter("shift", int, 0, "shift the accumulator right (arithmetically)", minimum=0),
    Parameter("low", int, None, "clip from below (none: no clip, the low 8 bits count)"),
    Parameter("high", int, None, "clip from above"),
)


def check_depth(operator: str, depth: int) -> None:
    """Refuse sums of `depth` products that could overflow an accumulator: depth * 2^14 >= 2^31."""
    if depth >= MAX_DEPTH:
        raise OperatorError(
            f"{operator}: {depth} products a value; fewer than {MAX_DEPTH} surely fit an int32 "
            "accumulator: split the sum"
        )


def check_immediate(name: str, value: int | None, otherwise: str = "") -> None:
    """Refuse a constant that is none for the ALU; `otherwise` says what to do instead."""
    if value is not None and value not in IMM:
        raise OperatorError(
            f"{name} is {value}; constants of the ALU are {IMM.start} to {IMM.stop - 1}{otherwise}"
        )


@dataclass(frozen=True)
class InputRanges:
    """Smallest and largest random value of each input of a product with an epilogue."""

    data: tuple[int, int]
    weight: tuple[int, int]
    bias: tuple[int, int]


@dataclass(frozen=True)
class Epilogue:
    """``int8(min(max((acc + bias) >> shift, low), high))``; None leaves a step out."""

    bias: bool = False
    shift: int = 0
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        check_immediate("low", self.low)
        check_immediate("high", self.high)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise OperatorError(f"low is {self.low}, high is {self.high}: low must not exceed high")

    def input_ranges(self, depth: int) -> InputRanges:
        """Ranges of random values that do not clip most results of sums of `depth` products.

        The results should lie round the middle of low..high, with a standard deviation of a quarter
        of its width. A sum of products of uniform values from -a..a and -b..b has a * b / 3 times
        the root of `depth`; where the middle is not 0, the bias moves it there, or, without one,
        data that are not negative and weights round a small number do.
        """
        full = (-FULL - 1, FULL)
        if not self.shift and self.low is None and self.high is None:
            return InputRanges(full, full, (-(1 << 16), 1 << 16))
        low = -FULL - 1 if self.low is None else self.low
        high = FULL if self.high is None else self.high
        unit = 1 << min(self.shift, 31)
        middle, spread = (low + high) * unit / 2, max((high - low) / 4, 1) * unit
        root = depth**0.5
        largest = min(FULL, max(1, round((3 * spread / root) ** 0.5)))
        if self.bias:
            bias = (int(max(middle - spread, -MOST)), int(min(middle + spread, MOST)))
            return InputRanges((-largest, largest), (-largest, largest), bias)
        if not middle:
            return InputRanges((-largest, largest), (-largest, largest), (0, 0))
        if abs(middle) < depth * largest / 8:  # weights a half more than -n..n would be too much
            largest = max(1, min(FULL, round(4 * abs(middle) / depth)))
        width = max(1, min(FULL, round(3 * spread / (root * largest))))
        twice = max(-2 * FULL, min(2 * FULL, round(4 * middle / (depth * largest))))
        weights = (max(twice // 2 - width, -FULL), min(-(-twice // 2) + width, FULL))
        return InputRanges((0, largest), weights, (0, 0))

    def golden(self, acc: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """int8 from int64 accumulators; `bias` broadcasts against them; int32 wraps."""
        value = (acc if bias is None else acc + bias).astype(np.int32)
        value = value >> min(self.shift, 31)
        if self.low is not None:
            value = np.maximum(value, self.low)
        if self.high is not None:
            value = np.minimum(value, self.high)
        return value.astype(np.int8)

    def stages(
        self, acc: Any, bias: Any, bias_index: Callable[..., Sequence[Any]]
    ) -> tuple[Any, list[str]]:
        """TE stages after `acc`: the int8 output, and the names of the blocks to inline.

        `bias_index` gives the bias's indices from the output's.
        """
        names: list[str] = []
        value = acc

        def stage(name: str, function: Callable[..., Any]) -> Any:
            names.append(name)
            return te.compute(acc.shape, function, name=name)

        if bias is not None:
            before = value
            value = stage("biased", lambda *i: before[i] + bias[tuple(bias_index(*i))])
        if self.shift:
            amount = tirx.const(min(self.shift, 31), "int32")
            before_shift = value
            value = stage("shifted", lambda *i: before_shift[i] >> amount)
        if self.low is not None:
            low, before_low = tirx.const(self.low, "int32"), value
            value = stage("clipped_low", lambda *i: te.max(before_low[i], low))
        if self.high is not None:
            high, before_high = tirx.const(self.high, "int32"), value
            value = stage("clipped_high", lambda *i: te.min(before_high[i], high))
        last = value
        out = te.compute(acc.shape, lambda *i: last[i].astype("int8"), name="out")
        return out, names

    def describe(self) -> str:
        """Short text such as "bias, >> 8, clip -128..127"."""
        parts = ["bias"] if self.bias else []
        parts += [f">> {self.shift}"] if self.shift else []
        if self.low is not None or self.high is not None:
            low = "" if self.low is None else self.low
            parts.append(f"clip {low}..{'' if self.high is None else self.high}")
        return ", ".join(parts) or "no epilogue"
