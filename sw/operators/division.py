"""Division of int32 sums by a constant on an ALU that multiplies by 16 bits and shifts.

The nearest integer of x / n, half up, is floor((x + n // 2) / n). Of a power of two in n a shift
gives the floor itself; of another factor m, ``(x * multiplier + addend) >> shift`` does, where
interval arithmetic over all x shows it. Floors of floors are floors: a divisor may be taken apart.
Where none of that does, an estimate that is at most one too small is corrected by its remainder.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import Any

from vta.sw.compiler.passes.alu import IMM
from vta.sw.operators.attribute import OperatorError

__all__ = ["Corrected", "Division", "Floor", "Scaling", "division", "pieces", "scaling"]

LIMIT = 1 << 31  # products stay below it, and not below -LIMIT
SHIFTS = range(31)
MOST_PIECES = 4  # constants that are added one after the other, at most
DROPS = range(16)
ERROR = Fraction(1, 64)  # of the result's unit: more, by the multiplier's rounding, drops bits
RESULTS = 255  # from the least result to the largest


@dataclass(frozen=True)
class Floor:
    """``(x * multiplier + addend) >> shift``; a multiplier of 1 and an addend of 0 are left out."""

    multiplier: int
    addend: int
    shift: int


@dataclass(frozen=True)
class Corrected:
    """``(x + estimate * factor + factor) >> bits``, the estimate being ``((x * multiplier >> drop)
    + addend) >> shift``.

    Of a divisor d the factor is 2^bits - d, not negative. An estimate e that is the quotient or one
    less leaves a remainder r = x - e * d below 2 * d, and the sum is e * 2^bits + r + 2^bits - d:
    the shift gives e where r is less than d, else e + 1.
    """

    multiplier: int
    drop: int
    addend: int
    shift: int
    factor: int
    bits: int


@dataclass(frozen=True)
class Division:
    """``first`` is added, in `pieces`, then each of `floors` is taken."""

    first: int
    floors: tuple[Floor | Corrected, ...]


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


def _corrected(divisor: int, low: int, high: int) -> Corrected | None:
    """The same with an estimate; None where 16 bits give none.

    What x * multiplier lacks of x * 2^shift / divisor is linear in x; the addend makes it at least
    0 and at most 2^shift at both ends.
    """
    bits = (divisor - 1).bit_length()
    factor = (1 << bits) - divisor
    if factor not in IMM or max(-low // divisor, high // divisor) + 2 << bits >= LIMIT:
        return None
    for shift in SHIFTS:
        multiplier = round(Fraction(1 << shift, divisor))
        lacks = [x * (Fraction(1 << shift, divisor) - multiplier) for x in (low, high)]
        least = floor(min(lacks))
        drop = next(n for n in SHIFTS if least >> n in IMM)
        addend = least >> drop
        if not multiplier or drop > shift or max(lacks) - (addend << drop) > 1 << shift:
            continue
        largest = multiplier * max(abs(low), abs(high)) + abs(addend << drop)
        fits = multiplier in IMM and largest < LIMIT
        return Corrected(multiplier, drop, addend, shift - drop, factor, bits) if fits else None
    return None


def _floors(divisor: int, low: int, high: int, one: Callable[..., Any]) -> tuple[Any, ...] | None:
    """As few floors as possible, whose divisors multiply to an odd `divisor`; each by `one`."""
    if divisor == 1:
        return ()
    whole = one(divisor, low, high)
    if whole is not None:
        return (whole,)
    for factor in _factors(divisor):
        first = one(factor, low, high)
        rest = _floors(divisor // factor, low // factor, high // factor, one)
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
        where the sums do not fit int32, or no constants of 16 bits divide exactly: not below
        65536 values.
    """
    first = count // 2
    low, high = low + first, high + first
    twos = (count & -count).bit_length() - 1
    sizes = count >> twos, low >> twos, high >> twos
    odd = _floors(*sizes, _floor) or _floors(*sizes, _corrected)
    if odd is None or min(low, -high - 1) < -LIMIT:
        raise OperatorError(
            f"the average of {count} values has no exact division in the ALU's 16-bit constants "
            f"({IMM.start} to {IMM.stop - 1}): choose a kernel whose size has smaller factors, or "
            "pool in two steps"
        )
    if twos:
        return Division(first, (Floor(1, 0, twos), *odd))
    if odd and isinstance(odd[0], Floor):
        addend = odd[0].addend + first * odd[0].multiplier
        if addend in IMM:  # one pass less
            return Division(0, (replace(odd[0], addend=addend), *odd[1:]))
    return Division(first, odd)


@dataclass(frozen=True)
class Scaling:
    """``(((x >> drop) + first) * multiplier + rest) >> shift``; `first` in `pieces`."""

    firsts: tuple[int, ...]
    multiplier: int
    rest: int
    shift: int
    drop: int = 0


def scaling(factor: Fraction, offset: Fraction, low: int, high: int) -> Scaling:
    """About ``floor(x * factor + offset)`` for sums from `low` to `high`.

    The factor is rounded to 15 bits: a result of 127 is off by 1/512 at most, so that it differs
    in about as many cases. Of sums so large that fewer bits are left, the last ones are dropped.

    Raises
    ------
    OperatorError
        where 16-bit constants give none.
    """
    found: list[tuple[Fraction, Scaling]] = []
    for drop in DROPS:
        made = _scaling(factor, offset, low, high, drop)
        if made is None:
            continue
        scale = Fraction(made.multiplier, 1 << (made.shift + drop))
        reach = min(max(abs(low), abs(high)) * factor, RESULTS)
        error = abs(scale / factor - 1) * reach + factor * (1 << drop >> 1)
        found.append((error, made))
        if error <= ERROR:
            break
    if not found:
        raise OperatorError(
            f"sums times {float(factor):.3g}, and {float(offset):.3g}, have no constants of 16 "
            "bits in the ALU: choose scales of data and result that are less far apart"
        )
    return min(found, key=lambda each: each[0])[1]


def _scaling(factor: Fraction, offset: Fraction, low: int, high: int, drop: int) -> Scaling | None:
    """With so many bits dropped, half a unit of which is added to the offset."""
    offset += factor * ((1 << drop) - 1) / 2
    for shift in reversed(SHIFTS):
        multiplier = round(factor * (1 << (shift + drop)))
        if not 0 < multiplier <= IMM.stop - 1:
            continue
        first, rest = divmod(int(offset * (1 << shift) // 1), multiplier)
        ends = (low >> drop) + first, (high >> drop) + first
        if max(map(abs, ends)) * multiplier + rest < LIMIT:
            firsts = pieces(first)
            if len(firsts) <= MOST_PIECES:
                return Scaling(firsts, multiplier, rest, shift, drop)
    return None


def pieces(number: int) -> tuple[int, ...]:
    """Constants of the ALU that add up to a number."""
    found = []
    while number:
        found.append(max(IMM.start, min(number, IMM.stop - 1)))
        number -= found[-1]
    return tuple(found)
