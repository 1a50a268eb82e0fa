"""Step 3, second half: from a macro operation to instructions with relative addresses.

Every index is split into an outer offset and strides over the nest, with a proof or a check that
nothing is lost (`vta.sw.compiler.expressions`). What does not fit the two loops, the uops or a 2-D
copy of the instruction set is an error, never a guess. Executions of a leaf that differ by their
offsets only share one folded form, so a program of thousands of instructions folds a handful of
leaves.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from tvm import tirx

from vta.hw.config import Config
from vta.sw.compiler.classify import LeafAccess
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.expressions import Index
from vta.sw.compiler.nest import Dim, entries
from vta.sw.compiler.walk import Leaf, Step, Walk

__all__ = ["Folded", "Instance", "LeafFolder", "NotABox"]


class NotABox(CompileError):
    """The guard or padding of a nest leaves no box; `loops` are the positions it depends on."""

    def __init__(self, reason: str, loops: tuple[int, ...]) -> None:
        super().__init__(reason)
        self.loops = loops


@dataclass(frozen=True, eq=False)
class Folded:
    """What executions of a leaf with equal boxes share.

    `dims` run over whole elements; `base[o]` is operand o's element at their origin, relative to
    its outer offset. None of it depends on addresses.
    """

    dims: tuple[Dim, ...]
    base: tuple[int, ...]
    _entries: dict[int, np.ndarray] = field(default_factory=dict)

    def entries(self, operand: int) -> np.ndarray:
        """Sorted unique elements that an operand touches, relative to its outer offset."""
        if operand not in self._entries:
            self._entries[operand] = entries(list(self.dims), operand, self.base[operand])
        return self._entries[operand]

    @property
    def volume(self) -> int:
        """Iterations, over whole elements."""
        return prod(dim.extent for dim in self.dims)

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First and last element of each operand, relative to its outer offset."""
        spans = []
        for n, base in enumerate(self.base):
            steps = [(dim.extent - 1) * dim.strides[n] for dim in self.dims]
            first = base + sum(s for s in steps if s < 0)
            spans.append((first, base + sum(s for s in steps if s > 0)))
        return tuple(spans)


@dataclass(frozen=True)
class Instance:
    """One execution: its folded form (None: nothing runs), and each operand's offset (elements).

    `places` are the leaf's, but that an operand which is the destination here is operand 0.
    """

    step: Step
    folder: "LeafFolder"
    folded: Folded | None
    offsets: tuple[int, ...]
    places: tuple[int, ...]

    def where(self) -> str:
        """The values of the loops around, as ``i = 0, j = 3``."""
        return ", ".join(f"{v.name} = {value}" for v, value in self.step.env.items()) or "once"

    @property
    def used(self) -> list[int]:
        """The operands that are accessed."""
        if self.folder.expression is None:
            return list(range(len(self.offsets)))
        return sorted({0, *self.places})


