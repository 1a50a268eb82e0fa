"""From real scales to integer steps: exact half up, or at most one apart, whatever the scales are.

What is meant is computed here with Python's fractions, from the quantised tensors as a file has
them: (x - zero point) with the padding left out, products, bias, scale, rounding.
"""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Matmul, OperatorError
from vta.sw.operators.product import joined
from vta.sw.operators.requantize import BORDER, Epilogue
from vta.sw.operators.scales import Channel, Scale, as_int8, chosen, requantization

RATIOS = [2, 1.3, 0.67, 0.1, 0.013, 1e-3, 3e-4, 1e-4, 1e-5, 1e-8, 2e-12, 1e-20, 1e-35]
NO_BIAS, SOME, LARGEST = "none", "some", "largest"


def convolved(x: np.ndarray, w: np.ndarray, *, stride: int, padding: int) -> np.ndarray:
    """int64 sums of a padded convolution, window by window."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwyx,ocyx->nohw", windows[:, :, ::stride, ::stride], w)


def half_up(
    sums: np.ndarray, ratio: Fraction, zero: int, low: int = -128, high: int = 127
) -> np.ndarray:
    """``clip(floor(sums * ratio + 1/2) + zero)`` of exact numbers."""
    values = [floor(int(s) * ratio + Fraction(1, 2)) + zero for s in sums.ravel()]
    return np.clip(values, low, high).reshape(sums.shape)


def layer(ratio: float, bias: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Weights, scales and bias of 8 channels whose results are neither all alike nor all clipped,
    where the ratio allows this; the first channel's weights are 0.
    """
    rng, outputs = np.random.default_rng(seed), 8
    weight = rng.integers(-127, 128, (outputs, 576))
    if ratio < 1e-4:
        weight[:] = 127
    if ratio > 0.05:
        weight = rng.integers(-1, 2, (outputs, 576))
        weight[:, int(40 / ratio**2) + 1 :] = 0
    weight[0] = 0
    scales = np.float32(ratio) * rng.uniform(0.3, 1, outputs).astype(np.float32)
    most = int(min(100 / ratio, 2**31 - 1))
    added = {
        NO_BIAS: None,
        SOME: rng.integers(-most, most + 1, outputs),
        LARGEST: np.array([2**31 - 1, -(2**31)] * 4),
    }
    return weight.astype(np.int8), scales, added[bias]


@pytest.mark.parametrize("bias", [NO_BIAS, SOME, LARGEST])
@pytest.mark.parametrize("ratio", RATIOS)
def test_any_multiplier_and_bias_is_at_most_one_apart_and_seldom(ratio: float, bias: str) -> None:
    weight, scales, added = layer(ratio, bias, 1)
    made = requantization(
        data=Scale(1.0, 3), weight_scale=scales, out=Scale(1.0, -7), weight=weight, bias=added
    )
    x = np.random.default_rng(2).integers(-128, 128, (500, 576))
    acc = weight.astype(np.int64) @ x.T
    sums = weight.astype(np.int64) @ (x - 3).T + (0 if added is None else added[:, None])
    wanted = np.stack(
        [half_up(row, Fraction(float(s)), -7) for row, s in zip(sums, scales, strict=True)]
    )
    np.testing.assert_array_equal(made.exact(acc), wanted)
    off = np.abs(made.golden(acc).astype(int) - wanted)
    assert made.differences(acc) == (np.count_nonzero(off), off.max())
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 0.004 * off.size
    if bias != LARGEST and 1e-5 < ratio <= 1:
        assert len(np.unique(wanted)) > 10, "the test compares constants"


@settings(max_examples=150, deadline=None)
@example(log=-35.0, bias=-(2**31), zero=127, spread=1 << 20, low=-128, seed=0)
@example(log=0.3, bias=2**31 - 1, zero=-128, spread=3, low=-128, seed=1)
@given(
    log=st.floats(-35, 0.3),
    bias=st.integers(-(2**31), 2**31 - 1),
    zero=st.integers(-128, 127),
    spread=st.integers(0, (1 << 31) - (1 << 15)),
    low=st.integers(-128, 100),
    seed=st.integers(0, 99),
)
def test_a_channel_is_right_at_its_ends_and_in_its_window(
    *, log: float, bias: int, zero: int, spread: int, low: int, seed: int
) -> None:
    """Of accumulators of any range, beside a channel with another scale."""
    rng = np.random.default_rng(seed)
    near = int(rng.integers(-300, 300) / 10**log) if log > -6 else 0
    channels = tuple(
        Channel(Fraction(10**power), b, zero, low, 127, -spread, spread)
        for power, b in ((log, bias), (log, near), (-2.3, 5))
    )
    made = chosen(channels, (low, 127))
    rows = []
    for channel in channels:
        first, last = (max(-spread, min(end, spread)) for end in channel.window)
        inside = rng.integers(min(first, last), max(first, last) + 1, 40)
        around = np.clip([first - 1, first, first + 1, last - 1, last, last + 1], -spread, spread)
        rows.append([-spread, *np.clip(inside, -spread, spread), *around, spread])
    acc = np.array(rows, np.int64)
    wanted = [half_up(r + c.bias, c.ratio, zero, low) for r, c in zip(acc, channels, strict=True)]
    assert np.abs(made.golden(acc).astype(int) - np.stack(wanted)).max() <= 1


