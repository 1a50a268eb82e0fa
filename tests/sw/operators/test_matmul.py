"""Matrix product: fixed shapes, random shapes and tilings, and the golden itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.operators import Matmul, OperatorError
from vta.sw.operators.shape import Tiling
from vta.sw.operators.tiles import KEEP, may_fit

CONFIGS = ("1x16", "2x16", "4x16", "1x8", "4x8", "2x4", "2x32")


def test_golden_against_plain_integers() -> None:
    rng = np.random.default_rng(3)
    data, weight = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((3, 50), (7, 50)))
    wanted = [
        [sum(int(a) * int(b) for a, b in zip(x, y, strict=True)) for y in weight] for x in data
    ]
    np.testing.assert_array_equal(Matmul().sums(data, weight), wanted)


def test_blocked_1x1024x1024() -> None:
    """The tutorial's: shift right by 8, maximum with 0, minimum with 127."""
    kernel = Matmul.kernel(Config(), rows=1, inner=1024, columns=1024, shift=8, low=0, high=127)
    assert_right(kernel, 1)
    assert kernel.macs == 1 << 20


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration(name: str) -> None:
    kernel = Matmul.kernel(
        Config.preset(name), rows=5, inner=100, columns=70, bias=True, shift=7, low=-128, high=127
    )
    assert_right(kernel, 2)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_shapes_and_tilings(data: st.DataObject) -> None:
    config = Config.preset(data.draw(st.sampled_from(CONFIGS)))
    rows, inner, columns = (data.draw(st.integers(1, limit)) for limit in (9, 70, 70))
    product = Matmul(
        rows=rows,
        inner=inner,
        columns=columns,
        bias=data.draw(st.booleans()),
        shift=data.draw(st.integers(0, 12)),
        low=data.draw(st.sampled_from((None, -128, 0))),
        high=data.draw(st.sampled_from((None, 127))),
    )
    shape = product.shape(config)
    steps = [n for n in range(1, shape.inputs + 1) if shape.inputs % n == 0]
    tiling = Tiling(
        data.draw(st.integers(1, shape.outputs)),
        1,
        data.draw(st.integers(1, shape.width)),
        data.draw(st.sampled_from(steps)),
        data.draw(st.sampled_from(KEEP)),
        held=data.draw(st.booleans()),
    )
    kernel = product.bind(config, tiling if may_fit(shape, tiling, config) else None)
    assert_right(kernel, data.draw(st.integers(0, 99)))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(OperatorError, match="131072 products"):
        Matmul(rows=1, inner=131072, columns=16)
    with pytest.raises(OperatorError, match="low is 3, high is 2"):
        Matmul(rows=1, inner=16, columns=16, low=3, high=2)
    kernel = Matmul.kernel(Config(), rows=1, inner=16, columns=16)
    with pytest.raises(OperatorError, match=r"data has shape \[2, 16\]; it must be \[1, 16\]"):
        kernel.program({"data": np.zeros((2, 16), np.int8), "weight": np.zeros((16, 16), np.int8)})
