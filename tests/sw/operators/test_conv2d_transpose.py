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
from vta.hw.isa import Load, MemoryType, Store
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
    groups = 1 + values["groups"] % 3
    sizes = {"groups": groups, "channels": 2 * groups, "outputs": 3 * groups}
    conv = Conv2dTranspose(**values | sizes)
    rng = np.random.default_rng(seed)
    data = rng.integers(-128, 128, (2, conv.channels, *conv.size)).astype(np.int8)
    weight = rng.integers(-128, 128, (conv.channels, 3, *conv.kernel_size)).astype(np.int8)
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


# Groups -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x4", "2x8", "1x32"])
@pytest.mark.parametrize(
    ("channels", "outputs", "groups"),
    [(20, 20, 20), (10, 30, 10), (64, 32, 2), (64, 64, 16), (36, 36, 3), (40, 20, 5)],
)
def test_groups_of_every_kind(preset: str, channels: int, outputs: int, groups: int) -> None:
    """Depthwise, with a multiplier; groups that are, divide, and do not divide whole blocks."""
    sizes = {"height": 5, "width": 4, "channels": channels, "outputs": outputs}
    conv = Conv2dTranspose(**sizes, groups=groups, **PHASES, **REQUANTISE)
    assert_right(conv.bind(Config.preset(preset)), 3)


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "uops"),
    [(64, 64, 64, 4), (64, 128, 64, 4), (64, 64, 16, 4), (64, 64, 2, 8), (48, 48, 2, 12)],
)
def test_products_a_vector_by_groups(channels: int, outputs: int, groups: int, uops: int) -> None:
    """Four of the kernel's 16 places for each value of the result, and none with other groups."""
    conv = Conv2dTranspose(
        height=4, width=4, channels=channels, outputs=outputs, groups=groups, **PHASES
    )
    assert conv.demand(Config())["gemm"] == 64 * outputs // 16 * uops


def test_groups_read_only_their_own() -> None:
    conv = Conv2dTranspose(height=4, width=4, channels=64, outputs=64, groups=4, **PHASES)
    instructions = conv.bind(Config()).compiled.instructions
    loads = [i for i in instructions if isinstance(i, Load) and i.memory_type == MemoryType.WGT]
    assert sum(i.x_size * i.y_size for i in loads) == 4 * 16


@pytest.mark.parametrize("groups", [1, 3, 36])
def test_weights_by_output(groups: int) -> None:
    """One group at a time, its channels and outputs change places."""
    conv = Conv2dTranspose(channels=36, outputs=72, groups=groups)
    shape = (36, 72 // groups, 3, 3)
    weight = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    parts = [part.swapaxes(0, 1) for part in np.split(weight, groups)]
    np.testing.assert_array_equal(conv.by_output(weight), np.concatenate(parts))


def test_residual_groups_and_small_buffers() -> None:
    config = Config(log_inp_buff_size=12, log_wgt_buff_size=14, log_acc_buff_size=13)
    sizes = {"height": 9, "width": 9, "channels": 40, "outputs": 40, "groups": 40}
    conv = Conv2dTranspose(**sizes, residual=True, **PHASES, **REQUANTISE)
    assert_right(conv.bind(config), 6)


@pytest.mark.parametrize("name", ["channels", "outputs"])
def test_groups_that_do_not_divide_are_named(name: str) -> None:
    with pytest.raises(OperatorError, match=f"conv2d_transpose: {name} is 9, which 4 groups do no"):
        Conv2dTranspose(**{"channels": 8, "outputs": 8, name: 9}, groups=4)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(OperatorError, match="the result is 0 x 5: pad less"):
        Conv2dTranspose(height=2, width=5, pad_top=4, pad_bottom=0)
