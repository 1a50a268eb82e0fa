"""From the walk to the stream IR: executions of leaves, with loops unrolled whose order counts.

An instruction stream runs a leaf's nest in an order of its own choice, and an expression's ALU
steps one after the other, each over the whole nest. That is right where every iteration has a
destination of its own, which no other one reads, and where iterations only accumulate
(`vta.sw.compiler.values.accumulation`). Any other nest loses loops here, until it is right: they
become outer loops, in the schedule's order. So does a nest whose guard lets no box of iterations
through (``outer * 4 + inner < 6``): with `outer` unrolled it does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.classify import Pattern, classify
from vta.sw.compiler.frontend.fold import Folder, NotABox
from vta.sw.compiler.frontend.parameters import parameter_tensors
from vta.sw.compiler.frontend.statements import text
from vta.sw.compiler.frontend.walk import Leaf, Step, Walk
from vta.sw.compiler.ir import Nest, Operand, Operation, Source, Statement, Stream
from vta.sw.compiler.values import Value, accumulation, places_of
from vta.sw.tensor import Tensor

__all__ = ["is_injective", "nests"]


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


def nests(walk: Walk, config: Config, tensors: Mapping[str, Tensor], name: str) -> Stream:
    """The program as a stream of nests, an operation for each execution.

    Arguments
    ---------
    tensors: what the parameters mean, by name; see `vta.sw.compiler.compile`.

    Raises
    ------
    CompileError
        where an index, a guard or an expression is none that VTA can follow, or a tensor is not
        what `tensors` says.
    """
    found = _Executions(walk, config)
    operations = tuple(operation for step in walk.steps for operation in found.named(step))
    parameters = parameter_tensors(walk.params, operations, tensors, name)
    return Stream(name, config, parameters, walk.buffers(config), operations)


class _Executions:
    """Folds steps, and remembers each leaf's folder and the leaves made from it."""

    def __init__(self, walk: Walk, config: Config) -> None:
        self.walk, self.config = walk, config
        self._folders: dict[Leaf, Folder] = {}
        self._statements: dict[Leaf, Statement] = {}
        self._cut: dict[tuple[Leaf, tuple[int, ...]], Leaf] = {}
        self._repeats: dict[tuple[Folder, Value | None], tuple[int, ...]] = {}

    def named(self, step: Step) -> Iterator[Operation]:
        """The executions of a step; errors that do not begin with the statement get it."""
        try:
            yield from self.of(step)
        except CompileError as error:
            statement = text(step.leaf.statement)
            if str(error).startswith(statement):
                raise
            raise CompileError(f"{statement}: {error}") from error

    def of(self, step: Step) -> Iterator[Operation]:
        """The executions that together are `step`, in order; those that do nothing are left out.

        Raises
        ------
        CompileError
            where the loops over the values of one element would have to be unrolled.
        """
        if step.leaf not in self._folders:
            pattern = classify(step.leaf, self.walk, self.config)
            self._folders[step.leaf] = Folder(pattern, self.walk)
        folder = self._folders[step.leaf]
        loops = self._ordered_loops(folder, step.env)
        if not loops:
            try:
                execution = folder.execution(step.env)
            except NotABox as nest:
                loops = self._first_free(folder, nest)
            else:
                if execution.nest is not None:
                    yield self._operation(folder.pattern, step, execution.nest, execution.offsets)
                return
        leaf = self._without(step.leaf, loops)
        ranges = [range(step.leaf.nest[n][1]) for n in loops]
        for values in product(*ranges):
            env = dict(zip((step.leaf.nest[n][0] for n in loops), values, strict=True))
            yield from self.of(Step(leaf, step.env | env, step.instances))

    def _operation(
        self, pattern: Pattern, step: Step, nest: Nest, offsets: tuple[int, ...]
    ) -> Operation:
        operands = tuple(
            Operand(self.walk.names[o.buffer], offset, step.instances.get(o.buffer, 0))
            for o, offset in zip(pattern.operands, offsets, strict=True)
        )
        leaf = step.leaf
        if leaf not in self._statements:
            extents = {variable.name: extent for variable, extent in leaf.nest}
            self._statements[leaf] = Statement(text(leaf.statement), extents)
        loops = {variable.name: value for variable, value in step.env.items()}
        return Operation(nest, operands, Source(self._statements[leaf], loops))

    def _without(self, leaf: Leaf, loops: tuple[int, ...]) -> Leaf:
        """`leaf` with some loops of its nest among the outer ones."""
        if (leaf, loops) not in self._cut:
            outer = tuple(leaf.nest[n][0] for n in loops)
            nest = tuple(dim for n, dim in enumerate(leaf.nest) if n not in loops)
            self._cut[leaf, loops] = replace(leaf, nest=nest, outer=leaf.outer + outer)
        return self._cut[leaf, loops]

    def _ordered_loops(self, folder: Folder, env: dict[Any, int]) -> tuple[int, ...]:
        """Positions of the loops to be unrolled; none where any order of the nest will do."""
        if folder.pattern.kind not in ("load", "store", "alu"):
            return ()  # GEMM accumulates, resets and padding write the same zeros again
        value = folder.value_at(env)
        if self._reads_what_it_writes(folder, env, value):
            return self._outermost(folder, "its destination is read where other iterations write")
        loops = self._repeats.get((folder, value))
        if loops is None:
            loops = self._repeating_loops(folder, env, value)
            if folder.has_fixed_indices:
                self._repeats[folder, value] = loops
        return loops

    def _repeating_loops(
        self, folder: Folder, env: dict[Any, int], value: Value | None
    ) -> tuple[int, ...]:
        """The loops to be unrolled because several iterations write one place.

        Those that leave the destination where it is are taken out together: what is left writes
        each place once, so that the order of the others among themselves does not matter.
        """
        extents = [extent for _, extent in folder.pattern.leaf.nest]
        _, strides = folder.strides(0, env)
        if is_injective(list(strides), extents):
            return ()
        if folder.pattern.kind == "alu" and accumulation(value) is not None:
            return ()
        still = tuple(n for n, e in enumerate(extents) if e > 1 and strides[n] == 0)
        rest = [n for n in range(len(extents)) if n not in still]
        target = folder.pattern.operands[0].buffer
        why = f"{target.name} is written again by it, other than by accumulating"
        if still and is_injective([strides[n] for n in rest], [extents[n] for n in rest]):
            for n in still:
                self._note(folder.pattern.leaf.nest[n][0], why)
            return still
        return self._outermost(folder, why)

    def _first_free(self, folder: Folder, nest: NotABox) -> tuple[int, ...]:
        """The outermost of the loops that the guard depends on; at least two of them do."""
        if len(nest.loops) < 2:
            raise nest
        self._note(folder.pattern.leaf.nest[nest.loops[0]][0], "its guard or padding leaves no box")
        return nest.loops[:1]

    def _outermost(self, folder: Folder, why: str) -> tuple[int, ...]:
        """The first loop with more than one iteration."""
        for n, (variable, extent) in enumerate(folder.pattern.leaf.nest):
            if extent > 1:
                self._note(variable, why)
                return (n,)
        return ()

    def _note(self, variable: Any, why: str) -> None:
        self.walk.unrolled.setdefault(variable, f"unrolled: {why}")

    def _reads_what_it_writes(
        self, folder: Folder, env: dict[Any, int], value: Value | None
    ) -> bool:
        """Does an operand at another index of the destination's buffer meet what is written?"""
        target = folder.pattern.operands[0]
        operands = folder.pattern.operands
        read = set(places_of(value)) - {0}
        same = [n for n in read if operands[n].buffer.same_as(target.buffer)]
        if not same:
            return False
        extents = [extent for _, extent in folder.pattern.leaf.nest]
        base, strides = folder.strides(0, env)
        written = np.unique(_reached(list(strides), extents, base))
        for n in same:
            base, strides = folder.strides(n, env)
            if np.isin(_reached(list(strides), extents, base), written).any():
                return True
        return False
