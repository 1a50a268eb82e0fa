"""From flat TIR to a list of macro operations, in order of execution.

A maximal perfect loop nest round one statement is one macro operation (a :class:`Leaf`); every
other loop is unrolled here, and so is one that the schedule marks (`unroll`). Each time an unrolled
loop comes past an allocation, that buffer starts a new *instance*; the instances take SRAM slots in
turn, which is what double buffering is.
"""

from dataclasses import dataclass, field
from typing import Any

from tvm import tirx

from vta.hw.config import Config
from vta.hw.isa import MemoryType
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.expressions import conjuncts, constant, evaluate, likely_free
from vta.sw.compiler.frontend.intrinsics import SCOPES
from vta.sw.compiler.frontend.lower import Lowered
from vta.sw.compiler.frontend.statements import data_variable, text
from vta.sw.compiler.ir import Buffer

__all__ = [
    "SCOPE_MEMORY",
    "SLOTS",
    "Allocation",
    "Leaf",
    "Step",
    "Walk",
    "element_values",
    "scratchpad",
    "walk",
]

SCOPE_MEMORY = {
    "local.inp": MemoryType.INP,
    "local.wgt": MemoryType.WGT,
    "local.acc": MemoryType.ACC,
}

SLOTS = "vta.slots"
"""Loop annotation: how many SRAM slots an allocation directly inside takes turns in (2)."""
DEFAULT_SLOTS = 2


@dataclass(frozen=True, eq=False)
class Leaf:
    """One statement with its perfect loop nest.

    `conditions` are expressions that must all be non-negative for the statement to run (a tile
    that does not divide); `outer` are the variables of the unrolled loops around.
    """

    statement: Any
    nest: tuple[tuple[Any, int], ...]
    conditions: tuple[Any, ...]
    outer: tuple[Any, ...]


