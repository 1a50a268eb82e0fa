"""The functions of element-wise operators, on int32: as expressions, in NumPy, and in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

__all__ = ["FUNCTIONS", "RANGES", "Function", "Steps", "random_range"]

UNCLIPPED = 128  # values beyond the one bound of an operand, about
RANGES = {"int8": (-128, 127), "int32": (-(1 << 30), (1 << 30) - 1)}


@dataclass(frozen=True)
class Function:
    """An operation on int32: as TE expression, as NumPy, and how to describe it.

    `right` is the range of a random int32 second operand.
    """

    name: str
    help: str
    expression: Callable[[Any, Any], Any]
    numpy: Callable[[np.ndarray, Any], np.ndarray]
    right: tuple[int, int] = RANGES["int32"]


def _shift(value: Any, amount: Any) -> Any:
    number = getattr(amount, "value", None)
    if isinstance(number, int) and number < 0:
        return value << tirx.const(-number, "int32")
    return value >> amount


def _numpy_shift(value: np.ndarray, amount: Any) -> np.ndarray:
    wide = value.astype(np.int64)
    amount = np.asarray(amount, np.int64)
    right = wide >> np.clip(amount, 0, 31)
    return np.where(amount < 0, wide << np.clip(-amount, 0, 32), right)


FUNCTIONS = {
    function.name: function
    for function in (
        Function("add", "sum", lambda a, b: a + b, np.add),
        Function("multiply", "product", lambda a, b: a * b, np.multiply, (-128, 127)),
        Function("minimum", "smaller value", lambda a, b: te.min(a, b), np.minimum),
        Function("maximum", "larger value", lambda a, b: te.max(a, b), np.maximum),
        Function(
            "shift_right",
            "arithmetic shift by 0 to 31 (a negative constant shifts left)",
            _shift,
            _numpy_shift,
            (0, 31),
        ),
    )
}


Steps = list[tuple[Function, int]]
"""Functions of a value and a constant, one after the other."""


def random_range(dtype: str, steps: Steps) -> tuple[int, int]:
    """The range of a random operand: where constants clip, most of it between or behind them."""
    lowest, highest = RANGES[dtype]
    bounds = {function.name: number for function, number in steps}
    low, high = bounds.get("maximum"), bounds.get("minimum")
    if low is None and high is None:
        return lowest, highest
    low = high - UNCLIPPED if low is None and high is not None else low
    high = low + UNCLIPPED if high is None and low is not None else high
    assert low is not None and high is not None
    beyond = (high - low) // 4
    return max(lowest, min(low - beyond, highest)), min(highest, max(high + beyond, lowest))
