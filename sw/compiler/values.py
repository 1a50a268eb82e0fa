"""What an element-wise statement computes, on int32, as a tree over the operands of its nest.

This is all that the ALU's planner sees of an expression: `vta.sw.compiler.frontend.expressions`
makes it from TIR, and refuses there what no ALU step computes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

__all__ = [
    "COMMUTATIVE",
    "Binary",
    "Constant",
    "Read",
    "Value",
    "accumulation",
    "in_place",
    "places_of",
]

COMMUTATIVE = ("add", "mul", "min", "max")
"""Operators that commute and associate, modulo 2^32 too."""


@dataclass(frozen=True)
class Constant:
    """A number."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Read:
    """The element of operand `place`."""

    place: int

    def __str__(self) -> str:
        return f"${self.place}"


@dataclass(frozen=True)
class Binary:
    """`op` is add, sub, mul, min, max, shr (by a signed amount: negative ones shift left), shl."""

    op: str
    left: "Value"
    right: "Value"

    def __str__(self) -> str:
        return f"{self.op}({self.left}, {self.right})"


Value = Constant | Read | Binary


def places_of(value: Value | None) -> list[int]:
    """The operands that are read, in order of appearance; one for each time."""
    if isinstance(value, Read):
        return [value.place]
    if isinstance(value, Binary):
        return places_of(value.left) + places_of(value.right)
    return []


def in_place(value: Any, places: Collection[int]) -> Any:
    """The tree with operand 0, the destination, for those of `places`; None stays None."""
    if isinstance(value, Read):
        return Read(0) if value.place in places else value
    if isinstance(value, Binary):
        return Binary(value.op, in_place(value.left, places), in_place(value.right, places))
    return value


def _terms(value: Value, op: str) -> list[tuple[Value, bool]]:
    """(term, negated) of a tree of `op`, in order of appearance; sub belongs to add."""
    if isinstance(value, Binary) and value.op == op:
        return _terms(value.left, op) + _terms(value.right, op)
    if isinstance(value, Binary) and op == "add" and value.op == "sub":
        right = [(term, not negated) for term, negated in _terms(value.right, op)]
        return _terms(value.left, op) + right
    return [(value, False)]


def accumulation(value: Value | None) -> list[tuple[Value, bool]] | None:
    """The terms of ``operand 0 = op(operand 0, term, ...)``, or None for other values.

    op is add, mul, min or max, and no other term reads operand 0. A term comes with a flag: it is
    subtracted. Operand 0 itself is among them, where it appears. The order in which a nest makes
    such updates does not matter, as these operators commute and associate (int32 wraps).
    """
    if not isinstance(value, Binary):
        return None
    op = "add" if value.op == "sub" else value.op
    if op not in COMMUTATIVE:
        return None
    terms = _terms(value, op)
    own = [(term, negated) for term, negated in terms if 0 in places_of(term)]
    return terms if own == [(Read(0), False)] else None
