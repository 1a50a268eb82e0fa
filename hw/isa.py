"""The VTA instruction set: enumerations, instructions, and field tables.

This is the one place that knows bit positions. `fields` gives the table for a configuration;
the Amaranth layouts, the codecs (sw/codec.py), the assembler, wave decoding and the documentation
tables derive from it.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from amaranth.hdl import Shape
from amaranth.lib import data, enum

from vta.hw.config import Config
from vta.hw.errors import VtaError

__all__ = [
    "INDEX_BITS",
    "INSTRUCTION_BYTES",
    "MEMORIES",
    "Alu",
    "AluOpcode",
    "ErrorClass",
    "Field",
    "Finish",
    "Gemm",
    "INSTRUCTIONS",
    "Instruction",
    "IsaError",
    "Load",
    "Memory",
    "MemoryType",
    "Opcode",
    "Raw",
    "Stage",
    "Store",
    "fields",
    "instruction_layout",
    "reserved_mask",
    "uop_fields",
    "uop_layout",
]

INSTRUCTION_BYTES = 16
INDEX_BITS = 28  # of an instruction index: 2^32 bytes of DRAM hold no more instructions
WORD = 64  # bits: loops are packed into word 0, factors into word 1


class IsaError(VtaError, ValueError):
    """A field value that does not fit, or bytes that are not a whole number of instructions."""


class Opcode(enum.IntEnum, shape=3):
    """Instruction opcodes; 5 to 7 are illegal."""

    LOAD = 0
    STORE = 1
    GEMM = 2
    FINISH = 3
    ALU = 4


class MemoryType(enum.IntEnum, shape=3):
    """Memory types; OUT is for STORE only, 6 and 7 are illegal."""

    UOP = 0
    WGT = 1
    INP = 2
    ACC = 3
    OUT = 4
    ACC_8BIT = 5


class AluOpcode(enum.IntEnum, shape=3):
    """ALU operations; 5 to 7 are illegal."""

    MIN = 0
    MAX = 1
    ADD = 2
    SHR = 3
    MUL = 4


class Stage(enum.IntEnum, shape=2):
    """The three stages with a command queue, in the order tokens see them, and fetch."""

    LOAD = 0
    COMPUTE = 1
    STORE = 2
    FETCH = 3


class ErrorClass(enum.IntEnum, shape=4):
    """What can be wrong with a stream; the number is the RTL's error class register."""

    NONE = 0
    ILLEGAL_OPCODE = 1
    ILLEGAL_DEPENDENCY = 2
    SRAM_BOUNDS = 3
    BUS_ERROR = 4
    DEADLOCK = 5
    NO_FINISH = 6
    ABORTED = 7  # by the soft abort register: no property of the stream