@dataclass
class Allocation:
    """A buffer in SRAM: `size` values (int8 or int32) in each of up to `slots` slots."""

    buffer: Any
    scope: str
    size: int
    slots: int
    instances: int = 0

    def elements(self, element: int) -> int:
        """Elements of `element` values that it takes on chip; the last one may be cut off."""
        return -(-self.size // element)


@dataclass(frozen=True)
class Step:
    """One execution of a leaf: values of its outer loops, and the instances it sees."""

    leaf: Leaf
    env: dict[Any, int]
    instances: dict[Any, int]


@dataclass
class Walk:
    """What the walk found.

    `names` gives parameters and allocations names of their own; `aliases` maps every view of a
    buffer to the buffer itself; `allocations` is by buffer;
    `unrolled` says of each loop that is in no leaf's nest why it is not.
    """

    params: tuple[Any, ...]
    steps: list[Step] = field(default_factory=list)
    names: dict[Any, str] = field(default_factory=dict)
    allocations: dict[Any, Allocation] = field(default_factory=dict)
    aliases: dict[Any, Any] = field(default_factory=dict)
    leaves: dict[Any, Leaf | None] = field(default_factory=dict)
    unrolled: dict[Any, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{self.names[a.buffer]}: {a.scope}, {a.size} values" for a in self.allocations.values()
        ]
        for step in self.steps:
            loops = ", ".join(f"{v.name} = {value}" for v, value in step.env.items()) or "once"
            nest = " x ".join(f"{v.name} {extent}" for v, extent in step.leaf.nest) or "no loop"
            lines.append(f"{loops}: {text(step.leaf.statement)} over {nest}")
        return "\n".join(lines) + "\n"

    def buffers(self, config: Config) -> dict[str, Buffer]:
        """The allocations as buffers of the stream IR."""
        found = {}
        for allocation in self.allocations.values():
            memory, size = scratchpad(allocation, config)
            slots = min(allocation.slots, allocation.instances)
            found[self.names[allocation.buffer]] = Buffer(memory, size, slots)
        return found

    def name(self, buffer: Any) -> None:
        """Give `buffer` a name that no other has."""
        taken, name, number = set(self.names.values()), str(buffer.name), 1
        while name in taken:
            number += 1
            name = f"{buffer.name}_{number}"
        self.names[buffer] = name

    def buffer(self, view: Any) -> Any:
        """The parameter or allocation behind a view."""
        while view in self.aliases:
            view = self.aliases[view]
        return view


def walk(lowered: Lowered) -> Walk:
    """The macro operations of `lowered`, in order.

    Raises
    ------
    CompileError
        for a statement, loop kind or storage scope that VTA has no equivalent for.
    """
    result = Walk(lowered.params)
    for param in lowered.params:
        result.name(param)
    _Walker(result).visit(lowered.body, (), {}, DEFAULT_SLOTS)
    return result


def scratchpad(allocation: Allocation, config: Config) -> tuple[MemoryType, int]:
    """The memory that a buffer is in, and its elements there."""
    memory = SCOPE_MEMORY[allocation.scope]
    return memory, allocation.elements(element_values(memory, config))


def element_values(memory: MemoryType, config: Config) -> int:
    """Values (int8 or int32) in an element of a memory."""
    return config.block * (config.block if memory is MemoryType.WGT else config.batch)


def _extent(loop: Any, env: dict[Any, int]) -> int:
    if evaluate(loop.min, env) != 0:
        raise CompileError(f"loop {loop.loop_var.name} starts at {loop.min}; it must start at 0")
    return int(evaluate(loop.extent, env))


def _slots(loop: Any) -> int:
    """How many slots an allocation directly inside `loop` takes turns in."""
    slots = loop.annotations.get(SLOTS, DEFAULT_SLOTS)
    slots = constant(slots) if isinstance(slots, tirx.IntImm) else slots
    if not isinstance(slots, int) or slots < 1:
        raise CompileError(
            f"{SLOTS} of loop {loop.loop_var.name} is {slots}: at least 1, and an integer"
        )
    return slots


def _is_static(loop: Any) -> bool:
    return constant(loop.min) is not None and constant(loop.extent) is not None


class _Walker:
    def __init__(self, result: Walk) -> None:
        self.result = result

    def visit(self, stmt: Any, outer: tuple[Any, ...], env: dict[Any, int], slots: int) -> None:
        """Walk `stmt` with the unrolled loops `outer` at the values in `env`."""
        if isinstance(stmt, tirx.SeqStmt):
            for part in stmt.seq:
                self.visit(part, outer, env, slots)
        elif isinstance(stmt, tirx.DeclBuffer):
            self.result.aliases[stmt.buffer] = data_variable(stmt.data)
        elif isinstance(stmt, tirx.AllocBuffer):
            self._allocate(stmt, slots)
        elif (leaf := self._leaf(stmt, outer)) is not None:
            if all(extent > 0 for _, extent in leaf.nest):
                self.result.steps.append(Step(leaf, dict(env), self._instances()))
        elif isinstance(stmt, tirx.For):
            inner = _slots(stmt)
            self.result.unrolled.setdefault(stmt.loop_var, _why_unrolled(stmt))
            for value in range(_extent(stmt, env)):
                env[stmt.loop_var] = value
                self.visit(stmt.body, (*outer, stmt.loop_var), env, inner)
            env.pop(stmt.loop_var, None)
        elif isinstance(stmt, tirx.IfThenElse):
            if evaluate(stmt.condition, env):
                self.visit(stmt.then_case, outer, env, slots)
            elif stmt.else_case is not None:
                self.visit(stmt.else_case, outer, env, slots)
        elif isinstance(stmt, tirx.Evaluate) and constant(stmt.value) is not None:
            pass  # TVM leaves such numbers where it simplified a statement away
        elif isinstance(stmt, tirx.AttrStmt):
            node = getattr(stmt.node, "var", stmt.node)
            raise CompileError(
                f"{stmt.attr_key} of {node} has no equivalent on VTA, which has no threads: unbind "
                "the loop"
            )
        else:
            raise CompileError(f"{type(stmt).__name__} has no equivalent on VTA: {text(stmt)}")

    def _instances(self) -> dict[Any, int]:
        return {buffer: a.instances - 1 for buffer, a in self.result.allocations.items()}

    def _allocate(self, stmt: Any, slots: int) -> None:
        buffer = stmt.buffer
        known = self.result.allocations.get(buffer)
        if known is None:
            known = self._new_allocation(buffer, slots)
        known.instances += 1

    def _new_allocation(self, buffer: Any, slots: int) -> Allocation:
        scope = buffer.scope() if callable(buffer.scope) else str(buffer.ty.storage_scope)
        dtype = str(buffer.dtype)
        if SCOPES.get(scope) != dtype:
            legal = ", ".join(f"{name} ({kind})" for name, kind in SCOPES.items())
            raise CompileError(
                f"buffer {buffer.name} is {dtype} in scope {scope}; legal are {legal}: set_scope "
                "or compute_inline its block"
            )
        size = 1
        for extent in buffer.shape:
            size *= int(evaluate(extent, {}))
        allocation = Allocation(buffer, scope, size, slots)
        self.result.allocations[buffer] = allocation
        self.result.name(buffer)
        return allocation

    def _leaf(self, stmt: Any, outer: tuple[Any, ...]) -> Leaf | None:
        """The leaf that `stmt` is, or None where it is not a perfect nest round one statement."""
        if stmt not in self.result.leaves:
            self.result.leaves[stmt] = _find_leaf(stmt, outer)
        return self.result.leaves[stmt]


def _find_leaf(stmt: Any, outer: tuple[Any, ...]) -> Leaf | None:
    nest: list[tuple[Any, int]] = []
    conditions: list[Any] = []
    while True:
        if isinstance(stmt, tirx.For):
            if stmt.kind == tirx.ForKind.UNROLLED or not _is_static(stmt):
                return None
            nest.append((stmt.loop_var, _extent(stmt, {})))
            stmt = stmt.body
        elif isinstance(stmt, tirx.IfThenElse) and stmt.else_case is None:
            conditions += conjuncts(likely_free(stmt.condition))
            stmt = stmt.then_case
        elif isinstance(stmt, tirx.SeqStmt) and len(stmt.seq) == 1:
            stmt = stmt.seq[0]
        else:
            break
    calls = isinstance(stmt, tirx.Evaluate) and constant(stmt.value) is None
    if calls or isinstance(stmt, tirx.BufferStore):
        return Leaf(stmt, tuple(nest), tuple(conditions), outer)
    return None


def _why_unrolled(loop: Any) -> str:
    """Why `loop` is not part of a nest round one statement, in words that follow "loop x is"."""
    stmt = loop
    while True:
        if isinstance(stmt, tirx.For):
            if stmt.kind == tirx.ForKind.UNROLLED:
                who = "it" if stmt is loop else f"loop {stmt.loop_var.name} in it"
                return f"unrolled: the schedule unrolls {who}"
            if not _is_static(stmt):
                return (
                    f"unrolled: the extent of loop {stmt.loop_var.name}, {stmt.extent}, depends on "
                    "other loops"
                )
            stmt = stmt.body
        elif isinstance(stmt, tirx.IfThenElse) and stmt.else_case is None:
            stmt = stmt.then_case
        elif isinstance(stmt, tirx.SeqStmt) and len(stmt.seq) == 1:
            stmt = stmt.seq[0]
        else:
            break
    if isinstance(stmt, tirx.IfThenElse):
        return (
            f"unrolled: an if with an else stands in it ({text(stmt.condition)}): give each branch "
            "a loop nest of its own, with its condition round it"
        )
    parts = list(stmt.seq) if isinstance(stmt, tirx.SeqStmt) else [stmt]
    if any(isinstance(part, tirx.IfThenElse) for part in parts):
        return (
            "unrolled: a reduction's initial value and its update stand in it: call "
            "decompose_reduction on the block, at a loop outside of this one"
        )
    return f"unrolled: {len(parts)} statements stand in it: give each a loop nest of its own"
