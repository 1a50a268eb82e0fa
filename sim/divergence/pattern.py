"""What wrong values have in common: their places along some axes, and how they are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Axis", "differences", "places"]

STEPS = (2, 4, 8, 16, 32)
MOST_LISTED = 4
MOST_PHRASES = 3
BITS = 8


@dataclass(frozen=True)
class Axis:
    """A coordinate of each value: int64 (n,), and what to call it. `words` names single ones."""

    name: str
    values: np.ndarray
    words: str = "{}"


def places(axes: Sequence[Axis], wrong: np.ndarray) -> str:
    """Where the values are that `wrong` (bool, (n,), in the order of time or address) marks.

    Each axis adds what it narrows down further; "" where nothing is in common.
    """
    inside = np.ones(len(wrong), bool)
    phrases: list[str] = []
    for axis in axes:
        phrase, chosen = _narrowed(axis, inside, wrong)
        if phrase and len(phrases) < MOST_PHRASES:
            phrases.append(phrase)
            inside &= chosen
    count, room = int(wrong.sum()), int(inside.sum())
    if not phrases:
        first = int(wrong.argmax())
        if count == len(wrong):
            return "all of them"
        return f"all from number {first} on" if first and wrong[first:].all() else ""
    share = "all of those" if count == room else f"{count} of the {room} there"
    return f"{', '.join(phrases)}: {share}"


def _narrowed(axis: Axis, inside: np.ndarray, wrong: np.ndarray) -> tuple[str, np.ndarray]:
    """A phrase for the values of an axis that wrong ones have, and which values those are."""
    there, bad = np.unique(axis.values[inside]), np.unique(axis.values[wrong])
    if len(there) == len(bad):
        return "", inside
    name, first, last = axis.name, int(bad[0]), int(bad[-1])
    if len(bad) == 1:
        which = {int(there[0]): "the first ", int(there[-1]): "the last "}.get(first, "")
        phrase = f"{which}{name} {axis.words.format(first)}"
        return phrase, axis.values == first
    between = there[(there >= first) & (there <= last)]
    chosen = (axis.values >= first) & (axis.values <= last)
    if len(between) == len(bad):
        if last == there[-1]:
            return f"{name} {first} and above", chosen
        return f"{name}s {first} to {last}", chosen
    for step in STEPS:
        alike = there % step == first % step
        if np.array_equal(there[alike & (there >= first) & (there <= last)], bad) and len(bad) > 2:
            every = "every second" if step == 2 else f"every {step}th"
            phrase = f"{every} {name} ({name} mod {step} = {first % step})"
            return phrase, chosen & (axis.values % step == first % step)
    if len(bad) <= MOST_LISTED:
        return f"{name}s {', '.join(str(int(n)) for n in bad)}", np.isin(axis.values, bad)
    return "", inside


def differences(expected: np.ndarray, found: np.ndarray) -> str:
    """How wrong values (signed integers of one dtype) differ, where they all do alike; or ""."""
    if len(expected) < 2:
        return ""
    apart = np.unique(found.astype(np.int64) - expected.astype(np.int64))
    bits = np.unique(expected ^ found)
    values = np.unique(found)
    if len(values) == 1:
        return f"all found as {values[0]}"
    if len(apart) == 1:
        return f"all too {'large' if apart[0] > 0 else 'small'} by {abs(int(apart[0]))}"
    if len(bits) == 1 and int(bits[0]).bit_count() == 1:
        return f"always bit {int(bits[0]).bit_length() - 1}"
    together = int(np.bitwise_or.reduce(bits.view(f"u{bits.itemsize}")))
    if together.bit_count() == 1:
        return f"always bit {together.bit_length() - 1}"
    low = (together & -together).bit_length() - 1
    high = together.bit_length() - 1
    if high - low + 1 <= BITS * expected.itemsize // 2 and len(expected) > 2:
        return f"only bits {low} to {high}"
    return ""
