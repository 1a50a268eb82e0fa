"""Step 6: uops, FINISH, the layout of DRAM, and the finished program.

Uops that repeat are kept once. All of them are loaded by one LOAD UOP at the start where they fit
the buffer; where not, the stream is cut in generations, each with a LOAD UOP of its own, because a
load in the compute stage holds up GEMM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import (
    INSTRUCTION_BYTES,
    MEMORIES,
    Finish,
    Instruction,
    IsaError,
    Load,
    MemoryType,
    Store,
)
from vta.sw.codec import encode_all, pack_uops
from vta.sw.compiler.allocate import Operation
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.tokens import Flags
from vta.sw.compiler.walk import Leaf, Step, text

__all__ = ["PAGE", "DramTensor", "Stream", "emit"]

PAGE = 4096  # bytes: every segment starts on a page, so no two share a burst
MAX_SIZE = (1 << 16) - 1


@dataclass(frozen=True)
class DramTensor:
    """A parameter of the schedule in DRAM; `shape` is the packed one."""

    buffer: Any
    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Stream:
    """Encoded instructions and uops, and where everything lies in DRAM.

    `code` maps insn and uop to their byte addresses, `addresses` each tensor's name to its own.
    """

    instructions: list[Instruction]
    encoded: np.ndarray
    uops: np.ndarray
    code: dict[str, int]
    addresses: dict[str, int]
    end: int
    source_map: list[dict[str, Any]]


@dataclass
class _Uops:
    """The uop image and, for every operation, where its uops are (buffer index)."""

    image: list[np.ndarray] = field(default_factory=list)
    size: int = 0
    loads: dict[int, tuple[int, int]] = field(default_factory=dict)  # operation: image start, n
    start: dict[int, int] = field(default_factory=dict)

    def generation(self, first: int, unique: dict[bytes, np.ndarray]) -> None:
        """Uops to be loaded just before operation `first`, from buffer index 0 on."""
        count = sum(len(rows) for rows in unique.values())
        if count:
            self.loads[first] = (self.size, count)
            self.image += unique.values()
            self.size += count


def _collect(operations: Sequence[Operation], depth: int) -> _Uops:
    uops = _Uops()
    first, used = 0, 0
    unique: dict[bytes, np.ndarray] = {}
    starts: dict[bytes, int] = {}
    for index, operation in enumerate(operations):
        if operation.uops is None:
            continue
        key = operation.uops.tobytes()
        if key not in starts and used + len(operation.uops) > depth:
            uops.generation(first, unique)
            first, used, unique, starts = index, 0, {}, {}
        if key not in starts:
            starts[key], unique[key] = used, operation.uops
            used += len(operation.uops)
        uops.start[index] = starts[key]
    uops.generation(first, unique)
    return uops


def _uop_loads(image_start: int, count: int) -> list[Load]:
    return [
        Load(
            memory_type=MemoryType.UOP,
            sram_base=start,
            dram_base=image_start + start,
            y_size=1,
            x_size=min(MAX_SIZE, count - start),
        )
        for start in range(0, count, MAX_SIZE)
    ]


def _layout(sizes: Mapping[str, int], base: int) -> tuple[dict[str, int], int]:
    """Addresses of segments of these sizes in bytes, from `base` on, and the end of the last."""
    addresses: dict[str, int] = {}
    for name, nbytes in sizes.items():
        addresses[name] = base
        base += -(-max(nbytes, 1) // PAGE) * PAGE
    return addresses, base


def emit(
    operations: Sequence[Operation],
    flags: Sequence[Flags],
    tensors: Sequence[DramTensor],
    config: Config,
    *,
    memory_base: int,
) -> Stream:
    """The instruction stream with its uops, all base registers zero.

    Raises
    ------
    CompileError
        where the memory would end beyond 2^32.
    """
    uops = _collect(operations, config.uop_depth)
    pieces = {index: _uop_loads(*run) for index, run in uops.loads.items()}
    count = len(operations) + sum(map(len, pieces.values())) + 1
    code, end = _layout(
        {"insn": count * INSTRUCTION_BYTES, "uop": uops.size * config.uop_bytes}, memory_base
    )
    outputs_last = sorted(tensors, key=lambda t: t.role == "output")
    addresses, end = _layout({tensor.name: tensor.nbytes for tensor in outputs_last}, end)
    if end > 1 << 32:
        raise CompileError(f"the tensors end at byte {end:#x}: addresses have 32 bits")
    places = {tensor.buffer: (addresses[tensor.name], tensor) for tensor in tensors}
    uop_base = code["uop"] // config.uop_bytes
    instructions: list[Instruction] = []
    source_map: list[dict[str, Any]] = []
    sources = _Sources()
    for index, operation in enumerate(operations):
        for load in pieces.get(index, []):
            instructions.append(replace(load, dram_base=load.dram_base + uop_base))
            source_map.append({"statement": f"{load.x_size} uops"})
        instructions.append(
            _finished(operation, flags[index], uops.start.get(index), places, config)
        )
        source_map.append(sources.of(operation.step))
    instructions.append(Finish(**asdict(flags[-1])))
    source_map.append({"statement": "finish"})
    image = np.concatenate(uops.image) if uops.image else np.zeros((0, 3), np.int64)
    encoded = _encode(config, instructions, source_map)
    return Stream(instructions, encoded, pack_uops(config, image), code, addresses, end, source_map)


def _finished(
    operation: Operation,
    flags: Flags,
    uop_start: int | None,
    places: Mapping[Any, tuple[int, DramTensor]],
    config: Config,
) -> Instruction:
    """The instruction with flags, uop range and DRAM address."""
    changes: dict[str, Any] = asdict(flags)
    if uop_start is not None and operation.uops is not None:
        changes |= {"uop_bgn": uop_start, "uop_end": uop_start + len(operation.uops)}
    if operation.dram is not None:
        changes["dram_base"] = _dram_base(operation, places, config)
    return replace(operation.instruction, **changes)


def _dram_base(
    operation: Operation, places: Mapping[Any, tuple[int, DramTensor]], config: Config
) -> int:
    """The transfer's dram_base; what it reads or writes must belong to its tensor."""
    dram, transfer = operation.dram, operation.instruction
    assert dram is not None and isinstance(transfer, (Load, Store))
    if transfer.y_size == 0:  # only padding: DRAM is not touched
        return 0
    address, tensor = places[dram.buffer]
    element = MEMORIES[dram.memory].element_bytes(config)
    last = dram.element + (transfer.y_size - 1) * transfer.x_stride + transfer.x_size
    if dram.element < 0 or last * element > tensor.nbytes:
        statement = text(operation.step.leaf.statement) + ": " if operation.step else ""
        raise CompileError(
            f"{statement}it touches bytes {dram.element * element} to {last * element - 1} of "
            f"{tensor.name}, which has {tensor.nbytes}"
        )
    return address // element + dram.element


class _Sources:
    """Where instructions come from: the statement, its own loops, and the loops around."""

    def __init__(self) -> None:
        self.leaves: dict[Leaf, dict[str, Any]] = {}

    def of(self, step: Step | None) -> dict[str, Any]:
        if step is None:
            return {}
        leaf = step.leaf
        if leaf not in self.leaves:
            self.leaves[leaf] = {
                "statement": text(leaf.statement),
                "nest": {variable.name: extent for variable, extent in leaf.nest},
            }
        return self.leaves[leaf] | {"loops": {v.name: value for v, value in step.env.items()}}


def _encode(
    config: Config, instructions: list[Instruction], source_map: list[dict[str, Any]]
) -> np.ndarray:
    """The instructions as bytes; a field that is too small is an error of its statement."""
    try:
        return encode_all(config, instructions)
    except IsaError:
        for instruction, source in zip(instructions, source_map, strict=True):
            try:
                encode_all(config, [instruction])
            except IsaError as error:
                loops = ", ".join(f"{k} = {v}" for k, v in source.get("loops", {}).items())
                where = f" at {loops}" if loops else ""
                raise CompileError(f"{source.get('statement', '')}{where}: {error}") from error
        raise
