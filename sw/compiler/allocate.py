"""Step 4: SRAM slots for every buffer instance, and instructions with SRAM addresses.

Each memory is given out from 0 up, without reuse between buffers; an allocation with n slots takes
n times its size and instance i stands in slot i mod n. DRAM addresses stay relative to their
tensor: `vta.sw.compiler.emit` knows the layout of DRAM, once it knows how many uops and
instructions there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Alu, Gemm, Load, MemoryType, Stage, Store
from vta.sw.compiler.classify import SCOPE_MEMORY
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.fold import Instance
from vta.sw.compiler.operations import Macro, Template, Touch
from vta.sw.compiler.walk import Allocation, Step, Walk

__all__ = ["Access", "DramRef", "Operation", "allocate", "check_sizes"]

DEPTHS = {MemoryType.INP: "inp_depth", MemoryType.WGT: "wgt_depth", MemoryType.ACC: "acc_depth"}


@dataclass(frozen=True)
class Access:
    """Entries of one scratchpad that an operation reads or writes: a slice or an index array."""

    memory: MemoryType
    where: slice | np.ndarray
    write: bool


@dataclass(frozen=True)
class DramRef:
    """A transfer's DRAM side: element number `element` of tensor `buffer`, as `memory` counts."""

    buffer: Any
    memory: MemoryType
    element: int


@dataclass
class Operation:
    """An instruction with its SRAM addresses; flags, uop range and DRAM address come later.

    `uops` is int64 (n, 3) with absolute dst, src, wgt, or None.
    """

    stage: Stage
    instruction: Load | Store | Gemm | Alu
    accesses: tuple[Access, ...]
    uops: np.ndarray | None
    dram: DramRef | None
    step: Step | None


class _Scratchpads:
    """Bases of all allocations and temporaries."""

    def __init__(self, walk: Walk, config: Config) -> None:
        self.config = config
        self.used: dict[MemoryType, list[tuple[str, int, int]]] = {m: [] for m in DEPTHS}
        self.next = dict.fromkeys(DEPTHS, 0)
        self.bases: dict[Any, tuple[int, int, int]] = {}  # buffer: base, size, slots
        self.temporaries: dict[tuple[Any, int], tuple[int, int]] = {}
        for allocation in walk.allocations.values():
            memory, size = _size(allocation, config)
            slots = min(allocation.slots, allocation.instances)
            base = self._take(memory, allocation.buffer.name, size, slots)
            self.bases[allocation.buffer] = (base, size, slots)

    def _take(self, memory: MemoryType, name: str, size: int, slots: int) -> int:
        base = self.next[memory]
        self.next[memory] += size * slots
        self.used[memory].append((name, size, slots))
        return base

    def temporary(self, owner: Any, number: int, size: int) -> int:
        """Base of a leaf's temporary, as large as its largest execution needs."""
        key = (owner, number)
        known = self.temporaries.get(key)
        if known is None or known[1] < size:
            base = self._take(
                MemoryType.ACC, f"copy in {owner.leaf.statement.buffer.name}", size, 1
            )
            self.temporaries[key] = known = (base, size)
        return known[0]

    def check(self) -> None:
        for memory, taken in self.next.items():
            what = (f"{name} {slots} x {size}" for name, size, slots in self.used[memory])
            _check_fits(memory, taken, ", ".join(what), self.config)


def _size(allocation: Allocation, config: Config) -> tuple[MemoryType, int]:
    """The memory that a buffer is in, and its elements."""
    memory, block = SCOPE_MEMORY[allocation.scope], config.block
    element = block * (block if memory is MemoryType.WGT else config.batch)
    return memory, allocation.elements(element)


def _check_fits(memory: MemoryType, taken: int, what: str, config: Config) -> None:
    depth = getattr(config, DEPTHS[memory])
    if taken > depth:
        raise CompileError(
            f"{memory.name} has {depth} entries, the schedule needs {taken} ({what}): choose "
            "smaller tiles or fewer slots, and inline what need not be stored (compute_inline)"
        )


def check_sizes(walk: Walk, config: Config) -> None:
    """Refuse a buffer that is larger than its memory before much work is spent on it.

    Raises
    ------
    CompileError
        as `allocate`, where one slot of one buffer is too large.
    """
    for allocation in walk.allocations.values():
        memory, size = _size(allocation, config)
        _check_fits(memory, size, f"{allocation.buffer.name} 1 x {size}", config)


def allocate(
    walk: Walk, placed: Sequence[tuple[Instance, Macro]], config: Config
) -> list[Operation]:
    """The program's operations, in order.

    Raises
    ------
    CompileError
        where a scratchpad is too small; lists what it would have to hold.
    """
    pads = _Scratchpads(walk, config)
    rows = []
    for instance, macro in placed:
        addresses = _addresses(pads, instance, macro)
        for template in macro.templates:
            rows.append((template, addresses, instance))
    pads.check()
    return [_operation(template, addresses, instance) for template, addresses, instance in rows]


def _addresses(
    pads: _Scratchpads, instance: Instance, macro: Macro
) -> list[tuple[MemoryType, int]]:
    """(memory, address of the operand's outer offset) of each place; DRAM: from the tensor's
    start.
    """
    addresses = []
    for operand, offset in zip(instance.folder.operands, instance.offsets, strict=True):
        if operand.in_dram:
            addresses.append((operand.memory, offset))
            continue
        base, size, slots = pads.bases[operand.buffer]
        slot = instance.step.instances[operand.buffer] % slots
        addresses.append((operand.memory, base + slot * size + offset))
    for number, size in enumerate(macro.temporaries):
        base = pads.temporary(instance.folder, number, size)
        addresses.append((MemoryType.ACC, base))
    return addresses


def _access(touch: Touch, addresses: list[tuple[MemoryType, int]]) -> Access:
    memory, address = addresses[touch.place]
    if touch.run is not None:
        return Access(memory, slice(touch.run[0] + address, touch.run[1] + address), touch.write)
    return Access(memory, touch.entries + address, touch.write)


def _operation(
    template: Template, addresses: list[tuple[MemoryType, int]], instance: Instance
) -> Operation:
    instruction, uops, dram = template.instruction, template.uops, None
    if isinstance(instruction, (Load, Store)):
        sram, outside = template.places
        base = instruction.sram_base + addresses[sram or 0][1]
        if outside is not None:
            memory, offset = addresses[outside]
            element = instruction.dram_base + offset
            dram = DramRef(instance.folder.operands[outside].buffer, memory, element)
        instruction = replace(instruction, sram_base=base, dram_base=0)
    elif uops is not None:
        uops = uops + [0 if place is None else addresses[place][1] for place in template.places]
    accesses = tuple(_access(touch, addresses) for touch in template.touches)
    stage = _stage(instruction)
    return Operation(stage, instruction, accesses, uops, dram, instance.step)


def _stage(instruction: Load | Store | Gemm | Alu) -> Stage:
    if isinstance(instruction, Store):
        return Stage.STORE
    if isinstance(instruction, Load) and instruction.memory_type in (
        MemoryType.INP,
        MemoryType.WGT,
    ):
        return Stage.LOAD
    return Stage.COMPUTE
