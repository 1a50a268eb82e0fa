"""TIR expressions on int32 as values of the stream IR: what the ALU may have to compute."""

from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm_ffi import structural_equal

from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.expressions import constant, dtype_of
from vta.sw.compiler.values import Binary, Constant, Read, Value

__all__ = ["loads_in", "value_of"]

_OPERATORS = {
    tirx.Add: "add",
    tirx.Sub: "sub",
    tirx.Mul: "mul",
    tirx.Max: "max",
    tirx.Min: "min",
    tirx.RShift: "shr",
    tirx.LShift: "shl",
}


def value_of(expr: Any, place: Callable[[Any], int]) -> Value:
    """`expr` as a value; `place` gives the operand that a tensor load is.

    Raises
    ------
    CompileError
        for an operator the ALU lacks, or a type other than int32.
    """
    number = constant(expr)
    if number is not None:
        return Constant(number)
    if type(expr).__name__ == "TensorLoad":
        return Read(place(expr))
    if isinstance(expr, tirx.Cast) and dtype_of(expr) == dtype_of(expr.value) == "int32":
        return value_of(expr.value, place)
    shift = _signed_shift(expr)
    if shift is not None:
        return Binary("shr", value_of(shift[0], place), value_of(shift[1], place))
    if type(expr) in _OPERATORS and dtype_of(expr) == "int32":
        operator: Any = expr
        left, right = value_of(operator.a, place), value_of(operator.b, place)
        return Binary(_OPERATORS[type(expr)], left, right)
    raise CompileError(
        f"{type(expr).__name__} in {str(expr)[:200]!r} is not what the ALU computes; it has "
        "add, subtract, multiply, min, max and shifts on int32"
    )


def loads_in(expr: Any) -> list[Any]:
    """The tensor loads in an expression of any kind, in order of appearance."""
    if type(expr).__name__ == "TensorLoad":
        return [expr]
    names = ("a", "b", "value", "condition", "true_value", "false_value")
    parts = [getattr(expr, name) for name in names if hasattr(expr, name)]
    return [load for part in (*parts, *getattr(expr, "args", ())) for load in loads_in(part)]


def _signed_shift(expr: Any) -> tuple[Any, Any] | None:
    """(x, s) of ``s >= 0 ? x >> s : x << -s``, which is SHR by a tensor; None for anything else."""
    if isinstance(expr, tirx.Select):
        condition, right, left = expr.condition, expr.true_value, expr.false_value
    elif type(expr).__name__ == "Call" and expr.op.name.endswith("if_then_else"):
        condition, right, left = expr.args
    else:
        return None
    if type(condition) in (tirx.LT, tirx.GT):  # s < 0: the branches the other way round
        right, left = left, right
    if not (isinstance(right, tirx.RShift) and isinstance(left, tirx.LShift)):
        return None
    value, amount = right.a, right.b
    same = structural_equal(left.a, value) and any(
        structural_equal(left.b, form) for form in _negatives(amount)
    )
    sides = {
        tirx.GE: ("a", "b"),
        tirx.LE: ("b", "a"),
        tirx.LT: ("a", "b"),
        tirx.GT: ("b", "a"),
    }.get(type(condition))
    if not same or sides is None:
        return None
    compared, zero = (getattr(condition, side) for side in sides)
    return (value, amount) if structural_equal(compared, amount) and constant(zero) == 0 else None


def _negatives(amount: Any) -> list[Any]:
    """The ways to write -amount."""
    zero, minus = tirx.const(0, "int32"), tirx.const(-1, "int32")
    return [tirx.Sub(zero, amount), tirx.Mul(amount, minus), tirx.Mul(minus, amount)]
