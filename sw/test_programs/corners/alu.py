"""ALU (isa.md section 4)."""

from dataclasses import replace

import numpy as np

from vta.hw.isa import Alu, AluOpcode, MemoryType
from vta.sw.test_programs.corners.common import acc_values, alu_imm, alu_tensor, corner, store_words
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []

EDGES = (0, 1, -1, 2, 127, -128, 255, 256, 32767, -32768, (1 << 31) - 1, -(1 << 31), 1 << 30)
SHIFTS = (0, 1, 4, 31, 32, 33, 63, 64, 255, 32767, -1, -4, -31, -32, -33, -64, -32768)


def operate(opcode: AluOpcode, a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """The operations of isa.md, on Python integers, one after the other; int32 like `a`."""
    results = []
    for x, y in zip(
        a.reshape(-1).tolist(), np.broadcast_to(b, a.shape).reshape(-1).tolist(), strict=True
    ):
        if opcode == AluOpcode.SHR:
            value = x >> min(y, 64) if y >= 0 else x << min(-y, 64)
        else:
            value = {"MIN": min(x, y), "MAX": max(x, y), "ADD": x + y, "MUL": x * y}[opcode.name]
        results.append((value + (1 << 31)) % (1 << 32) - (1 << 31))
    return np.array(results, np.int32).reshape(a.shape)


def _edges(stream: StreamBuilder, rng: np.random.Generator, n: int) -> np.ndarray:
    """Entries whose first values are edges, the others random."""
    data = acc_values(stream, rng, n)
    flat = data.reshape(-1)
    flat[: len(EDGES)] = EDGES[: len(flat)]
    return data


def _immediates(
    stream: StreamBuilder, rng: np.random.Generator, opcode: AluOpcode, values: tuple[int, ...]
) -> None:
    """Each immediate on 4 fresh entries; all results stored."""
    data = np.concatenate([_edges(stream, rng, 4) for _ in values])
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(4 * n, 0, 0) for n in range(len(values))])
    for n, imm in enumerate(values):
        stream.step(alu_imm(opcode, imm, 4, n))
        data[4 * n : 4 * n + 4] = operate(opcode, data[4 * n : 4 * n + 4], imm)
    store_words(stream, 0, data)


@corner
def alu_min_imm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """MIN is signed; the immediate is sign-extended."""
    _immediates(stream, rng, AluOpcode.MIN, (0, -1, 5, 32767, -32768))


@corner
def alu_max_imm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """MAX is signed; the immediate is sign-extended."""
    _immediates(stream, rng, AluOpcode.MAX, (0, -1, 5, 32767, -32768))


@corner
def alu_add_imm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """ADD wraps at ACC width."""
    _immediates(stream, rng, AluOpcode.ADD, (0, 1, -1, 32767, -32768))


@corner
def alu_mul_imm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """MUL wraps at ACC width."""
    _immediates(stream, rng, AluOpcode.MUL, (0, 1, -1, 3, 32767, -32768))


@corner
def alu_shr_imm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """SHR is arithmetic; a negative amount shifts left; amounts are not masked: right by ACC
    width or more gives the sign, left by ACC width or more gives 0."""
    _immediates(stream, rng, AluOpcode.SHR, SHIFTS)


