"""Tile search: fits what it says, finds the model's best, and says why it finds none."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import ZERO_FLAGS, Config
from vta.hw.isa import Gemm
from vta.sw.codec import decode_all, unpack_uops
from vta.sw.compiler import CompileError
from vta.sw.compiler.passes.nest import limits
from vta.sw.estimate import estimate_program
from vta.sw.operators import Conv2d, Kernel, Matmul
from vta.sw.operators.cost import _costs as costs
from vta.sw.operators.cost import demand, estimate, lower_bound, run_length
from vta.sw.operators.shape import GemmShape, Tiling
from vta.sw.operators.tiles import BY_TAP, KEEP, may_fit, needs, tilings

SHAPES = (
    GemmShape(1, 4, 4, 14, 14, (3, 3), (1, 1), bias=True),
    GemmShape(2, 3, 5, 7, 9, (1, 1), (2, 2)),
    GemmShape(1, 8, 8, 1, 6),
    GemmShape(1, 2, 4, 6, 7, (3, 3), bias=True, residual=True),
)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_search_finds_the_best_of_all_full_width_tilings(shape: GemmShape) -> None:
    config = Config()
    divisors = [n for n in range(1, shape.inputs + 1) if shape.inputs % n == 0]
    outputs, heights = range(1, shape.outputs + 1), range(1, shape.height + 1)
    every = (
        Tiling(o, h, shape.width, i, r) for o, h, i, r in product(outputs, heights, divisors, KEEP)
    )
    fitting = [tiling for tiling in every if may_fit(shape, tiling, config)]
    best = min(estimate(shape, tiling, config) for tiling in fitting)
    assert next(iter(tilings(shape, config))).cost <= best
    each = [replace(tiling, held=held) for tiling in fitting for held in (True, False)]
    assert all(lower_bound(shape, t, config) <= estimate(shape, t, config) for t in each)


def runs(kernel: Kernel) -> list[int]:
    """For each GEMM instruction, the length of the first run of steps with the same ACC entry."""
    program, found = kernel.program(), []
    uops, code = program.segments["uop"], program.segments["insn"]
    image = program.image()
    start, end = (s.addr - program.memory_base for s in (uops, code))
    dst = unpack_uops(kernel.config, image[start : start + uops.nbytes].view("<u4"))[:, 0]
    for i in decode_all(kernel.config, image[end : end + code.nbytes]):
        if isinstance(i, Gemm) and not i.reset_reg:
            out, inner = np.arange(i.iter_out), np.arange(i.iter_in)
            loops = (out * i.dst_factor_out)[:, None] + inner * i.dst_factor_in
            steps = (loops[:, :, None] + dst[i.uop_bgn : i.uop_end]).ravel()
            other = np.flatnonzero(steps != steps[0])
            found.append(int(other[0]) if len(other) else len(steps))
    return found


@pytest.mark.parametrize(
    ("tiling", "kernel", "stride", "run"),
    [
        (Tiling(4, 2, 6, 4), 1, 2, 4),
        (Tiling(2, 2, 6, 4), 1, 1, 4),
        (Tiling(1, 2, 6, 4), 1, 1, 4),
        (Tiling(4, 6, 6, 1), 1, 1, 1),
        (Tiling(4, 3, 6, 1), 3, 1, 9),
        (Tiling(4, 6, 6, 2), 3, 1, 18),
        (Tiling(1, 6, 3, 1), 3, 1, 9),
        (Tiling(1, 2, 6, 1), 3, 1, 9),
        (Tiling(4, 3, 6, 1, by_tap=(True, False)), 3, 1, 9),
        (Tiling(4, 3, 6, 1, by_tap=(True, True)), 3, 1, 9),
        (Tiling(4, 6, 6, 2, by_tap=(True, False)), 3, 1, 18),
    ],
)
def test_runs_of_the_model_are_those_of_the_stream(
    tiling: Tiling, kernel: int, stride: int, run: int
) -> None:
    """The tiles divide and the stream has one generation of uops, so all instructions agree."""
    size = 6 * stride if kernel == 1 else 6
    conv = Conv2d(
        height=size,
        width=size,
        channels=64,
        outputs=64,
        kernel_height=kernel,
        kernel_width=kernel,
        stride=stride,
        padding=kernel // 2,
        shift=8,
    )
    config = Config()
    assert run_length(conv.shape(config), tiling, limits(config)) == run
    assert set(runs(conv.bind(config, tiling))) == {run}


@pytest.mark.parametrize(
    ("tiling", "run"), [(Tiling(4, 1, 8, 4), 4), (Tiling(2, 1, 8, 4), 4), (Tiling(4, 1, 8, 2), 2)]
)
def test_runs_of_a_matrix_product(tiling: Tiling, run: int) -> None:
    product, config = Matmul(rows=8, inner=64, columns=64, shift=8), Config()
    assert run_length(product.shape(config), tiling, limits(config)) == run
    assert set(runs(product.bind(config, tiling))) == {run}


def test_an_alu_pass_hides_behind_gemm_with_long_runs() -> None:
    """It costs nearly all its cycles beside single steps, far fewer beside runs of four."""
    shape, config = GemmShape(1, 4, 8, 14, 14), Config.preset("2x32", axi_data_bits=256)
    silent = GemmShape(1, 4, 8, 14, 14, alu=False)

    def extra(tiling: Tiling) -> float:
        return (estimate(shape, tiling, config) - estimate(silent, tiling, config)) / shape.vectors

    assert extra(Tiling(4, 2, 14, 1, "weights")) > 0.9
    assert 0 < extra(Tiling(4, 2, 14, 4, "weights")) < 0.5


@pytest.mark.parametrize("bits", [64, 256])
def test_a_reset_takes_the_rows_of_zero_flags_that_the_core_has(bits: int) -> None:
    config = Config(axi_data_bits=bits)
    row = config.zero_row
    assert row == ZERO_FLAGS * {64: 1, 256: 2}[bits]

    def reset(rows: int) -> int:
        shape, tiling = GemmShape(1, 1, 1, rows, row), Tiling(1, rows, row, 1)
        return costs(shape, tiling, config, tiling).reset

    assert [reset(rows) for rows in (1, 4)] == [1, 4]


def test_narrow_tiles_where_full_width_does_not_fit() -> None:
    shape = GemmShape(1, 4, 4, 8, 600, (3, 3))
    tiling = next(iter(tilings(shape, Config()))).tiling
    assert tiling.width < 600
    assert may_fit(shape, tiling, Config())


SMALL = Config(log_inp_buff_size=9, log_wgt_buff_size=13, log_acc_buff_size=11)
"""32 entries of INP, WGT and ACC."""


@st.composite
def tiled(draw: st.DrawFn) -> tuple[Conv2d, Tiling]:
    """A small convolution, and any tiling of it."""
    taps = draw(st.sampled_from((1, 2, 3)))
    conv = Conv2d(
        height=draw(st.integers(3, 8)),
        width=draw(st.integers(3, 8)),
        channels=draw(st.sampled_from((16, 32, 64))),
        outputs=draw(st.integers(1, 64)),
        kernel_height=taps,
        kernel_width=taps,
        padding=taps // 2,
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
    )
    shape = conv.shape(SMALL)
    sizes = (draw(st.integers(1, n)) for n in (shape.outputs, shape.height, shape.width))
    inputs = draw(st.sampled_from([n for n in (1, 2, 4) if shape.inputs % n == 0]))
    ways = {"held": draw(st.booleans()), "by_tap": draw(st.sampled_from(BY_TAP))}
    return conv, Tiling(*sizes, inputs, draw(st.sampled_from(KEEP)), **ways)


def compiles(conv: Conv2d, tiling: Tiling) -> bool:
    """The compiler's answer; nothing but entries keeps one of these from compiling."""
    try:
        conv.bind(SMALL, tiling).stream()
    except CompileError as error:
        assert re.match(r"(INP|WGT|ACC) has 32 entries, the schedule needs ", str(error))
        return False
    return True


