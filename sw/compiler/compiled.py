"""`compile`, which runs the steps, and `Compiled`, which takes tensors and gives programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import INSTRUCTION_BYTES, Instruction, MemoryType
from vta.sw.compiler.allocate import Operation, allocate, check_sizes
from vta.sw.compiler.coalesce import coalesce
from vta.sw.compiler.descriptions import check_descriptions
from vta.sw.compiler.emit import PAGE, DramTensor, Stream, emit
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.expressions import constant
from vta.sw.compiler.initialized import check_initialized
from vta.sw.compiler.instances import Executions
from vta.sw.compiler.liveness import dead_operands, sole_writers
from vta.sw.compiler.lower import lower
from vta.sw.compiler.operations import MacroBuilder
from vta.sw.compiler.order import just_in_time
from vta.sw.compiler.tokens import assign
from vta.sw.compiler.walk import Walk, walk
from vta.sw.layout import pack, packed_shape
from vta.sw.program import DTYPES, Program, Registers, Segment
from vta.sw.progress import Progress, quiet

__all__ = ["Compiled", "TensorSpec", "compile"]

MEMORY_BASE = 0x10000  # bytes: address 0 is never mapped, so a stray one is a bus error
ROLES = {
    MemoryType.INP: "input",
    MemoryType.WGT: "weight",
    MemoryType.ACC: "bias",
    MemoryType.ACC_8BIT: "input",
    MemoryType.OUT: "output",
}


@dataclass(frozen=True)
class TensorSpec:
    """What a parameter of a schedule means: its role, logical shape, and layout in DRAM.

    Without a layout the tensor is given as it lies in DRAM, in the schedule's own shape.
    """

    role: str
    shape: tuple[int, ...]
    layout: str = ""


@dataclass(frozen=True)
class Compiled:
    """A compiled schedule: instructions, uops and places in DRAM, waiting for tensors.

    `dram` lists its tensors (packed shapes), `specs` what they mean; `source_map[n]` says which
    statement and loop iteration instruction n comes from.
    """

    name: str
    config: Config
    stream: Stream
    dram: tuple[DramTensor, ...]
    specs: Mapping[str, TensorSpec]
    memory_base: int
    description: str = ""

    @property
    def instructions(self) -> list[Instruction]:
        return self.stream.instructions

    @property
    def source_map(self) -> list[dict[str, Any]]:
        return self.stream.source_map

    def segment(self, name: str) -> Segment:
        """The named tensor's place, role, dtype, logical shape and layout."""
        tensor = self._tensor(name)
        spec = self.specs[name]
        return Segment(
            addr=self.stream.addresses[name],
            nbytes=tensor.nbytes,
            role=spec.role,
            dtype=tensor.dtype,
            shape=spec.shape,
            layout=spec.layout,
        )

    def program(
        self, inputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray] | None = None
    ) -> Program:
        """The program with `inputs` in its segments, and `expected` outputs to compare with.

        Tensors are logical (they are packed here) or already packed. Inputs not given are zero.

        Raises
        ------
        CompileError
            for a name, dtype or shape that is none of the schedule's.
        """
        memory = np.zeros(self._image_end() - self.memory_base, np.uint8)
        code = {"insn": self.stream.encoded, "uop": self.stream.uops.view(np.uint8)}
        for name, data in code.items():
            self._put(memory, self.stream.code[name], data)
        for name, array in inputs.items():
            data = self._bytes(name, array)
            self._put(memory, self.stream.addresses[name], data)
        segments = {self._code_name(name): self._code_segment(name) for name in code}
        segments |= {tensor.name: self.segment(tensor.name) for tensor in self.dram}
        return Program(
            name=self.name,
            config=self.config,
            registers=Registers(insn_count=len(self.instructions), insn=self.stream.code["insn"]),
            memory=memory,
            memory_base=self.memory_base,
            memory_size=self.stream.end - self.memory_base,
            segments=segments,
            expected=[
                (self.stream.addresses[name], self._bytes(name, array))
                for name, array in (expected or {}).items()
            ],
            source_map=self.source_map,
            description=self.description,
        )

    def _tensor(self, name: str) -> DramTensor:
        for tensor in self.dram:
            if tensor.name == name:
                return tensor
        raise CompileError(
            f"{self.name} has no tensor {name!r}: it has {', '.join(t.name for t in self.dram)}"
        )

    def _image_end(self) -> int:
        ends = [self.stream.code["insn"] + len(self.stream.encoded)]
        ends.append(self.stream.code["uop"] + self.stream.uops.nbytes)
        for tensor in self.dram:
            if tensor.role != "output":
                ends.append(self.stream.addresses[tensor.name] + tensor.nbytes)
        return max(ends)

    def _put(self, memory: np.ndarray, address: int, data: np.ndarray) -> None:
        start = address - self.memory_base
        memory[start : start + len(data)] = data

    def _code_name(self, kind: str) -> str:
        """The name of the segment with the instructions or uops: no tensor's."""
        name = kind
        while any(tensor.name == name for tensor in self.dram):
            name = f"{name}_code"
        return name

    def _code_segment(self, name: str) -> Segment:
        data = self.stream.encoded if name == "insn" else self.stream.uops
        shape = (len(self.instructions), INSTRUCTION_BYTES) if name == "insn" else data.shape
        return Segment(
            addr=self.stream.code[name],
            nbytes=data.nbytes,
            role=name,
            dtype=str(data.dtype),
            shape=shape,
        )

    def _bytes(self, name: str, array: np.ndarray) -> np.ndarray:
        tensor, spec = self._tensor(name), self.specs[name]
        array = np.asarray(array)
        if str(array.dtype) != tensor.dtype:
            raise CompileError(f"{name} is {array.dtype}; {self.name} takes {tensor.dtype}")
        if array.shape == spec.shape and spec.layout:
            array = pack(array, spec.layout)
        if array.shape != tensor.shape:
            raise CompileError(
                f"{name} has shape {list(array.shape)}; {self.name} takes {list(spec.shape)}, or "
                f"packed {list(tensor.shape)}"
            )
        return np.ascontiguousarray(array).view(np.uint8).ravel()


