"""Dilated kernels whose taps are so far apart that each loads its own rows, and columns."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.hw.isa import Load, MemoryType
from vta.sw.estimate import estimate_program
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Conv2dTranspose, Kernel
from vta.sw.operators.scales import Scale, requantization
from vta.sw.operators.shape import Tiling
from vta.sw.operators.tiles import BY_TAP, may_fit, tilings

REQUANTISE = {"bias": True, "shift": 7, "low": -128, "high": 127}
CONFIGS = (
    Config(),
    Config.preset("2x16"),
    Config.preset("4x8"),
    Config.preset("1x4"),
    Config.preset("2x32"),
    Config(log_inp_buff_size=9, log_wgt_buff_size=14, log_acc_buff_size=12),
    Config(log_inp_buff_size=10, log_acc_buff_size=13, axi_data_bits=128),
)


@st.composite
def dilated(draw: st.DrawFn, kind: type[Conv2d] | type[Conv2dTranspose]) -> tuple[Kernel, int]:
    """Taps up to 40 apart, padded by up to 45 on each side; a residual, groups, strides."""
    config = draw(st.sampled_from(CONFIGS))
    groups = draw(st.sampled_from((1, 1, 1, 2, 20)))
    values: dict[str, Any] = {
        "channels": groups * draw(st.integers(1, 40 // groups)),
        "outputs": groups * draw(st.integers(1, 40 // groups)),
        "groups": groups,
        "residual": draw(st.booleans()),
        **REQUANTISE,
    }
    for axis, sides in (("height", ("top", "bottom")), ("width", ("left", "right"))):
        taps = draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 40))
        values |= {f"kernel_{axis}": taps, f"dilation_{axis}": dilation}
        span = (taps - 1) * dilation + 1
        values[f"stride_{axis}"] = draw(st.integers(1, 3))
        pads = [draw(st.integers(0, 45)) for _ in sides]
        if kind is Conv2d:
            values[axis] = max(3, span - sum(pads)) + draw(st.integers(0, 8))
        else:
            values[axis] = draw(st.integers(1, 12))
            made = (values[axis] - 1) * values[f"stride_{axis}"] + span
            pads[0] = min(pads[0], made - 1)
            pads[1] = min(pads[1], made - 1 - pads[0])
        values |= dict(zip((f"pad_{side}" for side in sides), pads, strict=True))
    return kind(**values).bind(config), draw(st.integers(0, 99))


@settings(max_examples=12, deadline=None)
@given(st.one_of(dilated(Conv2d), dilated(Conv2dTranspose)))
def test_random_dilations(case: tuple[Kernel, int]) -> None:
    assert_right(*case)


@pytest.mark.regress
@settings(max_examples=400, deadline=None)
@given(st.one_of(dilated(Conv2d), dilated(Conv2dTranspose)))
def test_many_random_dilations(case: tuple[Kernel, int]) -> None:
    assert_right(*case)


@pytest.mark.parametrize("preset", ["1x16", "4x8", "2x32"])
@pytest.mark.parametrize("by_tap", [*BY_TAP, (False, True)])
@pytest.mark.parametrize("keep", ["", "weights", "inputs"])
def test_every_way_to_load(keep: str, by_tap: tuple[bool, bool], preset: str) -> None:
    config = Config.preset(preset)
    sizes = {"height": 9, "width": 8, "channels": 40, "outputs": 33, "kernel_width": 2}
    conv = Conv2d(**sizes, dilation=3, padding=4, stride_height=2, residual=True, **REQUANTISE)
    tiling = Tiling(1, 2, 3, 1, keep, by_tap=by_tap)
    assert may_fit(conv.shape(config), tiling, config)
    assert_right(conv.bind(config, tiling), 2)


@pytest.mark.parametrize(
    ("size", "dilation", "by_tap"),
    [
        (65, 24, (True, False)),  # 49 rows of 113 columns are more than INP has
        (400, 300, (True, True)),  # and so are three rows of 1000
    ],
)
def test_taps_that_are_far_apart_load_their_own(
    size: int, dilation: int, by_tap: tuple[bool, bool]
) -> None:
    conv = Conv2d(
        height=size, width=size, channels=16, outputs=16, dilation=dilation, padding=dilation
    )
    assert next(iter(tilings(conv.shape(Config()), Config()))).tiling.by_tap == by_tap


def test_a_dilated_layer_is_near_its_bound() -> None:
    """DeepLab's: where rows and columns between the taps come along, tiles are 11 x 5."""
    for dilation in (12, 24):
        sizes = {"height": 65, "width": 65, "channels": 64, "outputs": 64}
        conv = Conv2d(**sizes, dilation=dilation, padding=dilation, **REQUANTISE)
        cycles = estimate_program(conv.bind(Config()).compiled.template).cycles
        assert cycles <= 1.02 * conv.demand(Config())["bound"]


def test_only_rows_that_a_tap_meets_are_loaded() -> None:
    """Two taps, four rows of the result three apart: eight rows, not 50."""
    sizes = {"height": 50, "width": 4, "channels": 16, "outputs": 16}
    kernel = {"kernel_height": 2, "kernel_width": 1, "dilation": 40, "stride_height": 3}
    conv = Conv2d(**sizes, **kernel, padding=0)
    tiling = Tiling(1, 4, 4, 1, by_tap=(True, False))
    instructions = conv.bind(Config(), tiling).compiled.instructions
    loads = [i for i in instructions if isinstance(i, Load) and i.memory_type == MemoryType.INP]
    assert sum(i.x_size * i.y_size for i in loads) == 8 * 4


def test_padding_stands_for_the_zero_point() -> None:
    """Of taps that are far apart, too; against the sums of data that are padded with it."""
    conv = Conv2d(height=40, width=33, channels=20, outputs=20, dilation=30, padding=30)
    rng = np.random.default_rng(3)
    shapes = {name: conv.tensors(Config())[name].shape for name in ("data", "weight")}
    inputs = {n: rng.integers(-128, 128, shape).astype(np.int8) for n, shape in shapes.items()}
    made = requantization(
        data=Scale(1.0, 17),
        weight_scale=2.0**-9,
        out=Scale(1.0, -4),
        weight=inputs["weight"],
        edges=conv.edges,
    )
    kernel = replace(conv, steps=made.steps).bind(Config())
    result = GoldenDevice(seed=1).run(kernel.program(inputs | made.operands))
    padded = np.pad(inputs["data"], ((0, 0), (0, 0), (30, 30), (30, 30)), constant_values=17)
    sums = np.zeros((1, 20, 40, 33), int)
    for y, x in np.ndindex(3, 3):
        part = padded[:, :, 30 * y : 30 * y + 40, 30 * x : 30 * x + 33].astype(int) - 17
        sums += np.einsum("nchw,oc->nohw", part, inputs["weight"][:, :, y, x].astype(int))
    wanted = np.clip((sums + 256 >> 9) - 4, -128, 127)
    np.testing.assert_array_equal(kernel.unpack(result)["out"], wanted)
