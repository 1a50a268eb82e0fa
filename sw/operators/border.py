"""The border of a convolution's result, where windows reach into the padding.

What a zero point asks for depends on which taps of a window are data. Along an axis that gives
classes: each of the first places, everything between, each of the last ones; in two dimensions of a
padded 3 x 3 kernel nine rectangles. The phases of a transposed convolution have classes each of
their own, also where nothing is padded: no two have the same taps.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

__all__ = ["Classes", "Edge", "correction"]


@dataclass(frozen=True)
class Classes:
    """Those of one phase along an axis.

    Members
    -------
    size: places.
    before, after: places at the start and at the end that have classes of their own.
    taps: of each class, is the tap data?
    first: the number of the first class among those of all phases.
    """

    size: int
    before: int
    after: int
    taps: tuple[tuple[bool, ...], ...]
    first: int = 0

    @classmethod
    def of(cls, data: np.ndarray, first: int = 0) -> "Classes":
        """The fewest: everything between is the longest run of places that are alike.

        `data` is bool (places, taps): is the tap data?
        """
        changes = 1 + np.flatnonzero((data[1:] != data[:-1]).any(axis=1))
        ends = np.array([0, *changes, len(data)])
        run = int(np.argmax(np.diff(ends)))
        before, after = int(ends[run]), len(data) - int(ends[run + 1])
        rows = [*range(before + 1), *range(len(data) - after, len(data))]
        taps = tuple(tuple(map(bool, data[row])) for row in rows)
        return cls(len(data), before, after, taps, first)

    @property
    def count(self) -> int:
        return len(self.taps)

    @property
    def places(self) -> np.ndarray:
        """The number of each place's class."""
        place = np.arange(self.size)
        beyond = np.maximum(place - (self.size - 1 - self.after), 0)
        return self.first + np.minimum(place, self.before) + beyond

    def expression(self, place: Any) -> Any:
        """The number of a place's class, in TE."""
        found: Any = te.min(place, tirx.const(self.before, "int32"))
        if self.first:
            found = found + self.first
        if not self.after:
            return found
        beyond = place - (self.size - 1 - self.after)
        return found + te.max(beyond, tirx.const(0, "int32"))


@dataclass(frozen=True)
class Edge:
    """One axis of the result: the classes of its phases, which take turns."""

    phases: tuple[Classes, ...]

    @classmethod
    def of(cls, *, size: int, starts: np.ndarray, taps: np.ndarray) -> "Edge":
        """The edge of windows that begin at `starts` in data of `size`, with taps at `taps`."""
        at = np.asarray(starts)[:, None] + np.asarray(taps)
        return cls.where((at >= 0) & (at < size))

    @classmethod
    def where(cls, data: np.ndarray, stride: int = 1) -> "Edge":
        """The edge where taps are data, bool (places, taps); each `stride`-th place is a phase."""
        found: list[Classes] = []
        for n in range(min(stride, len(data))):
            first = sum(phase.count for phase in found)
            found.append(Classes.of(data[n::stride], first))
        return cls(tuple(found))

    def alike(self) -> "Edge":
        """The same where all taps count, wherever they lie."""
        size = sum(phase.size for phase in self.phases)
        return Edge.where(np.ones((size, len(self.taps[0])), bool))

    @property
    def classes(self) -> int:
        return len(self.taps)

    @property
    def taps(self) -> tuple[tuple[bool, ...], ...]:
        """Of each class, is the tap data?"""
        return tuple(taps for phase in self.phases for taps in phase.taps)

    @property
    def places(self) -> np.ndarray:
        """The class of each place."""
        found = np.empty(sum(phase.size for phase in self.phases), int)
        for n, phase in enumerate(self.phases):
            found[n :: len(self.phases)] = phase.places
        return found


def correction(weight: np.ndarray, zero: int, edges: tuple[Edge, ...]) -> np.ndarray:
    """What the taps that meet no data add to a sum where these stand for `zero`.

    Arguments
    ---------
    weight: int8 (outputs, inputs, *kernel), with an edge for each axis of the kernel.

    Returns
    -------
    int64 (outputs, *classes); 0 where all taps are data.
    """
    found = summed = weight.astype(np.int64).sum(axis=1)
    for axis, edge in enumerate(edges):
        inside = np.array(edge.taps, np.int64)  # (classes, taps)
        found = np.moveaxis(np.tensordot(found, inside, ([1 + axis], [1])), -1, 1 + axis)
    total = summed.reshape(len(weight), -1).sum(axis=1)
    return zero * (total.reshape(-1, *(1 for _ in edges)) - found)
