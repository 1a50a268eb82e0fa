"""Requantisation: what happens to int32 accumulators until they are int8, as a list of steps.

A step is a frozen dataclass that gives its NumPy golden, its tensor expression (from which the
compiler makes ALU instructions) and a few words. A further kind of step is a further class.

With power-of-two scales, folding 2^(shift-1) into the bias makes the shift an exact round half up
(docs/operators.md). On the core each step is an ALU instruction or two, and all fold into one pass.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tvm import te

from vta.hw import isa
from vta.hw.config import Config
from vta.hw.isa import AluOpcode
from vta.sw.estimate.folding import Chain
from vta.sw.estimate.loops import Footprint, footprint
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.border import Classes
from vta.sw.operators.steps import (
    OPERATIONS,
    RESIDUAL,
    Alu,
    Bias,
    Clip,
    Range,
    Residual,
    Shift,
    Step,
)

__all__ = ["BORDER", "DATA_SUMS", "WEIGHT_SUMS", "ZEROS", "Epilogue"]
__all__ += ["check_depth", "check_zeros"]

BORDER = "border"
"""An operand of this name has a value for each channel and place at the border of the result."""

WEIGHT_SUMS = "weight_sums"
DATA_SUMS = "data_sums"
"""What the zero points of data and weights are worth: computed on the core, not loaded."""

ZEROS = "zeros"
"""The product of both zero points, for each of the sum's terms."""

COMPUTED = (WEIGHT_SUMS, DATA_SUMS)
TAKEN = ("data", "weight", "residual", "identity", "planes", "out")  # names of other tensors
TAKEN += ("data_zero", "weight_zero", ZEROS, *COMPUTED)
FULL = 127  # largest int8
MOST = 1 << 30  # largest random bias
FREE_BIAS = 1 << 16  # the same where nothing bounds the results
INT32 = (1 << 31) - 1
MAX_DEPTH = 1 << 17  # products of two int8 that an int32 accumulator surely holds


def check_depth(operator: str, depth: int) -> None:
    """Refuse sums of `depth` products that could overflow an accumulator: depth * 2^14 >= 2^31."""
    if depth >= MAX_DEPTH:
        raise OperatorError(
            f"{operator}: {depth} products a value; fewer than {MAX_DEPTH} surely fit an int32 "
            "accumulator: split the sum"
        )


