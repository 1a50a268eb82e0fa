"""Element-wise operators on int32 or int8 tensors: sums, products, ends, shifts, signs, relu,
clip. Quantised tensors: `vta.sw.operators.quantized`.

Operands come into the accumulators through LOAD ACC (int32) or LOAD ACC_8BIT (int8,
sign-extended), the ALU works in place, and STORE writes the low 8 bits: the "Get Started"
tutorial's vector add is ``add`` of (1, 1024) int32.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from tvm import s_tir, te, tirx

from vta.hw.config import Config
from vta.sw.compiler import SLOTS
from vta.sw.operators.attribute import OperatorError, attribute
from vta.sw.operators.functions import ABSOLUTE, FUNCTIONS, RANGES, Function, Steps, random_range
from vta.sw.operators.operator import Operator, Scheduled, named
from vta.sw.operators.space import Candidate
from vta.sw.operators.steps import check_immediate
from vta.sw.tensor import Tensor

__all__ = ["ELEMENTWISE", "Elementwise", "Tile"]


@dataclass(frozen=True)
class Tile:
    """Elements of a tile: contiguous in DRAM."""

    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class Elementwise(Operator):
    """``out = int8(function(a))``, or of a and b; all of one shape."""

    ranks_by_cycles: ClassVar[bool] = False
    function: ClassVar[Function | None] = None

    rows: int = attribute("rows of the tensors", 1, minimum=1)
    columns: int = attribute("columns of the tensors", 1024, minimum=1)
    dtype: str = attribute("type of the operands", "int32", choices=("int32", "int8"))

    @property
    def steps(self) -> Steps:
        """What is done with a and constants; empty: `function` of a and b."""
        return []

    @property
    def kind(self) -> str:
        """What the second operand is, for the name; "" where there is never one."""
        return ""

    def check(self) -> None:
        instead = ": give a second tensor instead" if self.kind else ""
        for function, number in self.steps:
            check_immediate(f"{self.name}: the constant of {function.name}", number, instead)

    @property
    def label(self) -> str:
        return f"{self.name}{self.kind}_{self.dtype}_{self.rows}x{self.columns}"

    def describe(self, config: Config) -> str:
        return f"{self.name} of ({self.rows}, {self.columns}) {self.dtype}, result cast to int8"

    # Data ---------------------------------------------------------------------------------------
    @property
    def operands(self) -> tuple[str, ...]:
        return ("a",) if self.steps else ("a", "b")

    def tensors(self, config: Config) -> dict[str, Tensor]:
        layout = f"NC{config.batch}n{config.block}c"
        alike = {"shape": (self.rows, self.columns), "layout": layout}
        operand = {"role": "input", "dtype": self.dtype, **alike}
        found = dict.fromkeys(self.operands, operand)
        return named({**found, "out": {"role": "output", "dtype": "int8", **alike}})

    def ranges(self) -> dict[str, tuple[int, int]]:
        found = {"a": random_range(self.dtype, self.steps)}
        if self.function is not None and not self.steps:
            least, most = RANGES[self.dtype]
            low, high = self.function.right
            found["b"] = (max(low, least), min(high, most))
        return found

    def golden(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        value = inputs["a"].astype(np.int32)
        for step, number in self.steps:
            value = step.numpy(value, np.int32(number)).astype(np.int32)
        if self.function is not None and not self.steps:
            value = self.function.numpy(value, inputs["b"].astype(np.int32)).astype(np.int32)
        return {"out": value.astype(np.int8)}

    # Schedule -----------------------------------------------------------------------------------
    def _blocks(self, config: Config) -> tuple[int, int]:
        return -(-self.rows // config.batch), -(-self.columns // config.block)

    def space(self, config: Config) -> Iterable[Candidate]:
        """Tiles whose operands, in two slots, take half of ACC, then halves of that.

        The cost counts the tiles: what each costs beyond its data, which pass the bus once.
        """
        rows, columns = self._blocks(config)
        capacity = max(1, config.acc_depth // (4 * len(self.operands)))
        while capacity:
            tile = Tile(1, capacity)
            if columns <= capacity:
                tile = Tile(min(rows, capacity // columns), columns)
            tiles = -(-rows // tile.rows) * -(-columns // tile.columns)
            yield Candidate(tile, tiles, (tile.rows * tile.columns,))
            capacity //= 2

    def schedule(self, config: Config, tiling: Tile) -> Scheduled:
        function, inlined = self._expression(config)
        sch = s_tir.Schedule(function)
        for name in inlined:
            sch.compute_inline(name)
        m, n, i, j = sch.get_loops(sch.get_sblock("out"))
        mo, mi = sch.split(m, [None, tiling.rows])
        no, ni = sch.split(n, [None, tiling.columns])
        sch.reorder(mo, no, mi, ni, i, j)
        for name in self.operands:
            block = sch.get_sblock(f"{name}_acc")
            sch.set_scope(block, 0, "local.acc")
            sch.compute_at(block, no, preserve_unit_loops=True)
        sch.annotate(no, SLOTS, 2)
        return Scheduled(sch.mod["main"], sch)

    def _expression(self, config: Config) -> tuple[Any, list[str]]:
        """(PrimFunc, blocks to inline): a copy of each operand to ACC, then the steps."""
        full = (*self._blocks(config), config.batch, config.block)

        def stage(name: str, function: Callable[..., Any], *values: Any) -> Any:
            return te.compute(full, lambda *i: function(*(value[i] for value in values)), name=name)

        tensors = [te.placeholder(full, self.dtype, name) for name in self.operands]
        copies = [
            stage(f"{tensor.op.name}_acc", lambda value: value.astype("int32"), tensor)
            for tensor in tensors
        ]
        value, inlined = copies[0], []
        if self.function is not None and not self.steps:
            value = stage("step0", self.function.expression, *copies)
            inlined.append("step0")
        for n, (function, number) in enumerate(self.steps):
            value = stage(f"step{n}", _with_constant(function, number), value)
            inlined.append(f"step{n}")
        out = stage("out", lambda value: value.astype("int8"), value)
        return te.create_prim_func([*tensors, out]), inlined


def _with_constant(function: Function, number: int) -> Callable[[Any], Any]:
    constant = tirx.const(number, "int32")
    return lambda value: function.expression(value, constant)


@dataclass(frozen=True, kw_only=True)
class Binary(Elementwise):
    """A function of two tensors, or of a tensor and a constant."""

    constant: int | None = attribute("second operand (none: a second tensor)", None)

    @property
    def steps(self) -> Steps:
        assert self.function is not None
        return [] if self.constant is None else [(self.function, self.constant)]

    @property
    def kind(self) -> str:
        return "_tensor" if self.constant is None else "_imm"


def _help(function: Function) -> str:
    return f"element-wise {function.help}, cast to int8"


class Add(Binary):
    name, function, help = "add", FUNCTIONS["add"], _help(FUNCTIONS["add"])


class Multiply(Binary):
    name, function, help = "multiply", FUNCTIONS["multiply"], _help(FUNCTIONS["multiply"])


class Minimum(Binary):
    name, function, help = "minimum", FUNCTIONS["minimum"], _help(FUNCTIONS["minimum"])


class Maximum(Binary):
    name, function, help = "maximum", FUNCTIONS["maximum"], _help(FUNCTIONS["maximum"])


@dataclass(frozen=True, kw_only=True)
class ShiftRight(Binary):
    """Constants go up to 31 bits to either side."""

    name = "shift_right"
    function = FUNCTIONS["shift_right"]
    help = _help(FUNCTIONS["shift_right"])

    constant: int | None = attribute(
        "second operand (none: a second tensor)", None, unit="bits", minimum=-31, maximum=31
    )


class Subtract(Binary):
    name, function, help = "subtract", FUNCTIONS["subtract"], _help(FUNCTIONS["subtract"])


@dataclass(frozen=True, kw_only=True)
class ShiftLeft(Binary):
    """As `ShiftRight`, the other way; what is shifted out is lost."""

    name = "shift_left"
    function = FUNCTIONS["shift_left"]
    help = _help(FUNCTIONS["shift_left"])

    constant: int | None = attribute(
        "second operand (none: a second tensor)", None, unit="bits", minimum=-31, maximum=31
    )


class Negative(Elementwise):
    name, help = "negative", "element-wise negative value, cast to int8"

    @property
    def steps(self) -> Steps:
        return [(FUNCTIONS["multiply"], -1)]


class Absolute(Elementwise):
    name, help = "absolute", _help(ABSOLUTE)

    @property
    def steps(self) -> Steps:
        return [(ABSOLUTE, 0)]


class Relu(Elementwise):
    name, help = "relu", "element-wise maximum with zero, cast to int8"

    @property
    def steps(self) -> Steps:
        return [(FUNCTIONS["maximum"], 0)]


@dataclass(frozen=True, kw_only=True)
class Clip(Elementwise):
    name = "clip"
    help = "element-wise clip to low..high, cast to int8"

    low: int = attribute("smallest value", -128)
    high: int = attribute("largest value", 127)

    @property
    def steps(self) -> Steps:
        return [(FUNCTIONS["maximum"], self.low), (FUNCTIONS["minimum"], self.high)]

    def check(self) -> None:
        if self.low > self.high:
            raise OperatorError(
                f"clip: low is {self.low}, high is {self.high}: low must not exceed high"
            )
        super().check()


ELEMENTWISE: tuple[type[Elementwise], ...] = (
    Add,
    Multiply,
    Minimum,
    Maximum,
    ShiftRight,
    Subtract,
    ShiftLeft,
    Negative,
    Absolute,
    Relu,
    Clip,
)
