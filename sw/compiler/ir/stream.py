"""A program between two passes: operations in program order, and what they work on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, MemoryType
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.ir.forms import Code, Nest
from vta.sw.compiler.ir.storage import Access, Buffer, Operand, Touch
from vta.sw.tensor import Tensor

__all__ = ["Operation", "Source", "Statement", "Stream", "Tokens"]


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
