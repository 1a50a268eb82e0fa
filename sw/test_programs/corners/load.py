"""LOAD (isa.md sections 3 and 4)."""

import numpy as np

from vta.hw.isa import AluOpcode, Load, MemoryType
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

PADS = {"y_pad_0": 1, "y_pad_1": 2, "x_pad_0": 2, "x_pad_1": 1}


def _padded(rows: np.ndarray) -> np.ndarray:
    """(y, x, ...) with PADS of zeros, as one run of elements."""
    pads = [(1, 2), (2, 1)] + [(0, 0)] * (rows.ndim - 2)
    return np.pad(rows, pads).reshape(-1, *rows.shape[2:])


@corner
def load_pads_inp(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """INP: rows of x_pad_0 zeros, elements, x_pad_1 zeros, between zero rows; DRAM advances
    x_stride a row; SRAM is compact; padding consumes no DRAM."""
    data = inp_values(stream, rng, 3 * 5)
    dram = stream.place(MemoryType.INP, data)
    stream.load_new(MemoryType.INP, inp_values(stream, rng, 40), 0)  # what padding overwrites
    stream.load(MemoryType.INP, dram, 3, 4, y_size=3, x_stride=5, **PADS)
    show_inp(stream, 3, _padded(data.reshape(3, 5, *data.shape[1:])[:, :4]))


@corner
def load_pads_wgt(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """WGT pads as every memory type does."""
    data, inp = wgt_values(stream, rng, 2), inp_values(stream, rng, 1)
    dram = stream.place(MemoryType.WGT, data)
    stream.load_new(MemoryType.WGT, wgt_values(stream, rng, 20), 0)
    stream.load(MemoryType.WGT, dram, 1, 1, y_size=2, x_stride=1, **PADS)
    stream.load_new(MemoryType.INP, inp, 0)
    stream.load_uops([(0, 0, 1)])
    padded = _padded(data[:, None])
    n = len(padded)
    stream.step(
        gemm_over(n, dst_factor_in=1, reset_reg=1), gemm_over(n, dst_factor_in=1, wgt_factor_in=1)
    )
    product = inp[0].astype(np.int32) @ padded.astype(np.int32).transpose(0, 2, 1)
    stream.store(0, product.astype(np.int8))


@corner
def load_pads_acc(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """ACC pads; OUT is its low bits at once."""
    data = acc_values(stream, rng, 6)
    dram = stream.place(MemoryType.ACC, data)
    stream.load_new(MemoryType.ACC, acc_values(stream, rng, 40), 0)
    stream.load(MemoryType.ACC, dram, 2, 3, y_size=2, x_stride=3, **PADS)
    stream.store(2, _padded(data.reshape(2, 3, *data.shape[1:])).astype(np.int8))


@corner
def load_pads_acc_8bit(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """ACC_8BIT: 8 bits an element in DRAM, at the ACC base register, sign-extended; it pads."""
    data = inp_values(stream, rng, 6)
    dram = stream.place(MemoryType.ACC_8BIT, data)
    stream.load_new(MemoryType.ACC, acc_values(stream, rng, 40), 0)
    stream.load(MemoryType.ACC_8BIT, dram, 2, 3, y_size=2, x_stride=3, **PADS)
    padded = _padded(data.reshape(2, 3, *data.shape[1:]))
    stream.store(2, padded)
    stream.load_uops([(2, 0, 0)])
    stream.step(alu_imm(AluOpcode.SHR, 7, len(padded)))
    stream.store(2, (padded.astype(np.int32) >> 7).astype(np.int8))


@corner
def load_pads_uop(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """UOP pads: padding is a uop whose fields are all 0."""
    data = acc_values(stream, rng, 8, 100)
    stream.load_new(MemoryType.ACC, data, 0)
    dram = stream.place_uops([(3, 0, 0), (4, 0, 0)])
    stream.load_uops([(7, 0, 0)] * 24)
    stream.load(MemoryType.UOP, dram, 1, 1, y_size=2, x_stride=1, **PADS)
    uops = np.full(24, 7)
    uops[1:21] = _padded(np.array([[3], [4]]))
    for n, uop in enumerate(uops):
        stream.step(alu_imm(AluOpcode.ADD, n, 1, uop=n))
        data[uop] += n
    stream.store(0, data.astype(np.int8))


@corner
def load_stride(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """x_stride may be 0 (one row again and again), less than x_size, or far more."""
    data = inp_values(stream, rng, 64)
    dram = stream.place(MemoryType.INP, data)
    expected = []
    for sram, (y, x, stride) in ((0, (3, 4, 0)), (12, (5, 3, 1)), (27, (4, 2, 20))):
        stream.load(MemoryType.INP, dram, sram, x, y_size=y, x_stride=stride)
        expected += [data[row * stride : row * stride + x] for row in range(y)]
    show_inp(stream, 0, np.concatenate(expected))


@corner
def load_overwrites_load(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A LOAD begins as if after the one before ended: what comes last stays, whatever its size."""
    data = inp_values(stream, rng, 33)
    dram = stream.place(MemoryType.INP, data)
    stream.load(MemoryType.INP, dram, 0, 16)
    stream.load(MemoryType.INP, dram + 16, 4, 8)
    stream.load(MemoryType.INP, dram + 24, 5, 1, y_pad_1=1, x_pad_1=1)
    stream.load(MemoryType.INP, dram + 25, 8, 8, y_size=0, x_pad_0=1, y_pad_0=0, y_pad_1=0)
    expected = data[:16].copy()
    expected[4:12] = data[16:24]
    expected[5:9] = 0
    expected[5] = data[24]
    show_inp(stream, 0, expected)


@corner
def load_x_size_0(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """x_size == 0: nothing is read or written, pads or not, and only tokens move; no other field
    is checked."""
    data = acc_values(stream, rng, 16)
    stream.load_new(MemoryType.ACC, data, 0)
    for type in (MemoryType.UOP, MemoryType.ACC, MemoryType.ACC_8BIT, MemoryType.INP):
        noise = {
            "y_size": 9,
            "x_stride": 65535,
            "y_pad_0": 1,
            "y_pad_1": 15,
            "x_pad_0": 3,
            "x_pad_1": 2,
            "sram_base": 0,
        }
        stream.step(Load(memory_type=type, dram_base=0xFFFFFFFF, **noise))
        stream.step(Load(memory_type=type, dram_base=0, **(noise | {"sram_base": 0xFFFF})))
    stream.store(0, data.astype(np.int8))


@corner
def load_y_size_0(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """y_size == 0 with x_size > 0: only the padding rows are written, and nothing is read."""
    data = inp_values(stream, rng, 24)
    stream.load_new(MemoryType.INP, data, 0)
    nowhere = 0xFFFFFFFF // stream.config.inp_bytes
    stream.load(MemoryType.INP, nowhere, 4, 3, y_size=0, y_pad_0=1, y_pad_1=2, x_pad_0=1)
    expected = data.copy()
    expected[4:16] = 0
    show_inp(stream, 0, expected)


@corner
def load_one_element_each(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Rows may start and end inside a bus beat: one element at every place of one."""
    data = acc_values(stream, rng, 16)
    stream.align(64, 4)
    uops = stream.place_uops([(n, 0, 0) for n in range(16)])
    bytes_ = stream.place(MemoryType.ACC_8BIT, data.astype(np.int8))
    for n in range(16):
        stream.load(MemoryType.UOP, uops + n, n, 1)
        stream.load(MemoryType.ACC_8BIT, bytes_ + 15 - n, 15 - n, 1)
    for n in range(16):
        stream.step(alu_imm(AluOpcode.ADD, n, 1, uop=n))
    added = data.astype(np.int8) + np.arange(16)[:, None, None]
    stream.store(0, added.astype(np.int8))


@corner
def load_across_4096(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Rows across 4 KiB borders, beginning just before one, and long ones."""
    n = 2 * 4096 // stream.config.inp_bytes + 3
    n = min(n, stream.config.inp_depth, stream.config.acc_depth)
    stream.align(4096, 4096 - stream.config.inp_bytes)
    data = inp_values(stream, rng, n)
    stream.load_new(MemoryType.INP, data, 0)
    show_inp(stream, 0, data)


@corner
def base_is_added(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """DRAM address = base register + dram_base * element bytes: added, not ORed."""
    data = acc_values(stream, rng, 7)
    nbytes = stream.config.acc_bytes
    stream.bases["acc"] = 0x10000 + 3 * nbytes
    stream.align(16 * nbytes, 5 * nbytes)
    dram = stream.load_new(MemoryType.ACC, data, 0)
    if not dram & (stream.bases["acc"] // nbytes):
        raise ValueError("base_is_added: an OR would give the same address")
    stream.store(0, data.astype(np.int8))
