"""Zero points, steps and int32 results together with groups, packed windows, any pads and phases.

What is meant is computed by plain loops over the data without their zero point.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.convolutions import PRESETS, attributes, plain_sums
from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Conv2dTranspose, OperatorError
from vta.sw.operators.product import joined
from vta.sw.operators.scales import Scale, requantization

ZERO, SHIFT = -37, 9
MULTIPLIED = "min high, max low, mul multiplier, add addend, shr 24"
PLACES: dict[str, dict[str, Any]] = {
    "groups": {"channels": 24, "outputs": 48, "groups": 3},
    "wide-groups": {"channels": 64, "outputs": 32, "groups": 2},
    "depthwise": {"channels": 20, "outputs": 20, "groups": 20},
    "im2col": {"channels": 3, "outputs": 20, "im2col": True, "stride": 2, "kernel_height": 5},
    "dilation": {"channels": 12, "outputs": 20, "dilation_height": 2, "padding": 2},
    "pads": {"channels": 12, "outputs": 20, "pad_top": 3, "pad_left": 0, "stride_width": 2},
}


def run(conv: Conv2d, config: Config, inputs: dict[str, np.ndarray]) -> np.ndarray:
    kernel = conv.bind(config)
    result = GoldenDevice(seed=3).run(kernel.program(inputs))
    assert (result.error, result.warnings) == (None, [])
    return kernel.unpack(result)["out"]


def random_inputs(conv: Conv2d, config: Config) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    shapes = {name: conv.tensors(config)[name].shape for name in ("data", "weight")}
    return {name: rng.integers(-99, 100, shape).astype(np.int8) for name, shape in shapes.items()}


def assert_zero_point(values: dict[str, Any], config: Config) -> None:
    """Data and padding that stand for `ZERO`, requantised half up."""
    print(values, config.name)
    conv = Conv2d(**values)
    inputs = random_inputs(conv, config)
    made = requantization(
        data=Scale(1.0, ZERO),
        weight_scale=2.0**-SHIFT,
        out=Scale(1.0, 5),
        weight=inputs["weight"],
        edges=conv.edges,
    )
    found = run(Conv2d(**values, steps=made.steps), config, inputs | made.operands)
    sums = plain_sums(conv, inputs["data"].astype(int) - ZERO, inputs["weight"])
    wanted = np.clip(((sums + (1 << (SHIFT - 1))) >> SHIFT) + 5, -128, 127)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("preset", ["1x16", "4x8"])
@pytest.mark.parametrize("places", PLACES)
def test_padding_stands_for_the_zero_point(places: str, preset: str) -> None:
    assert_zero_point({"height": 8, "width": 7, **PLACES[places]}, Config.preset(preset))


def random_border(data: st.DataObject) -> None:
    config = Config.preset(data.draw(st.sampled_from(PRESETS)))
    values = data.draw(attributes(config, most=20))
    own = ("bias", "shift", "low", "high")
    assert_zero_point({name: n for name, n in values.items() if name not in own}, config)


@settings(max_examples=25)
@given(st.data())
def test_random_attributes(data: st.DataObject) -> None:
    random_border(data)


@pytest.mark.regress
@settings(max_examples=300)
@given(st.data())
def test_many_random_attributes(data: st.DataObject) -> None:
    random_border(data)


@pytest.mark.parametrize("preset", ["1x16", "2x8"])
@pytest.mark.parametrize("places", PLACES)
def test_results_of_32_bits(places: str, preset: str) -> None:
    config, values = Config.preset(preset), {"height": 6, "width": 5, **PLACES[places]}
    conv = Conv2d(**values, steps="add bias", result="int32")
    inputs = random_inputs(conv, config)
    bias = np.arange(conv.outputs, dtype=np.int32) * 1000003 - 9000000
    found = joined(run(conv, config, {**inputs, "bias": bias}))
    wanted = plain_sums(conv, inputs["data"], inputs["weight"]) + bias.reshape(-1, 1, 1)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "steps",
    [
        "add bias, add border, shr 8",
        "add bias, add border, add bias, shr 8",
        "add border, add border, shr 8",
        f"add border, {MULTIPLIED}, max -100, min 100",
    ],
)
@pytest.mark.parametrize("places", ["depthwise", "im2col"])
def test_border_at_any_step(places: str, steps: str) -> None:
    """A tensor is read where its step is: in the border's block, in the last one, or in both."""
    conv = Conv2d(height=8, width=7, **PLACES[places], steps=steps)
    assert_right(conv.bind(Config()), 1)


@pytest.mark.parametrize("preset", ["1x16", "4x8"])
@pytest.mark.parametrize("residual", [False, True])
def test_transposed_convolutions_with_steps(preset: str, *, residual: bool) -> None:
    shape = {"height": 5, "width": 4, "channels": 20, "outputs": 40, "stride": 2}
    conv = Conv2dTranspose(
        **shape, kernel_height=4, kernel_width=3, steps=MULTIPLIED, residual=residual
    )
    assert len(conv.phases(Config())) == 4
    assert_right(conv.bind(Config.preset(preset)), 1)


def test_transposed_convolutions_refuse_border_and_32_bits() -> None:
    with pytest.raises(OperatorError, match=r"conv2d_transpose: result is int32; .* to int8"):
        Conv2dTranspose(result="int32")
    message = r"conv2d_transpose: border is no tensor of its steps, .* zero point other than 0"
    with pytest.raises(OperatorError, match=message):
        Conv2dTranspose(steps="add border, shr 8")
    with pytest.raises(OperatorError, match=message):
        print(Conv2dTranspose().edges)