@settings(max_examples=40, deadline=None)
@given(tiled())
def test_what_compiles_may_fit(case: tuple[Conv2d, Tiling]) -> None:
    """No tiling is passed over that the compiler would take; without a residual none is tried in
    vain.
    """
    conv, tiling = case
    possible = may_fit(conv.shape(SMALL), tiling, SMALL)
    if compiles(conv, tiling):
        assert possible
    else:
        assert conv.residual or not possible


def test_a_residual_of_a_single_tile_takes_the_entries_of_the_data() -> None:
    """Two slots of four by four pixels fill INP; the residual comes when they are used up."""
    size = {"height": 4, "width": 4, "channels": 32, "outputs": 16}
    conv = Conv2d(**size, kernel_height=1, kernel_width=1, padding=0, residual=True)
    tiling = Tiling(1, 4, 4, 1)
    assert needs(conv.shape(SMALL), tiling)[0] == SMALL.inp_depth
    assert compiles(conv, tiling)


def test_operands_of_many_channels_come_with_their_tiles() -> None:
    """Three tensors of 16384 channels are half as much again as ACC has entries."""
    steps = "min high, max low, mul multiplier, add addend, shr 20"
    kernel = Matmul(rows=1, inner=100, columns=16384, steps=steps).bind(Config())
    assert not kernel.tiling.held
    bound = kernel.operator.demand(Config())["bound"]
    assert estimate_program(kernel.compiled.template).cycles < 1.02 * bound
    assert_right(kernel, 3)


def test_bound_of_c2() -> None:
    """451,584 GEMM uops and 12,544 vectors: mappings.md's figures for C2."""
    shape = GemmShape(1, 4, 4, 56, 56, (3, 3), (1, 1), bias=True)
    figures = demand([shape], Config(), input_elements=4 * 56 * 56)
    assert (figures["gemm"], figures["alu"]) == (451584, 12544)
    assert figures["reads"] == 4 * 56 * 56 * 2 + 144 * 32 + 4 * 8
    assert figures["writes"] == 25088
    assert figures["bound"] == 451584
    assert figures["with_alu"] == 451584 + 12544 + 32


def test_nothing_fits() -> None:
    with pytest.raises(CompileError, match=r"no tile of .* fits INP 4,"):
        tilings(GemmShape(1, 1, 1, 8, 8, (3, 3)), Config(log_inp_buff_size=6))
