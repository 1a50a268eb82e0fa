"""Zero points, steps and int32 results together with groups, packed windows, any pads and phases.

What is meant is computed by plain loops over the data without their zero point.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators import transposed
from tests.sw.operators.convolutions import PRESETS, attributes, plain_sums
from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Conv2dTranspose, OperatorError
from vta.sw.operators.product import Product, joined
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


PHASES: dict[str, dict[str, Any]] = {
    "dcgan": {"kernel_height": 4, "kernel_width": 4, "padding": 1, "stride": 2},
    "alike": {"kernel_height": 3, "kernel_width": 5, "padding": 2, "stride": 1, "pad_top": 0},
    "apart": {"kernel_height": 2, "kernel_width": 1, "padding": 0, "stride": 3},
    "output-padding": {"padding": 1, "stride_height": 3, "stride_width": 2, "output_padding": 2},
    "dilation": {"dilation_height": 2, "stride": 2, "pad_left": 3, "output_padding_width": 1},
    "residual": {"kernel_height": 4, "stride": 2, "residual": True},
    "groups": {"kernel_height": 4, "stride": 2, "outputs": 18, "groups": 6},
    "wide-groups": {"stride": 2, "channels": 32, "outputs": 64, "groups": 2},
    "depthwise": {"kernel_height": 4, "kernel_width": 4, "padding": 1, "stride": 2}
    | {"channels": 20, "groups": 20, "residual": True},
}


def run(conv: Product, config: Config, inputs: dict[str, np.ndarray]) -> np.ndarray:
    kernel = conv.bind(config)
    result = GoldenDevice(seed=3).run(kernel.program(inputs))
    assert (result.error, result.warnings) == (None, [])
    return kernel.unpack(result)["out"]


def random_inputs(conv: Product, config: Config) -> dict[str, np.ndarray]:
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


def assert_phases(values: dict[str, Any], config: Config) -> None:
    """Data without their zero point, each of them spread over the result."""
    print(values, config.name)
    conv = Conv2dTranspose(**values)
    inputs = random_inputs(conv, config)
    made = requantization(
        data=Scale(1.0, ZERO),
        weight_scale=2.0**-SHIFT,
        out=Scale(1.0, 5),
        weight=conv.by_output(inputs["weight"]),
        edges=conv.edges,
        residual=Scale(1.0, 3) if conv.residual else None,
    )
    sums = transposed.plain_sums(conv, inputs["data"].astype(int) - ZERO, inputs["weight"])
    if conv.residual:
        added = np.random.default_rng(7).integers(-128, 128, sums.shape)
        inputs["residual"] = added.astype(np.int8)
        sums += (added - 3) << SHIFT
    own = Conv2dTranspose(**values, steps=made.steps, residual_factor=made.residual_factor)
    found = run(own, config, inputs | made.operands)
    wanted = np.clip(((sums + (1 << (SHIFT - 1))) >> SHIFT) + 5, -128, 127)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x8", "1x4"])
@pytest.mark.parametrize("places", PHASES)
def test_no_data_between_the_data_stands_for_the_zero_point(places: str, preset: str) -> None:
    shape = {"height": 4, "width": 5, "channels": 12, "outputs": 20, "images": 2}
    assert_phases({**shape, **PHASES[places]}, Config.preset(preset))


def random_phases(data: st.DataObject) -> None:
    config = Config.preset(data.draw(st.sampled_from(PRESETS)))
    own = ("bias", "shift", "low")
    values = {n: v for n, v in data.draw(transposed.attributes()).items() if n not in own}
    values["images"] = data.draw(st.integers(1, 2 * config.batch))
    assert_phases(values, config)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_phases(data: st.DataObject) -> None:
    random_phases(data)


@pytest.mark.regress
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_many_random_phases(data: st.DataObject) -> None:
    random_phases(data)


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
@pytest.mark.parametrize("steps", [MULTIPLIED, f"add border, {MULTIPLIED}"])
def test_transposed_convolutions_with_steps(preset: str, steps: str, *, residual: bool) -> None:
    shape = {"height": 5, "width": 4, "channels": 20, "outputs": 40, "stride": 2}
    conv = Conv2dTranspose(**shape, kernel_height=4, kernel_width=3, steps=steps, residual=residual)
    assert len(conv.phases(Config())) == 4
    assert_right(conv.bind(Config.preset(preset)), 1)


def test_transposed_convolutions_refuse_32_bits_and_sums_too_long_for_a_border() -> None:
    with pytest.raises(OperatorError, match=r"conv2d_transpose: result is int32; .* to int8"):
        Conv2dTranspose(result="int32")
    four = {"kernel_height": 4, "kernel_width": 4, "stride": 2, "channels": 1 << 13}
    Conv2dTranspose(**four)
    with pytest.raises(OperatorError, match="conv2d_transpose: 131072 products a value; fewer"):
        Conv2dTranspose(**four, steps="add border, shr 8")


@pytest.mark.parametrize("steps", ["mul 0, add bias", "add bias, mul 0", "add border, mul 0"])
@pytest.mark.parametrize("kind", [Conv2d, Conv2dTranspose])
def test_results_that_need_no_data_are_named(kind: type[Conv2d], steps: str) -> None:
    conv = kind(height=4, width=4, channels=16, outputs=16, stride=2, steps=steps)
    with pytest.raises(OperatorError, match="the result is the same for all data, by a multiplier"):
        conv.bind(Config())
