"""Step 3: from a macro operation to instructions with relative addresses.

Every index is split into an outer offset and strides over the nest, with a proof or a check that
nothing is lost (`sw.compiler.expressions`). What does not fit the two loops, the uops or a 2-D
copy of the instruction set is an error, never a guess. Executions of a leaf that differ by their
offsets only share one folded form, so a program of thousands of instructions folds a handful of
leaves.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from tvm import tirx
from tvm_ffi import structural_equal

from hw.config import Config
from hw.isa import MemoryType
from sw.compiler.alu import loads_of
from sw.compiler.errors import CompileError
from sw.compiler.expressions import Index, conjuncts, constant
from sw.compiler.intrinsics import GEMM, RESET
from sw.compiler.nest import Dim
from sw.compiler.walk import Leaf, Step, Walk, data_variable, text

__all__ = ["Folded", "Instance", "LeafFolder", "Operand"]

SCOPE_MEMORY = {
    "local.inp": MemoryType.INP,
    "local.wgt": MemoryType.WGT,
    "local.acc": MemoryType.ACC,
}


@dataclass(frozen=True)
class Operand:
    """One access of a leaf: the buffer, its memory, scalars in an element, and the index."""

    buffer: Any
    memory: MemoryType
    element: int
    index: Index
    in_dram: bool


@dataclass(frozen=True, eq=False)
class Folded:
    """What executions of a leaf with equal boxes share.

    `dims` run over whole elements; `base[o]` is operand o's element at their origin, relative to
    its outer offset. None of it depends on addresses.
    """

    dims: tuple[Dim, ...]
    base: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """One execution: its folded form (None: nothing runs), and each operand's offset (elements)."""

    step: Step
    folder: "LeafFolder"
    folded: Folded | None
    offsets: tuple[int, ...]


