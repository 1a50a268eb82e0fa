"""Weights of several terms: what does not fit int8 is multiplied in parts, into the same sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.convolutions import plain_sums
from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.layout import pack, unpack
from vta.sw.operators import Conv2d, Conv2dMaxPool, Conv2dTranspose, Matmul, OperatorError
from vta.sw.operators.product import Product, terms_of

SHIFT = {"bias": True, "shift": 9, "low": -128, "high": 127}
SMALL = {"height": 7, "width": 9, "channels": 20, "outputs": 40}
CASES: dict[str, Product] = {
    "matmul": Matmul(rows=5, inner=150, columns=70, terms=2, **SHIFT),
    "dense": Matmul(inner=640, columns=24, terms=3, **SHIFT),
    "conv": Conv2d(**SMALL, terms=2, **SHIFT),
    "three": Conv2d(**SMALL, terms=3, kernel_height=1, stride=2, **SHIFT),
    "residual": Conv2d(**SMALL, terms=2, residual=True, **SHIFT),
    "deep": Conv2d(height=9, width=9, channels=160, outputs=64, terms=2, **SHIFT),
    "depthwise": Conv2d(height=8, width=8, channels=40, outputs=40, groups=40, terms=2, **SHIFT),
    "groups": Conv2d(height=6, width=6, channels=64, outputs=32, groups=2, terms=2, **SHIFT),
    "windows": Conv2d(height=9, width=9, channels=3, outputs=16, im2col=True, terms=2, **SHIFT),
    "rows": Conv2d(
        height=9, width=9, channels=3, outputs=16, im2col=True, im2col_rows=2, terms=2, **SHIFT
    ),
    "transposed": Conv2dTranspose(**SMALL, stride=2, terms=2, **SHIFT),
    "transposed groups": Conv2dTranspose(**SMALL, groups=20, stride=2, terms=2, **SHIFT),
}


@pytest.mark.parametrize("preset", ["1x16", "2x16", "1x8"])
@pytest.mark.parametrize("name", CASES)
def test_terms(name: str, preset: str) -> None:
    assert_right(CASES[name].bind(Config.preset(preset)), 3)


@pytest.mark.parametrize("keep", ["", "weights", "inputs"])
def test_each_way_to_keep(keep: str) -> None:
    operator = CASES["deep"]
    tilings = (c.tiling for c in operator.space(Config()) if c.tiling.keep == keep)
    tiling = next(tiling for tiling in tilings if tiling.inputs < 10)
    assert_right(operator.bind(Config(), tiling), 4)


@given(st.lists(st.integers(-300, 300), min_size=8, max_size=8))
@settings(max_examples=50)
def test_the_terms_of_weights(values: list[int]) -> None:
    weight = np.array(values, np.int16).reshape(2, 4)
    found = terms_of(weight)
    assert found.dtype == np.int8
    wide = any(not -128 <= value <= 127 for value in values)
    assert found.ndim == 2 + wide
    np.testing.assert_array_equal(found.sum(axis=2, dtype=int) if wide else found, weight)


def test_they_multiply_what_is_meant() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-255, 256, (4, 3, 3, 3)).astype(np.int16)
    data = rng.integers(-128, 128, (1, 3, 5, 6)).astype(np.int8)
    conv = Conv2d(height=5, width=6, channels=3, outputs=4, terms=3)
    wide = np.zeros((4, 3, 3, 3, 3), np.int8)
    terms = terms_of(weight)
    wide[:, :, : terms.shape[2]] = terms
    found = conv.golden({"data": data, "weight": wide})["out"]
    wanted = plain_sums(conv, data, weight)
    np.testing.assert_array_equal(found, wanted.astype(np.int8))


def test_they_cost_as_many_products() -> None:
    one, two = (Conv2d(terms=n, **SHIFT) for n in (1, 2))
    assert two.macs(Config()) == one.macs(Config())
    assert two.demand(Config())["gemm"] == 2 * one.demand(Config())["gemm"]


@pytest.mark.parametrize("layout", ["OITHW16o16i", "diagonal(1,16):OITHW16o16i"])
def test_a_fifth_axis_is_not_arranged(layout: str) -> None:
    array = np.random.default_rng(1).integers(-128, 128, (32, 1, 2, 3, 3)).astype(np.int8)
    packed = pack(array, layout)
    alone = layout.replace("T", "")
    for n in range(2):
        np.testing.assert_array_equal(packed[:, :, n], pack(array[:, :, n], alone))
    np.testing.assert_array_equal(unpack(packed, layout, array.shape), array)


def test_a_pool_takes_one_term() -> None:
    with pytest.raises(OperatorError, match="takes no weights of several terms"):
        Conv2dMaxPool(terms=2)
