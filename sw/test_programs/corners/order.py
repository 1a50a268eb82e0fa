"""Sequential consistency (isa.md section 4): nothing depends on distance in time."""

import numpy as np

from vta.hw.isa import Alu, AluOpcode, Gemm, MemoryType
from vta.sw.test_programs.corners.alu import operate
from vta.sw.test_programs.corners.common import (
    acc_values,
    alu_imm,
    alu_tensor,
    corner,
    eye,
    gemm_over,
    inp_values,
    store_words,
)
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []


@corner
def alu_running_sum(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Each uop reads what the one before wrote: a running sum."""
    data = acc_values(stream, rng, 16)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(1, 0, 0)])
    stream.step(alu_tensor(AluOpcode.ADD, 15))
    store_words(stream, 0, np.cumsum(data, axis=0, dtype=np.int32))


@corner
def alu_reads_before_later_write(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Each uop reads what the next one writes: it gets the old value."""
    data = acc_values(stream, rng, 16)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 1, 0)])
    stream.step(alu_tensor(AluOpcode.ADD, 15))
    data[:15] += data[1:].copy()
    store_words(stream, 0, data)


@corner
def alu_dependent_at_every_distance(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """acc[d + distance] op= acc[d], at distances 1 to 10, every operation in turn."""
    for distance in range(1, 11):
        opcode = AluOpcode(distance % 5)
        data = acc_values(stream, rng, 24, 1 << (5 if opcode == AluOpcode.SHR else 31))
        stream.load_new(MemoryType.ACC, data, 0)
        stream.load_uops([(distance, 0, 0)])
        stream.step(alu_tensor(opcode, 24 - distance))
        for n in range(24 - distance):
            data[n + distance] = operate(opcode, data[n + distance], data[n])
        store_words(stream, 0, data)


@corner
def alu_same_entry(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The same dst again and again; an entry as its own second operand."""
    data = acc_values(stream, rng, 3, 1000)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 0, 0), (1, 1, 0), (2, 1, 0)])
    stream.step(alu_imm(AluOpcode.ADD, 3, 20, 0, dst_factor_in=0))
    stream.step(alu_tensor(AluOpcode.ADD, 5, 1, dst_factor_in=0, src_factor_in=0))
    stream.step(alu_tensor(AluOpcode.MUL, 3, 2, dst_factor_in=0, src_factor_in=0))
    data[0] += np.int32(60)
    data[1] *= np.int32(32)
    for _ in range(3):
        data[2] = operate(AluOpcode.MUL, data[2], data[1])
    store_words(stream, 0, data)


@corner
def alu_mul_then_use(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """MUL, then at once another operation on its result, by immediates and by tensors."""
    data = acc_values(stream, rng, 8)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 4, 0), (4, 0, 0)])
    for count in (1, 2, 3, 4):
        for opcode, imm in ((AluOpcode.MUL, 3), (AluOpcode.ADD, -5), (AluOpcode.MUL, -7)):
            stream.step(alu_imm(opcode, imm, count))
            data[:count] = operate(opcode, data[:count], imm)
        stream.step(alu_tensor(AluOpcode.MUL, count), alu_tensor(AluOpcode.ADD, count, 1))
        data[:count] = operate(AluOpcode.MUL, data[:count], data[4 : 4 + count])
        data[4 : 4 + count] += data[:count]
    store_words(stream, 0, data)


@corner
def gemm_alu_gemm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """GEMM, ALU and GEMM on the same entries, instruction after instruction."""
    inp, acc = inp_values(stream, rng, 4), acc_values(stream, rng, 4)
    stream.load_new(MemoryType.INP, inp, 0)
    stream.load_new(MemoryType.WGT, eye(stream), 0)
    stream.load_new(MemoryType.ACC, acc, 0)
    stream.load_uops([(0, 0, 0), (0, 1, 0)])
    gemm = gemm_over(4, dst_factor_in=1, src_factor_in=1)
    for _ in range(3):
        stream.step(gemm, alu_imm(AluOpcode.MUL, 3, 4), gemm, alu_tensor(AluOpcode.ADD, 3, 1))
        acc = 3 * (acc + inp) + inp
        acc[:3] += acc[1:4].copy()
    store_words(stream, 0, acc.astype(np.int32))


@corner
def load_acc_between_uses(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Loads within the compute stage are in order too: LOAD ACC right after entries were used,
    and right before."""
    acc, others = acc_values(stream, rng, 16), acc_values(stream, rng, 16)
    dram = stream.place(MemoryType.ACC, others)
    stream.load_new(MemoryType.ACC, acc, 0)
    stream.load_uops([(0, 8, 0)])
    for n in range(1, 9):
        stream.step(alu_tensor(AluOpcode.ADD, 8))
        stream.load(MemoryType.ACC, dram + n, n, 8 - n % 3)
        stream.step(alu_tensor(AluOpcode.ADD, 8))
        acc[:8] += acc[8:]
        acc[n : n + 8 - n % 3] = others[n : n + 8 - n % 3]
        acc[:8] += acc[8:]
    store_words(stream, 0, acc)


@corner
def load_uop_between_uses(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """LOAD UOP right after uops were used, over them, and right before their next use."""
    acc = acc_values(stream, rng, 12)
    stream.load_new(MemoryType.ACC, acc, 0)
    dram = stream.place_uops([(n, 0, 0) for n in range(12)])
    for n in range(12):
        stream.load(MemoryType.UOP, dram + n, 3, 1)
        stream.step(alu_imm(AluOpcode.ADD, 1 + n, 1, 3))
        acc[n] += np.int32(1 + n)
    store_words(stream, 0, acc)


@corner
def reset_overlapped_in_part(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A range reset by one uop, then LOAD ACC, ALU, GEMM and STORE over parts of it."""
    inp, acc = inp_values(stream, rng, 6), acc_values(stream, rng, 20)
    stream.load_new(MemoryType.INP, inp, 0)
    stream.load_new(MemoryType.WGT, eye(stream), 0)
    dram = stream.load_new(MemoryType.ACC, acc, 0)
    before = acc.copy()
    stream.load_uops([(2, 0, 0), (5, 9, 0), (8, 0, 0), (0, 3, 0)])
    reset = Gemm(uop_end=1, iter_out=4, iter_in=4, dst_factor_out=4, dst_factor_in=1, reset_reg=1)
    for _ in range(2):
        stream.step(reset)
        stream.load(MemoryType.ACC, dram + 4, 4, 2)
        stream.step(
            alu_tensor(AluOpcode.ADD, 3, 1),
            gemm_over(6, 2, dst_factor_in=1, src_factor_in=1),
            alu_imm(AluOpcode.MAX, 5, 3, 2),
        )
        acc[2:18] = 0
        acc[4:6] = before[4:6]
        acc[5:8] += acc[9:12]
        acc[8:14] += inp
        acc[8:11] = np.maximum(acc[8:11], 5)
        stream.store(0, acc.astype(np.int8))
        stream.step(
            Alu(
                alu_opcode=int(AluOpcode.MIN),
                uop_bgn=3,
                uop_end=4,
                iter_out=1,
                iter_in=15,
                dst_factor_in=1,
                src_factor_in=1,
            )
        )
        for n in range(15):
            acc[n] = np.minimum(acc[n], acc[3 + n])
    store_words(stream, 0, acc)


@corner
def reset_of_single_entries(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Resets with several uops, repeated and out of order, then what the entries hold."""
    acc = acc_values(stream, rng, 16)
    stream.load_new(MemoryType.ACC, acc, 0)
    stream.load_uops([(9, 0, 0), (3, 0, 0), (3, 0, 0), (12, 0, 0)])
    stream.step(Gemm(uop_end=4, iter_out=2, iter_in=1, dst_factor_out=2, reset_reg=1))
    acc[[9, 3, 12, 11, 5, 14]] = 0
    stream.store(0, acc.astype(np.int8))
    store_words(stream, 0, acc)
