"""Element-wise expressions as in-place ALU steps.

The ALU computes ``acc[d] = op(acc[d], acc[s] or imm)``, so an expression tree needs, at every
operator, an operand that may be overwritten. It may when nothing reads it afterwards, neither
later in the program (the caller says so by `dead`) nor elsewhere in the tree; otherwise it is
copied first: a reset and an ADD.
"""

from dataclasses import dataclass, field
from typing import Any

from tvm import tirx

from hw.isa import AluOpcode
from sw.compiler.errors import CompileError
from sw.compiler.expressions import constant, dtype_of

__all__ = ["AluStep", "Plan", "loads_of", "order"]

IMM = range(-(1 << 15), 1 << 15)

_OPERATORS = {
    tirx.Add: AluOpcode.ADD,
    tirx.Sub: AluOpcode.ADD,
    tirx.Mul: AluOpcode.MUL,
    tirx.Max: AluOpcode.MAX,
    tirx.Min: AluOpcode.MIN,
    tirx.RShift: AluOpcode.SHR,
    tirx.LShift: AluOpcode.SHR,
}


@dataclass(frozen=True)
class AluStep:
    """``place[dst] = op(place[dst], imm or place[src])``; `op` None resets place[dst] to 0."""

    op: AluOpcode | None
    dst: int
    src: int | None = None
    imm: int = 0


@dataclass
class Plan:
    """Steps over places, and the place with the result.

    Places 0 to n - 1 are the operands the caller numbered; further ones are temporaries,
    `temporaries` of them.
    """

    steps: list[AluStep] = field(default_factory=list)
    result: int = 0
    temporaries: int = 0


def loads_of(expr: Any) -> list[Any]:
    """The tensor loads in an expression, in order of appearance."""
    if type(expr).__name__ == "TensorLoad":
        return [expr]
    if type(expr) in _OPERATORS:
        return loads_of(expr.a) + loads_of(expr.b)
    if isinstance(expr, tirx.Cast):
        return loads_of(expr.value)
    return []


class _Planner:
    def __init__(
        self, places: list[int], operands: int, dead: frozenset[int], free: int | None
    ) -> None:
        self.plan = Plan()
        self.pending = list(places)  # places of the loads, in order of appearance
        self.uses = {p: places.count(p) for p in places}
        self.dead = dead
        self.next_place = operands
        self.free = free

    def own(self, place: int) -> int:
        """A place with the same value that may be overwritten: itself, or a copy."""
        if place >= 0 and self._owned(place):
            return place
        copy = self.fresh()
        self.plan.steps.append(AluStep(None, copy))
        self.plan.steps.append(AluStep(AluOpcode.ADD, copy, src=place))
        return copy

    def _owned(self, place: int) -> bool:
        if place not in self.uses:  # a temporary, or the target
            return True
        return place in self.dead and self.uses[place] == 1

    def fresh(self) -> int:
        if self.free is not None:
            place, self.free = self.free, None
            return place
        self.plan.temporaries += 1
        self.next_place += 1
        return self.next_place - 1

    def value(self, expr: Any) -> int:
        """Plan `expr`; the place that holds it."""
        number = constant(expr)
        if number is not None:
            place = self.fresh()
            self.plan.steps.append(AluStep(None, place))
            return self.immediate(AluOpcode.ADD, place, number, expr) if number else place
        if type(expr).__name__ == "TensorLoad":
            return self.pending.pop(0)
        if isinstance(expr, tirx.Cast) and dtype_of(expr) == "int32":
            return self.value(expr.value)
        if type(expr) in _OPERATORS:
            return self.operator(expr)
        raise CompileError(
            f"{type(expr).__name__} in {str(expr)[:200]!r} is nothing the ALU computes; it has "
            "add, subtract, multiply, min, max and shifts on int32"
        )

    def operator(self, expr: Any) -> int:
        op, kind = _OPERATORS[type(expr)], type(expr)
        left, right = constant(expr.a), constant(expr.b)
        if right is not None:
            number = -right if kind in (tirx.Sub, tirx.LShift) else right
            return self.immediate(op, self.own(self.value(expr.a)), number, expr)
        if left is not None and op is not AluOpcode.SHR:
            place = self.own(self.value(expr.b))
            if kind is tirx.Sub:
                place = self.immediate(AluOpcode.MUL, place, -1, expr)
            return self.immediate(op, place, left, expr)
        a, b = self.value(expr.a), self.value(expr.b)
        if kind in (tirx.Sub, tirx.LShift):
            b = self.immediate(AluOpcode.MUL, self.own(b), -1, expr)
        return self.pair(op, a, b)

    def immediate(self, op: AluOpcode, place: int, number: int, expr: Any) -> int:
        if number not in IMM:
            raise CompileError(
                f"constant {number} in {str(expr)[:200]!r} is no signed 16-bit immediate "
                f"({IMM.start} to {IMM.stop - 1}): pass it as a tensor"
            )
        self.plan.steps.append(AluStep(op, place, imm=number))
        return place

    def pair(self, op: AluOpcode, a: int, b: int) -> int:
        if a == b and self.uses.get(a) == 2 and a in self.dead:
            dst, src = a, b  # x op x with no other use of x: in place
            self.uses[a] = 1
        elif op is not AluOpcode.SHR and not self._owned(a) and self._owned(b):
            dst, src = b, a
        else:
            dst, src = self.own(a), b
        self.plan.steps.append(AluStep(op, dst, src=src))
        return dst


def order(
    expr: Any,
    places: list[int],
    *,
    operands: int,
    dead: frozenset[int],
    target: int | None,
    target_is_free: bool,
) -> Plan:
    """ALU steps that compute `expr`.

    Arguments
    ---------
    places: for each load of `expr` (as `loads_of` lists them) its place; equal loads share one.
    operands: number of places the caller uses; temporaries count on from there.
    dead: places whose value nobody needs afterwards, and that no other place overlaps.
    target: the place the result must stand in, or None where any place will do.
    target_is_free: `expr` reads nothing of the target's buffer.

    Raises
    ------
    CompileError
        for an operator the ALU lacks, or a constant beyond an immediate.
    """
    planner = _Planner(places, operands, dead, target if target_is_free else None)
    result = planner.value(expr)
    if target is not None and result != target:
        planner.plan.steps.append(AluStep(None, target))
        planner.plan.steps.append(AluStep(AluOpcode.ADD, target, src=result))
        result = target
    planner.plan.result = result
    return planner.plan
