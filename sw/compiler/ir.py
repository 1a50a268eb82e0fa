"""The stream IR: what every pass between the schedule and the encoded instructions works on.

A :class:`Stream` has tensors in DRAM, buffers on chip, and operations in program order. An
operation begins as a :class:`Nest` (a statement with its loops) and becomes :class:`Code` (an
instruction whose addresses count from its operands). Both say what they access, SRAM and DRAM
alike. Operands are names: a pass that renames or places a buffer or tensor changes one entry of the
stream and no operation. `str(stream)` prints it, a line an operation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Alu, AluOpcode, Finish, Gemm, Load, MemoryType, Stage, Store
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.values import Value, places_of
from vta.sw.tensor import Tensor

__all__ = [
    "DEPTHS",
    "Access",
    "Buffer",
    "Code",
    "Dim",
    "Nest",
    "Operand",
    "Operation",
    "Source",
    "Statement",
    "Stream",
    "Tokens",
    "Touch",
    "entries",
]

DEPTHS = {MemoryType.INP: "inp_depth", MemoryType.WGT: "wgt_depth", MemoryType.ACC: "acc_depth"}
"""The scratchpads that buffers stand in, and the configuration's name of their depth."""


# Loops --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Dim:
    """One loop: its extent, and its stride in elements for each operand.

    `valid` is the half-open range in which a load finds data; outside it the load pads zeros.
    """

    extent: int
    strides: tuple[int, ...]
    valid: tuple[int, int]

    @classmethod
    def of(cls, extent: int, *strides: int) -> "Dim":
        """A dim without padding."""
        return cls(extent, strides, (0, extent))

    def part(self, start: int, stop: int) -> "Dim":
        """Iterations start to stop - 1 (the base moves by start * stride)."""
        valid = tuple(min(max(v, start), stop) - start for v in self.valid)
        return Dim(stop - start, self.strides, (valid[0], valid[1]))

    def backward(self) -> "Dim":
        """The same iterations from the last to the first (the base moves to the last one)."""
        valid = self.extent - self.valid[1], self.extent - self.valid[0]
        return Dim(self.extent, tuple(-s for s in self.strides), valid)

    @property
    def whole(self) -> bool:
        """Nothing of it is padding."""
        return self.valid == (0, self.extent)


def entries(dims: list[Dim], operand: int, base: int) -> np.ndarray:
    """Sorted unique entries of `operand` that the nest touches."""
    touched = np.array([base], np.int64)
    for dim in dims:
        if dim.strides[operand]:
            steps = np.arange(dim.extent) * dim.strides[operand]
            touched = (touched[:, None] + steps).ravel()
    return np.unique(touched)


# Storage ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Buffer:
    """A buffer on chip: `size` elements of `memory` in each of `slots` slots.

    Its instances take the slots in turn, which is what double buffering is. `base` is the entry of
    slot 0, and `first` the slot of instance 0; None until it is placed.
    """

    memory: MemoryType
    size: int
    slots: int
    base: int | None = None
    first: int = 0

    def entry(self, instance: int) -> int:
        """The entry where an instance begins."""
        assert self.base is not None
        return self.base + (instance + self.first) % self.slots * self.size


@dataclass(frozen=True)
class Operand:
    """Element `offset` of an instance of a buffer, or of a tensor in DRAM (instance 0)."""

    name: str
    offset: int
    instance: int = 0


@dataclass(frozen=True, eq=False)
class Touch:
    """Elements of operand `place`, counted from its offset, that an operation reads or writes."""

    place: int
    entries: np.ndarray
    write: bool

    @cached_property
    def run(self) -> tuple[int, int] | None:
        """(first, stop) where the elements are contiguous."""
        first, stop = int(self.entries[0]), int(self.entries[-1]) + 1
        return (first, stop) if stop - first == len(self.entries) else None

    def at(self, base: int) -> slice | np.ndarray:
        """The elements, counted from where `base` is the operand's; for indexing an array."""
        if self.run is not None:
            return slice(self.run[0] + base, self.run[1] + base)
        return self.entries + base