# Powers of two ------------------------------------------------------------------------------------
@pytest.mark.parametrize("each", [False, True])
def test_powers_of_two_are_exact(*, each: bool) -> None:
    rng = np.random.default_rng(3)
    weight = rng.integers(-127, 128, (20, 64)).astype(np.int8)
    scales = 2.0 ** -(rng.integers(6, 10, 20) if each else np.full(20, 8))
    made = requantization(
        data=Scale(0.5, 9),
        weight_scale=scales,
        out=Scale(0.25, -3),
        weight=weight,
        bias=rng.integers(-9000, 9000, 20),
        low=-3,
    )
    assert made.steps.startswith("add bias, shr shift" if each else "add bias, shr 7")
    acc = weight.astype(np.int64) @ rng.integers(-128, 128, (64, 500))
    assert made.differences(acc) == (0, 0)
    assert Epilogue.parse(made.steps).passes == 1 + each


@pytest.mark.parametrize(("spread", "passes"), [(1, 3), (4, 3), (40, 5)])
def test_scales_that_are_alike_take_three_passes(spread: int, passes: int) -> None:
    rng = np.random.default_rng(4)
    weight = rng.integers(-127, 128, (16, 576)).astype(np.int8)
    scales = 0.01 / rng.uniform(1, spread, 16)
    made = requantization(data=Scale(0.1), weight_scale=scales, out=Scale(1.0), weight=weight)
    assert Epilogue.parse(made.steps).passes == passes
    off, most = made.differences(weight.astype(np.int64) @ rng.integers(-128, 128, (576, 300)))
    assert off <= 0.004 * 16 * 300
    assert most <= 1


def test_what_does_not_fit_is_refused_with_the_value() -> None:
    with pytest.raises(OperatorError, match=r"scale is 0\.0; scales are positive and finite"):
        Scale(0.0)
    with pytest.raises(OperatorError, match="zero_point is 200, which is no int8"):
        Scale(1.0, 200)
    with pytest.raises(OperatorError, match="dtype is int16; quantised tensors are int8 or uint8"):
        Scale(1.0, dtype="int16")
    with pytest.raises(OperatorError, match=r"bias has shape \[2\]; it must be \[3\]"):
        requantization(
            data=Scale(1.0),
            weight_scale=1.0,
            out=Scale(1.0),
            weight=np.ones((3, 4), np.int8),
            bias=np.zeros(2),
        )
    with pytest.raises(OperatorError, match="zero point is 3, and nothing says what is padded"):
        requantization(
            data=Scale(1.0, 3),
            weight_scale=1.0,
            out=Scale(1.0),
            weight=np.ones((3, 4, 1, 1), np.int8),
        )
    with pytest.raises(OperatorError, match=r"a scale of 1e\+12 .* is more than 2\^30"):
        requantization(
            data=Scale(1e12), weight_scale=1.0, out=Scale(1.0), weight=np.ones((3, 4), np.int8)
        )


# On the device ------------------------------------------------------------------------------------
CONVOLUTIONS = [
    ("1x16", {"height": 9, "width": 8}),
    ("2x8", {"height": 7, "width": 6, "kernel_height": 5, "padding": 2}),
    ("1x4", {"height": 6, "width": 9, "stride": 2}),
    ("4x8", {"height": 2, "width": 1}),
    ("1x32", {"height": 5, "width": 5, "kernel_height": 1, "kernel_width": 1}),
    ("1x16", {"height": 5, "width": 5, "padding": 0}),
]


