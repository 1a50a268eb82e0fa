"""Windows with some rows of the kernel: the same convolution, with less data that repeats."""

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sw.layout import pack
from vta.sw.operators import Conv2d, Conv2dMaxPool, OperatorError

from .support import assert_right

CONFIG = Config()


def drawn(seed: int) -> Conv2d:
    """One whose windows do not end before the data does."""
    rng = np.random.default_rng(seed)
    while True:
        kernel = int(rng.integers(2, 8))
        values = {
            "channels": int(rng.integers(1, 5)),
            "outputs": int(rng.integers(1, 40)),
            "height": int(rng.integers(8, 15)),
            "width": int(rng.integers(8, 15)),
            "kernel_height": kernel,
            "kernel_width": int(rng.integers(1, 5)),
            "stride_height": int(rng.integers(1, 4)),
            "stride_width": int(rng.integers(1, 3)),
            "dilation_height": 1 if kernel > 4 else int(rng.integers(1, 3)),
            "pad_top": int(rng.integers(0, kernel)),
            "pad_bottom": int(rng.integers(0, kernel)),
            "padding": 0,
            "shift": 6,
            "low": -128,
            "high": 127,
        }
        rows = int(rng.integers(1, kernel))
        fill = int(rng.choice([0, 7, -9]))
        try:
            return Conv2d(**values, im2col=True, im2col_rows=rows, pad_value=fill)
        except OperatorError:
            continue


@pytest.mark.parametrize("seed", range(6))
def test_random_convolutions(seed: int) -> None:
    assert_right(drawn(seed).bind(CONFIG), seed)


@pytest.mark.regress
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_random_convolutions(seed: int) -> None:
    assert_right(drawn(seed).bind(CONFIG), seed)


def test_a_pool_behind_it() -> None:
    operator = Conv2dMaxPool(
        channels=1, outputs=8, height=28, width=28, kernel_height=5, kernel_width=5, padding=2,
        im2col=True, im2col_rows=3, shift=7, low=-128, high=127,
    )  # fmt: skip
    assert_right(operator.bind(CONFIG), 3)


def test_data_is_read_fewer_times() -> None:
    """Of 25 bytes a pixel in two blocks, 15 stay in one, and two rows are read beside."""
    shape = {"channels": 1, "outputs": 8, "height": 28, "width": 28, "padding": 2}
    whole = Conv2d(**shape, kernel_height=5, kernel_width=5, im2col=True)
    parts = Conv2d(**shape, kernel_height=5, kernel_width=5, im2col=True, im2col_rows=3)
    sizes = [each.tensors(CONFIG)["data"].nbytes for each in (whole, parts)]
    assert sizes == [28 * 28 * 32, 31 * 28 * 16]
    assert parts.demand(CONFIG)["gemm"] == whole.demand(CONFIG)["gemm"]


def test_weights_by_hand() -> None:
    """Rows 0 to 2 of the kernel in one block, rows 3, 4 and zeros in the next tap."""
    weight = np.arange(1, 51, dtype=np.int8).reshape(1, 2, 5, 5)
    packed = pack(weight, "flat(3):OIHW1o30i")
    assert packed.shape == (1, 1, 2, 1, 1, 30)
    np.testing.assert_array_equal(packed[0, 0, 0, 0, 0], weight[0, :, :3].ravel())
    filled = np.concatenate([weight[0, :, 3:], np.zeros((2, 1, 5), np.int8)], axis=1)
    np.testing.assert_array_equal(packed[0, 0, 1, 0, 0], filled.ravel())


def test_what_is_refused() -> None:
    with pytest.raises(OperatorError, match="im2col_rows is 2, but nothing is packed by windows"):
        Conv2d(im2col_rows=2)
    with pytest.raises(OperatorError, match="windows of 1 rows end before the data does: take"):
        Conv2d(height=9, stride_height=3, kernel_height=2, padding=0, im2col=True, im2col_rows=1)
