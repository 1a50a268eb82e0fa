"""GEMM and its reset (isa.md section 4)."""

import numpy as np

from vta.hw.isa import Gemm, MemoryType
from vta.sw.test_programs.corners.common import (
    acc_values,
    corner,
    gemm_over,
    inp_values,
    store_words,
    wgt_values,
)
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []

Uops = list[tuple[int, int, int]]


def _operands(
    stream: StreamBuilder,
    rng: np.random.Generator,
    inps: int,
    wgts: int,
    accs: int,
    limit: int = 1 << 31,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random INP, WGT and ACC entries from entry 0 on, loaded; what they hold."""
    inp, wgt = inp_values(stream, rng, inps), wgt_values(stream, rng, wgts)
    acc = acc_values(stream, rng, accs, limit)
    stream.load_new(MemoryType.INP, inp, 0)
    stream.load_new(MemoryType.WGT, wgt, 0)
    stream.load_new(MemoryType.ACC, acc, 0)
    return inp.astype(np.int64), wgt.astype(np.int64), acc


def _run(acc: np.ndarray, inp: np.ndarray, wgt: np.ndarray, gemm: Gemm, uops: Uops) -> None:
    """The loops of isa.md, one uop execution after the other, in `acc` (int32)."""
    for i in range(gemm.iter_out):
        for j in range(gemm.iter_in):
            for dst, src, weight in uops[gemm.uop_bgn : gemm.uop_end]:
                d = dst + i * gemm.dst_factor_out + j * gemm.dst_factor_in
                s = src + i * gemm.src_factor_out + j * gemm.src_factor_in
                w = weight + i * gemm.wgt_factor_out + j * gemm.wgt_factor_in
                acc[d] = 0 if gemm.reset_reg else (acc[d] + inp[s] @ wgt[w].T).astype(np.int32)


def _check(
    stream: StreamBuilder,
    rng: np.random.Generator,
    gemm: Gemm,
    uops: Uops,
    sizes: tuple[int, int, int],
) -> None:
    """One GEMM over `sizes` INP, WGT and ACC entries, all of ACC stored."""
    inp, wgt, acc = _operands(stream, rng, *sizes)
    stream.load_uops(uops)
    stream.step(gemm)
    _run(acc, inp, wgt, gemm, uops)
    store_words(stream, 0, acc)


@corner
def gemm_loops(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Two loops round the uops, k innermost; each index has its own two factors."""
    gemm = Gemm(
        uop_bgn=1,
        uop_end=4,
        iter_out=3,
        iter_in=2,
        dst_factor_out=5,
        dst_factor_in=2,
        src_factor_out=4,
        src_factor_in=3,
        wgt_factor_out=1,
        wgt_factor_in=2,
    )
    uops = [(99, 99, 99), (0, 3, 1), (2, 0, 0), (1, 7, 2), (99, 99, 99)]
    _check(stream, rng, gemm, uops, (20, 7, 16))


@corner
def gemm_multiplies_by_transpose(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """acc[d] += inp[s] @ wgt[w].T: WGT is [out][in], INP and ACC have BATCH rows."""
    _check(stream, rng, gemm_over(1), [(0, 0, 0)], (1, 1, 1))


@corner
def gemm_extremes(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """All operands -128, and -128 by 127: the largest and smallest sums."""
    config = stream.config
    inp = np.full((1, config.batch, config.block), -128, np.int8)
    wgt = np.stack([np.full((config.block,) * 2, v, np.int8) for v in (-128, 127)])
    acc = np.zeros((2, config.batch, config.block), np.int32)
    for type, values in ((MemoryType.INP, inp), (MemoryType.WGT, wgt), (MemoryType.ACC, acc)):
        stream.load_new(type, values, 0)
    stream.load_uops([(0, 0, 0)])
    stream.step(gemm_over(2, dst_factor_in=1, wgt_factor_in=1))
    acc[0], acc[1] = config.block * 16384, config.block * -16256
    store_words(stream, 0, acc)


@corner
def gemm_wraps(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Arithmetic wraps at ACC width."""
    inp, wgt, acc = _operands(stream, rng, 4, 4, 4)
    near = np.where(acc < 0, -(1 << 31), (1 << 31) - 1).astype(np.int32)
    stream.load_new(MemoryType.ACC, near, 0)
    uops = [(0, 0, 0)]
    stream.load_uops(uops)
    gemm = gemm_over(4, dst_factor_in=1, src_factor_in=1, wgt_factor_in=1)
    stream.step(gemm)
    _run(near, inp, wgt, gemm, uops)
    store_words(stream, 0, near)


@corner
def gemm_dependent_at_every_distance(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """No stream depends on the distance between dependent uops: the same dst 1 to 12 apart."""
    inp, wgt, acc = _operands(stream, rng, 8, 4, 12)
    for distance in range(1, 13):
        uops = [(n % distance, n % 8, n % 4) for n in range(2 * distance + 3)]
        stream.load_uops(uops)
        gemm = Gemm(uop_end=len(uops), iter_out=2, iter_in=1)
        stream.step(gemm)
        _run(acc, inp, wgt, gemm, uops)
    store_words(stream, 0, acc)


@corner
def gemm_long_accumulation(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """One ACC entry takes hundreds of uops in a row, as a reduction does."""
    gemm = Gemm(uop_end=3, iter_out=9, iter_in=16, src_factor_in=1, wgt_factor_out=1)
    uops = [(1, 0, 0), (1, 1, 1), (1, 2, 2)]
    _check(stream, rng, gemm, uops, (18, 11, 3))


@corner
def gemm_many_instructions(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Instructions of one uop each, on the same entry or on neighbours, follow each other."""
    inp, wgt, acc = _operands(stream, rng, 8, 8, 8)
    uops = [(n // 3 % 4, n % 8, (3 * n) % 8) for n in range(24)]
    stream.load_uops(uops)
    for n in range(24):
        gemm = gemm_over(1, n)
        stream.step(gemm)
        _run(acc, inp, wgt, gemm, uops)
    store_words(stream, 0, acc)


@corner
def reset_reads_nothing(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """acc[d] = 0 with reset_reg: src and wgt are not read, wherever their factors lead."""
    config = stream.config
    acc = acc_values(stream, rng, 16)
    stream.load_new(MemoryType.ACC, acc, 0)
    stream.load_uops([(2, config.inp_depth - 1, config.wgt_depth - 1)])
    far = {f"src_factor_{loop}": config.inp_depth - 1 for loop in ("out", "in")}
    far |= {f"wgt_factor_{loop}": config.wgt_depth - 1 for loop in ("out", "in")}
    stream.step(
        Gemm(
            uop_end=1, iter_out=2, iter_in=3, dst_factor_out=6, dst_factor_in=1, reset_reg=1, **far
        )
    )
    acc[2:5] = acc[8:11] = 0
    store_words(stream, 0, acc)


@corner
def reset_then_gemm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """What a GEMM adds to after a reset is 0, in the reset's range and not beyond it."""
    inp, wgt, acc = _operands(stream, rng, 8, 4, 16)
    uops = [(4, 0, 0), (2, 1, 1)]
    stream.load_uops(uops)
    reset = gemm_over(8, 0, dst_factor_in=1, reset_reg=1)
    add = gemm_over(6, 1, dst_factor_in=1, src_factor_in=1)
    for gemm in (reset, add, add, reset, reset, add):
        stream.step(gemm)
        _run(acc, inp, wgt, gemm, uops)
    store_words(stream, 0, acc)


@corner
def empty_gemm(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Empty loops (an iter of 0, or uop_bgn >= uop_end) do nothing, wherever they would lead."""
    acc = acc_values(stream, rng, 8)
    config = stream.config
    stream.load_new(MemoryType.ACC, acc, 0)
    far = {"dst_factor_out": config.acc_depth - 1, "dst_factor_in": config.acc_depth - 1}
    u, most = config.uop_depth, 2 * config.uop_depth - 1
    for reset in (0, 1):
        for loops in (
            {"uop_end": most, "iter_out": 0, "iter_in": most},
            {"uop_end": most, "iter_out": most, "iter_in": 0},
            {"uop_bgn": 3, "uop_end": 3, "iter_out": most, "iter_in": most},
            {"uop_bgn": u - 1, "uop_end": 0, "iter_out": most, "iter_in": most},
            {},
        ):
            stream.step(Gemm(reset_reg=reset, **loops, **far))
    store_words(stream, 0, acc)
