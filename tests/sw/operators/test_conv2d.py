"""Convolution: the issue's layers, every configuration, random shapes, tiles that do not divide."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.hw.isa import Load, Store
from vta.sw.operators import Conv2d, Kernel, OperatorError
from vta.sw.operators.shape import Tiling
from vta.sw.operators.tiles import KEEP, may_fit

REQUANTISE = {"bias": True, "shift": 8, "low": -128, "high": 127}
LAYERS = {
    "C2": (56, 64, 64, 3, 1, 1),
    "C3": (56, 64, 128, 3, 1, 2),
    "C4": (56, 64, 128, 1, 0, 2),
    "C5": (28, 128, 128, 3, 1, 1),
    "C6": (28, 128, 256, 3, 1, 2),
    "C7": (28, 128, 256, 1, 0, 2),
    "C8": (14, 256, 256, 3, 1, 1),
    "C9": (14, 256, 512, 3, 1, 2),
    "C10": (14, 256, 512, 1, 0, 2),
    "C11": (7, 512, 512, 3, 1, 1),
}


def layer(name: str, config: Config) -> Kernel:
    size, channels, outputs, kernel, padding, stride = LAYERS[name]
    return Conv2d.kernel(
        config,
        height=size,
        width=size,
        channels=channels,
        outputs=outputs,
        kernel_height=kernel,
        kernel_width=kernel,
        padding=padding,
        stride=stride,
        **REQUANTISE,
    )


def test_golden_against_plain_loops() -> None:
    rng = np.random.default_rng(4)
    data = rng.integers(-128, 128, (2, 3, 5, 6)).astype(np.int8)
    weight = rng.integers(-128, 128, (4, 3, 3, 2)).astype(np.int8)
    stride, padding = 2, 1
    padded = np.pad(data, ((0, 0), (0, 0), (1, 1), (1, 1))).astype(int)
    wanted = np.zeros((2, 4, 3, 4), int)
    for n, o, y, x in np.ndindex(wanted.shape):
        window = padded[n, :, y * stride : y * stride + 3, x * stride : x * stride + 2]
        wanted[n, o, y, x] = (window * weight[o].astype(int)).sum()
    conv = Conv2d(stride=stride, padding=padding)
    np.testing.assert_array_equal(conv.sums(data, weight), wanted)


@pytest.mark.parametrize("name", ["C2", "C4", "C8", "C11"])
def test_resnet_layers(name: str) -> None:
    assert_right(layer(name, Config()), 5)


@pytest.mark.regress
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("preset", ["1x16", "2x32"])
def test_all_resnet_layers(name: str, preset: str) -> None:
    assert_right(layer(name, Config.preset(preset, axi_data_bits=256)), 6)


@pytest.mark.parametrize(
    "preset", ["1x16", "2x16", "4x16", "1x4", "2x4", "4x4", "1x8", "2x8", "4x8", "1x32", "4x32"]
)
def test_every_configuration(preset: str) -> None:
    kernel = Conv2d.kernel(
        Config.preset(preset), height=9, width=7, channels=20, outputs=24, **REQUANTISE
    )
    assert_right(kernel, 7)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Kernel, int]:
    config = Config.preset(draw(st.sampled_from(("1x16", "2x16", "4x8", "1x4", "2x32", "1x8"))))
    kernel = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    values: dict[str, Any] = {
        "images": draw(st.integers(1, 2 * config.batch)),
        "height": draw(st.integers(kernel[0], 12)),
        "width": draw(st.integers(kernel[1], 12)),
        "channels": draw(st.integers(1, 36)),
        "outputs": draw(st.integers(1, 36)),
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 3)),
    }
    values["bias"] = draw(st.booleans())
    values["shift"] = draw(st.integers(0, 9))
    values["low"] = draw(st.sampled_from((None, -128, 0)))
    values["high"] = draw(st.sampled_from((None, 127)))
    conv = Conv2d(**values)
    shape = conv.shape(config)
    steps = [n for n in range(1, shape.inputs + 1) if shape.inputs % n == 0]
    tiling = Tiling(
        *(draw(st.integers(1, n)) for n in (shape.outputs, shape.height, shape.width)),
        draw(st.sampled_from(steps)),
        draw(st.sampled_from(KEEP)),
    )
    kernel = conv.bind(config, tiling if may_fit(shape, tiling, config) else None)
    return kernel, draw(st.integers(0, 99))


@settings(max_examples=25, deadline=None)
@given(cases())
def test_random_shapes_and_tiles(case: tuple[Kernel, int]) -> None:
    assert_right(*case)


@pytest.mark.regress
@settings(max_examples=600, deadline=None)
@given(cases())
def test_many_random_shapes_and_tiles(case: tuple[Kernel, int]) -> None:
    assert_right(*case)


def test_padding_costs_no_reads_and_rows_leave_in_long_bursts() -> None:
    """C2's loads ask DRAM for 56 columns of the 58 in a row; a full-width tile is one STORE row."""
    kernel = layer("C2", Config())
    loads = [i for i in kernel.compiled.instructions if isinstance(i, Load) and i.x_pad_0]
    assert loads
    assert {(i.x_pad_0, i.x_size, i.x_pad_1) for i in loads} == {(1, 56, 1)}
    tiling = kernel.tiling
    stores = [i for i in kernel.compiled.instructions if isinstance(i, Store)]
    assert max(i.x_size for i in stores) >= 56 * tiling.height


def test_a_plane_of_padding_is_a_load_without_data() -> None:
    """A 1 x 1 kernel with padding 1: output row 0 sees zeros only."""
    conv = Conv2d(
        height=2, width=2, channels=16, outputs=16, kernel_height=1, kernel_width=1, padding=1
    )
    kernel = conv.bind(Config(), Tiling(1, 1, 4, 1))
    assert any(
        isinstance(i, Load) and i.x_size and not i.y_size for i in kernel.compiled.instructions
    )
    assert_right(kernel, 8)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(OperatorError, match="larger than the padded data, 2 x 2"):
        Conv2d(height=2, width=2, channels=1, outputs=1, padding=0)
    with pytest.raises(OperatorError, match="stride is 9; more than the padded data, 4"):
        Conv2d(height=2, width=2, channels=1, outputs=1, padding=1, stride=9)