@dataclass(frozen=True)
class Memory:
    """What a memory type means: its stage, its base register, and its element.

    `bytes_of` and `log_depth_of` name the :class:`Config` attributes that hold the bytes of one
    element in DRAM and log2 of the scratchpad's depth.
    """

    type: MemoryType
    stage: Stage
    base: str
    bytes_of: str
    log_depth_of: str

    def element_bytes(self, config: Config) -> int:
        return getattr(config, self.bytes_of)

    def depth(self, config: Config) -> int:
        return 1 << getattr(config, self.log_depth_of)

    def lanes(self, config: Config) -> int:
        """Elements in one bus beat, 1 or more."""
        return max(1, config.beat_bytes // self.element_bytes(config))

    def parts(self, config: Config) -> int:
        """Bus beats in one element, 1 or more."""
        return max(1, self.element_bytes(config) // config.beat_bytes)


MEMORIES = {
    memory.type: memory
    for memory in (
        Memory(MemoryType.UOP, Stage.COMPUTE, "uop", "uop_bytes", "log_uop_depth"),
        Memory(MemoryType.WGT, Stage.LOAD, "wgt", "wgt_bytes", "log_wgt_depth"),
        Memory(MemoryType.INP, Stage.LOAD, "inp", "inp_bytes", "log_inp_depth"),
        Memory(MemoryType.ACC, Stage.COMPUTE, "acc", "acc_bytes", "log_acc_depth"),
        Memory(MemoryType.OUT, Stage.STORE, "out", "out_bytes", "log_acc_depth"),
        Memory(MemoryType.ACC_8BIT, Stage.COMPUTE, "acc", "out_bytes", "log_acc_depth"),
    )
}


# Instructions --------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class _Instruction:
    """Fields that every instruction has: the opcode and its four dependency flags.

    `reserved` holds all bits the tables do not name, in place (bit n of the instruction is bit n
    of `reserved`), so that decoding and encoding loses nothing; it is 0 in legal instructions.
    """

    opcode: ClassVar[int]
    pop_prev: int = 0
    pop_next: int = 0
    push_prev: int = 0
    push_next: int = 0
    reserved: int = 0


@dataclass(frozen=True, kw_only=True)
class _Transfer(_Instruction):
    """LOAD and STORE: rows between DRAM and a scratchpad, in elements of `memory_type`."""

    memory_type: int = 0
    sram_base: int = 0
    dram_base: int = 0
    y_size: int = 0
    x_size: int = 0
    x_stride: int = 0
    y_pad_0: int = 0
    y_pad_1: int = 0
    x_pad_0: int = 0
    x_pad_1: int = 0


@dataclass(frozen=True, kw_only=True)
class Load(_Transfer):
    """LOAD: rows from DRAM into a scratchpad, with zero padding."""

    opcode = Opcode.LOAD


@dataclass(frozen=True, kw_only=True)
class Store(_Transfer):
    """STORE: rows from OUT to DRAM."""

    opcode = Opcode.STORE


@dataclass(frozen=True, kw_only=True)
class _Loops(_Instruction):
    """GEMM and ALU: two loops round a range of uops, each advancing the uops' indices."""

    reset_reg: int = 0
    uop_bgn: int = 0
    uop_end: int = 0
    iter_out: int = 0
    iter_in: int = 0
    dst_factor_out: int = 0
    dst_factor_in: int = 0
    src_factor_out: int = 0
    src_factor_in: int = 0


@dataclass(frozen=True, kw_only=True)
class Gemm(_Loops):
    """GEMM: ``acc[d] += inp[s] @ wgt[w].T``, or ``acc[d] = 0`` with `reset_reg`."""

    opcode = Opcode.GEMM
    wgt_factor_out: int = 0
    wgt_factor_in: int = 0


@dataclass(frozen=True, kw_only=True)
class Alu(_Loops):
    """ALU: ``acc[d] = op(acc[d], imm if use_imm else acc[s])``; `imm` is signed, 16 bits."""

    opcode = Opcode.ALU
    alu_opcode: int = 0
    use_imm: int = 0
    imm: int = 0


@dataclass(frozen=True, kw_only=True)
class Finish(_Instruction):
    """FINISH: the last instruction of a stream."""

    opcode = Opcode.FINISH


@dataclass(frozen=True)
class Raw:
    """An instruction with an illegal opcode (5 to 7): its 128 bits."""

    bits: int

    @property
    def opcode(self) -> int:
        return self.bits & 7


Instruction = Load | Store | Gemm | Alu | Finish | Raw
INSTRUCTIONS: dict[int, type[Load] | type[Store] | type[Gemm] | type[Alu] | type[Finish]] = {
    cls.opcode: cls for cls in (Load, Store, Gemm, Alu, Finish)
}
"""The class of each legal opcode."""


# Field tables ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Field:
    """A named run of bits of an instruction or uop."""

    name: str
    lsb: int
    width: int
    signed: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value."""
        if self.signed:
            return -(1 << self.width - 1), (1 << self.width - 1) - 1
        return 0, (1 << self.width) - 1

    def get(self, bits: int) -> int:
        value = bits >> self.lsb & (1 << self.width) - 1
        return value - (1 << self.width) if value > self.limits[1] else value

    def put(self, value: int, what: str) -> int:
        low, high = self.limits
        if not low <= value <= high:
            raise IsaError(f"{what}: {self.name} is {value}; it must be {low} to {high}")
        return (value & (1 << self.width) - 1) << self.lsb


def _pack(lsb: int, *names: tuple[str, int]) -> tuple[Field, ...]:
    packed = []
    for name, width in names:
        packed.append(Field(name, lsb, width, signed=name == "imm"))
        lsb += width
    return tuple(packed)


FLAGS = ("pop_prev", "pop_next", "push_prev", "push_next")
_HEAD = _pack(0, ("opcode", 3), *((flag, 1) for flag in FLAGS))
_TRANSFER = (
    *_HEAD,
    *_pack(7, ("memory_type", 3), ("sram_base", 16), ("dram_base", 32)),
    *_pack(64, ("y_size", 16), ("x_size", 16), ("x_stride", 16)),
    *_pack(112, ("y_pad_0", 4), ("y_pad_1", 4), ("x_pad_0", 4), ("x_pad_1", 4)),
)


def _loops(config: Config, src: int) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    u, a = config.log_uop_depth, config.log_acc_depth
    names = (("reset_reg", 1), ("uop_bgn", u), ("uop_end", u + 1))
    word0 = _pack(7, *names, ("iter_out", u + 1), ("iter_in", u + 1))
    factors = (("dst_factor_out", a), ("dst_factor_in", a))
    return word0, _pack(WORD, *factors, ("src_factor_out", src), ("src_factor_in", src))


@cache
def fields(config: Config, opcode: int) -> tuple[Field, ...]:
    """The fields of `opcode` (0 to 4), opcode and flags first; bits not listed are reserved."""
    if opcode in (Opcode.LOAD, Opcode.STORE):
        return _TRANSFER
    if opcode == Opcode.FINISH:
        return _HEAD
    if opcode == Opcode.GEMM:
        word0, word1 = _loops(config, config.log_inp_depth)
        w = config.log_wgt_depth
        last = (("wgt_factor_out", w), ("wgt_factor_in", w))
    elif opcode == Opcode.ALU:
        word0, word1 = _loops(config, config.log_acc_depth)
        last = (("alu_opcode", 3), ("use_imm", 1), ("imm", 16))
    else:
        raise IsaError(f"opcode {opcode} is illegal: it has no fields")
    return (*_HEAD, *word0, *word1, *_pack(word1[-1].lsb + word1[-1].width, *last))


@cache
def reserved_mask(config: Config, opcode: int) -> int:
    """The bits of `opcode` that no field names: they must be zero."""
    used = 0
    for field in fields(config, opcode):
        used |= ((1 << field.width) - 1) << field.lsb
    return ((1 << 8 * INSTRUCTION_BYTES) - 1) & ~used


@cache
def uop_fields(config: Config) -> tuple[Field, ...]:
    """dst, src and wgt of a 32-bit uop; bits above them are ignored."""
    a, i, w = config.log_acc_depth, config.log_inp_depth, config.log_wgt_depth
    return _pack(0, ("dst", a), ("src", max(a, i)), ("wgt", w))


# Amaranth layouts ------------------------------------------------------------------------------
def _layout(width: int, table: Iterable[Field]) -> data.FlexibleLayout:
    return data.FlexibleLayout(
        width, {f.name: data.Field(Shape(f.width, f.signed), f.lsb) for f in table}
    )


def instruction_layout(config: Config, opcode: int) -> data.FlexibleLayout:
    """128-bit view of an instruction of this opcode."""
    return _layout(8 * INSTRUCTION_BYTES, fields(config, opcode))


def uop_layout(config: Config) -> data.FlexibleLayout:
    """32-bit view of a uop."""
    return _layout(32, uop_fields(config))


for _cls in INSTRUCTIONS.values():  # the classes and the tables name the same fields
    assert {f.name for f in dataclasses.fields(_cls)} - {"reserved"} == {
        f.name for f in fields(Config(), _cls.opcode)
    } - {"opcode"}
