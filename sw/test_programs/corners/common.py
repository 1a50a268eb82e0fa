"""What the directed streams share: their table, data, and ways to see a scratchpad."""

import zlib
from collections.abc import Callable

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Finish, Gemm, MemoryType
from vta.sw.program import Program
from vta.sw.test_programs.stream import StreamBuilder

__all__ = [
    "CORNERS",
    "acc_values",
    "alu_imm",
    "alu_tensor",
    "corner",
    "eye",
    "gemm_over",
    "inp_values",
    "show_inp",
    "store_words",
    "wgt_values",
]

CORNERS: dict[str, Callable[[Config], Program]] = {}


def corner(
    write: Callable[[StreamBuilder, np.random.Generator], None],
) -> Callable[[Config], Program]:
    """Register a function that writes a stream; its name and docstring become the stream's."""
    name = write.__name__

    def build(config: Config) -> Program:
        description = " ".join((write.__doc__ or "").split())
        stream = StreamBuilder(config, f"{name}_{config.name}", description)
        write(stream, np.random.default_rng(zlib.crc32(name.encode())))
        finish = not any(isinstance(instruction, Finish) for instruction in stream.instructions)
        return stream.program(finish=finish)

    build.__doc__ = write.__doc__
    CORNERS[name] = build
    return build


def acc_values(
    stream: StreamBuilder, rng: np.random.Generator, n: int, limit: int = 1 << 31
) -> np.ndarray:
    """int32 (n, BATCH, BLOCK) from -limit to limit - 1."""
    shape = (n, stream.config.batch, stream.config.block)
    return rng.integers(-limit, limit, size=shape).astype(np.int32)


def inp_values(stream: StreamBuilder, rng: np.random.Generator, n: int) -> np.ndarray:
    """int8 (n, BATCH, BLOCK)."""
    shape = (n, stream.config.batch, stream.config.block)
    return rng.integers(-128, 128, size=shape, dtype=np.int8)


def wgt_values(stream: StreamBuilder, rng: np.random.Generator, n: int) -> np.ndarray:
    """int8 (n, BLOCK, BLOCK): [out][in]."""
    shape = (n, stream.config.block, stream.config.block)
    return rng.integers(-128, 128, size=shape, dtype=np.int8)


def eye(stream: StreamBuilder) -> np.ndarray:
    """The WGT element that makes a GEMM a copy."""
    return np.eye(stream.config.block, dtype=np.int8)[None]


def gemm_over(count: int, uop: int = 0, **fields: int) -> Gemm:
    """A GEMM of one uop, `count` inner iterations; factors as given."""
    return Gemm(uop_bgn=uop, uop_end=uop + 1, iter_out=1, iter_in=count, **fields)


def alu_imm(opcode: AluOpcode, imm: int, count: int, uop: int = 0, **fields: int) -> Alu:
    """An immediate ALU instruction over `count` entries that follow each other."""
    loops = {"uop_bgn": uop, "uop_end": uop + 1, "iter_out": 1, "iter_in": count}
    fields = {"dst_factor_in": 1, "src_factor_in": 1} | fields
    return Alu(alu_opcode=int(opcode), use_imm=1, imm=imm, **loops, **fields)


def alu_tensor(opcode: AluOpcode, count: int, uop: int = 0, **fields: int) -> Alu:
    """A tensor ALU instruction over `count` entries that follow each other."""
    loops = {"uop_bgn": uop, "uop_end": uop + 1, "iter_out": 1, "iter_in": count}
    fields = {"dst_factor_in": 1, "src_factor_in": 1} | fields
    return Alu(alu_opcode=int(opcode), **loops, **fields)


def show_inp(stream: StreamBuilder, sram: int, expected: np.ndarray) -> None:
    """Copy INP entries through a GEMM with the identity, and store them."""
    n = len(expected)
    stream.load_new(MemoryType.WGT, eye(stream), stream.config.wgt_depth - 1)
    stream.load_uops([(0, sram, stream.config.wgt_depth - 1)], stream.config.uop_depth - 1)
    uop = stream.config.uop_depth - 1
    stream.step(
        gemm_over(n, uop, dst_factor_in=1, reset_reg=1),
        gemm_over(n, uop, dst_factor_in=1, src_factor_in=1),
    )
    stream.store(0, expected)


def store_words(stream: StreamBuilder, sram: int, acc: np.ndarray) -> None:
    """Store all four bytes of int32 entries, one byte plane after the other."""
    uop = stream.config.uop_depth - 1
    stream.store(sram, acc.astype(np.int8))
    stream.load_uops([(sram, 0, 0)], uop)
    for shift in (8, 16, 24):
        stream.step(alu_imm(AluOpcode.SHR, 8, len(acc), uop))
        stream.store(sram, (acc >> shift).astype(np.int8))
