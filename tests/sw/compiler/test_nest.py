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


def test_a_gemm_adds_in_its_innermost_steps() -> None:
    """Rows, sums and outputs: the sums are uops, so nine steps in a row add to one entry."""
    dims = [Dim.of(16, 2, 9, 0), Dim.of(9, 0, 1, 1), Dim.of(2, 1, 0, 9)]
    limits = {"max_iter": 1000, "max_uops": 100}
    (product,) = plan(dims, (0, 0, 0), **limits, adds=True)
    assert (product.iter_out, product.iter_in) == (16, 2)
    assert product.uops.tolist() == [[0, n, n] for n in range(9)]
    (other,) = plan(dims, (0, 0, 0), **limits)
    assert (other.iter_out, other.iter_in, len(other.uops)) == (16, 9, 2)
    # Where uops are scarce, they decide.
    (scarce,) = plan(dims, (0, 0, 0), max_iter=1000, max_uops=2, adds=True)
    assert (scarce.iter_out, scarce.iter_in, len(scarce.uops)) == (16, 9, 2)


def test_sums_are_innermost_among_uops_too() -> None:
    dims = [Dim.of(4, 0, 1, 1), Dim.of(3, 1, 0, 4), Dim.of(50, 30, 40, 0), Dim.of(60, 1500, 9, 0)]
    (product,) = plan(dims, (0, 0, 0), max_iter=1000, max_uops=100, adds=True)
    assert product.uops[:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 4