@corner
def alu_tensor_operands(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """acc[d] = op(acc[d], acc[s]), every operation, every edge."""
    n = 6
    for opcode in AluOpcode:
        a, b = _edges(stream, rng, n), acc_values(stream, rng, n)
        flat = b.reshape(-1)
        flat[: len(EDGES)] = EDGES[::-1][: len(flat)]
        stream.load_new(MemoryType.ACC, np.concatenate([a, b]), 0)
        stream.load_uops([(0, n, 0)])
        stream.step(alu_tensor(opcode, n))
        store_words(stream, 0, operate(opcode, a, b))


@corner
def alu_shr_tensor(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A tensor shift amount is a signed number of full width."""
    amounts = np.array((*SHIFTS, (1 << 31) - 1, -(1 << 31), 1 << 30, 1 << 16), np.int32)
    n = -(-len(amounts) // (stream.config.batch * stream.config.block))
    a, b = acc_values(stream, rng, 4 * n), acc_values(stream, rng, 4 * n, 40)
    b.reshape(-1)[: len(amounts)] = amounts
    stream.load_new(MemoryType.ACC, np.concatenate([a, b]), 0)
    stream.load_uops([(0, 4 * n, 0)])
    stream.step(alu_tensor(AluOpcode.SHR, 4 * n))
    store_words(stream, 0, operate(AluOpcode.SHR, a, b))


@corner
def alu_first_operand_is_dst(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The first operand is acc[d], with immediates too, where src is ignored; the reset bit is
    ignored; so is the immediate of a tensor operation."""
    data = acc_values(stream, rng, 12, 1000)
    stream.load_new(MemoryType.ACC, data, 0)
    last = stream.config.acc_depth - 1
    stream.load_uops([(0, last, 0), (4, 8, 0)])
    imm = alu_imm(AluOpcode.ADD, 7, 4, 0, src_factor_in=last, src_factor_out=last, reset_reg=1)
    stream.step(imm)
    tensor = replace(alu_tensor(AluOpcode.ADD, 4, 1), imm=-99, reset_reg=1)
    stream.step(tensor)
    data[:4] += np.int32(7)
    data[4:8] += data[8:12]
    store_words(stream, 0, data)


@corner
def alu_loops(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """The same loops as GEMM's, with d and s: several uops, both factors of both."""
    data = acc_values(stream, rng, 40)
    stream.load_new(MemoryType.ACC, data, 0)
    uops = [(0, 20, 0), (1, 33, 0), (3, 25, 0)]
    stream.load_uops([(39, 39, 0), *uops], 2)
    alu = Alu(
        alu_opcode=int(AluOpcode.ADD),
        uop_bgn=3,
        uop_end=6,
        iter_out=2,
        iter_in=3,
        dst_factor_out=9,
        dst_factor_in=2,
        src_factor_out=1,
        src_factor_in=2,
    )
    stream.step(alu)
    for i in range(2):
        for j in range(3):
            for dst, src, _ in uops:
                data[dst + 9 * i + 2 * j] += data[src + i + 2 * j]
    store_words(stream, 0, data)


@corner
def alu_broadcast(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """One entry as second operand of all iterations, or of all of an inner loop."""
    data = acc_values(stream, rng, 24, 1 << 20)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 20, 0)])
    loops = {"uop_end": 1, "iter_out": 4, "iter_in": 5, "dst_factor_out": 5, "dst_factor_in": 1}
    stream.step(Alu(alu_opcode=int(AluOpcode.ADD), **loops))
    stream.step(Alu(alu_opcode=int(AluOpcode.MAX), **loops, src_factor_out=1))
    data[:20] += data[20]
    data[:20] = np.maximum(data[:20], np.repeat(data[20:24], 5, axis=0))
    store_words(stream, 0, data)


@corner
def empty_alu(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Empty loops do nothing, wherever they would lead."""
    acc = acc_values(stream, rng, 8)
    config = stream.config
    stream.load_new(MemoryType.ACC, acc, 0)
    far = {"dst_factor_out": config.acc_depth - 1, "src_factor_in": config.acc_depth - 1}
    most = 2 * config.uop_depth - 1
    for use_imm in (0, 1):
        for loops in (
            {"uop_end": most, "iter_out": 0, "iter_in": most},
            {"uop_end": most, "iter_out": most, "iter_in": 0},
            {"uop_bgn": 3, "uop_end": 3, "iter_out": most, "iter_in": most},
            {"uop_bgn": config.uop_depth - 1, "iter_out": most, "iter_in": most},
        ):
            stream.step(Alu(alu_opcode=2, use_imm=use_imm, imm=1, **loops, **far))
    store_words(stream, 0, acc)
