"""Requantisation: what happens to int32 accumulators until they are int8, as a list of steps.

A step is a frozen dataclass that gives its NumPy golden, its tensor expression (from which the
compiler makes ALU instructions) and a few words. A further kind of step is a further class.

With power-of-two scales, folding 2^(shift-1) into the bias makes the shift an exact round half up
(docs/operators.md). On the core each step is an ALU instruction or two, and all fold into one pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tvm import te, tirx

from vta.hw import isa
from vta.hw.config import Config
from vta.hw.isa import AluOpcode
from vta.sw.compiler.passes.alu import IMM
from vta.sw.estimate.folding import Chain
from vta.sw.estimate.loops import Footprint, footprint
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.border import Edge

__all__ = [
    "BORDER",
    "Alu",
    "Bias",
    "Clip",
    "Epilogue",
    "Shift",
    "Step",
    "check_depth",
    "check_immediate",
]

BORDER = "border"
"""An operand of this name has a value for each channel and place at the border of the result."""

TAKEN = ("data", "weight", "residual", "identity", "out")  # names of other tensors
FULL = 127  # largest int8
MOST = 1 << 30  # largest random bias
FREE_BIAS = 1 << 16  # the same where nothing bounds the results
INT32 = (1 << 31) - 1
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

    @classmethod
    def parse(cls, text: str) -> "Epilogue":
        """The steps in words, such as ``add bias, shr 8, max -128, min 127``.

        Each is the name of an operation, and a constant or a tensor's name.

        Raises
        ------
        OperatorError
            for a step that is none.
        """
        steps: list[Step] = []
        for words in filter(None, (part.split() for part in text.split(","))):
            if len(words) != 2:
                raise OperatorError(
                    f"step {' '.join(words)!r} is none: write an operation "
                    f"({', '.join(OPERATIONS)}) and a constant or a tensor's name"
                )
            name, by = words
            try:
                steps.append(Alu(name, int(by)))
            except ValueError as error:
                if isinstance(error, OperatorError):
                    raise
                steps.append(Alu(name, by))
        names = [step.operand for step in steps if step.operand]
        for name in names:
            if not name.isidentifier() or name in TAKEN:
                raise OperatorError(
                    f"{name!r} is no name for a step's tensor: take a word other than "
                    f"{', '.join(TAKEN)}"
                )
        return cls(tuple(steps))

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the steps' tensors, each once."""
        return tuple(dict.fromkeys(step.operand for step in self.steps if step.operand))

    @property
    def staged(self) -> tuple[str, ...]:
        """The names of the stages of steps with `BORDER`."""
        return tuple(f"step{n}" for n, step in enumerate(self.steps) if step.operand == BORDER)

    @cached_property
    def passes(self) -> int:
        """Passes over the accumulators that the core makes of the steps."""
        count, chain = 0, None
        for opcode, tensor in (pair for step in self.steps for pair in step.operations):
            alu, area = _instruction(opcode, tensor=tensor)
            longer = chain.extended(alu, area) if chain else None
            count += longer is None
            chain = longer or Chain.of(alu, area)
        return count

    def golden(self, acc: np.ndarray, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """int8 from accumulators, whose low 32 bits count; `operands` broadcast against them."""
        value = acc.astype(np.int32)
        for step in self.steps:
            value = step.golden(value, operands.get(step.operand))
        return value.astype(np.int8)

    def stages(
        self, acc: Any, operands: Mapping[str, Any], names: list[str], edges: tuple[Edge, ...] = ()
    ) -> tuple[Any, list[str]]:
        """TE stages after `acc`: the int8 output, and the names of the blocks to inline.

        Arguments
        ---------
        acc: (images, channel blocks, ..., BATCH, BLOCK).
        operands: by name, (channel blocks, BATCH, BLOCK); `BORDER` has its classes in between.
        names: of the axes.
        edges: of the spatial axes.
        """
        inlined: list[str] = []
        value = acc
        for n, step in enumerate(self.steps):
            name = f"step{n}"
            inlined += [] if name in self.staged else [name]
            along = edges if name in self.staged else ()
            value = self._stage(step, name, value, operands.get(step.operand), names, along)
        last = value
        cast = te.compute(
            acc.shape, lambda *i: last[i].astype("int8"), name="out", varargs_names=names
        )
        return cast, inlined

    @staticmethod
    def _stage(
        step: Step, name: str, value: Any, operand: Any, names: list[str], edges: tuple[Edge, ...]
    ) -> Any:
        def function(*i: Any) -> Any:
            places = [edge.expression(p) for edge, p in zip(edges, i[2:-2], strict=bool(edges))]
            given = None if operand is None else operand[(i[1], *places, i[-2], i[-1])]
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
        operands: dict[str, tuple[int, int]] = {}
        for step in reversed(self.steps):
            if isinstance(step, Alu) and step.operand:
                low, high = step.operand_range(wanted)
                operands[step.operand] = (int(max(low, -INT32)), int(min(high, INT32)))
            wanted = step.before(wanted)
        middle, spread = sum(wanted) / 2, (wanted[1] - wanted[0]) / 4
        addend = (-round(spread), round(spread))
        largest = min(FULL, max(1, round((3 * spread / depth**0.5) ** 0.5)))
        if "bias" in self.operands and "bias" not in operands:
            moved = (int(max(middle - spread, -MOST)), int(min(middle + spread, MOST)))
            return {
                "data": (-largest, largest),
                "weight": (-largest, largest),
                "sum": addend,
                "bias": moved,
                **operands,
            }
        data, weight = _moved(middle, spread, depth, largest)
        return {"data": data, "weight": weight, "sum": addend, **operands}

    def __str__(self) -> str:
        """Such as "bias, >> 8, clip -128..127"."""
        return ", ".join(map(str, self.steps)) or "no epilogue"


def _instruction(opcode: AluOpcode, *, tensor: bool) -> tuple[isa.Alu, Footprint]:
    """An ALU instruction over one vector, and what it touches."""
    alu = isa.Alu(
        uop_bgn=0, uop_end=1, iter_out=1, iter_in=1, alu_opcode=opcode, use_imm=int(not tensor)
    )
    return alu, footprint(alu, np.array([[0, int(tensor), 0]], np.int64), Config())


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
