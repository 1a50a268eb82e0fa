"""Steps of a requantisation, frozen dataclasses: NumPy golden, tensor expression and words.

On the core each step is an ALU instruction or two. A further kind of step is a further class.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from vta.hw.isa import AluOpcode
from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.attribute import OperatorError

__all__ = ["OPERATIONS", "RESIDUAL", "Alu", "Bias", "Clip", "Range", "Residual", "Shift", "Step"]
__all__ += ["check_immediate"]

RESIDUAL = "residual"
"""The step that adds it, and its tensor, are called so."""

Range = tuple[float, float]
"""The least and the largest value, both included."""


def check_immediate(name: str, value: int | None, otherwise: str = "") -> None:
    """Refuse a constant that is none for the ALU; `otherwise` says what to do instead."""
    if value is not None and value not in IMM:
        raise OperatorError(
            f"{name} is {value}; constants of the ALU are {IMM.start} to {IMM.stop - 1}{otherwise}"
        )


class Step(ABC):
    """One step. `operand` names the int32 tensor that it needs, a value a channel; "": none."""

    @property
    def operand(self) -> str:
        return ""

    @abstractmethod
    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        """int32 from int32 (which wraps); `operand` broadcasts against `value`."""

    @abstractmethod
    def expression(self, value: Any, operand: Any) -> Any:
        """The same of one value, in TE."""

    @property
    @abstractmethod
    def operations(self) -> tuple[tuple[AluOpcode, bool], ...]:
        """What the ALU executes: opcodes, and whether the operand is a tensor."""

    @abstractmethod
    def before(self, after: Range) -> Range:
        """The range before the step that fills the range `after` it."""

    @abstractmethod
    def __str__(self) -> str:
        """A few words, such as ">> 8"."""


@dataclass(frozen=True)
class Bias(Step):
    """Adds an int32 for each channel."""

    @property
    def operand(self) -> str:
        return "bias"

    @property
    def operations(self) -> tuple[tuple[AluOpcode, bool], ...]:
        return ((AluOpcode.ADD, True),)

    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        return value + operand

    def expression(self, value: Any, operand: Any) -> Any:
        return value + operand

    def before(self, after: Range) -> Range:
        return after

    def __str__(self) -> str:
        return "bias"


@dataclass(frozen=True)
class Residual(Step):
    """Adds the residual, which has accumulators of its own where this is not the first step.

    Arguments
    ---------
    diagonal: what GEMM multiplies it by.
    multiplier: what the ALU does.
    """

    diagonal: int = 1
    multiplier: int = 1

    @property
    def operand(self) -> str:
        return RESIDUAL

    @property
    def factor(self) -> int:
        return self.diagonal * self.multiplier

    @property
    def operations(self) -> tuple[tuple[AluOpcode, bool], ...]:
        multiplies = ((AluOpcode.MUL, False),) if self.multiplier > 1 else ()
        return (*multiplies, (AluOpcode.ADD, True))

    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        assert operand is not None
        return value + operand.astype(np.int32) * np.int32(self.factor)

    def expression(self, value: Any, operand: Any) -> Any:
        if self.multiplier > 1:
            operand = operand * tirx.const(self.multiplier, "int32")
        return value + operand

    def before(self, after: Range) -> Range:
        return after

    def __str__(self) -> str:
        return RESIDUAL if self.factor == 1 else f"{RESIDUAL} * {self.factor}"


@dataclass(frozen=True)
class Shift(Step):
    """Shifts right arithmetically by `bits`; 31 and more leave the sign."""

    bits: int

    @property
    def amount(self) -> int:
        return min(self.bits, 31)

    @property
    def operations(self) -> tuple[tuple[AluOpcode, bool], ...]:
        return ((AluOpcode.SHR, False),)

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

    @property
    def operations(self) -> tuple[tuple[AluOpcode, bool], ...]:
        ends = ((AluOpcode.MAX, self.low), (AluOpcode.MIN, self.high))
        return tuple((opcode, False) for opcode, end in ends if end is not None)

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


@dataclass(frozen=True)
class _Operation:
    """What the ALU computes of int32: in NumPy, where it wraps, and in TE."""

    numpy: Callable[[np.ndarray, Any], np.ndarray]
    expression: Callable[[Any, Any], Any]


def _shifted(value: np.ndarray, amount: Any) -> np.ndarray:
    return value >> np.clip(np.asarray(amount, np.int32), 0, 31)


OPERATIONS = {
    "min": _Operation(np.minimum, lambda a, b: te.min(a, b)),
    "max": _Operation(np.maximum, lambda a, b: te.max(a, b)),
    "add": _Operation(np.add, lambda a, b: a + b),
    "mul": _Operation(np.multiply, lambda a, b: a * b),
    "shr": _Operation(_shifted, lambda a, b: a >> b),
}
WIDTH = 1 << 16  # of random values before a multiplication, about


@dataclass(frozen=True)
class Alu(Step):
    """An ALU operation with a constant, or with a tensor that has a value for each channel.

    Arguments
    ---------
    name: min, max, add, mul or shr (arithmetic, by 0 to 31 bits).
    by: the constant, or the tensor's name.
    """

    name: str
    by: int | str

    def __post_init__(self) -> None:
        if self.name not in OPERATIONS:
            raise OperatorError(
                f"step {self.name!r} is unknown: choose one of {', '.join(OPERATIONS)}"
            )
        if self.name == "shr" and isinstance(self.by, int) and not 0 <= self.by <= 31:
            raise OperatorError(f"step shr {self.by}: shifts are 0 to 31 bits")
        if isinstance(self.by, int):
            check_immediate(f"the constant of {self.name}", self.by, ": name a tensor instead")

    @property
    def operand(self) -> str:
        return self.by if isinstance(self.by, str) else ""

    @property
    def operations(self) -> tuple[tuple[AluOpcode, bool], ...]:
        return ((AluOpcode[self.name.upper()], bool(self.operand)),)

    def golden(self, value: np.ndarray, operand: np.ndarray | None) -> np.ndarray:
        other = np.array(self.by, np.int32) if operand is None else operand
        return OPERATIONS[self.name].numpy(value, other)

    def expression(self, value: Any, operand: Any) -> Any:
        other = tirx.const(self.by, "int32") if operand is None else operand
        return OPERATIONS[self.name].expression(value, other)

    def before(self, after: Range) -> Range:
        low, high = after
        if self.name in ("min", "max"):
            return after
        operand = (self.by, self.by) if isinstance(self.by, int) else self.operand_range(after)
        if self.name == "add":
            return low - sum(operand) / 2, high - sum(operand) / 2
        factor = sum(operand) / 2 or 1
        factor = 2.0**-factor if self.name == "shr" else factor
        return min(low / factor, high / factor), max(low / factor, high / factor)

    def operand_range(self, after: Range) -> Range:
        low, high = after
        if self.name == "min":
            return high - (high - low) / 16, high
        if self.name == "max":
            return low, low + (high - low) / 16
        if self.name == "mul":
            least = max(1, (high - low) // WIDTH)
            return least, 2 * least
        return (2, 6) if self.name == "shr" else (-(high - low) / 16, (high - low) / 16)

    def __str__(self) -> str:
        return f"{self.name} {self.by}"
