"""What is just within the limits of isa.md section 6, and so no error."""

import numpy as np

from vta.hw.isa import Alu, AluOpcode, Gemm, MemoryType, Store
from vta.sw.test_programs.corners.common import (
    acc_values,
    alu_imm,
    corner,
    inp_values,
    store_words,
    wgt_values,
)
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []


@corner
def last_entries(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The last entry of every scratchpad may be loaded, read, written and stored; uop_end may be
    the number of uops."""
    config = stream.config
    a, i, w, u = config.acc_depth, config.inp_depth, config.wgt_depth, config.uop_depth
    acc, inp = acc_values(stream, rng, 4), inp_values(stream, rng, 2)
    wgt = wgt_values(stream, rng, 1)
    stream.load_new(MemoryType.INP, inp, i - 3, x_pad_0=1)
    stream.load_new(MemoryType.WGT, wgt, w - 1)
    stream.load_new(MemoryType.ACC, acc, a - 4)
    stream.load_uops([(a - 2, i - 2, w - 1)], u - 1)
    stream.step(
        Gemm(uop_bgn=u - 1, uop_end=u, iter_out=2, iter_in=1, dst_factor_out=1, src_factor_out=1)
    )
    acc[2:] += inp.astype(np.int32) @ wgt[0].astype(np.int32).T
    stream.step(
        Alu(
            alu_opcode=int(AluOpcode.MAX),
            uop_bgn=u - 1,
            uop_end=u,
            iter_out=1,
            iter_in=2,
            dst_factor_in=1,
            use_imm=1,
            imm=-100,
        )
    )
    acc[2:] = np.maximum(acc[2:], -100)
    stream.store(a - 4, acc.astype(np.int8))


@corner
def first_and_last_bytes_of_memory(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The first and last bytes that the testbench maps may be read and written."""
    stream.least_size = 0x8000
    end = stream.memory_base + stream.least_size
    first, last = inp_values(stream, rng, 2), inp_values(stream, rng, 2)
    out = stream.reserve(MemoryType.OUT, 2)
    nbytes = stream.config.out_bytes
    stream.name_range(MemoryType.OUT, end // nbytes - 2, 2)
    stream.put(MemoryType.OUT, out, first)
    stream.put(MemoryType.OUT, end // nbytes - 2, last)
    stream.load(MemoryType.ACC_8BIT, end // nbytes - 2, 0, 2, y_pad_1=1, x_pad_1=3)
    stream.load(MemoryType.ACC_8BIT, out, 8, 2)
    row = {"memory_type": MemoryType.OUT, "y_size": 1, "x_size": 2, "x_stride": 2}
    stream.step(Store(sram_base=0, dram_base=out, **row))
    stream.step(Store(sram_base=8, dram_base=end // nbytes - 2, **row))
    stream.expect(out, last)
    stream.expect(end // nbytes - 2, first)


@corner
def top_of_the_address_space(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Addresses have 32 bits, and the last of them works; bases and dram_base add up to it."""
    stream.least_size = 0x10000
    stream.move_memory((1 << 32) - stream.least_size)
    stream.bases["out"] = (1 << 32) - 64 * stream.config.out_bytes
    data = acc_values(stream, rng, 8)
    stream.load_new(MemoryType.ACC, data, 0)
    row = {"memory_type": MemoryType.OUT, "y_size": 2, "x_size": 4, "x_stride": 4}
    stream.name_range(MemoryType.OUT, 56, 8)
    stream.step(Store(dram_base=56, **row))
    stream.expect(56, data.astype(np.int8))


@corner
def longest_loop(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """iter_in may be as large as its field: here a GEMM with all factors 0."""
    inp, wgt, acc = (
        inp_values(stream, rng, 1),
        wgt_values(stream, rng, 1),
        acc_values(stream, rng, 1),
    )
    stream.load_new(MemoryType.INP, inp, 0)
    stream.load_new(MemoryType.WGT, wgt, 0)
    stream.load_new(MemoryType.ACC, acc, 0)
    stream.load_uops([(0, 0, 0)])
    most = 2 * stream.config.uop_depth - 1
    stream.step(Gemm(uop_end=1, iter_out=1, iter_in=most))
    product = inp.astype(np.int64) @ wgt[0].astype(np.int64).T
    store_words(stream, 0, (acc + most * product).astype(np.int32))


@corner
def unread_operands_are_not_checked(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """src of an immediate ALU instruction, src and wgt of a reset lead out of every scratchpad."""
    config = stream.config
    data = acc_values(stream, rng, 8)
    stream.load_new(MemoryType.ACC, data, 0)
    src = max(config.acc_depth, config.inp_depth) - 1
    stream.load_uops([(0, src, config.wgt_depth - 1)])
    stream.step(alu_imm(AluOpcode.ADD, 9, 8, src_factor_in=config.acc_depth - 1))
    far = {"src_factor_in": config.inp_depth - 1, "wgt_factor_in": config.wgt_depth - 1}
    loops = {"uop_end": 1, "iter_out": 1, "iter_in": 3}
    stream.step(Gemm(reset_reg=1, dst_factor_in=2, **loops, **far))
    data += np.int32(9)
    data[:6:2] = 0
    store_words(stream, 0, data)