@dataclass(frozen=True)
class Access:
    """Entries of a scratchpad, or units of DRAM (`Stream.unit`), that an operation accesses."""

    memory: MemoryType | None
    where: slice | np.ndarray
    write: bool


# Operations ---------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Nest:
    """A statement with its loops, over whole elements: what all its executions have in common.

    Members
    -------
    kind: "load", "zero" (a load of nothing but padding), "store" (of a value computed in ACC),
        "alu" (the same, staying in ACC), "gemm" (operands ACC, INP, WGT) or "reset".
    memories: for each operand, the destination first, the memory whose elements it counts; of
        operands in DRAM the memory type of the transfer.
    dims, base: the loops, outermost first, and each operand's element at their origin, counted from
        the operand's offset.
    value: of "store" and "alu", the value.
    """

    kind: str
    memories: tuple[MemoryType, ...]
    dims: tuple[Dim, ...]
    base: tuple[int, ...]
    value: Value | None = None
    _touches: dict[int, Touch] = field(default_factory=dict, repr=False)

    @property
    def volume(self) -> int:
        """Iterations."""
        return prod(dim.extent for dim in self.dims)

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First and last element of each operand."""
        spans = []
        for n, base in enumerate(self.base):
            steps = [(dim.extent - 1) * dim.strides[n] for dim in self.dims]
            first = base + sum(s for s in steps if s < 0)
            spans.append((first, base + sum(s for s in steps if s > 0)))
        return tuple(spans)

    @cached_property
    def reads(self) -> tuple[int, ...]:
        """The operands whose values are needed."""
        if self.kind == "gemm":
            return (0, 1, 2)
        return (1,) if self.kind == "load" else tuple(sorted(set(places_of(self.value))))

    @cached_property
    def used(self) -> tuple[int, ...]:
        """The operands that are accessed, the destination first."""
        return tuple(sorted({0, *self.reads}))

    def touched(self, place: int) -> np.ndarray:
        """Sorted unique elements of an operand, counted from its offset."""
        if place not in self._touches:
            found = entries(list(self.dims), place, self.base[place])
            self._touches[place] = Touch(place, found, place == 0)
        return self._touches[place].entries

    def text(self, operands: tuple[Operand, ...]) -> str:
        """One line, such as ``alu acc@0[0 + 16*i + j] = max($0, 0) over i 4, j 16``."""
        loops = [f"i{n} {dim.extent}" for n, dim in enumerate(self.dims) if dim.extent > 1]
        places = [self._place(n, operand) for n, operand in enumerate(operands)]
        value = f" = {self.value}" if self.value is not None else ""
        padding = [f"i{n} in {d.valid[0]}..{d.valid[1]}" for n, d in enumerate(self.dims)]
        padding = [text for text, d in zip(padding, self.dims, strict=True) if not d.whole]
        return (
            f"{self.kind} {', '.join(places)}{value}"
            + (f" over {', '.join(loops)}" if loops else "")
            + (f", data where {', '.join(padding)}" if padding else "")
        )

    def _place(self, n: int, operand: Operand) -> str:
        first = operand.offset + self.base[n]
        terms = [str(first)] if first else []
        for m, dim in enumerate(self.dims):
            if dim.extent > 1 and dim.strides[n]:
                terms.append(f"{dim.strides[n]}*i{m}" if dim.strides[n] != 1 else f"i{m}")
        return f"{_name(operand)}[{' + '.join(terms) or 0}]"


def _name(operand: Operand) -> str:
    return f"{operand.name}@{operand.instance}" if operand.instance else operand.name


@dataclass(frozen=True, eq=False)
class Code:
    """An instruction whose addresses count from its operands' offsets.

    Members
    -------
    instruction: with sram_base and dram_base relative; uop range and flags come at the end.
    places: of a transfer (SRAM, DRAM); of a computation (dst, src, wgt); None where unused.
    dram: of a transfer, the memory type that its DRAM side counts in.
    uops: int64 (n, 3) of dst, src, wgt, relative; None for transfers.
    """

    instruction: Load | Store | Gemm | Alu | Finish
    places: tuple[int | None, ...]
    touches: tuple[Touch, ...]
    uops: np.ndarray | None = None
    dram: MemoryType | None = None

    @cached_property
    def stage(self) -> Stage:
        if isinstance(self.instruction, Store):
            return Stage.STORE
        loads = (MemoryType.INP, MemoryType.WGT)
        if isinstance(self.instruction, Load) and self.instruction.memory_type in loads:
            return Stage.LOAD
        return Stage.COMPUTE

    @cached_property
    def steps(self) -> int:
        """Vectors that a computation works on, one a uop and iteration; 0 for transfers."""
        if self.uops is None or not isinstance(self.instruction, (Gemm, Alu)):
            return 0
        return len(self.uops) * self.instruction.iter_out * self.instruction.iter_in

    def text(self, operands: tuple[Operand, ...]) -> str:
        """One line, such as ``gemm acc[0], data@1[0], weight[3], 14x14, 9 uops``."""
        i = self.instruction
        places = [
            f"{_name(operands[place])}[{operands[place].offset}]"
            for place in self.places
            if place is not None
        ]
        if isinstance(i, (Load, Store)):
            what = [f"{i.y_size} x {i.x_size}"]
            if i.y_size > 1:
                what.append(f"stride {i.x_stride}")
            pads = (i.y_pad_0, i.y_pad_1, i.x_pad_0, i.x_pad_1) if isinstance(i, Load) else ()
            if any(pads):
                what.append(f"pads {pads}")
            kind = f"load {MemoryType(i.memory_type).name}" if isinstance(i, Load) else "store"
            return f"{kind} {', '.join(places)}, {', '.join(what)}"
        if isinstance(i, Finish):
            return "finish"
        kind = "reset" if isinstance(i, Gemm) and i.reset_reg else type(i).__name__.lower()
        if isinstance(i, Alu):
            kind = f"alu {AluOpcode(i.alu_opcode).name.lower()}"
            places = places[:1] if i.use_imm else places
            places += [f"imm {i.imm}"] if i.use_imm else []
        count = 0 if self.uops is None else len(self.uops)
        return f"{kind} {', '.join(places)}, {i.iter_out} x {i.iter_in} x {count}"


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement of the schedule: its text, and the loops of its nest by name and extent."""

    text: str
    nest: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Source:
    """Where an operation comes from: statement, values of the loops around, node of the network."""

    statement: Statement
    loops: Mapping[str, int]
    node: str = ""

    def where(self) -> str:
        """The values of the loops around, as ``i = 0, j = 3``."""
        return ", ".join(f"{name} = {value}" for name, value in self.loops.items()) or "once"

    def entry(self) -> dict[str, Any]:
        """The entry of a program's source map."""
        found: dict[str, Any] = {"node": self.node} if self.node else {}
        found["statement"] = self.statement.text
        if self.statement.nest or self.loops:
            found |= {"nest": dict(self.statement.nest), "loops": dict(self.loops)}
        return found


