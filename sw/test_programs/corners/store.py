"""STORE and OUT (isa.md section 4)."""

import numpy as np

from vta.hw.isa import AluOpcode, MemoryType, Store
from vta.sw.test_programs.corners.common import (
    acc_values,
    alu_imm,
    corner,
    gemm_over,
    inp_values,
    show_inp,
    wgt_values,
)
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []


def _out(sram: int, dram: int, x: int, y: int = 1, stride: int | None = None) -> Store:
    stride = x if stride is None else stride
    return Store(
        memory_type=MemoryType.OUT,
        sram_base=sram,
        dram_base=dram,
        x_size=x,
        y_size=y,
        x_stride=stride,
    )


@corner
def store_stride(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """STORE reads compact rows from sram_base and writes DRAM with x_stride; what lies between
    the rows stays."""
    data = acc_values(stream, rng, 16)
    stream.load_new(MemoryType.ACC, data, 1)
    before = inp_values(stream, rng, 25)
    dram = stream.place(MemoryType.OUT, before)
    stream.step(_out(2, dram + 1, 3, 4, 6))
    for row in range(4):
        begin = 1 + 6 * row
        before[begin : begin + 3] = data[1 + 3 * row : 4 + 3 * row].astype(np.int8)
    stream.expect(dram, before)


@corner
def store_rows_overlap(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Rows of one STORE that overlap (x_stride less than x_size): the later row wins."""
    data = acc_values(stream, rng, 18)
    stream.load_new(MemoryType.ACC, data, 0)
    dram = stream.reserve(MemoryType.OUT, 16)
    stream.step(_out(0, dram, 6, 3, 2), _out(0, dram + 10, 6, 3, 0))
    expected = np.zeros((16, *data.shape[1:]), np.int8)
    for row in range(3):
        values = data[6 * row : 6 * row + 6].astype(np.int8)
        expected[2 * row : 2 * row + 6] = values
        expected[10:16] = values
    stream.expect(dram, expected)


@corner
def store_same_place(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Stores reach DRAM in program order: the last of many to one place stays."""
    data = acc_values(stream, rng, 24)
    stream.load_new(MemoryType.ACC, data, 0)
    dram = stream.reserve(MemoryType.OUT, 9)
    for n in range(16):
        stream.step(_out(n, dram + n % 2, 1 + n % 8))
    expected = np.zeros((9, *data.shape[1:]), np.int8)
    for n in range(16):
        begin, count = n % 2, 1 + n % 8
        expected[begin : begin + count] = data[n : n + count].astype(np.int8)
    stream.expect(dram, expected)


@corner
def store_nops(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """x_size or y_size 0 is the store stage's NOP, whatever its memory type and pads; nothing
    else is checked."""
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    noise = {
        "sram_base": 0xFFFF,
        "dram_base": 0xFFFFFFFF,
        "x_stride": 0xFFFF,
        "y_pad_0": 1,
        "y_pad_1": 2,
        "x_pad_0": 3,
        "x_pad_1": 4,
    }
    for type in range(8):
        stream.step(Store(memory_type=type, x_size=0, y_size=7, **noise))
        stream.step(Store(memory_type=type, x_size=7, y_size=0, **noise))
        stream.step(Store(memory_type=type))
    stream.store(0, data.astype(np.int8))


@corner
def store_one_element_each(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Strobes: one element stored at every place of a bus beat leaves its neighbours alone."""
    data = acc_values(stream, rng, 20)
    stream.load_new(MemoryType.ACC, data, 0)
    before = inp_values(stream, rng, 60)
    dram = stream.place(MemoryType.OUT, before)
    for n in range(20):
        stream.step(_out(n, dram + 3 * n, 1))
    before[::3] = data.astype(np.int8)
    stream.expect(dram, before)


@corner
def store_across_4096(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Rows across 4 KiB borders, and long ones."""
    n = min(4096 // stream.config.out_bytes + 5, stream.config.acc_depth)
    data = inp_values(stream, rng, n)
    stream.load_new(MemoryType.ACC_8BIT, data, 0)
    stream.align(4096, 4096 - 2 * stream.config.out_bytes)
    stream.store(0, data)


@corner
def store_then_load(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A STORE's push waits for the write responses: the load stage, told by way of compute,
    reads what was stored."""
    data = acc_values(stream, rng, 12)
    stream.load_new(MemoryType.ACC, data, 0)
    dram = stream.store(0, data.astype(np.int8))
    element = stream.address(MemoryType.OUT, dram) // stream.config.inp_bytes
    stream.load(MemoryType.INP, element, 5, 12)
    show_inp(stream, 5, data.astype(np.int8))


@corner
def store_then_load_acc(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The compute stage's LOADs read what was stored, after the store stage's token."""
    data = acc_values(stream, rng, 12)
    stream.load_new(MemoryType.ACC, data, 0)
    dram = stream.store(0, data.astype(np.int8))
    element = stream.address(MemoryType.OUT, dram) // stream.config.out_bytes
    stream.load(MemoryType.ACC_8BIT, element, 20, 12)
    stream.load_uops([(20, 0, 0)])
    stream.step(alu_imm(AluOpcode.SHR, 4, 12))
    stream.store(20, data.astype(np.int8) >> 4)


@corner
def store_then_load_uop(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Even a uop may be what a STORE wrote: here one whose dst is 1."""
    config = stream.config
    raw = np.zeros(config.out_bytes, np.int8)
    raw[0] = 1
    word = raw.reshape(1, config.batch, config.block)
    stream.load_new(MemoryType.ACC_8BIT, word, 8)
    dram = stream.store(8, word)
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load(MemoryType.UOP, stream.address(MemoryType.OUT, dram) // 4, 0, 1)
    stream.step(alu_imm(AluOpcode.ADD, 5, 2))
    data[1:3] += np.int32(5)
    stream.store(0, data.astype(np.int8))


@corner
def out_after_each_writer(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """OUT is the low bits of ACC, truncated, whatever wrote ACC last: LOAD ACC, LOAD ACC_8BIT,
    reset, GEMM, ALU."""
    data, small = acc_values(stream, rng, 4), inp_values(stream, rng, 4)
    inp, wgt = inp_values(stream, rng, 1), wgt_values(stream, rng, 1)
    stream.load_new(MemoryType.INP, inp, 0)
    stream.load_new(MemoryType.WGT, wgt, 0)
    stream.load_uops([(0, 0, 0)])
    stream.load_new(MemoryType.ACC, data, 0)
    stream.store(0, data.astype(np.int8))
    stream.step(gemm_over(1, reset_reg=1))
    stream.store(0, np.concatenate([0 * data[:1], data[1:]]).astype(np.int8))
    stream.load_new(MemoryType.ACC_8BIT, small, 0)
    stream.store(0, small)
    stream.step(gemm_over(1))
    product = inp[0].astype(np.int32) @ wgt[0].astype(np.int32).T
    stream.store(0, (small[:1] + product).astype(np.int8))
    stream.step(alu_imm(AluOpcode.MUL, 300, 4))
    small = small.astype(np.int32)
    small[0] += product
    stream.store(0, (small * 300).astype(np.int8))
    stream.load_new(MemoryType.ACC, data, 0)
    stream.store(0, data.astype(np.int8))