def compile(
    schedule: Any,
    config: Config,
    *,
    name: str,
    tensors: Mapping[str, TensorSpec] | None = None,
    memory_base: int = MEMORY_BASE,
    description: str = "",
    progress: Progress = quiet,
) -> Compiled:
    """Compile a schedule for a core.

    Arguments
    ---------
    schedule: an ``s_tir.Schedule``, a PrimFunc, or an IRModule with one function, whose blocks
        are tensorized with the intrinsics that `register` gives, and whose buffers on chip are
        in the scopes local.inp, local.wgt (int8) and local.acc (int32).
    tensors: what the parameters mean, by name; without it they are taken packed, and their role
        is inferred from the memory they are loaded into.
    memory_base: byte address of the program's first segment; a multiple of 4096, so that every
        element type is aligned.
    progress: called with the name of each step.

    Raises
    ------
    CompileError
        where the schedule does something VTA cannot, or does not fit its buffers.
    """
    if not 0 <= memory_base < 1 << 32 or memory_base % PAGE:
        raise CompileError(
            f"memory_base is {memory_base:#x}; it must be a multiple of {PAGE:#x} below 2^32"
        )
    progress("lower")
    check_descriptions(schedule, config)
    lowered = lower(schedule)
    progress("unroll loops")
    found = walk(lowered)
    check_sizes(found, config)
    progress("fold")
    instances = Executions(found, config).all()
    check_initialized(instances)
    while coalesce(found, instances):
        instances = Executions(found, config).all()
    progress("operations")
    builder = MacroBuilder(config)
    facts = zip(instances, dead_operands(instances), sole_writers(instances), strict=True)
    macros = [builder.build(instance, dead, alone) for instance, dead, alone in facts]
    progress("allocate")
    allocated = allocate(found, list(zip(instances, macros, strict=True)), config)
    progress("order, tokens")
    operations = just_in_time(allocated, config)
    dram = _dram(found, operations, tensors or {}, name)
    flags = assign(operations, config)
    progress("emit")
    stream = emit(operations, flags, dram, config, memory_base=memory_base)
    specs = dict(tensors or {})
    for tensor in dram:
        specs.setdefault(tensor.name, TensorSpec(tensor.role, tensor.shape))
    return Compiled(name, config, stream, dram, specs, memory_base, description)


def _check_tensor(param: Any) -> None:
    """A tensor lies in DRAM row by row, without gaps, from its first byte on."""
    if str(param.dtype) not in DTYPES:
        raise CompileError(
            f"{param.name} is {param.dtype}; a tensor in DRAM is {', '.join(DTYPES)}"
        )
    dense, size = [], 1
    for extent in reversed([int(extent) for extent in param.shape]):
        dense.append(size)
        size *= extent
    strides = [constant(stride) for stride in param.strides]
    kept = [(s, d) for s, d, e in zip(strides, dense[::-1], param.shape, strict=False) if e != 1]
    if any(stride != wanted for stride, wanted in kept):
        raise CompileError(
            f"{param.name} has strides {list(param.strides)} and shape {list(param.shape)}: a "
            "tensor in DRAM has no gaps between its rows. Declare it as large as its pitch and "
            "copy a part of each row"
        )
    offset = constant(param.elem_offset)
    if offset:
        raise CompileError(f"{param.name} begins at value {offset} of its memory; it must be 0")


def _dram(
    found: Walk, operations: Sequence[Operation], tensors: Mapping[str, TensorSpec], name: str
) -> tuple[DramTensor, ...]:
    """The parameters as tensors in DRAM; checks shapes against `tensors`, and the direction."""
    used: dict[Any, set[MemoryType]] = {}
    for operation in operations:
        if operation.dram is not None:
            used.setdefault(operation.dram.buffer, set()).add(operation.dram.memory)
    result = []
    for param in found.params:
        _check_tensor(param)
        kinds = used.get(param, set())
        if MemoryType.OUT in kinds and len(kinds) > 1:
            raise CompileError(
                f"{param.name} is written and read: load and store have no direct token; compile "
                "the two parts as two programs"
            )
        shape = tuple(int(extent) for extent in param.shape)
        spec = tensors.get(param.name)
        if spec is not None and spec.layout and packed_shape(spec.shape, spec.layout) != shape:
            raise CompileError(
                f"{param.name} of {name} is {list(shape)}, but {list(spec.shape)} in layout "
                f"{spec.layout} is {list(packed_shape(spec.shape, spec.layout))}"
            )
        role = spec.role if spec else next((ROLES[k] for k in sorted(kinds)), "")
        result.append(DramTensor(param, param.name, str(param.dtype), shape, role))
    return tuple(result)
