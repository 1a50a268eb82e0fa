"""Directed streams by hand: data placed in DRAM, instructions in order, what must come out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import (
    INSTRUCTION_BYTES,
    MEMORIES,
    Alu,
    Finish,
    Gemm,
    Instruction,
    Load,
    MemoryType,
    Stage,
    Store,
)
from vta.sw.codec import encode_all, pack_uops
from vta.sw.program import Program, Registers
from vta.sw.rules import stage_of
from vta.sw.tensor import Tensor

__all__ = ["StreamBuilder"]

BASES = {"uop": 0, "inp": 0, "wgt": 0, "acc": 0, "out": 0}


class StreamBuilder:
    """A program under construction.

    Memory begins at `memory_base` and has at least `least_size` bytes. Data is placed from its
    beginning on, each piece aligned to its element; base registers are 0
    unless `bases` says otherwise. Methods that place data return its dram_base: its first
    element, counted from the base register. `step` and the methods over it keep the stages in
    lock step: what comes later in the text happens later.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        description: str = "",
        *,
        memory_base: int = 0x10000,
        least_size: int = 0,
        **bases: int,
    ):
        self.config = config
        self.name = name
        self.description = description
        self.memory_base = memory_base
        self.least_size = least_size
        self.bases = BASES | bases
        self.instructions: list[Instruction] = []
        self.segments: dict[str, Tensor] = {}
        self._data: list[tuple[int, np.ndarray]] = []
        self._expected: list[tuple[int, np.ndarray]] = []
        self._next = memory_base
        self._last: Stage | None = None

    def move_memory(self, base: int) -> None:
        """Begin memory elsewhere; before anything is placed."""
        self.memory_base = self._next = base

    # DRAM -------------------------------------------------------------------------------------
    def reserve(self, type: MemoryType, elements: int, *, skip: int = 0) -> int:
        """Room for so many elements, after `skip` unused ones; nothing is placed there."""
        memory = MEMORIES[type]
        nbytes = memory.element_bytes(self.config)
        start = -(-self._next // nbytes) * nbytes + skip * nbytes
        self._next = start + max(elements, 1) * nbytes
        name = f"{type.name.lower()}_{len(self.segments)}"
        size = self._next - start
        self.segments[name] = Tensor(name=name, addr=start, nbytes=size, role=memory.base)
        return (start - self.bases[memory.base]) // nbytes

    def align(self, nbytes: int, offset: int = 0) -> None:
        """Move on to an address that is `offset` past a multiple of `nbytes`."""
        self._next += (offset - self._next) % nbytes

    def name_range(self, type: MemoryType, element: int, elements: int) -> None:
        """Make a segment of elements that `reserve` did not choose."""
        nbytes = elements * MEMORIES[type].element_bytes(self.config)
        name = f"{type.name.lower()}_{len(self.segments)}"
        self.segments[name] = Tensor(name=name, addr=self.address(type, element), nbytes=nbytes)

    def put(self, type: MemoryType, element: int, values: np.ndarray) -> None:
        """Place values (a copy) at a given element."""
        raw = np.array(values, order="C").reshape(-1).view(np.uint8)
        self._data.append((self.address(type, element), raw))

    def place(self, type: MemoryType, values: np.ndarray, *, skip: int = 0) -> int:
        """Elements of `type`, with the dtype that DRAM holds (int8; int32 for ACC)."""
        raw = np.array(values, order="C").reshape(-1).view(np.uint8)  # a copy
        nbytes = MEMORIES[type].element_bytes(self.config)
        if len(raw) % nbytes:
            raise ValueError(
                f"{self.name}: {len(raw)} bytes are not a whole number of {type.name} elements"
            )
        element = self.reserve(type, len(raw) // nbytes, skip=skip)
        self._data.append((self.address(type, element), raw))
        return element

    def place_uops(self, rows: Sequence[tuple[int, int, int]] | np.ndarray) -> int:
        return self.place(MemoryType.UOP, pack_uops(self.config, rows).astype("<u4"))

    def address(self, type: MemoryType, element: int) -> int:
        """Byte address of an element."""
        memory = MEMORIES[type]
        return self.bases[memory.base] + element * memory.element_bytes(self.config)

    def expect(self, element: int, values: np.ndarray) -> None:
        """OUT elements (int8) that must stand at `element` after FINISH."""
        raw = np.array(values, np.int8, order="C").reshape(-1).view(np.uint8)
        self._expected.append((self.address(MemoryType.OUT, element), raw))

    # Instructions -----------------------------------------------------------------------------
    def add(self, *instructions: Instruction) -> None:
        """Append as they are, tokens and all."""
        self.instructions += instructions

    def step(self, *instructions: Load | Store | Gemm | Alu) -> None:
        """Append instructions that begin after all earlier steps ended."""
        for instruction in instructions:
            stage = stage_of(instruction)
            if stage is None:
                raise ValueError(f"{self.name}: no stage takes {instruction}")
            if self._last is not None and self._last != stage:
                self._order(self._last, stage)
            self.instructions.append(instruction)
            self._last = stage

    def _order(self, before: Stage, after: Stage) -> None:
        if abs(before - after) == 2:
            self._order(before, Stage.COMPUTE)
            self._order(Stage.COMPUTE, after)
            return
        push = {"push_next" if after > before else "push_prev": 1}
        pop = {"pop_prev" if after > before else "pop_next": 1}
        self.instructions += [_nop(before, push), _nop(after, pop)]

    def load(self, type: MemoryType, dram: int, sram: int, elements: int, **more: int) -> None:
        """A step that loads one row, unless `more` (y_size, pads, ...) says otherwise."""
        fields = {"y_size": 1, "x_size": elements, "x_stride": elements} | more
        self.step(Load(memory_type=type, sram_base=sram, dram_base=dram, **fields))

    def load_new(self, type: MemoryType, values: np.ndarray, sram: int, **more: int) -> int:
        """Place values and load all of them; their dram_base."""
        dram = self.place(type, values)
        nbytes = MEMORIES[type].element_bytes(self.config)
        self.load(type, dram, sram, values.nbytes // nbytes, **more)
        return dram

    def load_uops(self, rows: Sequence[tuple[int, int, int]] | np.ndarray, sram: int = 0) -> None:
        self.load(MemoryType.UOP, self.place_uops(rows), sram, len(rows))

    def store(self, sram: int, expected: np.ndarray, *, skip: int = 0) -> int:
        """A step that stores entries from `sram` on, which must give `expected` (int8).

        `expected` is (n, BATCH, BLOCK); returns the dram_base of the result.
        """
        count = np.asarray(expected).size // self.config.out_bytes
        element = self.reserve(MemoryType.OUT, count, skip=skip)
        self.expect(element, expected)
        self.step(
            Store(
                memory_type=MemoryType.OUT,
                sram_base=sram,
                dram_base=element,
                y_size=1,
                x_size=count,
                x_stride=count,
            )
        )
        return element

    def program(self, *, finish: bool = True) -> Program:
        """The program; `finish` appends FINISH. Memory has at least `least_size` bytes."""
        if finish:
            self.instructions.append(Finish())
        self.align(INSTRUCTION_BYTES)
        code = self._next
        raw = encode_all(self.config, self.instructions)
        end = -(-(code + len(raw)) // 4096) * 4096
        memory = np.zeros(max(end - self.memory_base, self.least_size), np.uint8)
        for address, data in (*self._data, (code, raw)):
            memory[address - self.memory_base : address - self.memory_base + len(data)] = data
        return Program(
            name=self.name,
            description=self.description,
            config=self.config,
            registers=Registers(insn_count=len(self.instructions), insn=code, **self.bases),
            memory=memory,
            memory_base=self.memory_base,
            memory_size=len(memory),
            segments=self.segments,
            expected=self._expected,
        )


def _nop(stage: Stage, flags: dict[str, Any]) -> Instruction:
    if stage == Stage.STORE:
        return Store(memory_type=MemoryType.OUT, **flags)
    type = MemoryType.INP if stage == Stage.LOAD else MemoryType.UOP
    return Load(memory_type=type, **flags)
