"""Division of int32 sums by a constant on an ALU that multiplies by 16 bits and shifts.

The nearest integer of x / n, half up, is floor((x + n // 2) / n). Of a power of two in n a shift
gives the floor itself; of another factor m, ``(x * multiplier + addend) >> shift`` does, where
interval arithmetic over all x shows it. Floors of floors are floors: a divisor may be taken apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.attribute import OperatorError

__all__ = ["Division", "Floor", "Scaling", "division", "scaling"]

LIMIT = 1 << 31  # products stay below it, and not below -LIMIT
SHIFTS = range(31)
MOST_PIECES = 4  # constants that are added one after the other, at most


@dataclass(frozen=True)
class Floor:
    """``(x * multiplier + addend) >> shift``; a multiplier of 1 and an addend of 0 are left out."""

    multiplier: int
    addend: int
    shift: int


@dataclass(frozen=True)
class Division:
    """``first`` is added, then each of `floors` is taken."""

    first: int
    floors: tuple[Floor, ...]


def _floor(divisor: int, low: int, high: int) -> Floor | None:
    """The floor of x / divisor, exact for low <= x <= high; None where 16 bits give none.

    With multiplier * divisor = 2^shift + error, x = q * divisor + r becomes q * 2^shift +
    q * error + r * multiplier + addend: right where what comes after q * 2^shift is from 0 to
    2^shift - 1. It is least for r = 0, largest for r = divisor - 1, and linear in q.
    """
    least, most = low // divisor, high // divisor
    for shift in SHIFTS:
        for multiplier in {(1 << shift) // divisor, -(-(1 << shift) // divisor)}:
            error = multiplier * divisor - (1 << shift)
            addend = max(-least * error, -most * error)  # what q * error lacks at its least
            largest = max(least * error, most * error) + (divisor - 1) * multiplier + addend
            ends = (low * multiplier, high * multiplier)
            ends += (ends[0] + addend, ends[1] + addend)
            if largest >= 1 << shift or multiplier not in IMM or addend not in IMM:
                continue
            if min(ends) >= -LIMIT and max(ends) < LIMIT:
                return Floor(multiplier, addend, shift)
    return None


def _floors(divisor: int, low: int, high: int) -> tuple[Floor, ...] | None:
    """As few floors as possible, whose divisors multiply to an odd `divisor`."""
    if divisor == 1:
        return ()
    whole = _floor(divisor, low, high)
    if whole is not None:
        return (whole,)
    for factor in _factors(divisor):
        first = _floor(factor, low, high)
        rest = _floors(divisor // factor, low // factor, high // factor)
        if first is not None and rest is not None:
            return (first, *rest)
    return None


def _factors(number: int) -> Iterator[int]:
    return (factor for factor in range(number - 1, 1, -1) if number % factor == 0)


@lru_cache(maxsize=256)
def division(count: int, low: int, high: int) -> Division:
    """The rounded quotient of sums by `count`, exact for every sum from `low` to `high`.

    Raises
    ------
    OperatorError
        where no constants of 16 bits divide exactly.
    """
    first = count // 2
    low, high = low + first, high + first
    twos = (count & -count).bit_length() - 1
    odd = _floors(count >> twos, low >> twos, high >> twos)
    if odd is None or first not in IMM:
        raise OperatorError(
            f"the average of {count} values has no exact division in the ALU's 16-bit constants "
            f"({IMM.start} to {IMM.stop - 1}): choose a kernel whose size has smaller factors, or "
            "pool in two steps"
        )
    if twos:
        return Division(first, (Floor(1, 0, twos), *odd))
    if odd and odd[0].addend + first * odd[0].multiplier in IMM:  # one pass less
        addend = odd[0].addend + first * odd[0].multiplier
        return Division(0, (replace(odd[0], addend=addend), *odd[1:]))
    return Division(first, odd)


@dataclass(frozen=True)
class Scaling:
    """``((x + first) * multiplier + rest) >> shift``; `first` in pieces that are constants."""

    firsts: tuple[int, ...]
    multiplier: int
    rest: int
    shift: int


def scaling(factor: Fraction, offset: Fraction, low: int, high: int) -> Scaling:
    """About ``floor(x * factor + offset)`` for sums from `low` to `high`.

    The factor is rounded to 15 bits: a result of 127 is off by 1/512 at most, so that it differs
    in about as many cases.

    Raises
    ------
    OperatorError
        where 16-bit constants give none.
    """
    for shift in reversed(SHIFTS):
        multiplier = round(factor * (1 << shift))
        if not 0 < multiplier <= IMM.stop - 1:
            continue
        first, rest = divmod(int(offset * (1 << shift) // 1), multiplier)
        if max(abs(low + first), abs(high + first)) * multiplier + rest < LIMIT:
            firsts = _pieces(first)
            if len(firsts) <= MOST_PIECES:
                return Scaling(firsts, multiplier, rest, shift)
    raise OperatorError(
        f"sums times {float(factor):.3g}, and {float(offset):.3g}, have no constants of 16 bits in "
        "the ALU: choose scales of data and result that are less far apart"
    )


def _pieces(number: int) -> tuple[int, ...]:
    """Constants of the ALU that add up to a number."""
    found = []
    while number:
        found.append(max(IMM.start, min(number, IMM.stop - 1)))
        number -= found[-1]
    return tuple(found)
