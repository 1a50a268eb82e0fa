"""Between walk and fold: the executions of every leaf, with loops unrolled whose order counts.

An instruction stream runs a leaf's nest in an order of its own choice, and an expression's ALU
steps one after the other, each over the whole nest. That is right where every iteration has a
destination of its own, which no other one reads, and where iterations only accumulate
(`vta.sw.compiler.alu.accumulation`). Any other nest loses loops here, until it is right: they
become outer loops, in the schedule's order. So does a nest whose guard lets no box of iterations
through (``outer * 4 + inner < 6``): with `outer` unrolled it does.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler.alu import accumulation
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.fold import Instance, LeafFolder, NotABox
from vta.sw.compiler.walk import Leaf, Step, Walk, text

__all__ = ["Executions", "is_injective"]


def is_injective(strides: list[int], extents: list[int]) -> bool:
    """Does the nest reach every index at most once?"""
    dims = sorted((abs(s), e) for s, e in zip(strides, extents, strict=True) if e > 1)
    span = 0
    for stride, extent in dims:
        if stride <= span:
            break
        span += stride * (extent - 1)
    else:
        return True
    if dims[0][0] == 0:
        return False
    return len(np.unique(_reached(strides, extents, 0))) == np.prod(extents, dtype=np.int64)


def _reached(strides: list[int], extents: list[int], base: int) -> np.ndarray:
    """The index of every iteration, in the nest's order."""
    reached = np.array([base], np.int64)
    for stride, extent in zip(strides, extents, strict=True):
        reached = (reached[:, None] + np.arange(extent) * stride).ravel()
    return reached


class Executions:
    """Folds steps, and remembers each leaf's folder and the leaves made from it."""

    def __init__(self, walk: Walk, config: Config) -> None:
        self.walk, self.config = walk, config
        self._folders: dict[Leaf, LeafFolder] = {}
        self._cut: dict[tuple[Leaf, tuple[int, ...]], Leaf] = {}
        self._repeats: dict[tuple[LeafFolder, tuple[int, ...]], tuple[int, ...]] = {}

    def all(self) -> list[Instance]:
        """The executions of every step of the walk, in order; raises as `of`."""
        return [instance for step in self.walk.steps for instance in self._named(step)]

    def _named(self, step: Step) -> Iterator[Instance]:
        """`of`; errors that do not begin with the statement get it."""
        try:
            yield from self.of(step)
        except CompileError as error:
            statement = text(step.leaf.statement)
            if str(error).startswith(statement):
                raise
            raise CompileError(f"{statement}: {error}") from error

    def of(self, step: Step) -> Iterator[Instance]:
        """The executions that together are `step`, in order.

        Raises
        ------
        CompileError
            where the loops over the values of one element would have to be unrolled.
        """
        if step.leaf not in self._folders:
            self._folders[step.leaf] = LeafFolder(step.leaf, self.walk, self.config)
        folder = self._folders[step.leaf]
        loops = self._ordered_loops(folder, step)
        if not loops:
            try:
                yield folder.instance(step)
                return
            except NotABox as nest:
                loops = self._first_free(folder, nest)
        leaf = self._without(step.leaf, loops)
        ranges = [range(step.leaf.nest[n][1]) for n in loops]
        for values in product(*ranges):
            env = dict(zip((step.leaf.nest[n][0] for n in loops), values, strict=True))
            yield from self.of(Step(leaf, step.env | env, step.instances))

    def _without(self, leaf: Leaf, loops: tuple[int, ...]) -> Leaf:
        """`leaf` with some loops of its nest among the outer ones."""
        if (leaf, loops) not in self._cut:
            outer = tuple(leaf.nest[n][0] for n in loops)
            nest = tuple(dim for n, dim in enumerate(leaf.nest) if n not in loops)
            self._cut[leaf, loops] = replace(leaf, nest=nest, outer=leaf.outer + outer)
        return self._cut[leaf, loops]

    def _ordered_loops(self, folder: LeafFolder, step: Step) -> tuple[int, ...]:
        """Positions of the loops to be unrolled; none where any order of the nest will do."""
        if folder.kind not in ("load", "store", "alu"):
            return ()  # GEMM accumulates, resets and padding write the same zeros again
        places = folder.places_at(step.env)
        if self._reads_what_it_writes(folder, step.env, places):
            return self._outermost(folder, "its destination is read where other iterations write")
        loops = self._repeats.get((folder, places))
        if loops is None:
            loops = self._repeating_loops(folder, step.env, places)
            if folder.has_fixed_indices:
                self._repeats[folder, places] = loops
        return loops

    def _repeating_loops(
        self, folder: LeafFolder, env: dict[Any, int], places: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The loops to be unrolled because several iterations write one place.

        Those that leave the destination where it is are taken out together: what is left writes
        each place once, so that the order of the others among themselves does not matter.
        """
        extents = [extent for _, extent in folder.leaf.nest]
        _, strides = folder.strides(0, env)
        if is_injective(list(strides), extents):
            return ()
        if folder.kind == "alu" and accumulation(folder.expression, places) is not None:
            return ()
        still = tuple(n for n, e in enumerate(extents) if e > 1 and strides[n] == 0)
        rest = [n for n in range(len(extents)) if n not in still]
        why = f"{folder.operands[0].buffer.name} is written again by it, other than by accumulating"
        if still and is_injective([strides[n] for n in rest], [extents[n] for n in rest]):
            for n in still:
                self._note(folder.leaf.nest[n][0], why)
            return still
        return self._outermost(folder, why)

    def _first_free(self, folder: LeafFolder, nest: NotABox) -> tuple[int, ...]:
        """The outermost of the loops that the guard depends on; at least two of them do."""
        if len(nest.loops) < 2:
            raise nest
        self._note(folder.leaf.nest[nest.loops[0]][0], "its guard or padding leaves no box")
        return nest.loops[:1]

    def _outermost(self, folder: LeafFolder, why: str) -> tuple[int, ...]:
        """The first loop with more than one iteration."""
        for n, (variable, extent) in enumerate(folder.leaf.nest):
            if extent > 1:
                self._note(variable, why)
                return (n,)
        return ()

    def _note(self, variable: Any, why: str) -> None:
        self.walk.unrolled.setdefault(variable, f"unrolled: {why}")

    def _reads_what_it_writes(
        self, folder: LeafFolder, env: dict[Any, int], places: tuple[int, ...]
    ) -> bool:
        """Does an operand at another index of the destination's buffer meet what is written?"""
        target = folder.operands[0]
        same = [n for n in set(places) - {0} if folder.operands[n].buffer.same_as(target.buffer)]
        if not same:
            return False
        extents = [extent for _, extent in folder.leaf.nest]
        base, strides = folder.strides(0, env)
        written = np.unique(_reached(list(strides), extents, base))
        for n in same:
            base, strides = folder.strides(n, env)
            if np.isin(_reached(list(strides), extents, base), written).any():
                return True
        return False