def check_zeros(operator: str, depth: int, *zeros: int) -> None:
    """Refuse sums that could overflow an accumulator once the zero points are taken off."""
    largest = depth
    for zero in zeros:
        largest *= max(FULL - zero, FULL + 1 + zero)
    if any(zeros) and largest > INT32:
        raise OperatorError(
            f"{operator}: {depth} products of numbers without their zero points "
            f"({', '.join(map(str, zeros))}) may be {largest:,}; an accumulator has 32 bits: split "
            "the sum, or quantise with zero points of 0"
        )


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

        Each is the name of an operation, and a constant or a tensor's name. "add residual" says
        where that is added.

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
            if (name, by) == ("add", RESIDUAL):
                steps.append(Residual())
                continue
            try:
                steps.append(Alu(name, int(by)))
            except ValueError as error:
                if isinstance(error, OperatorError):
                    raise
                steps.append(Alu(name, by))
        for name in dict.fromkeys(step.operand for step in steps):
            if name in ("", RESIDUAL):
                continue
            if not name.isidentifier() or name in TAKEN:
                raise OperatorError(
                    f"{name!r} is no name for a step's tensor: take a word other than "
                    f"{', '.join(TAKEN)}"
                )
        return cls(tuple(steps))

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the steps' tensors, each once, without the residual and what is computed."""
        names = dict.fromkeys(step.operand for step in self.steps)
        return tuple(name for name in names if name not in ("", RESIDUAL, *COMPUTED))

    def corrected(self, names: tuple[str, ...]) -> "Epilogue":
        """The same behind steps that add these tensors; a residual that GEMM adds stays first."""
        first = 1 if self.residual is not None and not self.apart else 0
        added = tuple(Alu("add", name) for name in names)
        return Epilogue((*self.steps[:first], *added, *self.steps[first:]))

    @property
    def residual(self) -> Residual | None:
        """The step that adds it."""
        return next((step for step in self.steps if isinstance(step, Residual)), None)

    @property
    def apart(self) -> bool:
        """Has the residual accumulators of its own? If not, GEMM adds it to the product's."""
        first = self.steps[0] if self.steps else None
        return self.residual is not None and (
            self.residual is not first or self.residual.multiplier > 1
        )

    @property
    def staged(self) -> tuple[str, ...]:
        """The names of the stages of steps with `BORDER`."""
        return tuple(f"step{n}" for n, step in enumerate(self.steps) if step.operand == BORDER)

    @cached_property
    def passes(self) -> int:
        """Passes over the accumulators that the core makes of the steps."""
        count, chain = 0, None
        merged = self.residual is not None and not self.apart
        steps = self.steps[1:] if merged else self.steps
        for opcode, tensor in (pair for step in steps for pair in step.operations):
            alu, area = _instruction(opcode, tensor=tensor)
            longer = chain.extended(alu, area) if chain else None
            count += longer is None
            chain = longer or Chain.of(alu, area)
        return count

    def golden(self, acc: np.ndarray, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """int8 from accumulators, whose low 32 bits count; `operands` broadcast against them, the
        residual, int8, among them.
        """
        return self.wide(acc, operands).astype(np.int8)

    def wide(self, acc: np.ndarray, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """The same before the cast: int32."""
        value = acc.astype(np.int32)
        for step in self.steps:
            value = step.golden(value, operands.get(step.operand))
        return value

    def filling(self, value: int, residual: int = 0) -> dict[str, int]:
        """What the operands of a channel without products and bias are, whose result is `value`.

        The tensor that is added last decides, by its name; the others are 0. Empty where zeros do,
        and where no number of it gives that.

        Arguments
        ---------
        residual: of that channel.
        """
        added = [
            step.operand
            for step in self.steps
            if step.operations == ((AluOpcode.ADD, True),)
            and step.operand not in (RESIDUAL, BORDER)
        ]

        def result(number: int) -> int:
            return self.of_nothing({added[-1]: number, RESIDUAL: residual})

        if not added or result(0) == value:
            return {}
        numbers = range(-MOST, MOST)
        found = numbers[min(bisect_left(numbers, value, key=result), len(numbers) - 1)]
        return {added[-1]: found} if result(found) == value else {}

    def of_nothing(self, operands: Mapping[str, int]) -> int:
        """The result for a sum of nothing; operands that are not given, the residual too, are 0."""
        given = {**dict.fromkeys((*self.operands, RESIDUAL), 0), **operands}
        arrays = {name: np.array([number], np.int32) for name, number in given.items()}
        return int(self.golden(np.zeros(1, np.int64), arrays)[0])

    def stages(
        self,
        acc: Any,
        operands: Mapping[str, Any],
        names: list[str],
        suffix: str = "",
        border: tuple[Classes, ...] = (),
        planes: Any = None,
    ) -> tuple[Any, list[str]]:
        """TE stages after `acc`: the int8 output, and the names of the blocks to inline.

        Arguments
        ---------
        acc: (images, channel blocks, ..., BATCH, BLOCK).
        operands: by name, (channel blocks, BATCH, BLOCK); `BORDER` has its classes in between, the
            residual, which GEMM has multiplied, is like `acc`; `DATA_SUMS` is (images, BATCH,
            BLOCK).
        names: of the axes.
        suffix: of the blocks' names.
        border: along each spatial axis, the classes of `BORDER`.
        planes: (4, BATCH, BLOCK), the shifts that bring each byte of a result down: the output has
            the four bytes as planes, an axis in front of the others. None: the lowest byte only.
        """
        inlined: list[str] = []
        value = acc
        for n, step in enumerate(self.steps):
            staged, name = step.operand == BORDER, f"step{n}{suffix}"
            inlined += [] if staged else [name]
            along = border if staged else ()
            value = self._stage(step, name, value, operands.get(step.operand), names, along)
        last = value
        if planes is not None:

            def byte(p: Any, *i: Any) -> Any:
                return (last[i] >> planes[p, i[-2], i[-1]]).astype("int8")

            wide = te.compute((4, *acc.shape), byte, name=f"out{suffix}", varargs_names=names)
            return wide, inlined
        cast = te.compute(
            acc.shape, lambda *i: last[i].astype("int8"), name=f"out{suffix}", varargs_names=names
        )
        return cast, inlined

    @staticmethod
    def _stage(
        step: Step,
        name: str,
        value: Any,
        operand: Any,
        names: list[str],
        border: tuple[Classes, ...],
    ) -> Any:
        def function(*i: Any) -> Any:
            pairs = zip(border, i[2:-2], strict=bool(border))
            places = [classes.expression(p) for classes, p in pairs]
            at = i if isinstance(step, Residual) else (i[1], *places, i[-2], i[-1])
            at = (i[0], i[-2], i[-1]) if step.operand == DATA_SUMS else at
            return step.expression(value[i], None if operand is None else operand[at])

        return te.compute(value.shape, function, name=name, varargs_names=names)

    def input_ranges(self, depth: int) -> dict[str, tuple[int, int]]:
        """Ranges of random values that do not clip most results of sums of `depth` products.

        The results should lie round the middle of the range that the steps leave, with a standard
        deviation of a quarter of its width. A sum of products of uniform values from -a..a and
        -b..b has a * b / 3 times the root of `depth`; where the middle is not 0, the bias moves it
        there, or, without one, data that are not negative and weights round a small number do.

        Returns
        -------
        By name: data, weight, each step's operand, and "residual", what its products may add.
        """
        full = (-FULL - 1, FULL)
        if all(
            isinstance(step, Bias | Residual) for step in self.steps
        ):  # nothing clips: the sums wrap
            free = dict.fromkeys(self.operands, (-FREE_BIAS, FREE_BIAS))
            return {"data": full, "weight": full, "residual": full, **free}
        wanted: Range = full
        added = full
        operands: dict[str, tuple[int, int]] = {}
        for step in reversed(self.steps):
            if isinstance(step, Alu) and step.operand:
                low, high = step.operand_range(wanted)
                operands[step.operand] = (int(max(low, -INT32)), int(min(high, INT32)))
            wanted = step.before(wanted)
            if isinstance(step, Residual):
                spread = (wanted[1] - wanted[0]) / 4
                added = (-round(spread), round(spread))
        middle, spread = sum(wanted) / 2, (wanted[1] - wanted[0]) / 4
        largest = min(FULL, max(1, round((3 * spread / depth**0.5) ** 0.5)))
        if "bias" in self.operands and "bias" not in operands:
            moved = (int(max(middle - spread, -MOST)), int(min(middle + spread, MOST)))
            return {
                "data": (-largest, largest),
                "weight": (-largest, largest),
                "residual": added,
                "bias": moved,
                **operands,
            }
        data, weight = _moved(middle, spread, depth, largest)
        return {"data": data, "weight": weight, "residual": added, **operands}

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
