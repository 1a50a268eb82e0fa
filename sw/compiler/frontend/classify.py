"""What a leaf is, and which tensors it accesses.

A copy from DRAM is a load, an expression over accumulators is ALU work (and a store, where it goes
to DRAM), a call of a marker is GEMM or a reset. Anything else is an error that names the statement.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm_ffi import structural_equal

from vta.hw.config import Config
from vta.hw.isa import MemoryType
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.expressions import Index, conjuncts, constant, dtype_of
from vta.sw.compiler.frontend.intrinsics import GEMM, RESET
from vta.sw.compiler.frontend.statements import data_variable, is_access_pointer, text
from vta.sw.compiler.frontend.values import loads_in, value_of
from vta.sw.compiler.frontend.walk import SCOPE_MEMORY, Leaf, Walk, element_values
from vta.sw.compiler.values import Value

__all__ = ["Operand", "Pattern", "classify"]

MARKER_OPERANDS = {GEMM: ("local.acc", "local.inp", "local.wgt"), RESET: ("local.acc",)}


@dataclass(frozen=True)
class Operand:
    """One access of a leaf: the buffer, its memory, scalars in an element, and the index."""

    buffer: Any
    memory: MemoryType
    element: int
    index: Index
    in_dram: bool


@dataclass(frozen=True, eq=False)
class Pattern:
    """What a leaf is to VTA, and what it accesses.

    Members
    -------
    kind: as a `vta.sw.compiler.ir.Nest`'s.
    operands: the destination first.
    value: of "store" and "alu", over the operands.
    clip, mask: must be non-negative for the statement to run, and for a load to find data.
    """

    leaf: Leaf
    kind: str
    operands: tuple[Operand, ...]
    value: Value | None
    clip: tuple[Index, ...]
    mask: tuple[Index, ...]

    def error(self, reason: str) -> CompileError:
        """An error that begins with the statement."""
        return CompileError(f"{text(self.leaf.statement)}: {reason}")


def classify(leaf: Leaf, walk: Walk, config: Config) -> Pattern:
    """What `leaf` is; raises CompileError where VTA has nothing for it."""
    found = _Classifier(leaf, walk, config)
    kind = found.classify()
    clip = tuple(found.index(c) for c in leaf.conditions)
    return Pattern(leaf, kind, tuple(found.operands), found.value, clip, tuple(found.mask))


class _Classifier:
    def __init__(self, leaf: Leaf, walk: Walk, config: Config) -> None:
        self.leaf, self.walk, self.config = leaf, walk, config
        self.operands: list[Operand] = []
        self.value: Value | None = None
        self.mask: list[Index] = []

    def classify(self) -> str:
        statement: Any = self.leaf.statement
        if isinstance(statement, tirx.Evaluate):
            return self._marker(statement.value)
        return self._store(statement)

    def index(self, expr: Any) -> Index:
        return Index(expr, self.leaf.outer, self.leaf.nest)

    def error(self, reason: str) -> CompileError:
        """An error that begins with the statement."""
        return CompileError(f"{text(self.leaf.statement)}: {reason}")

    def _marker(self, call: Any) -> str:
        name = getattr(call.args[0], "value", "") if getattr(call, "args", ()) else ""
        kinds = {GEMM: "gemm", RESET: "reset"}
        if name not in kinds:
            raise self.error(f"only the markers {GEMM} and {RESET} may be called")
        scopes = MARKER_OPERANDS[name]
        if len(call.args) - 1 != len(scopes):
            raise self.error(f"{name} takes {', '.join(scopes)}: {len(scopes)} operands")
        for pointer, scope in zip(call.args[1:], scopes, strict=True):
            self.operands.append(self._marker_operand(pointer, scope, name))
        return kinds[name]

    def _marker_operand(self, pointer: Any, scope: str, name: str) -> Operand:
        """The operand behind a marker's access pointer; its tile must be one element."""
        if not is_access_pointer(pointer):
            raise self.error(
                f"operand {pointer} of {name} says nothing of where the tile begins: pass "
                "BUFFER.access_ptr(...) instead of BUFFER.data"
            )
        buffer = self.walk.buffer(data_variable(pointer.args[1]))
        allocation = self.walk.allocations.get(buffer)
        if allocation is None or allocation.scope != scope:
            where = "DRAM" if allocation is None else allocation.scope
            raise self.error(
                f"{name} takes {', '.join(MARKER_OPERANDS[name])} in this order; {buffer.name} is "
                f"in {where}"
            )
        operand = self._operand(buffer, pointer.args[2])
        extent = constant(pointer.args[3])
        if extent != operand.element:
            raise self.error(
                f"its tile of {buffer.name} has {extent} values; with BATCH {self.config.batch} "
                f"and BLOCK {self.config.block} it has {operand.element}: take the intrinsics of "
                "vta.sw.compiler.register(config) for this configuration"
            )
        return operand

    def _operand(self, view: Any, index: Any, *, dram_type: MemoryType | None = None) -> Operand:
        buffer = self.walk.buffer(view)
        allocation = self.walk.allocations.get(buffer)
        if allocation is not None and str(view.dtype) != str(buffer.dtype):
            raise self.error(
                f"{view.name} is a view of {buffer.name} as {view.dtype}; {buffer.name} is "
                f"{buffer.dtype}: on chip a buffer has one type"
            )
        memory = dram_type if allocation is None else SCOPE_MEMORY[allocation.scope]
        if memory is None:
            raise self.error(f"{view.name} is in DRAM, here it must be in an SRAM scope")
        element = element_values(memory, self.config)
        return Operand(buffer, memory, element, self.index(index), allocation is None)

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
            self._check_cast(value)
            return self._padding(value.value)
        if not _is_if_then_else(value):
            return []
        if constant(value.args[2]) != 0:
            raise self.error("LOAD pads with zeros only")
        return conjuncts(value.args[0]) + self._padding(value.args[1])

    def _check_cast(self, cast: Any) -> None:
        """A LOAD moves values as they are, or widens int8 with its sign: any other cast is lost."""
        before, after = np.dtype(dtype_of(cast.value)), np.dtype(dtype_of(cast))
        if not np.can_cast(before, after) or after.kind != "i":
            raise self.error(
                f"the cast from {before} to {after} is not what a LOAD does: it moves int8 or "
                "int32 as they are, or extends int8's sign to int32. Cast on the host, or "
                "after the LOAD by shifts"
            )

    def _load(self, store: Any, value: Any) -> str:
        source = self._only_load(value)
        if constant(value) == 0:
            self.operands = [self._operand(store.buffer, store.indices[0])]
            return "zero"
        if source is None:
            raise self.error("only a copy from DRAM, padded with zeros or not, fills this scope")
        self.mask = [self.index(c) for c in self._padding(value)]
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
        self.operands = [target]
        known: list[tuple[Any, Any]] = [(target.buffer, store.indices[0])]

        def place(load: Any) -> int:
            """The operand that `load` is; equal loads share one."""
            buffer = self.walk.buffer(load.source)
            operand = self._operand(load.source, load.indices[0])
            for number, (seen, index) in enumerate(known):
                if seen.same_as(buffer) and structural_equal(index, load.indices[0]):
                    return number
            known.append((buffer, load.indices[0]))
            self.operands.append(operand)
            return len(known) - 1

        for load in loads_in(value):
            memory = self._operand(load.source, load.indices[0]).memory
            if memory is not MemoryType.ACC:
                raise self.error(
                    f"{load.source.name} is in local.{memory.name.lower()}, which only GEMM "
                    "reads: tensorize this block, or copy to local.acc what the ALU computes"
                )
        self.value = value_of(value, place)


def _is_if_then_else(value: Any) -> bool:
    return type(value).__name__ == "Call" and value.op.name.endswith("if_then_else")
