"""Instructions and uops as the bits that DRAM holds, and back, from the tables of hw/isa.py."""

from collections.abc import Iterable, Sequence

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import (
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    Instruction,
    IsaError,
    Raw,
    fields,
    reserved_mask,
    uop_fields,
)

__all__ = ["decode", "decode_all", "encode", "encode_all", "pack_uops", "unpack_uops"]


def encode(config: Config, instruction: Instruction) -> int:
    """The instruction's 128 bits.

    Raises
    ------
    IsaError
        where a field does not fit; names the field, the value and the limit.
    """
    if isinstance(instruction, Raw):
        return instruction.bits
    bits = instruction.reserved
    for field in fields(config, instruction.opcode):
        bits |= field.put(getattr(instruction, field.name), type(instruction).__name__.upper())
    return bits


def decode(config: Config, bits: int) -> Instruction:
    """The instruction that 128 `bits` encode; `encode` of it gives `bits` again."""
    cls = INSTRUCTIONS.get(bits & 7)
    if cls is None:
        return Raw(bits)
    values = {f.name: f.get(bits) for f in fields(config, cls.opcode) if f.name != "opcode"}
    return cls(**values, reserved=bits & reserved_mask(config, cls.opcode))


def encode_all(config: Config, instructions: Iterable[Instruction]) -> np.ndarray:
    """uint8 array of 16 bytes an instruction, little endian, as DRAM holds them."""
    raw = b"".join(encode(config, i).to_bytes(INSTRUCTION_BYTES, "little") for i in instructions)
    return np.frombuffer(raw, np.uint8).copy()


def decode_all(config: Config, memory: np.ndarray | bytes) -> list[Instruction]:
    """The instructions in a run of bytes (uint8), a multiple of 16 long."""
    raw = bytes(memory)
    if len(raw) % INSTRUCTION_BYTES:
        raise IsaError(f"{len(raw)} bytes are not a multiple of {INSTRUCTION_BYTES}")
    starts = range(0, len(raw), INSTRUCTION_BYTES)
    return [
        decode(config, int.from_bytes(raw[n : n + INSTRUCTION_BYTES], "little")) for n in starts
    ]


def pack_uops(config: Config, uops: Sequence[tuple[int, int, int]] | np.ndarray) -> np.ndarray:
    """uint32 array of n uops from n rows of (dst, src, wgt); IsaError where one does not fit."""
    try:
        rows = np.asarray(uops, np.int64).reshape(-1, 3)
    except OverflowError:
        raise IsaError("a uop holds a number beyond 64 bits; its fields are far smaller") from None
    packed = np.zeros(len(rows), np.uint64)
    for column, field in zip(rows.T, uop_fields(config), strict=True):
        low, high = field.limits
        bad = np.flatnonzero((column < low) | (column > high))
        if len(bad):
            n = int(bad[0])
            raise IsaError(f"uop {n}: {field.name} is {column[n]}; it must be {low} to {high}")
        packed |= column.astype(np.uint64) << np.uint64(field.lsb)
    return packed.astype(np.uint32)


def unpack_uops(config: Config, packed: np.ndarray) -> np.ndarray:
    """int64 array (n, 3) of dst, src, wgt from n uint32 uops."""
    words = np.asarray(packed, np.uint32).astype(np.int64)
    columns = [words >> f.lsb & (1 << f.width) - 1 for f in uop_fields(config)]
    return np.stack(columns, axis=-1)
