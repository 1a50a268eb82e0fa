"""Tile search: fits what it says, finds the model's best, and says why it finds none."""

from itertools import product

import pytest

from hw.config import Config
from sw.compiler import CompileError
from sw.operators.cost import lower_bound
from sw.operators.tiles import KEEP, GemmShape, Tiling, bound, choose, estimate, fits

SHAPES = (
    GemmShape(1, 4, 4, 14, 14, (3, 3), (1, 1), bias=True),
    GemmShape(2, 3, 5, 7, 9, (1, 1), (2, 2)),
    GemmShape(1, 8, 8, 1, 6),
)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_search_finds_the_best_of_all_full_width_tilings(shape: GemmShape) -> None:
    config = Config()
    divisors = [n for n in range(1, shape.inputs + 1) if shape.inputs % n == 0]
    outputs, heights = range(1, shape.outputs + 1), range(1, shape.height + 1)
    every = (
        Tiling(o, h, shape.width, i, r) for o, h, i, r in product(outputs, heights, divisors, KEEP)
    )
    fitting = [tiling for tiling in every if fits(shape, tiling, config)]
    best = min(estimate(shape, tiling, config) for tiling in fitting)
    assert estimate(shape, choose(shape, config), config) <= best
    assert all(lower_bound(shape, t, config) <= estimate(shape, t, config) for t in fitting)


def test_narrow_tiles_where_full_width_does_not_fit() -> None:
    shape = GemmShape(1, 4, 4, 8, 600, (3, 3))
    tiling = choose(shape, Config())
    assert tiling.width < 600
    assert fits(shape, tiling, Config())


def test_bound_of_c2() -> None:
    """451,584 GEMM uops and 12,544 vectors: mappings.md's figures for C2."""
    shape = GemmShape(1, 4, 4, 56, 56, (3, 3), (1, 1), bias=True)
    figures = bound(shape, Config(), input_elements=4 * 56 * 56)
    assert (figures["gemm"], figures["alu"]) == (451584, 12544)
    assert figures["reads"] == 4 * 56 * 56 * 2 + 144 * 32 + 4 * 8
    assert figures["writes"] == 25088
    assert figures["bound"] == 451584 + 12544 + 32


def test_nothing_fits() -> None:
    with pytest.raises(CompileError, match=r"no tile of .* fits INP 4,"):
        choose(GemmShape(1, 1, 1, 8, 8, (3, 3)), Config(log_inp_buff_size=6))
