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
    """A coordinate of each value: int64 (n,), and what to call it. `words` names single ones.

    Without an `ordered` one, neighbours have nothing in common.
    """

    name: str
    values: np.ndarray
    words: str = "{}"
    ordered: bool = True

    def many(self, values: np.ndarray | list[int], between: str = ", ") -> str:
        """Several of them in words."""
        word, _, rest = self.name.partition(" ")
        words = [f"{word[:-1]}ies" if word.endswith("y") else f"{word}s", *filter(None, [rest])]
        return f"{' '.join(words)} {between.join(str(int(n)) for n in values)}"


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
    count, room, first = int(wrong.sum()), int(inside.sum()), int(wrong.argmax())
    if count == len(wrong):
        return "all of them"
    if first and wrong[first:].all() and count < room:
        return f"all from number {first} on"
    if not phrases:
        return ""
    share = "all of those" if count == room else f"{count} of the {room} there"
    return f"{', '.join(phrases)}: {share}"


def _narrowed(axis: Axis, inside: np.ndarray, wrong: np.ndarray) -> tuple[str, np.ndarray]:
    """A phrase for the values of an axis that wrong ones have, and which values those are."""
    there, bad = np.unique(axis.values[inside]), np.unique(axis.values[wrong])
    if len(there) == len(bad):
        return "", inside
    name, first = axis.name, int(bad[0])
    if len(bad) == 1:
        which = {int(there[0]): " (the first)", int(there[-1]): " (the last)"}.get(first, "")
        which = which if axis.ordered else ""
        return f"{name} {axis.words.format(first)}{which}", axis.values == first
    if axis.ordered:
        phrase, chosen = _regular(axis, there, bad)
        if phrase:
            return phrase, chosen
    if len(bad) <= MOST_LISTED:
        return axis.many(bad), np.isin(axis.values, bad)
    return "", inside


def _regular(axis: Axis, there: np.ndarray, bad: np.ndarray) -> tuple[str, np.ndarray]:
    """A phrase for a range of values, or every nth; "" where they are neither."""
    first, last = int(bad[0]), int(bad[-1])
    chosen = (axis.values >= first) & (axis.values <= last)
    between = there[(there >= first) & (there <= last)]
    if len(between) == len(bad):
        if last == there[-1]:
            return f"{axis.name} {first} and above", chosen
        return axis.many([first, last], " to "), chosen
    for step in STEPS:
        alike = between[between % step == first % step]
        if len(bad) > 2 and np.array_equal(alike, bad):
            every = "every second" if step == 2 else f"every {step}th"
            phrase = f"{every} {axis.name} ({axis.name} mod {step} = {first % step})"
            return phrase, chosen & (axis.values % step == first % step)
    return "", chosen


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