class LeafFolder(LeafAccess):
    """A leaf that folds its executions."""

    def __init__(self, leaf: Leaf, walk: Walk, config: Config) -> None:
        super().__init__(leaf, walk, config)
        self._memo: dict[Any, Folded | None] = {}

    def instance(self, step: Step) -> Instance:
        """This execution of the leaf, folded; raises NotABox and CompileError."""
        env = step.env
        at = [operand.index.at(env) for operand in self.operands]
        bounds = [index.at(env) for index in (*self.clip, *self.mask)]
        limits = tuple(
            min(max(offset, -int(rest.max()) - 1), -int(rest.min())) for offset, rest in bounds
        )
        key: Any = limits
        if not self.has_fixed_indices:
            key = (limits, *(rest.tobytes() for _, rest in (*at, *bounds)))
        if key not in self._memo:
            self._memo[key] = self._fold([r for _, r in at], [r for _, r in bounds], limits)
        folded = self._memo[key]
        offsets = []
        for operand, (offset, _) in zip(self.operands, at, strict=True):
            if offset % operand.element:
                raise self.error(
                    f"{operand.buffer.name} is accessed at value {offset}, which is not a whole "
                    f"element of {operand.element}"
                )
            offsets.append(offset // operand.element)
        if folded is not None:
            self._check_inside(folded, offsets)
        return Instance(step, self, folded, tuple(offsets), self.places_at(env))

    def places_at(self, env: dict[Any, int]) -> tuple[int, ...]:
        """`places`, with 0 for an operand that is the destination itself in this execution."""
        target = self.operands[0]
        same = {
            n
            for n in range(1, len(self.operands))
            if self.operands[n].buffer.same_as(target.buffer)
            and self.strides(n, env) == self.strides(0, env)
        }
        return tuple(0 if n in same else n for n in self.places)

    @cached_property
    def has_fixed_indices(self) -> bool:
        """Do executions differ by their offsets only?"""
        indices = [*(o.index for o in self.operands), *self.clip, *self.mask]
        return all(index.terms is not None for index in indices)

    def strides(self, operand: int, env: dict[Any, int]) -> tuple[int, tuple[int, ...]]:
        """Value at the nest's origin that an operand accesses, and its stride along each loop."""
        offset, rest = self.operands[operand].index.at(env)
        origin, strides = self._strides(self.operands[operand].index, rest)
        return offset + origin, strides

    def _strides(self, index: Index, rest: np.ndarray) -> tuple[int, tuple[int, ...]]:
        try:
            return index.strides(rest)
        except CompileError as error:
            raise self.error(str(error)) from error

    def _check_inside(self, folded: Folded, offsets: list[int]) -> None:
        """Every entry of a scratchpad buffer that is touched belongs to it."""
        for n, operand in enumerate(self.operands):
            allocation = self.walk.allocations.get(operand.buffer)
            if allocation is None:
                continue
            first, last = folded.spans[n]
            size = allocation.elements(operand.element)
            if offsets[n] + first < 0 or offsets[n] + last >= size:
                raise self.error(
                    f"it touches elements {offsets[n] + first} to {offsets[n] + last} of "
                    f"{operand.buffer.name}, which has {size}"
                )

    def _fold(
        self, rests: list[np.ndarray], bounds: list[np.ndarray], limits: tuple[int, ...]
    ) -> Folded | None:
        extents = [extent for _, extent in self.leaf.nest]
        conditions = [rest + limit >= 0 for rest, limit in zip(bounds, limits, strict=True)]
        clipped = len(self.clip)
        if any(not condition.any() for condition in conditions[:clipped]):
            return None  # also where the nest has no loops, and the box no sides
        box = self._box(conditions[:clipped], extents)
        if any(low >= high for low, high in box):
            return None
        valid = self._box(conditions[clipped:], extents)
        origins, strides = [], []
        for operand, rest in zip(self.operands, rests, strict=True):
            origin, stride = self._strides(operand.index, rest)
            origins.append(origin)
            strides.append(stride)
        dims = []
        for n, extent in enumerate(extents):
            low, high = valid[n]
            whole = Dim(extent, tuple(s[n] for s in strides), (low, max(low, high)))
            dims.append((whole, box[n]))
        return self._elements(dims, origins)

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
                    self.error(
                        "the iterations that its guard or padding lets through do not form a box"
                    )
                ),
                tuple(n for n, size in enumerate(mask.shape) if size > 1),
            )
        return box

    def _elements(
        self, dims: list[tuple[Dim, tuple[int, int]]], origins: list[int]
    ) -> Folded | None:
        """Take the loops over the values of one element away; strides in elements."""
        if self._has_values():
            dims = self._without_values(dims)
        sizes = [operand.element for operand in self.operands]
        base = list(origins)
        folded = []
        for dim, (low, high) in dims:
            base = [b + low * s for b, s in zip(base, dim.strides, strict=True)]
            cut = dim.part(low, high)
            folded.append(Dim(cut.extent, self._whole(cut.strides, sizes), cut.valid))
        return Folded(tuple(folded), self._whole(tuple(base), sizes))

    def _has_values(self) -> bool:
        """Copies and expressions loop over single values; the markers over whole elements."""
        return isinstance(self.leaf.statement, tirx.BufferStore)

    def _whole(self, values: tuple[int, ...], sizes: list[int]) -> tuple[int, ...]:
        for value, size, operand in zip(values, sizes, self.operands, strict=True):
            if value % size:
                raise self.error(
                    f"{operand.buffer.name} steps by {value} values; it must be whole elements of "
                    f"{size}"
                )
        return tuple(v // s for v, s in zip(values, sizes, strict=True))

    def _without_values(
        self, dims: list[tuple[Dim, tuple[int, int]]]
    ) -> list[tuple[Dim, tuple[int, int]]]:
        size, covered = self.operands[0].element, 1
        remaining = list(dims)
        while covered < size:
            for n, (dim, box) in enumerate(remaining):
                if dim.extent > 1 and all(s == covered for s in dim.strides):
                    break
            else:
                raise self.error(
                    f"its loops do not cover whole elements of {size} consecutive values"
                    f"{self._hint(covered)}"
                )
            inner = min(dim.extent, size // covered)
            if (
                dim.extent % inner
                or size % (covered * inner)
                or any(edge % inner for edge in (*box, *dim.valid))
            ):
                raise self.error(f"an element of {size} values is only partly copied")
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
            for variable, factor in reversed(self.operands[0].index.terms or []):
                if abs(factor) == 1 and variable in self.walk.unrolled:
                    return f": loop {variable.name} is {self.walk.unrolled[variable]}"
        moving = [n for n, (_, extent) in enumerate(self.leaf.nest) if extent > 1]
        found = []
        for n, operand in enumerate(self.operands):
            _, strides = self.strides(n, dict.fromkeys(self.leaf.outer, 0))
            found.append(f"{operand.buffer.name} by {[strides[m] for m in moving]}")
        names = ", ".join(self.leaf.nest[n][0].name for n in moving) or "none"
        return f" in every operand: loops {names} step {'; '.join(found)}"
