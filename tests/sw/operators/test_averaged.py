"""Averages between two scales: at most one off the exact value, and rarely."""

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sw.operators import AveragePool, GlobalAveragePool, OperatorError
from vta.sw.operators.division import Scaling
from vta.sw.operators.scales import Scale

from .support import assert_right

CONFIG, SEED = Config(), 5


def exact(
    operator: AveragePool, data: np.ndarray, a: Scale, out: Scale, ends: tuple[int, int]
) -> np.ndarray:
    """The mean of the real numbers as a number of `out`, window by window."""
    rows, columns = operator.axes
    images, channels = data.shape[:2]
    found = np.zeros((images, channels, rows.out, columns.out))
    for y, x in np.ndindex(rows.out, columns.out):
        top, left = y * operator.stride_height - operator.pad_top, x * operator.stride_width
        left -= operator.pad_left
        window = data[
            :,
            :,
            max(top, 0) : max(top + operator.kernel_height, 0),
            max(left, 0) : max(left + operator.kernel_width, 0),
        ]
        count = window.shape[2] * window.shape[3]
        if operator.count_include_pad:
            count = operator.kernel_height * operator.kernel_width
        total = (window.astype(np.float64) - a.zero).sum(axis=(2, 3))
        found[:, :, y, x] = total * a.scale / out.scale / count
    return np.clip(np.floor(found + out.zero + 0.5), *ends)


def drawn(seed: int) -> tuple[AveragePool, Scale, Scale, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = [int(n) for n in rng.integers(1, 5, 2)]
    pads = [int(rng.integers(0, kernel[n % 2])) for n in range(4)]
    shape = {
        "channels": int(rng.integers(1, 40)),
        "height": int(rng.integers(4, 12)),
        "width": int(rng.integers(4, 12)),
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_height": int(rng.integers(1, 4)),
        "stride_width": int(rng.integers(1, 4)),
        **dict(zip(("pad_top", "pad_left", "pad_bottom", "pad_right"), pads, strict=True)),
        "count_include_pad": bool(rng.integers(2)),
    }
    a = Scale(float(rng.uniform(0.01, 0.2)), int(rng.integers(-50, 51)))
    out = Scale(a.scale * float(2.0 ** rng.uniform(-0.3, 3)), int(rng.integers(-50, 51)))
    operator = AveragePool.of_scales(a, out, **shape)
    size = (1, operator.channels, operator.height, operator.width)
    return operator, a, out, rng.integers(-128, 128, size).astype(np.int8)


@pytest.mark.parametrize("seed", range(8))
def test_random_averages_with_scales(seed: int) -> None:
    operator, a, out, data = drawn(seed)
    assert_right(operator.bind(CONFIG), SEED)
    found = operator.golden({"data": data})["out"]
    off = np.abs(found - exact(operator, data, a, out, (-128, 127)))
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 2 + off.size / 100


def test_a_global_average_with_scales_and_ends_of_uint8() -> None:
    a, out = Scale(0.05, 3), Scale(0.011, 140, "uint8")
    operator = GlobalAveragePool.of_scales(
        a, out, low=140, high=200, channels=20, height=25, width=5
    )
    assert_right(operator.bind(CONFIG), SEED)
    data = np.random.default_rng(1).integers(-128, 128, (1, 20, 25, 5)).astype(np.int8)
    data[0, :, :, :] += np.arange(20, dtype=np.int8)[:, None, None]
    found = operator.golden({"data": data})["out"]
    assert np.abs(found - exact(operator.pool, data, a, out, (12, 72))).max() <= 1  # type: ignore[arg-type]
    assert found.min() >= 12 and found.max() <= 72
    assert len(np.unique(found)) > 3


def test_equal_scales_divide_exactly() -> None:
    scale = Scale(0.25, 0)
    assert AveragePool.of_scales(scale, scale) == AveragePool()
    assert AveragePool().exact


@pytest.mark.parametrize("size", [(7, 7), (19, 19), (56, 56), (112, 112), (224, 224), (512, 300)])
@pytest.mark.parametrize("seed", range(3))
def test_large_windows_are_as_rarely_off_as_small_ones(size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng([*size, seed])
    a = Scale(float(rng.uniform(0.01, 0.2)), int(rng.integers(-50, 51)))
    out = Scale(a.scale * float(2.0 ** rng.uniform(-3, 1)), int(rng.integers(-50, 51)))
    pool = GlobalAveragePool.of_scales(a, out, height=size[0], width=size[1]).pool
    (part,) = pool.parts
    count = size[0] * size[1]
    reach = int(count * 120 * min(1, out.scale / a.scale))
    sums = a.zero * count + rng.integers(-reach, reach, 100_000)
    sums = sums.clip(-128 * count, 127 * count)
    made = part.division
    assert isinstance(made, Scaling)
    value = ((sums >> made.drop) + sum(made.firsts)) * made.multiplier
    assert max(np.abs(value).max(), np.abs(value + made.rest).max()) < 1 << 31
    found = np.clip(value + made.rest >> made.shift, -128, 127)
    real = (sums - a.zero * count) * (a.scale / out.scale / count)
    off = np.abs(found - np.clip(np.floor(real + out.zero + 0.5), -128, 127))
    assert off.max() <= 1
    assert np.count_nonzero(off) <= off.size / 60


@pytest.mark.parametrize("size", [(19, 19), (112, 112)])
def test_large_windows_with_scales(size: tuple[int, int]) -> None:
    a, out = Scale(0.05, 3), Scale(0.005, -20)
    operator = GlobalAveragePool.of_scales(a, out, height=size[0], width=size[1], channels=20)
    (part,) = operator.pool.parts
    assert isinstance(part.division, Scaling)
    assert (part.division.drop > 0) == (size == (112, 112))
    assert_right(operator.bind(CONFIG), SEED)


def test_what_no_constants_can_do_is_refused() -> None:
    with pytest.raises(OperatorError, match="have no constants of 16 bits"):
        AveragePool.of_scales(Scale(1e-15), Scale(1.0))
    with pytest.raises(OperatorError, match="low must not exceed high"):
        AveragePool(low=4, high=3)
