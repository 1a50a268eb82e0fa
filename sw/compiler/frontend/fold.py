"""From a leaf to a nest: strides over whole elements, boxes and padding.

Every index is split into an outer offset and strides over the nest, with a proof or a check that
nothing is lost (`vta.sw.compiler.expressions`). What does not fit the two loops, the uops or a 2-D
copy of the instruction set is an error, never a guess. Executions of a leaf that differ by their
offsets only share one folded form, so a program of thousands of instructions folds a handful of
leaves.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from tvm import tirx

from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.classify import Pattern
from vta.sw.compiler.frontend.expressions import Index, NotAffine
from vta.sw.compiler.frontend.walk import Walk
from vta.sw.compiler.ir import Dim, Nest
from vta.sw.compiler.values import Value, in_place

__all__ = ["Execution", "Folder", "Jumps", "NotABox"]

MOST_PARTS = 3  # of a loop with an index that jumps, each an instruction of its own


class NotABox(CompileError):
    """The guard or padding of a nest leaves no box; `loops` are the positions it depends on."""

    def __init__(self, reason: str, loops: tuple[int, ...]) -> None:
        super().__init__(reason)
        self.loops = loops


class Jumps(CompileError):
    """An index is affine only over parts of a loop: its position and the parts' ends, or None."""

    def __init__(self, reason: str, parts: tuple[int, list[tuple[int, int]]] | None) -> None:
        super().__init__(reason)
        self.parts = parts


def _segments(
    part: np.ndarray, box: list[tuple[int, int]]
) -> tuple[int, list[tuple[int, int]]] | None:
    """The first loop along which an index bends, and the half-open ranges where it does not.

    None where that is none, or there are so many of them that most are short.
    """
    for n, (low, high) in enumerate(box):
        if part.shape[n] <= 1:
            continue
        line = part[tuple(slice(None) if m == n else 0 for m in range(part.ndim))]
        starts, steps = [0], np.diff(line)
        for at in range(1, len(steps)):
            if steps[at] != steps[at - 1] and at > starts[-1]:
                starts.append(at + 1)
        if len(starts) > 1:
            ends = [*starts[1:], high - low]
            if len(starts) > MOST_PARTS:
                return None
            return n, [(low + a, low + b) for a, b in zip(starts, ends, strict=True)]
    return None


@dataclass(frozen=True)
class Execution:
    """One execution of a leaf: its nest (None: nothing runs), and each operand's offset."""

    nest: Nest | None
    offsets: tuple[int, ...]


