"""Element-wise expressions as in-place ALU steps.

The ALU computes ``acc[d] = op(acc[d], acc[s] or imm)``, so an expression tree needs, at every
operator, an operand that may be overwritten. It may when nothing reads it afterwards, neither
later in the program (the caller says so by `dead`) nor elsewhere in the tree; otherwise it is
copied first: a reset and an ADD.

Every step runs over the whole nest before the next one starts. That gives what the statement gives,
executed element by element, only where each element has destinations of its own. A reduction has
not: many elements update one accumulator. There the update has to be one step in place
(`vta.sw.compiler.values.accumulation`), which any order of the elements leaves the same.
"""

from collections import Counter
from dataclasses import dataclass, field

from vta.hw.isa import AluOpcode
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.values import Binary, Constant, Read, Value, accumulation, places_of

__all__ = ["IMM", "AluStep", "Plan", "order"]

IMM = range(-(1 << 15), 1 << 15)

_OPCODES = {
    "add": AluOpcode.ADD,
    "sub": AluOpcode.ADD,
    "mul": AluOpcode.MUL,
    "max": AluOpcode.MAX,
    "min": AluOpcode.MIN,
    "shr": AluOpcode.SHR,
    "shl": AluOpcode.SHR,
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


class _Planner:
    def __init__(self, value: Value, operands: int, dead: frozenset[int], free: int | None) -> None:
        self.plan = Plan()
        self.uses = Counter(places_of(value))
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

    def value(self, value: Value) -> int:
        """Plan `value`; the place that holds it."""
        if isinstance(value, Constant):
            return self.number(value.value)
        if isinstance(value, Read):
            return value.place
        return self.operator(value)

    def accumulate(self, terms: list[tuple[Value, bool]], op: AluOpcode) -> None:
        """Steps that bring every term into place 0 by `op`."""
        for term, negated in terms:
            if term == Read(0):
                continue
            if isinstance(term, Constant):
                self.immediate(op, 0, -term.value if negated else term.value, term)
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

    def operator(self, value: Binary) -> int:
        op, left, right = _OPCODES[value.op], value.left, value.right
        if isinstance(right, Constant):
            number = -right.value if value.op in ("sub", "shl") else right.value
            return self.immediate(op, self.own(self.value(left)), number, value)
        if isinstance(left, Constant) and op is not AluOpcode.SHR:
            place = self.own(self.value(right))
            if value.op == "sub":
                place = self.immediate(AluOpcode.MUL, place, -1, value)
            return self.immediate(op, place, left.value, value)
        a, b = self.value(left), self.value(right)
        if value.op in ("sub", "shl"):
            b = self.immediate(AluOpcode.MUL, self.own(b), -1, value)
        return self.pair(op, a, b)

    def immediate(self, op: AluOpcode, place: int, number: int, value: Value) -> int:
        if number not in IMM:
            raise CompileError(
                f"constant {number} in {str(value)[:200]!r} does not fit a signed 16-bit immediate "
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
    value: Value, *, operands: int, dead: frozenset[int], target: int | None, target_is_free: bool
) -> Plan:
    """ALU steps that compute `value`.

    Arguments
    ---------
    operands: number of places the caller uses; temporaries count on from there.
    dead: places whose value nobody needs afterwards, that no other place overlaps, and of which
        each element of the nest has its own.
    target: the place the result must stand in, or None where any place will do.
    target_is_free: `value` reads nothing of the target's buffer.

    Raises
    ------
    CompileError
        for a constant beyond an immediate.
    """
    planner = _Planner(value, operands, dead, target if target_is_free else None)
    terms = accumulation(value) if target == 0 else None
    if terms is not None:
        assert isinstance(value, Binary)
        planner.accumulate(terms, _OPCODES[value.op])
        return planner.plan
    result = planner.value(value)
    if target is not None and result != target:
        planner.plan.steps.append(AluStep(None, target))
        planner.plan.steps.append(AluStep(AluOpcode.ADD, target, src=result))
        result = target
    planner.plan.result = result
    return planner.plan
