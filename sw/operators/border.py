"""The border of a convolution's result, where windows reach into the padding.

What a zero point asks for depends on which taps of a window are data. Along an axis that gives
classes: each of the first places, everything between, each of the last ones; in two dimensions of a
padded 3 x 3 kernel nine rectangles.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm import te, tirx

__all__ = ["Edge", "correction"]


@dataclass(frozen=True)
class Edge:
    """One axis of the result.

    Members
    -------
    size: places.
    before, after: places at the start and at the end whose windows reach into the padding.
    taps: of each class, is the tap data?
    """

    size: int
    before: int
    after: int
    taps: tuple[tuple[bool, ...], ...]

    @classmethod
    def of(cls, *, size: int, starts: np.ndarray, taps: np.ndarray) -> "Edge":
        """The edge of windows that begin at `starts` in data of `size`, with taps at `taps`."""
        at = np.asarray(starts)[:, None] + np.asarray(taps)
        valid = (at >= 0) & (at < size)
        whole = np.flatnonzero(valid.all(axis=1))
        before, after = len(at) - 1, 0
        if len(whole):
            before, after = int(whole[0]), len(at) - 1 - int(whole[-1])
        rows = [*range(before + 1), *range(len(at) - after, len(at))]
        return cls(len(at), before, after, tuple(tuple(map(bool, valid[row])) for row in rows))

    def alike(self) -> "Edge":
        """The same where all taps count, wherever they lie."""
        return replace(self, before=0, after=0, taps=(tuple(True for _ in self.taps[0]),))

    @property
    def classes(self) -> int:
        return self.before + 1 + self.after

    @property
    def places(self) -> np.ndarray:
        """The class of each place."""
        place = np.arange(self.size)
        return np.minimum(place, self.before) + np.maximum(place - (self.size - 1 - self.after), 0)

    def expression(self, place: Any) -> Any:
        """The class of a place, in TE."""
        found = te.min(place, tirx.const(self.before, "int32"))
        if not self.after:
            return found
        beyond = place - (self.size - 1 - self.after)
        return found + te.max(beyond, tirx.const(0, "int32"))


def correction(weight: np.ndarray, zero: int, edges: tuple[Edge, ...]) -> np.ndarray:
    """What the padding adds to a sum where it stands for `zero`, by output channel and class.

    Arguments
    ---------
    weight: int8 (outputs, inputs, *kernel), with an edge for each axis of the kernel.

    Returns
    -------
    int64 (outputs, *classes); 0 for the class between.
    """
    found = summed = weight.astype(np.int64).sum(axis=1)
    for axis, edge in enumerate(edges):
        inside = np.array(edge.taps, np.int64)  # (classes, taps)
        found = np.moveaxis(np.tensordot(found, inside, ([1 + axis], [1])), -1, 1 + axis)
    total = summed.reshape(len(weight), -1).sum(axis=1)
    return zero * (total.reshape(-1, *(1 for _ in edges)) - found)
