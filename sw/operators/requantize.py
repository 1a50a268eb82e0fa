"""Requantisation: what happens to int32 accumulators until they are int8, as a list of steps.

A step is a frozen dataclass that gives its NumPy golden, its tensor expression (from which the
compiler makes ALU instructions) and a few words. A further kind of step is a further class.

With power-of-two scales, folding 2^(shift-1) into the bias makes the shift an exact round half up
(docs/operators.md). On the core each step is an ALU instruction or two, and all fold into one pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tvm import te, tirx

from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.attribute import OperatorError

__all__ = ["Bias", "Clip", "Epilogue", "Shift", "Step", "check_depth", "check_immediate"]

FULL = 127  # largest int8
MOST = 1 << 30  # largest random bias
FREE_BIAS = 1 << 16  # the same where nothing bounds the results
MAX_DEPTH = 1 << 17  # products of two int8 that an int32 accumulator surely holds

Range = tuple[float, float]
"""The least and the largest value, both included."""


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


# Steps --------------------------------------------------------------------------------------------
class Step(ABC):
    """One step. `operand` names the int32 tensor that it needs, a value a channel; "": none."""

    operand: ClassVar[str] = ""

    @abstractmethod
    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        """int32 from int32 (which wraps); `operand` broadcasts against `value`."""

    @abstractmethod
    def expression(self, value: Any, operand: Any) -> Any:
        """The same of one value, in TE."""

    @abstractmethod
    def before(self, after: Range) -> Range:
        """The range before the step that fills the range `after` it."""

    @abstractmethod
    def __str__(self) -> str:
        """A few words, such as ">> 8"."""


@dataclass(frozen=True)
class Bias(Step):
    """Adds an int32 for each channel."""

    operand: ClassVar[str] = "bias"

    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        return value + operand

    def expression(self, value: Any, operand: Any) -> Any:
        return value + operand

    def before(self, after: Range) -> Range:
        return after

    def __str__(self) -> str:
        return "bias"


@dataclass(frozen=True)
class Shift(Step):
    """Shifts right arithmetically by `bits`; 31 and more leave the sign."""

    bits: int

    @property
    def amount(self) -> int:
        return min(self.bits, 31)

    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        return value >> np.int32(self.amount)

    def expression(self, value: Any, operand: Any) -> Any:
        return value >> tirx.const(self.amount, "int32")

    def before(self, after: Range) -> Range:
        return after[0] * (1 << self.amount), after[1] * (1 << self.amount)

    def __str__(self) -> str:
        return f">> {self.bits}"


@dataclass(frozen=True)
class Clip(Step):
    """Values below `low` become `low`, those above `high` become `high`; None leaves a side out."""

    low: int | None
    high: int | None

    def __post_init__(self) -> None:
        check_immediate("low", self.low)
        check_immediate("high", self.high)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise OperatorError(f"low is {self.low}, high is {self.high}: low must not exceed high")

    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        if self.low is not None:
            value = np.maximum(value, np.int32(self.low))
        return value if self.high is None else np.minimum(value, np.int32(self.high))

    def expression(self, value: Any, operand: Any) -> Any:
        if self.low is not None:
            value = te.max(value, tirx.const(self.low, "int32"))
        return value if self.high is None else te.min(value, tirx.const(self.high, "int32"))

    def before(self, after: Range) -> Range:
        low = after[0] if self.low is None else self.low
        high = after[1] if self.high is None else self.high
        return (low, high) if high - low >= 4 else ((low + high) / 2 - 2, (low + high) / 2 + 2)

    def __str__(self) -> str:
        low = "" if self.low is None else self.low
        return f"clip {low}..{'' if self.high is None else self.high}"


# All of them --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Epilogue:
    """The steps in order, then a cast to int8, which keeps the low 8 bits."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, *, bias: bool, shift: int, low: int | None, high: int | None) -> "Epilogue":
        """``int8(min(max((acc + bias) >> shift, low), high))``; None leaves a step out."""
        steps: list[Step] = [Bias()] if bias else []
        steps += [Shift(shift)] if shift else []
        steps += [] if low is None and high is None else [Clip(low, high)]
        return cls(tuple(steps))

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the steps' tensors."""
        return tuple(step.operand for step in self.steps if step.operand)

    def golden(self, acc: np.ndarray, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """int8 from accumulators, whose low 32 bits count; `operands` broadcast against them."""
        value = acc.astype(np.int32)
        for step in self.steps:
            value = step.golden(value, operands.get(step.operand))
        return value.astype(np.int8)

    def stages(
        self, acc: Any, operands: Mapping[str, Any], names: list[str], suffix: str = ""
    ) -> tuple[Any, list[str]]:
        """TE stages after `acc`: the int8 output, and the names of the blocks to inline.

        Arguments
        ---------
        acc: (images, channel blocks, ..., BATCH, BLOCK).
        operands: by name, (channel blocks, BATCH, BLOCK).
        names: of the axes.
        suffix: of the blocks' names.
        """
        inlined: list[str] = []
        value = acc
        for n, step in enumerate(self.steps):
            inlined.append(f"step{n}{suffix}")
            value = self._stage(step, inlined[-1], value, operands.get(step.operand), names)
        last = value
        cast = te.compute(
            acc.shape, lambda *i: last[i].astype("int8"), name=f"out{suffix}", varargs_names=names
        )
        return cast, inlined

    @staticmethod
    def _stage(step: Step, name: str, value: Any, operand: Any, names: list[str]) -> Any:
        def function(*i: Any) -> Any:
            given = None if operand is None else operand[i[1], i[-2], i[-1]]
            return step.expression(value[i], given)

        return te.compute(value.shape, function, name=name, varargs_names=names)

    def input_ranges(self, depth: int) -> dict[str, tuple[int, int]]:
        """Ranges of random values that do not clip most results of sums of `depth` products.

        The results should lie round the middle of the range that the steps leave, with a standard
        deviation of a quarter of its width. A sum of products of uniform values from -a..a and
        -b..b has a * b / 3 times the root of `depth`; where the middle is not 0, the bias moves it
        there, or, without one, data that are not negative and weights round a small number do.

        Returns
        -------
        By name: data, weight, each step's operand, and "sum", what a value may add to a sum.
        """
        full = (-FULL - 1, FULL)
        if all(isinstance(step, Bias) for step in self.steps):  # nothing clips: the sums wrap
            free = dict.fromkeys(self.operands, (-FREE_BIAS, FREE_BIAS))
            return {"data": full, "weight": full, "sum": full, **free}
        wanted: Range = full
        for step in reversed(self.steps):
            wanted = step.before(wanted)
        middle, spread = sum(wanted) / 2, (wanted[1] - wanted[0]) / 4
        addend = (-round(spread), round(spread))
        largest = min(FULL, max(1, round((3 * spread / depth**0.5) ** 0.5)))
        if self.operands:
            moved = (int(max(middle - spread, -MOST)), int(min(middle + spread, MOST)))
            operands = dict.fromkeys(self.operands, moved)
            return {
                "data": (-largest, largest),
                "weight": (-largest, largest),
                "sum": addend,
                **operands,
            }
        data, weight = _moved(middle, spread, depth, largest)
        return {"data": data, "weight": weight, "sum": addend}

    def __str__(self) -> str:
        """Such as "bias, >> 8, clip -128..127"."""
        return ", ".join(map(str, self.steps)) or "no epilogue"


def _moved(
    middle: float, spread: float, depth: int, largest: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Ranges of data and weights whose sums lie round `middle` by themselves."""
    if not middle:
        return (-largest, largest), (-largest, largest)
    if abs(middle) < depth * largest / 8:  # weights a half more than -n..n would be too much
        largest = max(1, min(FULL, round(4 * abs(middle) / depth)))
    width = max(1, min(FULL, round(3 * spread / (depth**0.5 * largest))))
    twice = max(-2 * FULL, min(2 * FULL, round(4 * middle / (depth * largest))))
    weights = (max(twice // 2 - width, -FULL), min(-(-twice // 2) + width, FULL))
    return (0, largest), weights
