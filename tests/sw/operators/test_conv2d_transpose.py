"""Transposed convolution: DCGAN's layers, every configuration, random attributes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.convolutions import PRESETS
from tests.sw.operators.support import assert_right
from tests.sw.operators.transposed import attributes, plain_sums
from vta.hw.config import Config
from vta.hw.isa import Store
from vta.sw.operators import Conv2dTranspose, Kernel, OperatorError

REQUANTISE = {"bias": True, "shift": 7, "low": -128, "high": 127}
DCGAN = ((4, 1024, 512), (8, 512, 256), (16, 256, 128))
PHASES = {"kernel_height": 4, "kernel_width": 4, "stride": 2, "padding": 1}


def dcgan(size: int, channels: int, outputs: int) -> Conv2dTranspose:
    return Conv2dTranspose(
        height=size, width=size, channels=channels, outputs=outputs, **PHASES, **REQUANTISE
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Kernel, int]:
    config = Config.preset(draw(st.sampled_from(PRESETS)))
    conv = Conv2dTranspose(images=draw(st.integers(1, 2 * config.batch)), **draw(attributes()))
    return conv.bind(config), draw(st.integers(0, 99))


@settings(max_examples=60, deadline=None)
@given(attributes(), st.integers(0, 99))
def test_golden_against_plain_loops(values: dict[str, Any], seed: int) -> None:
    conv = Conv2dTranspose(**values | {"channels": 2, "outputs": 3})
    rng = np.random.default_rng(seed)
    data = rng.integers(-128, 128, (2, 2, *conv.size)).astype(np.int8)
    weight = rng.integers(-128, 128, (2, 3, *conv.kernel_size)).astype(np.int8)
    wanted = plain_sums(conv, data, weight)
    assert wanted.shape[2:] == conv.out
    np.testing.assert_array_equal(conv.sums(data, weight), wanted)


@settings(max_examples=10, deadline=None)
@given(cases())
def test_random_attributes(case: tuple[Kernel, int]) -> None:
    assert_right(*case)


@pytest.mark.regress
@settings(max_examples=400, deadline=None)
@given(cases())
def test_many_random_attributes(case: tuple[Kernel, int]) -> None:
    assert_right(*case)


@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x4", "2x8", "1x32"])
def test_every_configuration(preset: str) -> None:
    conv = Conv2dTranspose(
        height=5, width=4, channels=20, outputs=24, residual=True, **PHASES, **REQUANTISE
    )
    assert_right(conv.bind(Config.preset(preset)), 7)


def test_small_buffers() -> None:
    config = Config(log_inp_buff_size=11, log_wgt_buff_size=14, log_acc_buff_size=13)
    conv = Conv2dTranspose(height=9, width=9, channels=40, outputs=40, **PHASES, **REQUANTISE)
    assert_right(conv.bind(config), 8)


@pytest.mark.parametrize(("size", "channels", "outputs"), DCGAN[-1:])
def test_dcgan(size: int, channels: int, outputs: int) -> None:
    assert_right(dcgan(size, channels, outputs).bind(Config()), 9)


@pytest.mark.regress
@pytest.mark.parametrize(("size", "channels", "outputs"), DCGAN)
def test_all_of_dcgan(size: int, channels: int, outputs: int) -> None:
    assert_right(dcgan(size, channels, outputs).bind(Config()), 10)


@pytest.mark.parametrize(("size", "channels", "outputs"), DCGAN)
def test_no_inserted_zero_is_multiplied(size: int, channels: int, outputs: int) -> None:
    assert dcgan(size, channels, outputs).demand(Config())["gemm"] == 524288


def test_a_kernel_that_does_not_divide_has_phases_of_its_own_sizes() -> None:
    """3 x 3 with stride 2: 4 + 2 + 2 + 1 taps for four values, not 4 * 4."""
    conv = Conv2dTranspose(height=4, width=4, channels=16, outputs=16, stride=2, output_padding=1)
    kernels = sorted(shape.kernel for shape in conv.shapes(Config()))
    assert kernels == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert conv.demand(Config())["gemm"] == 16 * 9


def test_the_whole_result_is_stored_once() -> None:
    conv = Conv2dTranspose(height=4, width=4, channels=16, outputs=16, **PHASES, **REQUANTISE)
    stores = [i for i in conv.bind(Config()).compiled.instructions if isinstance(i, Store)]
    assert sum(i.x_size * i.y_size for i in stores) == 64


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(OperatorError, match="the result is 0 x 5: pad less"):
        Conv2dTranspose(height=2, width=5, pad_top=4, pad_bottom=0)