class LeafFolder:
    """Folds the executions of one leaf.

    `kind` is "load", "zero" (a load of nothing but padding), "store" (of an expression over ACC),
    "alu" (the same, staying in ACC), "gemm" or "reset"; `operands` starts with the destination.
    """

    def __init__(self, leaf: Leaf, walk: Walk, config: Config) -> None:
        self.leaf, self.walk, self.config = leaf, walk, config
        self.operands: list[Operand] = []
        self.expression: Any = None
        self.places: list[int] = []
        self.clip = [self._index(c) for c in leaf.conditions]
        self.mask: list[Index] = []
        self._memo: dict[Any, Folded | None] = {}
        if isinstance(leaf.statement, tirx.Evaluate):
            call: Any = leaf.statement.value
            self.kind = self._marker(call)
        else:
            self.kind = self._store(leaf.statement)

    def _index(self, expr: Any) -> Index:
        return Index(expr, self.leaf.outer, self.leaf.nest)

    def error(self, reason: str) -> CompileError:
        """An error that begins with the statement."""
        return CompileError(f"{text(self.leaf.statement)}: {reason}")

    # Classification ---------------------------------------------------------------------------
    def _marker(self, call: Any) -> str:
        name = getattr(call.args[0], "value", "") if getattr(call, "args", ()) else ""
        kinds = {GEMM: "gemm", RESET: "reset"}
        if name not in kinds:
            raise self.error(f"only the markers {GEMM} and {RESET} may be called")
        for pointer in call.args[1:]:
            buffer = self.walk.buffer(data_variable(pointer.args[1]))
            self.operands.append(self._operand(buffer, pointer.args[2]))
        return kinds[name]

    def _operand(self, view: Any, index: Any, *, dram_type: MemoryType | None = None) -> Operand:
        buffer = self.walk.buffer(view)
        allocation = self.walk.allocations.get(buffer)
        memory = dram_type if allocation is None else SCOPE_MEMORY[allocation.scope]
        if memory is None:
            raise self.error(f"{view.name} is in DRAM, here it must be in an SRAM scope")
        block = self.config.block
        element = block * (block if memory is MemoryType.WGT else self.config.batch)
        return Operand(buffer, memory, element, self._index(index), allocation is None)

    def _store(self, store: Any) -> str:
        if len(store.indices) != 1:
            raise self.error("the buffer is not flat")
        scope = self.walk.allocations.get(self.walk.buffer(store.buffer))
        value = store.value
        if scope is not None and scope.scope != "local.acc":
            return self._load(store, value)
        source = self._only_load(value)
        if source is not None and self.walk.buffer(source.source) not in self.walk.allocations:
            return self._load(store, value)
        if scope is None:
            value = self._output_value(store, value)
        self._expression(store, value)
        return "store" if scope is None else "alu"

    def _only_load(self, value: Any) -> Any:
        """The tensor load that `value` is, under casts and padding conditions."""
        if isinstance(value, tirx.Cast):
            return self._only_load(value.value)
        if _is_if_then_else(value):
            return self._only_load(value.args[1])
        return value if type(value).__name__ == "TensorLoad" else None

    def _padding(self, value: Any) -> list[Any]:
        """What must be non-negative for the copy to take data instead of a zero."""
        if isinstance(value, tirx.Cast):
            return self._padding(value.value)
        if not _is_if_then_else(value):
            return []
        if constant(value.args[2]) != 0:
            raise self.error("LOAD pads with zeros only")
        return conjuncts(value.args[0]) + self._padding(value.args[1])

    def _load(self, store: Any, value: Any) -> str:
        source = self._only_load(value)
        if constant(value) == 0:
            self.operands = [self._operand(store.buffer, store.indices[0])]
            return "zero"
        if source is None:
            raise self.error("only a copy from DRAM, padded with zeros or not, fills this scope")
        self.mask = [self._index(c) for c in self._padding(value)]
        target = self._operand(store.buffer, store.indices[0])
        stored, held = str(source.source.dtype), str(store.buffer.dtype)
        memory = target.memory
        if (stored, held) == ("int8", "int32"):
            memory = MemoryType.ACC_8BIT
        elif stored != held:
            raise self.error(f"a LOAD from {stored} to {held} does not exist")
        dram = self._operand(source.source, source.indices[0], dram_type=memory)
        if not dram.in_dram:
            raise self.error(f"{source.source.name} is in SRAM: copies come from DRAM")
        self.operands = [target, dram]
        return "load"

    def _output_value(self, store: Any, value: Any) -> Any:
        if str(store.buffer.dtype) != "int8":
            raise self.error(f"STORE writes int8, {store.buffer.name} is {store.buffer.dtype}")
        if constant(value) is not None:
            return value
        if not isinstance(value, tirx.Cast):
            raise self.error("STORE writes the low 8 bits of ACC: cast the value to int8")
        return value.value

    def _expression(self, store: Any, value: Any) -> None:
        target = self._operand(store.buffer, store.indices[0], dram_type=MemoryType.OUT)
        self.operands, self.expression = [target], value
        known: list[tuple[Any, Any]] = [(target.buffer, store.indices[0])]
        for load in loads_of(value):
            buffer = self.walk.buffer(load.source)
            operand = self._operand(load.source, load.indices[0])
            if operand.memory is not MemoryType.ACC:
                raise self.error(f"{load.source.name} is no accumulator: the ALU reads local.acc")
            for place, (seen, index) in enumerate(known):
                if seen.same_as(buffer) and structural_equal(index, load.indices[0]):
                    self.places.append(place)
                    break
            else:
                self.places.append(len(known))
                known.append((buffer, load.indices[0]))
                self.operands.append(operand)

    # Folding ------------------------------------------------------------------------------------
    def instance(self, step: Step) -> Instance:
        """This execution of the leaf, folded."""
        env = step.env
        at = [operand.index.at(env) for operand in self.operands]
        bounds = [index.at(env) for index in (*self.clip, *self.mask)]
        limits = tuple(
            min(max(offset, -int(rest.max()) - 1), -int(rest.min())) for offset, rest in bounds
        )
        fixed = all(i.terms is not None for i in self._indices())
        key = limits if fixed else (limits, *(rest.tobytes() for _, rest in (*at, *bounds)))
        if key not in self._memo:
            self._memo[key] = self._fold([r for _, r in at], [r for _, r in bounds], limits)
        folded = self._memo[key]
        offsets = []
        for operand, (offset, _) in zip(self.operands, at, strict=True):
            if offset % operand.element:
                raise self.error(
                    f"{operand.buffer.name} is accessed at value {offset}, which is no whole "
                    f"element of {operand.element}"
                )
            offsets.append(offset // operand.element)
        return Instance(step, self, folded, tuple(offsets))

    def _indices(self) -> list[Index]:
        return [*(o.index for o in self.operands), *self.clip, *self.mask]

    def _fold(
        self, rests: list[np.ndarray], bounds: list[np.ndarray], limits: tuple[int, ...]
    ) -> Folded | None:
        extents = [extent for _, extent in self.leaf.nest]
        conditions = [rest + limit >= 0 for rest, limit in zip(bounds, limits, strict=True)]
        clipped = len(self.clip)
        box = self._box(conditions[:clipped], extents)
        if any(low >= high for low, high in box):
            return None
        valid = self._box(conditions[clipped:], extents)
        origins, strides = [], []
        for operand, rest in zip(self.operands, rests, strict=True):
            origin, stride = operand.index.strides(rest)
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
            raise self.error("the guard or padding of this tile is no box")
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


def _is_if_then_else(value: Any) -> bool:
    return type(value).__name__ == "Call" and value.op.name.endswith("if_then_else")
