"""The last step: DRAM addresses, instructions and uops as bytes, and the memory that holds them."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from vta.hw.isa import INSTRUCTION_BYTES, MEMORIES, Alu, Gemm, Instruction, IsaError, Load, Store
from vta.sw.codec import encode_all, pack_uops
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.ir import Operation, Stream
from vta.sw.compiler.passes.dram import pages
from vta.sw.program import IMAGE_LIMIT, Program, Registers
from vta.sw.tensor import Tensor

__all__ = ["encode"]


def encode(stream: Stream, *, memory_base: int, description: str = "") -> Program:
    """The program, its memory filled with code only; all base registers are 0.

    Raises
    ------
    CompileError
        where a transfer leaves its tensor, a field is too small, or the memory would end beyond
        2^32.
    """
    assert stream.uops is not None
    config = stream.config
    code = {
        "insn": len(stream.operations) * INSTRUCTION_BYTES,
        "uop": len(stream.uops) * config.uop_bytes,
    }
    addresses, base = {}, memory_base
    for name, nbytes in code.items():
        addresses[name] = base
        base += pages(nbytes)
    tensors = {name: tensor.at(tensor.start + base) for name, tensor in stream.tensors.items()}
    end = max((pages(t.nbytes) + t.start for t in tensors.values()), default=base)
    _check_size(end, memory_base)
    instructions = [
        _instruction(stream, operation, tensors, addresses["uop"])
        for operation in stream.operations
    ]
    encoded = _encoded(stream, instructions)
    uops = pack_uops(config, stream.uops)
    memory = np.zeros(_image_end(tensors, base) - memory_base, np.uint8)
    for name, data in (("insn", encoded), ("uop", uops.view(np.uint8))):
        start = addresses[name] - memory_base
        memory[start : start + len(data)] = data
    shapes = {"insn": (len(instructions), INSTRUCTION_BYTES), "uop": uops.shape}
    dtypes = {"insn": "uint8", "uop": str(uops.dtype)}
    segments = {
        _free(name, tensors): Tensor(
            name=_free(name, tensors),
            addr=addresses[name],
            nbytes=nbytes,
            role=name,
            dtype=dtypes[name],
            shape=shapes[name],
        )
        for name, nbytes in code.items()
    }
    return Program(
        name=stream.name,
        config=config,
        registers=Registers(insn_count=len(instructions), insn=addresses["insn"]),
        memory=memory,
        memory_base=memory_base,
        memory_size=end - memory_base,
        segments=segments | tensors,
        source_map=[operation.source.entry() for operation in stream.operations],
        description=description,
    )


def _check_size(end: int, memory_base: int) -> None:
    if end > 1 << 32:
        raise CompileError(f"the tensors end at byte {end:#x}: addresses have 32 bits")
    if end - memory_base > IMAGE_LIMIT:
        raise CompileError(
            f"code and tensors take {end - memory_base:,} bytes; a program's memory has at most "
            f"{IMAGE_LIMIT:,}: compile it in parts"
        )


def _image_end(tensors: dict[str, Tensor], base: int) -> int:
    """Where the last tensor ends that is given before a run; `base` is the end of the code."""
    given = [t.end for t in tensors.values() if t.role not in ("output", "temporary")]
    return max(given, default=base)


def _free(kind: str, tensors: dict[str, Tensor]) -> str:
    """The name of the segment with the instructions or uops: no tensor's."""
    name = kind
    while name in tensors:
        name = f"{name}_code"
    return name


def _instruction(
    stream: Stream, operation: Operation, tensors: dict[str, Tensor], uop_address: int
) -> Instruction:
    """The instruction with flags, entries of the scratchpads, uop range and DRAM address."""
    code = operation.code
    changes: dict[str, Any] = asdict(operation.tokens)
    if isinstance(code.instruction, (Gemm, Alu)):
        assert operation.uop is not None and code.uops is not None
        changes |= {"uop_bgn": operation.uop, "uop_end": operation.uop + len(code.uops)}
    elif isinstance(code.instruction, (Load, Store)):
        sram, dram = code.places
        if sram is not None:
            operand = operation.operands[sram]
            entry = stream.buffers[operand.name].entry(operand.instance) + operand.offset
            changes["sram_base"] = code.instruction.sram_base + entry
            changes["dram_base"] = 0
        if dram is not None:
            changes["dram_base"] = _dram_base(stream, operation, tensors)
        elif sram is None and code.instruction.x_size:  # LOAD UOP
            first = uop_address // stream.config.uop_bytes
            changes["dram_base"] = code.instruction.dram_base + first
    return replace(code.instruction, **changes)


def _dram_base(stream: Stream, operation: Operation, tensors: dict[str, Tensor]) -> int:
    """The transfer's dram_base; what it reads or writes must belong to its tensor."""
    code, transfer = operation.code, operation.code.instruction
    assert code.dram is not None and isinstance(transfer, (Load, Store))
    if transfer.y_size == 0:  # only padding: DRAM is not touched
        return 0
    operand = operation.operands[code.places[1] or 0]
    tensor = tensors[operand.name]
    first = transfer.dram_base + operand.offset
    element = MEMORIES[code.dram].element_bytes(stream.config)
    last = first + (transfer.y_size - 1) * transfer.x_stride + transfer.x_size
    if first < 0 or last * element > tensor.nbytes:
        raise operation.error(
            f"it touches bytes {first * element} to {last * element - 1} of "
            f"{tensor.name}, which has {tensor.nbytes}"
        )
    return tensor.start // element + first


def _encoded(stream: Stream, instructions: list[Instruction]) -> np.ndarray:
    """The instructions as bytes; a field that is too small is an error of its statement."""
    try:
        return encode_all(stream.config, instructions)
    except IsaError:
        for instruction, operation in zip(instructions, stream.operations, strict=True):
            try:
                encode_all(stream.config, [instruction])
            except IsaError as error:
                where = operation.source.where()
                at = "" if where == "once" else f" at {where}"
                text = operation.source.statement.text
                raise CompileError(f"{text}{at}: {error}") from error
        raise
