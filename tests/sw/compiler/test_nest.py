"""Loop nests: the planned instructions touch exactly the nest's entries, within all limits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.sw.compiler.ir import Dim, entries
from vta.sw.compiler.passes.nest import LoopNest, merge, plan

dims = st.lists(
    st.builds(Dim.of, st.integers(1, 9), st.integers(-20, 20), st.integers(-20, 20)), max_size=4
)


def visits(nest: list[Dim], base: tuple[int, ...]) -> np.ndarray:
    """Rows of (operand 0, operand 1) for every iteration, sorted."""
    rows = np.array([base], np.int64)
    for dim in nest:
        rows = (rows[:, None] + np.outer(np.arange(dim.extent), dim.strides)).reshape(-1, 2)
    return np.array(sorted(map(tuple, rows)))


def planned(loops: list[LoopNest]) -> np.ndarray:
    rows = []
    for nest in loops:
        out, inner = np.array(nest.factors).T
        for i in range(nest.iter_out):
            for j in range(nest.iter_in):
                rows += [tuple(uop + i * out + j * inner) for uop in nest.uops]
    return np.array(sorted(rows))


@settings(max_examples=200, deadline=None)
@given(dims, st.integers(1, 12), st.integers(1, 12))
def test_a_plan_is_the_nest(nest: list[Dim], max_iter: int, max_uops: int) -> None:
    loops = list(plan(nest, (3, 5), max_iter=max_iter, max_uops=max_uops))
    np.testing.assert_array_equal(planned(loops), visits(nest, (3, 5)))
    for loop in loops:
        assert max(loop.iter_out, loop.iter_in) <= max_iter
        assert len(loop.uops) <= max_uops
        assert min(min(pair) for pair in loop.factors) >= 0  # unsigned fields


@settings(max_examples=100, deadline=None)
@given(dims)
def test_merge_and_entries(nest: list[Dim]) -> None:
    np.testing.assert_array_equal(visits(merge(nest), (0, 0)), visits(nest, (0, 0)))
    np.testing.assert_array_equal(entries(nest, 1, 4), np.unique(visits(nest, (0, 4))[:, 1]))


def test_a_contiguous_tile_is_one_loop() -> None:
    """(4, 3, 7) rows of a compact tile: one uop, iter_in 84, factor 1."""
    (loop,) = plan([Dim.of(4, 21), Dim.of(3, 7), Dim.of(7, 1)], (10,), max_iter=1000, max_uops=1)
    assert (loop.iter_out, loop.iter_in, loop.factors) == (1, 84, ((0, 1),))


def test_a_broadcast_operand_takes_the_outer_loop() -> None:
    """Bias: the destination runs through channels and pixels, the source through channels."""
    (loop,) = plan([Dim.of(4, 21, 1), Dim.of(21, 1, 0)], (0, 0), max_iter=1000, max_uops=1)
    assert (loop.iter_out, loop.iter_in, loop.factors) == (4, 21, ((21, 1), (1, 0)))