@dataclass(frozen=True)
class Tokens:
    """The four dependency flags."""

    pop_prev: int = 0
    pop_next: int = 0
    push_prev: int = 0
    push_next: int = 0

    def __str__(self) -> str:
        names = ("pop_prev", "pop_next", "push_prev", "push_next")
        return " ".join(name.replace("_", ".") for name in names if getattr(self, name))


@dataclass(frozen=True, eq=False)
class Operation:
    """A nest or an instruction, with what it works on. `uop` is its first uop in the buffer."""

    form: Nest | Code
    operands: tuple[Operand, ...]
    source: Source
    tokens: Tokens = Tokens()
    uop: int | None = None

    def error(self, reason: str) -> CompileError:
        """An error that begins with the statement."""
        return CompileError(f"{self.source.statement.text}: {reason}")

    @property
    def nest(self) -> Nest:
        assert isinstance(self.form, Nest)
        return self.form

    @property
    def code(self) -> Code:
        assert isinstance(self.form, Code)
        return self.form

    def touched(self, place: int) -> np.ndarray:
        """Elements of an operand's buffer or tensor that the nest touches."""
        return self.nest.touched(place) + self.operands[place].offset

    def __str__(self) -> str:
        return f"{self.form.text(self.operands)}"


@dataclass(frozen=True, eq=False)
class Stream:
    """A program between two passes.

    Members
    -------
    tensors, buffers: by the names that operands have; a tensor's name is its own too.
    uops: int64 (n, 3), the image that LOAD UOP reads, once it is made.
    """

    name: str
    config: Config
    tensors: Mapping[str, Tensor]
    buffers: Mapping[str, Buffer]
    operations: tuple[Operation, ...]
    uops: np.ndarray | None = None

    def of(self, **changes: Any) -> "Stream":
        """The stream with some members changed."""
        return replace(self, **changes)

    @property
    def unit(self) -> int:
        """Bytes of DRAM in whose multiples accesses are followed: an element of OUT, the least."""
        return MEMORIES[MemoryType.OUT].element_bytes(self.config)

    def on_chip(self, operation: Operation) -> Iterator[Access]:
        """The entries of scratchpads that an operation reads and writes; buffers have places."""
        for touch in operation.code.touches:
            operand = operation.operands[touch.place]
            buffer = self.buffers.get(operand.name)
            if buffer is not None:
                base = buffer.entry(operand.instance) + operand.offset
                yield Access(buffer.memory, touch.at(base), touch.write)

    def in_dram(self, operation: Operation) -> Iterator[tuple[str, Access]]:
        """By tensor, the units of DRAM that an operation reads and writes; tensors have places."""
        for touch in operation.code.touches:
            operand = operation.operands[touch.place]
            if operand.name in self.tensors:
                units = self._units(operation.code, touch, operand)
                yield operand.name, Access(None, units, touch.write)

    def _units(self, code: Code, touch: Touch, operand: Operand) -> slice | np.ndarray:
        assert code.dram is not None
        first = self.tensors[operand.name].start // self.unit
        factor = MEMORIES[code.dram].element_bytes(self.config) // self.unit
        if factor == 1:
            return touch.at(first + operand.offset)
        if touch.run is not None:
            low, high = (first + (n + operand.offset) * factor for n in touch.run)
            return slice(low, high)
        elements = (touch.entries + operand.offset) * factor + first
        return (elements[:, None] + np.arange(factor)).ravel()

    def __str__(self) -> str:
        lines = [f"stream {self.name} for {self.config.name}"]
        for name, tensor in self.tensors.items():
            place = "" if tensor.addr is None else f" at {tensor.addr:#x}"
            shape = "x".join(map(str, tensor.packed_shape))
            lines.append(f"tensor {name}: {tensor.role} {tensor.dtype} {shape}{place}")
        for name, buffer in self.buffers.items():
            place = "" if buffer.base is None else f" at {buffer.base}"
            lines.append(
                f"buffer {name}: {buffer.memory.name}, {buffer.slots} x {buffer.size}{place}"
            )
        for n, operation in enumerate(self.operations):
            code = operation.form
            stage = f"{code.stage.name.lower():8}" if isinstance(code, Code) else ""
            uop = "" if operation.uop is None else f"; uops from {operation.uop}"
            tokens = f"; {operation.tokens}" if str(operation.tokens) else ""
            node = f"  # {operation.source.node}" if operation.source.node else ""
            lines.append(f"{n:6}: {stage}{operation}{uop}{tokens}{node}")
        return "\n".join(lines) + "\n"
