"""Convolutions on the core, with latencies and stalls: small ones of every kind."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sim.programs import run_and_compare
from tests.sim.test_core import CONFIGS, random_options
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.operators import Conv2d, Conv2dMaxPool, Conv2dTranspose, Operator
from vta.sw.operators.shape import Tiling
from vta.sw.operators.tiles import BY_TAP, KEEP

Devices = Callable[[Config], RtlDevice]

SMALL: dict[str, Any] = {"height": 6, "width": 5, "bias": True, "shift": 6, "low": 0, "high": 127}
OPERATORS: dict[str, Operator] = {
    "directions": Conv2d(
        channels=20, outputs=18, stride_width=2, pad_top=0, pad_right=3, dilation=2, **SMALL
    ),
    "taps far apart": Conv2d(
        **SMALL | {"height": 30, "channels": 20, "outputs": 18},
        dilation=30,
        padding=30,
        stride_height=2,
    ),
    "padded 1x1": Conv2d(channels=9, outputs=9, kernel_height=1, kernel_width=1, **SMALL),
    "depthwise": Conv2d(channels=20, outputs=40, groups=20, **SMALL),
    "groups": Conv2d(channels=48, outputs=24, groups=6, residual=True, **SMALL),
    "windows": Conv2d(
        channels=3, outputs=20, kernel_height=5, kernel_width=4, stride=2, im2col=True, **SMALL
    ),
    "pooled": Conv2dMaxPool(
        channels=20, outputs=18, pool_height=3, pool_width=3, pool_pad_top=1, **SMALL
    ),
    "transposed": Conv2dTranspose(
        channels=20, outputs=18, stride=2, output_padding=1, residual=True, **SMALL
    ),
    "transposed 4x4": Conv2dTranspose(
        channels=9, outputs=9, kernel_height=4, kernel_width=4, stride=2, **SMALL
    ),
    "transposed depthwise": Conv2dTranspose(
        channels=20, outputs=40, groups=20, stride=2, residual=True, **SMALL
    ),
    "transposed by groups": Conv2dTranspose(
        channels=32, outputs=32, groups=2, kernel_width=4, stride_width=2, **SMALL
    ),
    "transposed with a border": Conv2dTranspose(
        height=4,
        width=3,
        channels=9,
        outputs=18,
        kernel_height=4,
        stride=2,
        steps="add border, add bias, shr 6, max -100, min 127",
    ),
}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", OPERATORS)
def test_convolutions_on_the_core(rtl: Devices, name: str, config: str) -> None:
    seed = 3 * list(OPERATORS).index(name) + list(CONFIGS).index(config)
    program = OPERATORS[name].bind(CONFIGS[config]).program(seed=seed)
    run_and_compare(rtl(CONFIGS[config]), program, random_options(seed))


@pytest.mark.parametrize("by_tap", BY_TAP)
def test_taps_that_load_their_own(rtl: Devices, by_tap: tuple[bool, bool]) -> None:
    conv = Conv2d(channels=20, outputs=18, dilation=3, padding=4, stride_width=2, **SMALL)
    kernel = conv.bind(Config(), Tiling(1, 3, 2, 1, by_tap=by_tap))
    run_and_compare(rtl(Config()), kernel.program(seed=1), random_options(sum(by_tap)))


@pytest.mark.parametrize("keep", KEEP)
def test_operands_that_come_with_their_tiles(rtl: Devices, keep: str) -> None:
    conv = Conv2d(channels=20, outputs=40, padding=0, **SMALL)
    kernel = conv.bind(Config(), Tiling(1, 2, 3, 1, keep, held=False))
    run_and_compare(rtl(Config()), kernel.program(seed=1), random_options(KEEP.index(keep)))
