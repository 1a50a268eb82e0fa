"""ALU instructions over the same vectors: a core may fold them into one pass, unseen."""

from dataclasses import replace

import numpy as np

from vta.hw.isa import Alu, AluOpcode, MemoryType
from vta.sw.test_programs.corners.alu import operate
from vta.sw.test_programs.corners.common import (
    acc_values,
    alu_imm,
    alu_tensor,
    corner,
    gemm_over,
    store_words,
)
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []

ADD, SHR, MAX, MIN, MUL = (AluOpcode[name] for name in ("ADD", "SHR", "MAX", "MIN", "MUL"))


def _run(data: np.ndarray, alu: Alu, dst: int, src: int) -> None:
    """One uop execution after the other, in `data`."""
    for i in range(alu.iter_out):
        for j in range(alu.iter_in):
            d = dst + i * alu.dst_factor_out + j * alu.dst_factor_in
            s = src + i * alu.src_factor_out + j * alu.src_factor_in
            operand = alu.imm if alu.use_imm else data[s].copy()
            data[d] = operate(AluOpcode(alu.alu_opcode), data[d], operand)


def _steps(
    stream: StreamBuilder, data: np.ndarray, uops: list[tuple[int, int, int]], steps: list[Alu]
) -> None:
    """Run the steps, of one uop each, over `data`, which was loaded; store everything."""
    stream.load_uops(uops)
    stream.step(*steps)
    for step in steps:
        dst, src, _ = uops[step.uop_bgn]
        _run(data, step, dst, src)
    store_words(stream, 0, data)


@corner
def requantise_chain(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The usual chain over the same vectors: bias, shift, clip; then the chain once more, with
    one instruction that is almost the same between."""
    data = acc_values(stream, rng, 24, 1 << 16)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 20, 0)])
    chain = ((ADD, 64), (SHR, 7), (MAX, -128), (MIN, 127))
    for count in (20, 19, 20):
        stream.step(alu_tensor(ADD, count, src_factor_in=0))
        data[:count] += data[20]
        for opcode, imm in chain:
            stream.step(alu_imm(opcode, imm, count))
            data[:count] = operate(opcode, data[:count], imm)
    store_words(stream, 0, data)


@corner
def chain_whose_operand_changes(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A chain with a broadcast operand that lies among the vectors that the chain changes."""
    data = acc_values(stream, rng, 40, 1 << 12)
    stream.load_new(MemoryType.ACC, data, 0)
    operand = {"src_factor_in": 0}
    steps = [
        alu_imm(ADD, 100, 40),
        alu_tensor(ADD, 40, **operand),
        alu_imm(SHR, 2, 40),
        alu_tensor(MAX, 40, **operand),
        alu_imm(MIN, 500, 40),
    ]
    _steps(stream, data, [(0, 15, 0)], steps)


@corner
def chain_whose_operand_is_near(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A tensor operand among the vectors of the chain, one entry before, at, or behind each: what
    it reads is what the instruction before left, and not the next one's result."""
    for distance in (-2, -1, 0, 1, 2):
        data = acc_values(stream, rng, 40, 1 << 12)
        stream.load_new(MemoryType.ACC, data, 0)
        steps = [
            alu_tensor(ADD, 32),
            alu_imm(SHR, 1, 32),
            alu_imm(MAX, -50, 32),
            alu_imm(ADD, 7, 32),
            alu_tensor(MIN, 32),
            alu_imm(ADD, 1, 32),
        ]
        _steps(stream, data, [(4, 4 + distance, 0)], steps)


@corner
def chain_with_a_shift_operand(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Shift amounts of their own for each vector, between immediates; the uop of that instruction
    is another one with the same dst."""
    data = acc_values(stream, rng, 80, 1 << 20)
    data[40:] = acc_values(stream, rng, 40, 12)
    stream.load_new(MemoryType.ACC, data, 0)
    steps = [
        alu_imm(ADD, 999, 40),
        alu_tensor(SHR, 40, 1),
        alu_imm(MAX, -128, 40),
        alu_imm(MIN, 127, 40),
        alu_imm(MUL, 3, 40),
        alu_tensor(SHR, 40, 1),
        alu_imm(MIN, 99, 40, 1),
    ]
    _steps(stream, data, [(0, 79, 0), (0, 40, 0)], steps)


@corner
def chain_of_many(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Forty instructions over the same vectors, all of which could be one clamp or one sum."""
    data = acc_values(stream, rng, 40, 1 << 12)
    stream.load_new(MemoryType.ACC, data, 0)
    sums = [alu_imm(ADD, 100 - n, 40) for n in range(40)]
    clamps = [
        alu_imm((MIN, MAX)[n % 2], (2000 - 40 * n) * (1 - 2 * (n % 2)), 40) for n in range(40)
    ]
    _steps(stream, data, [(0, 0, 0)], sums + clamps)


@corner
def chains_that_are_almost_one(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Two instructions whose vectors are the same but for one index: the next dst, one iteration
    less, another stride. Each applies to its own vectors."""
    loops = {"iter_out": 4, "iter_in": 5, "dst_factor_out": 12, "dst_factor_in": 1}
    first = Alu(uop_end=1, alu_opcode=int(ADD), use_imm=1, imm=300, **loops)
    second = replace(first, alu_opcode=int(MAX), imm=100)
    changes = (
        {"uop_bgn": 1, "uop_end": 2},
        {"iter_out": 3},
        {"iter_out": 5},
        {"iter_in": 4},
        {"iter_in": 6},
        {"dst_factor_out": 13},
        {"dst_factor_out": 11},
        {"dst_factor_in": 2},
        {"dst_factor_in": 0},
        {"iter_out": 5, "iter_in": 4},
    )
    for change in changes:
        data = acc_values(stream, rng, 64, 1 << 10)
        stream.load_new(MemoryType.ACC, data, 0)
        _steps(stream, data, [(2, 0, 0), (3, 0, 0)], [first, replace(second, **change)])


@corner
def reset_then_chain(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A reset of a range, then at once a chain over it, and over a little more and less of it."""
    for count in (32, 31, 33):
        data = acc_values(stream, rng, 40, 1 << 12)
        stream.load_new(MemoryType.ACC, data, 0)
        stream.load_uops([(2, 36, 0)])
        chain = [alu_imm(ADD, 77, count), alu_imm(MUL, -3, count), alu_imm(SHR, 1, count)]
        stream.step(gemm_over(32, dst_factor_in=1, reset_reg=1), *chain)
        data[2:34] = 0
        for step in chain:
            _run(data, step, 2, 36)
        store_words(stream, 0, data)
