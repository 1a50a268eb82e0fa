"""Element-wise operators on int32 or int8 tensors: add, multiply, minimum, maximum, shift, relu,
clip.

Operands come into the accumulators through LOAD ACC (int32) or LOAD ACC_8BIT (int8,
sign-extended), the ALU works in place, and STORE writes the low 8 bits: the "Get Started"
tutorial's vector add is ``add`` of (1, 1024) int32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from vta.hw.config import Config
from vta.sw.compiler import SLOTS, CompileError
from vta.sw.operators.epilogue import check_immediate
from vta.sw.operators.operator import (
    Kernel,
    Operator,
    OperatorError,
    Parameter,
    check_addresses,
    named,
)
from vta.sw.tensor import Tensor

__all__ = ["ELEMENTWISE", "build"]

UNCLIPPED = 128  # values beyond the one bound of an operand, about
RANGES = {"int8": (-128, 127), "int32": (-(1 << 30), (1 << 30) - 1)}


@dataclass(frozen=True)
class _Function:
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
        _Function("add", "sum", lambda a, b: a + b, np.add),
        _Function("multiply", "product", lambda a, b: a * b, np.multiply, (-128, 127)),
        _Function("minimum", "smaller value", lambda a, b: te.min(a, b), np.minimum),
        _Function("maximum", "larger value", lambda a, b: te.max(a, b), np.maximum),
        _Function(
            "shift_right",
            "arithmetic shift by 0 to 31 (a negative constant shifts left)",
            _shift,
            _numpy_shift,
            (0, 31),
        ),
    )
}


def _steps(
    operation: str, low: int, high: int, constant: int | None
) -> list[tuple[_Function, int]]:
    """The operation as (function, constant) pairs; empty: one function of two tensors."""
    if operation == "relu":
        return [(FUNCTIONS["maximum"], 0)]
    if operation == "clip":
        return [(FUNCTIONS["maximum"], low), (FUNCTIONS["minimum"], high)]
    return [] if constant is None else [(FUNCTIONS[operation], constant)]


def _range(dtype: str, steps: list[tuple[_Function, int]]) -> tuple[int, int]:
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


def _expression(
    config: Config,
    shape: tuple[int, int],
    dtype: str,
    operation: str,
    steps: list[tuple[_Function, int]],
) -> tuple[Any, list[str], list[str]]:
    """(PrimFunc, blocks that copy operands, blocks to inline); `shape` in elements."""
    full = (*shape, config.batch, config.block)
    inlined: list[str] = []

    def stage(name: str, function: Callable[..., Any], *values: Any) -> Any:
        return te.compute(full, lambda *i: function(*(value[i] for value in values)), name=name)

    tensors = [te.placeholder(full, dtype, name) for name in (["a"] if steps else ["a", "b"])]
    copies = [
        stage(f"{tensor.op.name}_acc", lambda value: value.astype("int32"), tensor)
        for tensor in tensors
    ]
    value = copies[0]
    if not steps:
        value = stage("step0", FUNCTIONS[operation].expression, *copies)
        inlined.append("step0")
    for n, (function, number) in enumerate(steps):
        value = stage(f"step{n}", _with_constant(function, number), value)
        inlined.append(f"step{n}")
    out = stage("out", lambda value: value.astype("int8"), value)
    return te.create_prim_func([*tensors, out]), [c.op.name for c in copies], inlined


def _with_constant(function: _Function, number: int) -> Callable[[Any], Any]:
    constant = tirx.const(number, "int32")
    return lambda value: function.expression(value, constant)


def _tile(shape: tuple[int, int], operands: int, config: Config) -> tuple[int, int]:
    """(rows, columns) of a tile: contiguous in DRAM, `operands` of it in two slots half of ACC."""
    capacity = config.acc_depth // (4 * operands)
    if capacity < 1:
        raise CompileError(
            f"ACC has {config.acc_depth} entries; {operands} operands in two slots need "
            f"{4 * operands}"
        )
    rows, columns = shape
    if columns <= capacity:
        return min(rows, capacity // columns), columns
    return 1, capacity


def _schedule(
    function: Any, copies: list[str], inlined: list[str], tile: tuple[int, int]
) -> s_tir.Schedule:
    sch = s_tir.Schedule(function)
    for name in inlined:
        sch.compute_inline(name)
    out = sch.get_sblock("out")
    m, n, i, j = sch.get_loops(out)
    mo, mi = sch.split(m, [None, tile[0]])
    no, ni = sch.split(n, [None, tile[1]])
    sch.reorder(mo, no, mi, ni, i, j)
    for name in copies:
        block = sch.get_sblock(name)
        sch.set_scope(block, 0, "local.acc")
        sch.compute_at(block, no, preserve_unit_loops=True)
    sch.annotate(no, SLOTS, 2)
    return sch


def build(
    config: Config,
    operation: str,
    *,
    rows: int,
    columns: int,
    dtype: str = "int32",
    constant: int | None = None,
    low: int = -128,
    high: int = 127,
) -> Kernel:
    """The kernel of `operation` on (rows, columns) tensors; with `constant`, on one tensor."""
    if operation == "clip" and low > high:
        raise OperatorError(f"clip: low is {low}, high is {high}: low must not exceed high")
    instead = "" if operation == "clip" else ": give a second tensor instead"
    steps = _steps(operation, low, high, constant)
    for function, number in steps:
        check_immediate(f"{operation}: the constant of {function.name}", number, instead)
    layout = f"NC{config.batch}n{config.block}c"
    shape = {"shape": (rows, columns), "layout": layout}
    tensors = {"a": Tensor(role="input", dtype=dtype, **shape)}
    ranges = {"a": _range(dtype, steps)}
    if not steps:
        limits = FUNCTIONS[operation].right
        ranges["b"] = (max(limits[0], RANGES[dtype][0]), min(limits[1], RANGES[dtype][1]))
        tensors["b"] = Tensor(role="input", dtype=dtype, **shape)
    tensors["out"] = Tensor(role="output", dtype="int8", **shape)
    tensors = named(tensors)
    check_addresses(operation, tensors)
    blocks = -(-rows // config.batch), -(-columns // config.block)
    function, copies, inlined = _expression(config, blocks, dtype, operation, steps)
    sch = _schedule(function, copies, inlined, _tile(blocks, len(copies), config))

    def golden(given: Any) -> dict[str, np.ndarray]:
        value = given["a"].astype(np.int32)
        for step, number in steps:
            value = step.numpy(value, np.int32(number)).astype(np.int32)
        if not steps:
            right = given["b"].astype(np.int32)
            value = FUNCTIONS[operation].numpy(value, right).astype(np.int32)
        return {"out": value.astype(np.int8)}

    second = "" if operation in ("relu", "clip") else f"_{'tensor' if constant is None else 'imm'}"
    return Kernel(
        name=f"{operation}{second}_{dtype}_{rows}x{columns}",
        config=config,
        tensors=tensors,
        golden=golden,
        function=sch.mod["main"],
        schedule=sch,
        ranges=ranges,
        description=f"{operation} of ({rows}, {columns}) {dtype}, result cast to int8",
    )


def _operator(name: str, text: str, *extra: Parameter) -> Operator:
    shared = (
        Parameter("rows", int, 1, "rows of the tensors", minimum=1),
        Parameter("columns", int, 1024, "columns of the tensors", minimum=1),
        Parameter("dtype", str, "int32", "type of the operands", choices=("int32", "int8")),
    )
    return Operator(
        name, text, (*shared, *extra), lambda config, **values: build(config, name, **values)
    )


def _constant(operation: str) -> Parameter:
    """The second operand as a parameter; shifts go up to 31 bits to either side."""
    limits = {"minimum": -31, "maximum": 31} if operation == "shift_right" else {}
    return Parameter("constant", int, None, "second operand (none: a second tensor)", **limits)


ELEMENTWISE = (
    *(
        _operator(
            function.name, f"element-wise {function.help}, cast to int8", _constant(function.name)
        )
        for function in FUNCTIONS.values()
    ),
    _operator("relu", "element-wise maximum with zero, cast to int8"),
    _operator(
        "clip",
        "element-wise clip to low..high, cast to int8",
        Parameter("low", int, -128, "smallest value"),
        Parameter("high", int, 127, "largest value"),
    ),
)