@pytest.mark.parametrize("powers", [True, False], ids=["shift", "multiplier"])
@pytest.mark.parametrize(("preset", "shape"), CONVOLUTIONS)
def test_convolutions_with_zero_points_and_uint8(
    preset: str, shape: dict[str, int], *, powers: bool
) -> None:
    """Padding is the zero point: up to nine classes at the border."""
    config, rng = Config.preset(preset), np.random.default_rng(5)
    conv = Conv2d(channels=12, outputs=21, **shape)
    geometry = conv.geometry(config)
    weight = rng.integers(-127, 128, (21, 12, *geometry.kernel)).astype(np.int8)
    x = rng.integers(0, 256, (config.batch, 12, *geometry.size)).astype(np.uint8)
    bias = rng.integers(-2000, 2000, 21)
    scales = np.full(21, 2.0**-9) if powers else rng.uniform(0.001, 0.004, 21)
    made = requantization(
        data=Scale(1.0, 103, "uint8"),
        weight_scale=scales,
        out=Scale(1.0, 120, "uint8"),
        weight=weight,
        bias=bias,
        edges=conv.edges,
    )
    assert (BORDER in made.operands) == (conv.padding > 0)
    kernel = Conv2d(channels=12, outputs=21, steps=made.steps, **shape).bind(config)
    inputs = {"data": as_int8(x), "weight": weight, **made.operands}
    program = kernel.program(inputs)
    result = GoldenDevice(seed=4).run(program)
    assert (result.error, result.warnings) == (None, [])
    sums = convolved(
        x.astype(np.int64) - 103, weight, stride=conv.stride, padding=conv.padding
    ) + bias.reshape(-1, 1, 1)
    wanted = np.stack(
        [half_up(sums[:, o], Fraction(float(s)), 120, 0, 255) for o, s in enumerate(scales)], axis=1
    )
    found = kernel.unpack(result)["out"].view(np.uint8) ^ 0x80
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= (0 if powers else 1)
    assert np.count_nonzero(off) <= 0.004 * off.size + 1
    assert len(np.unique(wanted)) > 20


MULTIPLIED = "min high, max low, mul multiplier, add addend, shr 24"


@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x8", "1x4", "1x32"])
@pytest.mark.parametrize("steps", [MULTIPLIED, f"shr preshift, {MULTIPLIED}", "add b, shr s"])
def test_steps_with_tensors(preset: str, steps: str) -> None:
    config = Config.preset(preset)
    assert_right(Matmul(rows=5, inner=40, columns=50, steps=steps).bind(config), 1)


@pytest.mark.parametrize("preset", ["1x16", "2x8"])
@pytest.mark.parametrize("residual", [False, True])
def test_convolutions_with_a_border(preset: str, *, residual: bool) -> None:
    steps = f"add border, {MULTIPLIED}, max -100, min 100"
    conv = Conv2d(
        height=11, width=9, channels=20, outputs=40, residual=residual, steps=steps, stride=2
    )
    assert_right(conv.bind(Config.preset(preset)), 1)


def test_steps_that_are_none_are_refused() -> None:
    for steps, message in (
        ("shl 3", "step 'shl' is unknown: choose one of min, max, add, mul, shr"),
        ("add", "step 'add' is none: write an operation"),
        ("add weight", "'weight' is no name for a step's tensor"),
        ("add 40000", "constant of add is 40000; constants of the ALU are .* name a tensor"),
        ("shr 32", "step shr 32: shifts are 0 to 31 bits"),
        ("add border", "matmul has no padding"),
    ):
        with pytest.raises(OperatorError, match=message):
            Matmul(steps=steps)
    with pytest.raises(OperatorError, match="bias, shift, low and high are steps of their own"):
        Matmul(steps="add bias", shift=3)


# int32 results ------------------------------------------------------------------------------------
@pytest.mark.parametrize("preset", ["1x16", "2x8", "4x4", "1x32"])
def test_results_of_32_bits_leave_as_four_planes(preset: str) -> None:
    """Logits: what a network's last layer gives without a scale of its own."""
    config, rng = Config.preset(preset), np.random.default_rng(8)
    kernel = Matmul(rows=3, inner=300, columns=50, steps="add bias", result="int32").bind(config)
    inputs = {
        "data": rng.integers(-128, 128, (3, 300)).astype(np.int8),
        "weight": rng.integers(-128, 128, (50, 300)).astype(np.int8),
        "bias": rng.integers(-(2**30), 2**30, 50).astype(np.int32),
    }
    result = GoldenDevice(seed=2).run(kernel.program(inputs))
    wanted = inputs["data"].astype(int) @ inputs["weight"].T.astype(int) + inputs["bias"]
    np.testing.assert_array_equal(joined(kernel.unpack(result)["out"]), wanted)
    assert joined(kernel.unpack(result)["out"]).dtype == np.int32
    assert_right(kernel, 1)


@pytest.mark.parametrize("residual", [False, True])
def test_convolutions_of_32_bits(*, residual: bool) -> None:
    conv = Conv2d(
        height=9,
        width=6,
        channels=20,
        outputs=33,
        steps="add border, add bias",
        residual=residual,
        result="int32",
    )
    assert_right(conv.bind(Config()), 1)
    assert_right(conv.bind(Config.preset("2x8")), 2)