class Folder:
    """Folds executions of a leaf, and remembers their nests."""

    def __init__(self, pattern: Pattern, walk: Walk) -> None:
        self.pattern, self.walk = pattern, walk
        self._memo: dict[Any, Nest | None] = {}

    def execution(self, env: dict[Any, int]) -> Execution:
        """This execution of the leaf, folded; raises NotABox and CompileError."""
        operands, pattern = self.pattern.operands, self.pattern
        at = [operand.index.at(env) for operand in operands]
        bounds = [index.at(env) for index in (*pattern.clip, *pattern.mask)]
        limits = tuple(
            min(max(offset, -int(rest.max()) - 1), -int(rest.min())) for offset, rest in bounds
        )
        value = self.value_at(env)
        key: Any = (limits, value)
        if not self.has_fixed_indices:
            key = (limits, value, *(rest.tobytes() for _, rest in (*at, *bounds)))
        if key not in self._memo:
            rests = [rest for _, rest in at]
            self._memo[key] = self._fold(rests, [rest for _, rest in bounds], limits, value)
        nest = self._memo[key]
        offsets = []
        for operand, (offset, _) in zip(operands, at, strict=True):
            if offset % operand.element:
                raise pattern.error(
                    f"{operand.buffer.name} is accessed at value {offset}, which is not a whole "
                    f"element of {operand.element}"
                )
            offsets.append(offset // operand.element)
        if nest is not None:
            self._check_inside(nest, offsets)
        return Execution(nest, tuple(offsets))

    def value_at(self, env: dict[Any, int]) -> Value | None:
        """The value, with 0 for an operand that is the destination itself in this execution."""
        if self.pattern.value is None:
            return None
        target = self.pattern.operands[0]
        same = {
            n
            for n, operand in enumerate(self.pattern.operands)
            if n
            and operand.buffer.same_as(target.buffer)
            and self.strides(n, env) == self.strides(0, env)
        }
        return in_place(self.pattern.value, same)

    @cached_property
    def has_fixed_indices(self) -> bool:
        """Do executions differ by their offsets only?"""
        pattern = self.pattern
        indices = [*(o.index for o in pattern.operands), *pattern.clip, *pattern.mask]
        return all(index.terms is not None for index in indices)

    def strides(self, operand: int, env: dict[Any, int]) -> tuple[int, tuple[int, ...]]:
        """Value at the nest's origin that an operand accesses, and its stride along each loop."""
        index = self.pattern.operands[operand].index
        offset, rest = index.at(env)
        origin, strides = self._strides(index, rest)
        return offset + origin, strides

    def _strides(self, index: Index, rest: np.ndarray) -> tuple[int, tuple[int, ...]]:
        try:
            return index.strides(rest)
        except CompileError as error:
            raise self.pattern.error(str(error)) from error

    def _in_box(
        self, index: Index, rest: np.ndarray, box: list[tuple[int, int]]
    ) -> tuple[int, tuple[int, ...]]:
        """As `_strides`, where only the iterations in `box` have to be given back."""
        ends = zip(box, rest.shape, strict=True)
        part = rest[tuple(slice(*side) if size > 1 else slice(None) for side, size in ends)]
        try:
            origin, strides = index.strides(part)
        except NotAffine as error:
            raise Jumps(str(self.pattern.error(str(error))), _segments(part, box)) from error
        return origin - sum(low * s for (low, _), s in zip(box, strides, strict=True)), strides

    def _check_inside(self, nest: Nest, offsets: list[int]) -> None:
        """Every entry of a scratchpad buffer that is touched belongs to it."""
        for n, operand in enumerate(self.pattern.operands):
            allocation = self.walk.allocations.get(operand.buffer)
            if allocation is None:
                continue
            first, last = nest.spans[n]
            size = allocation.elements(operand.element)
            if offsets[n] + first < 0 or offsets[n] + last >= size:
                raise self.pattern.error(
                    f"it touches elements {offsets[n] + first} to {offsets[n] + last} of "
                    f"{operand.buffer.name}, which has {size}"
                )

    def _fold(
        self,
        rests: list[np.ndarray],
        bounds: list[np.ndarray],
        limits: tuple[int, ...],
        value: Value | None,
    ) -> Nest | None:
        extents = [extent for _, extent in self.pattern.leaf.nest]
        conditions = [rest + limit >= 0 for rest, limit in zip(bounds, limits, strict=True)]
        clipped = len(self.pattern.clip)
        if any(not condition.any() for condition in conditions[:clipped]):
            return None  # also where the nest has no loops, and the box no sides
        box = self._box(conditions[:clipped], extents)
        if any(low >= high for low, high in box):
            return None
        valid = self._box(conditions[clipped:], extents)
        origins, strides = [], []
        for operand, rest in zip(self.pattern.operands, rests, strict=True):
            origin, stride = self._in_box(operand.index, rest, box)
            origins.append(origin)
            strides.append(stride)
        dims = []
        for n, extent in enumerate(extents):
            low, high = valid[n]
            whole = Dim(extent, tuple(s[n] for s in strides), (low, max(low, high)))
            dims.append((whole, box[n]))
        return self._elements(dims, origins, value)

    def _box(self, conditions: list[np.ndarray], extents: list[int]) -> list[tuple[int, int]]:
        """The half-open range along each loop where all conditions hold; an error if no box."""
        mask = np.ones((1,) * len(extents), bool)
        for condition in conditions:
            mask = mask & condition
        box = []
        for n, extent in enumerate(extents):
            along = mask.any(axis=tuple(m for m in range(mask.ndim) if m != n))
            inside = np.flatnonzero(np.broadcast_to(along, (extent,)))
            box.append((int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0))
        wide = [e if size > 1 else 1 for e, size in zip(extents, mask.shape, strict=True)]
        volume = prod(b - a if w > 1 else 1 for (a, b), w in zip(box, wide, strict=True))
        if mask.any() and volume != int(mask.sum()):
            raise NotABox(
                str(
                    self.pattern.error(
                        "the iterations that its guard or padding lets through do not form a box"
                    )
                ),
                tuple(n for n, size in enumerate(mask.shape) if size > 1),
            )
        return box

    def _elements(
        self, dims: list[tuple[Dim, tuple[int, int]]], origins: list[int], value: Value | None
    ) -> Nest:
        """Take the loops over the values of one element away; strides in elements."""
        if self._has_values():
            dims = self._without_values(dims)
        sizes = [operand.element for operand in self.pattern.operands]
        base = list(origins)
        folded = []
        for dim, (low, high) in dims:
            base = [b + low * s for b, s in zip(base, dim.strides, strict=True)]
            cut = dim.part(low, high)
            folded.append(Dim(cut.extent, self._whole(cut.strides, sizes), cut.valid))
        memories = tuple(operand.memory for operand in self.pattern.operands)
        at_origin = self._whole(tuple(base), sizes)
        return Nest(self.pattern.kind, memories, tuple(folded), at_origin, value)

    def _has_values(self) -> bool:
        """Copies and expressions loop over single values; the markers over whole elements."""
        return isinstance(self.pattern.leaf.statement, tirx.BufferStore)

    def _whole(self, values: tuple[int, ...], sizes: list[int]) -> tuple[int, ...]:
        for value, size, operand in zip(values, sizes, self.pattern.operands, strict=True):
            if value % size:
                raise self.pattern.error(
                    f"{operand.buffer.name} steps by {value} values; it must be whole elements of "
                    f"{size}"
                )
        return tuple(v // s for v, s in zip(values, sizes, strict=True))

    def _without_values(
        self, dims: list[tuple[Dim, tuple[int, int]]]
    ) -> list[tuple[Dim, tuple[int, int]]]:
        size, covered = self.pattern.operands[0].element, 1
        remaining = list(dims)
        while covered < size:
            for n, (dim, box) in enumerate(remaining):
                if dim.extent > 1 and all(s == covered for s in dim.strides):
                    break
            else:
                raise self.pattern.error(
                    f"its loops do not cover whole elements of {size} consecutive values"
                    f"{self._hint(covered)}"
                )
            inner = min(dim.extent, size // covered)
            if (
                dim.extent % inner
                or size % (covered * inner)
                or any(edge % inner for edge in (*box, *dim.valid))
            ):
                raise self.pattern.error(f"an element of {size} values is only partly copied")
            outer = dim.extent // inner
            rest = Dim(
                outer,
                tuple(s * inner if outer > 1 else 0 for s in dim.strides),
                (dim.valid[0] // inner, dim.valid[1] // inner),
            )
            remaining[n] = (rest, (box[0] // inner, box[1] // inner))
            covered *= inner
        return remaining

    def _hint(self, covered: int) -> str:
        """What keeps the next loop over an element's values out of the nest, if it is known."""
        if covered == 1:
            for variable, factor in reversed(self.pattern.operands[0].index.terms or []):
                if abs(factor) == 1 and variable in self.walk.unrolled:
                    return f": loop {variable.name} is {self.walk.unrolled[variable]}"
        moving = [n for n, (_, extent) in enumerate(self.pattern.leaf.nest) if extent > 1]
        found = []
        for n, operand in enumerate(self.pattern.operands):
            _, strides = self.strides(n, dict.fromkeys(self.pattern.leaf.outer, 0))
            found.append(f"{operand.buffer.name} by {[strides[m] for m in moving]}")
        names = ", ".join(self.pattern.leaf.nest[n][0].name for n in moving) or "none"
        return f" in every operand: loops {names} step {'; '.join(found)}"
