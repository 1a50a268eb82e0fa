"""Element-wise expressions as in-place ALU steps.

The ALU computes ``acc[d] = op(acc[d], acc[s] or imm)``, so an expression tree needs, at every
operator, an operand that may be overwritten. It may when nothing reads it afterwards, neither
later in the program (the caller says so by `dead`) nor elsewhere in the tree; otherwise it is
copied first: a reset and an ADD.

Every step runs over the whole nest before the next one starts. That gives what the statement gives,
executed element by element, only where each element has destinations of its own. A reduction has
not: many elements update one accumulator. There the update has to be one step in place
(`accumulation`), which any order of the elements leaves the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import tirx
from tvm_ffi import structural_equal

from vta.hw.isa import AluOpcode
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.expressions import constant, dtype_of

__all__ = ["AluStep", "Plan", "accumulation", "loads_of", "order"]

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


COMMUTATIVE = (tirx.Add, tirx.Mul, tirx.Max, tirx.Min)  # and associative, modulo 2^32 too


def loads_of(expr: Any) -> list[Any]:
    """The tensor loads in an expression, in order of appearance."""
    if type(expr).__name__ == "TensorLoad":
        return [expr]
    shift = _signed_shift(expr)
    if shift is not None:
        return loads_of(shift[0]) + loads_of(shift[1])
    if type(expr) in _OPERATORS:
        return loads_of(expr.a) + loads_of(expr.b)
    if isinstance(expr, tirx.Cast):
        return loads_of(expr.value)
    return []


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


def _terms(expr: Any, kind: Any) -> list[tuple[Any, bool]]:
    """(term, negated) of a tree of `kind`, in order of appearance; Sub belongs to Add."""
    if isinstance(expr, tirx.Cast) and dtype_of(expr) == dtype_of(expr.value) == "int32":
        return _terms(expr.value, kind)
    if type(expr) is kind:
        assert isinstance(expr, COMMUTATIVE)
        return _terms(expr.a, kind) + _terms(expr.b, kind)
    if kind is tirx.Add and isinstance(expr, tirx.Sub):
        right = [(term, not negated) for term, negated in _terms(expr.b, kind)]
        return _terms(expr.a, kind) + right
    return [(expr, False)]


def accumulation(expr: Any, places: Sequence[int]) -> list[tuple[Any, bool]] | None:
    """The terms of ``place 0 = op(place 0, term, ...)``, or None for other expressions.

    op is ADD, MUL, MIN or MAX, and no other term reads place 0. A term comes with a flag: it is
    subtracted. Place 0 itself is among them, where it appears. The order in which a nest makes
    such updates does not matter, as these operators commute and associate (int32 wraps).
    """
    kind = tirx.Add if isinstance(expr, tirx.Sub) else type(expr)
    if kind not in COMMUTATIVE:
        return None
    terms = _terms(expr, kind)
    pending, own = list(places), 0
    for term, negated in terms:
        count = len(loads_of(term))
        reads, pending = pending[:count], pending[count:]
        if 0 in reads:
            own += 1
            if negated or type(term).__name__ != "TensorLoad":
                return None
    return terms if own == 1 else None


class _Planner:
    def __init__(
        self, places: Sequence[int], operands: int, dead: frozenset[int], free: int | None
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
            return self.number(number)
        if type(expr).__name__ == "TensorLoad":
            return self.pending.pop(0)
        if isinstance(expr, tirx.Cast) and dtype_of(expr) == dtype_of(expr.value) == "int32":
            return self.value(expr.value)
        shift = _signed_shift(expr)
        if shift is not None:
            return self.pair(AluOpcode.SHR, self.value(shift[0]), self.value(shift[1]))
        if type(expr) in _OPERATORS and dtype_of(expr) == "int32":
            return self.operator(expr)
        raise CompileError(
            f"{type(expr).__name__} in {str(expr)[:200]!r} is not what the ALU computes; it has "
            "add, subtract, multiply, min, max and shifts on int32"
        )

    def accumulate(self, terms: list[tuple[Any, bool]], kind: type) -> None:
        """Steps that bring every term into place 0 by `kind`."""
        op = _OPERATORS[kind]
        for term, negated in terms:
            if type(term).__name__ == "TensorLoad" and self.pending[0] == 0:
                self.pending.pop(0)
                continue
            number = constant(term)
            if number is not None:
                self.immediate(op, 0, -number if negated else number, term)
                continue
            place = self.value(term)
            if negated:
                place = self.immediate(AluOpcode.MUL, self.own(place), -1, term)
            self.plan.steps.append(AluStep(op, 0, src=place))

    def number(self, value: int) -> int:
        """A fresh place with a constant: the upper half, shifted, and the lower one added."""
        place = self.fresh()
        self.plan.steps.append(AluStep(None, place))
        if value and value in IMM:
            self.plan.steps.append(AluStep(AluOpcode.ADD, place, imm=value))
        elif value:
            lower = (value & 0xFFFF) - (0x10000 if value & 0x8000 else 0)
            upper = (value - lower) >> 16
            upper -= 0x10000 if upper == 0x8000 else 0  # the shift drops what is beyond 32 bits
            self.plan.steps.append(AluStep(AluOpcode.ADD, place, imm=upper))
            self.plan.steps.append(AluStep(AluOpcode.SHR, place, imm=-16))
            if lower:
                self.plan.steps.append(AluStep(AluOpcode.ADD, place, imm=lower))
        return place

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
                f"constant {number} in {str(expr)[:200]!r} does not fit a signed 16-bit immediate "
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
    places: Sequence[int],
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
    dead: places whose value nobody needs afterwards, that no other place overlaps, and of which
        each element of the nest has its own.
    target: the place the result must stand in, or None where any place will do.
    target_is_free: `expr` reads nothing of the target's buffer.

    Raises
    ------
    CompileError
        for an operator the ALU lacks, or a constant beyond an immediate.
    """
    planner = _Planner(places, operands, dead, target if target_is_free else None)
    terms = accumulation(expr, places) if target == 0 else None
    if terms is not None:
        planner.accumulate(terms, tirx.Add if isinstance(expr, tirx.Sub) else type(expr))
        return planner.plan
    result = planner.value(expr)
    if target is not None and result != target:
        planner.plan.steps.append(AluStep(None, target))
        planner.plan.steps.append(AluStep(AluOpcode.ADD, target, src=result))
        result = target
    planner.plan.result = result
    return planner.plan
