"""TIR index expressions, evaluated with NumPy and split at the border of a macro operation.

A macro operation runs over a *nest* of loops; the loops outside it are unrolled. An expression
inside is therefore needed as (a number that depends on the outer loops) + (an array over the
nest). Where the expression is linear in the outer variables, which TVM proves, the array is
the same in every iteration and is computed once (:class:`Index`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.sym import detect_linear_equation

from vta.sw.compiler.errors import CompileError

__all__ = ["Index", "conjuncts", "constant", "dtype_of", "evaluate", "likely_free"]

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    tirx.Add: lambda a, b: a + b,
    tirx.Sub: lambda a, b: a - b,
    tirx.Mul: lambda a, b: a * b,
    tirx.FloorDiv: lambda a, b: a // b,
    tirx.FloorMod: lambda a, b: a % b,
    tirx.Min: np.minimum,
    tirx.Max: np.maximum,
    tirx.LT: lambda a, b: a < b,
    tirx.LE: lambda a, b: a <= b,
    tirx.GT: lambda a, b: a > b,
    tirx.GE: lambda a, b: a >= b,
    tirx.EQ: lambda a, b: a == b,
    tirx.NE: lambda a, b: a != b,
    tirx.And: np.logical_and,
    tirx.Or: np.logical_or,
}


def constant(expr: Any) -> int | None:
    """The value of an integer constant, else None. A cast wraps it, as at run time."""
    if isinstance(expr, tirx.Cast):
        inner = constant(expr.value)
        return None if inner is None else _wrapped(inner, dtype_of(expr))
    return int(expr.value) if isinstance(expr, tirx.IntImm) else None


def _wrapped(value: int, dtype: str) -> int | None:
    """`value` in an integer type; None in any other."""
    try:
        return int(np.array(value, np.int64).astype(np.dtype(dtype)))
    except TypeError:
        return None


def dtype_of(expr: Any) -> str:
    """The type of a scalar expression, such as int32."""
    return str(expr.ty.dtype)


def likely_free(expr: Any) -> Any:
    """`expr` without the ``likely(...)`` hints that loop splitting puts round conditions."""
    while type(expr).__name__ == "Call" and getattr(expr.op, "name", "").endswith(".likely"):
        expr = expr.args[0]
    return expr


def evaluate(expr: Any, env: dict[Any, Any]) -> Any:
    """The value of an integer or Boolean expression; `env` maps variables to ints or arrays."""
    expr = likely_free(expr)
    if isinstance(expr, tirx.IntImm):
        return int(expr.value)
    if isinstance(expr, tirx.Var):
        if expr not in env:
            raise CompileError(f"{expr.name} has no value at compile time: VTA needs static shapes")
        return env[expr]
    operation = _BINARY.get(type(expr))
    if operation is not None:
        left, right = evaluate(expr.a, env), evaluate(expr.b, env)
        if isinstance(expr, (tirx.FloorDiv, tirx.FloorMod)) and not np.all(right):
            raise CompileError(f"{expr} divides by zero")
        return operation(left, right)
    if isinstance(expr, tirx.Cast):
        return _kept(evaluate(expr.value, env), expr)
    if isinstance(expr, tirx.Not):
        return np.logical_not(evaluate(expr.a, env))
    if isinstance(expr, tirx.Select):
        parts = (evaluate(e, env) for e in (expr.condition, expr.true_value, expr.false_value))
        return np.where(*parts)
    raise CompileError(f"cannot evaluate {expr} ({type(expr).__name__}) at compile time")


def _kept(value: Any, cast: Any) -> Any:
    """`value`, which `cast` must not change; unsigned types wrap in ways that no index should."""
    dtype = np.dtype(dtype_of(cast))
    if dtype.kind not in "ib" or not np.array_equal(np.asarray(value).astype(dtype), value):
        raise CompileError(
            f"{cast} is no index that VTA's compiler follows: the cast changes values, or is to "
            "an unsigned type or a float. Compute indices and conditions in int32"
        )
    return value


def conjuncts(condition: Any) -> list[Any]:
    """Expressions that are all non-negative exactly where `condition` holds."""
    condition = likely_free(condition)
    kind = type(condition)
    if kind is tirx.And:
        return conjuncts(condition.a) + conjuncts(condition.b)
    if isinstance(condition, tirx.IntImm):
        return [tirx.IntImm("int32", 0 if condition.value else -1)]
    if kind is tirx.EQ:
        return [condition.a - condition.b, condition.b - condition.a]
    if kind in (tirx.LT, tirx.GT):
        low, high = (condition.a, condition.b) if kind is tirx.LT else (condition.b, condition.a)
        return [high - low - 1]
    if kind in (tirx.LE, tirx.GE):
        low, high = (condition.a, condition.b) if kind is tirx.LE else (condition.b, condition.a)
        return [high - low]
    raise CompileError(
        f"condition {condition} is not a conjunction of comparisons: VTA clips and pads boxes only"
    )


class Index:
    """An integer expression as outer offset + array over a nest.

    Arguments
    ---------
    expr: the expression.
    outer: variables of the unrolled loops around.
    nest: (variable, extent) of the nest's loops, outermost first.
    """

    def __init__(self, expr: Any, outer: Sequence[Any], nest: Sequence[tuple[Any, int]]) -> None:
        self.expr = expr
        self.grid = {
            variable: np.arange(extent).reshape([-1 if m == n else 1 for m in range(len(nest))])
            for n, (variable, extent) in enumerate(nest)
        }
        self.terms: list[tuple[Any, int]] | None = None
        self.rest = np.zeros((), np.int64)
        coefficients = detect_linear_equation(expr, list(outer)) if outer else [expr]
        factors = [constant(c) for c in coefficients[:-1]]
        if coefficients and None not in factors:
            self.terms = [(v, f) for v, f in zip(outer, factors, strict=True) if f]
            self.rest = self._over_nest(coefficients[-1], {})

    def _over_nest(self, expr: Any, env: dict[Any, int]) -> np.ndarray:
        value = np.asarray(evaluate(expr, env | self.grid), np.int64)
        return value.reshape((1,) * (len(self.grid) - value.ndim) + value.shape)

    def at(self, env: dict[Any, int]) -> tuple[int, np.ndarray]:
        """Outer offset, and the array (broadcastable to the nest) that is to be added to it."""
        if self.terms is not None:
            return sum(env[v] * factor for v, factor in self.terms), self.rest
        return 0, self._over_nest(self.expr, env)

    def strides(self, rest: np.ndarray) -> tuple[int, tuple[int, ...]]:
        """Value of `rest` at the nest's origin, and its stride along each loop.

        Raises
        ------
        CompileError
            where `rest` is not affine over the nest: the strides do not give it back.
        """
        origin = int(rest[(0,) * rest.ndim])
        found = []
        rebuilt = np.full((1,) * rest.ndim, origin, np.int64)
        for n, steps in enumerate(self.grid.values()):
            probe = [0] * rest.ndim
            if rest.shape[n] == 1:
                found.append(0)
                continue
            probe[n] = 1
            found.append(int(rest[tuple(probe)]) - origin)
            rebuilt = rebuilt + found[-1] * steps
        if not np.array_equal(np.broadcast_to(rebuilt, rest.shape), rest):
            raise CompileError(
                f"index {self.expr} is not affine over loops "
                f"{', '.join(v.name for v in self.grid)}: split the loop where it jumps"
            )
        return origin, tuple(found)
