"""A convolution whose sums are pooled before they are requantised."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.sw.operators.random_maps import CONFIGS
from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.sw.compiler import CompileError
from vta.sw.estimate import estimate_program
from vta.sw.golden import GoldenDevice
from vta.sw.operators import Conv2d, Conv2dMaxPool, MaxPool, OperatorError
from vta.sw.operators.pooled_tile import PooledTile
from vta.sw.operators.scales import Scale, as_int8, requantization

REQUANTISE = {"bias": True, "shift": 8, "low": -128, "high": 127}
SHAPE = {"height": 11, "width": 13, "channels": 20, "outputs": 24}
THREE = {"pool_height": 3, "pool_width": 3}
PADDED = {**THREE, "pool_pad_top": 1, "pool_pad_left": 1}
FIRST: dict[str, Any] = {
    "channels": 3,
    "outputs": 64,
    "kernel_height": 7,
    "kernel_width": 7,
    "stride": 2,
    "padding": 3,
    "im2col": True,
    "bias": True,
    "shift": 8,
    "low": 0,
    "high": 127,
}


@pytest.mark.parametrize("pool", [{}, THREE, PADDED, {**PADDED, "pool_ceil": True}])
@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x8", "1x4", "2x32"])
def test_every_configuration(preset: str, pool: dict[str, Any]) -> None:
    assert_right(Conv2dMaxPool(**SHAPE, **REQUANTISE, **pool).bind(Config.preset(preset)), 1)


def test_the_same_as_two_operators() -> None:
    """Steps that keep the order give the same before and after a pool: so it has its meaning."""
    shape, rng = {**FIRST, "height": 21, "width": 18}, np.random.default_rng(3)
    inputs = {
        "data": rng.integers(-128, 128, (1, 3, 21, 18)).astype(np.int8),
        "weight": rng.integers(-30, 30, (64, 3, 7, 7)).astype(np.int8),
        "bias": rng.integers(-9000, 9000, 64).astype(np.int32),
    }
    conv = Conv2d(**shape)
    (between,) = conv.golden(inputs).values()
    size = dict(zip(("height", "width"), between.shape[2:], strict=True))
    sides = {f"pad_{side}": 1 for side in ("top", "left", "bottom", "right")}
    pool = MaxPool(**size, channels=64, kernel_height=3, kernel_width=3, **sides)
    (wanted,) = pool.golden({"data": between}).values()
    fused = Conv2dMaxPool(**shape, **THREE, **{f"pool_{side}": 1 for side in sides})
    np.testing.assert_array_equal(fused.golden(inputs)["out"], wanted)
    assert fused.tensors(Config())["out"].shape == wanted.shape


@pytest.mark.parametrize(
    "tile",
    [
        PooledTile(1, 1, 1, 1),
        PooledTile(2, 1, 2, 2),
        PooledTile(1, 2, 1, 4),
        PooledTile(2, 3, 2, 3),
        PooledTile(1, 5, 2, 5),
    ],
)
@pytest.mark.parametrize("pool", [THREE, PADDED])
def test_tiles(tile: PooledTile, pool: dict[str, Any]) -> None:
    """Lines are kept from one to the next; the last ones are cut off."""
    assert_right(Conv2dMaxPool(**SHAPE, **REQUANTISE, **pool).bind(Config(), tile), 2)


def random_pooled(seed: int) -> tuple[Conv2dMaxPool, Config]:
    """A legal operator and a configuration for it."""
    rng = np.random.default_rng([seed, 12])
    while True:
        stride = int(rng.integers(1, 4))
        windows = rng.integers(stride, 2 * stride, 2)
        values: dict[str, Any] = {
            "height": int(rng.integers(3, 14)),
            "width": int(rng.integers(3, 14)),
            "channels": int(rng.integers(1, 40)),
            "outputs": int(rng.integers(1, 50)),
            "kernel_height": int(rng.integers(1, 4)),
            "kernel_width": int(rng.integers(1, 4)),
            "stride": int(rng.integers(1, 3)),
            "padding": int(rng.integers(0, 3)),
            "dilation": int(rng.choice((1, 1, 2))),
            "im2col": bool(rng.integers(3) == 0),
            "images": (None, 1, 3)[rng.integers(3)],
            "pool_stride": stride,
            "pool_height": int(windows[0]),
            "pool_width": int(windows[1]),
            "pool_ceil": bool(rng.integers(2)),
        }
        for side in ("top", "bottom", "left", "right"):
            values[f"pool_pad_{side}"] = int(rng.integers(2))
        steps = "min high, max low, mul m, add b, shr 22"
        values |= (REQUANTISE, {"steps": steps}, {"shift": 6})[rng.integers(3)]
        try:
            return Conv2dMaxPool(**values), CONFIGS[int(rng.integers(len(CONFIGS)))]
        except OperatorError:
            continue


def check_random(seed: int) -> bool:
    """False where the operator needs larger scratchpads than there are."""
    operator, config = random_pooled(seed)
    try:
        kernel = operator.bind(config)
        assert kernel.compiled
    except CompileError as error:
        assert "do not fit the scratchpads: use conv2d and max_pool" in str(error)
        assert config is CONFIGS[-1]
        return False
    assert_right(kernel, seed)
    return True


def test_random_ones() -> None:
    assert sum(check_random(seed) for seed in range(24)) > 18


@pytest.mark.regress
def test_many_random_ones() -> None:
    assert sum(check_random(seed) for seed in range(100, 700)) > 500


def test_the_first_layer_of_resnet18() -> None:
    """The pool's passes run beside GEMM: 6% above the bound, where two operators are at 30%."""
    sides = {f"pool_pad_{side}": 1 for side in ("top", "left", "bottom", "right")}
    layer = Conv2dMaxPool(**FIRST, height=224, width=224, **THREE, **sides)
    demand = layer.demand(Config())
    assert (demand["bound"], demand["alu"]) == (501_760, 88_256)
    cycles = estimate_program(layer.bind(Config()).compiled.template).cycles
    assert cycles < 1.065 * demand["bound"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pool_stride": 3}, "along the rows windows of 2 leave gaps, as their stride is 3"),
        ({"pool_stride": 1}, "windows of 2 with stride 1 have no place of their own"),
        ({"pool_pad_left": 1}, "along the columns place 0 of a window lies in the padding"),
        ({"residual": True}, "takes no residual: use conv2d and max_pool"),
        ({"groups": 4}, "takes no groups: use conv2d and max_pool"),
        ({"result": "int32"}, "takes no int32 results"),
        ({"steps": "add border"}, "takes no steps with border"),
        ({"steps": "mul -3"}, "takes no negative multiplier"),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        Conv2dMaxPool(height=8, width=8, channels=16, outputs=16, **values)


def test_windows_are_padded_with_the_zero_point() -> None:
    """Then no border is to be corrected, and the pool may come before the steps."""
    shape, rng = {**FIRST, "height": 21, "width": 18}, np.random.default_rng(4)
    for name in ("bias", "shift", "low", "high"):
        del shape[name]
    weight = rng.integers(-127, 128, (64, 3, 7, 7)).astype(np.int8)
    x = rng.integers(0, 256, (1, 3, 21, 18)).astype(np.uint8)
    data = Scale(1.0, 115, "uint8")
    conv = Conv2dMaxPool(**shape, **PADDED, pad_value=data.zero)
    made = requantization(
        data=data,
        weight_scale=2.0**-8,
        out=Scale(1.0, 101, "uint8"),
        weight=weight,
        edges=conv.edges,
    )
    assert set(made.operands) == {"bias"}
    kernel = replace(conv, steps=made.steps).bind(Config())
    inputs = {"data": as_int8(x), "weight": weight, **made.operands}
    result = GoldenDevice(seed=4).run(kernel.program(inputs))
    padded = np.pad(x.astype(np.int64) - 115, ((0, 0), (0, 0), (3, 3), (3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), axis=(2, 3))
    sums = np.einsum("nchwyx,ocyx->nohw", windows[:, :, ::2, ::2], weight)
    rounded = np.clip(((sums + 128) >> 8) + 101, 0, 255)
    lowest = np.pad(rounded, ((0, 0), (0, 0), (1, 0), (1, 0)))
    pooled = np.lib.stride_tricks.sliding_window_view(lowest, (3, 3), axis=(2, 3))
    wanted = pooled[:, :, ::2, ::2].max(axis=(4, 5))
    found = kernel.unpack(result)["out"].view(np.uint8) ^ 0x80
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(wanted)) > 50
    assert_right(kernel, 1)


def test_other_padding_is_for_packed_windows_only() -> None:
    with pytest.raises(OperatorError, match="pad_value is 3; only im2col pads with other than"):
        Conv2d(pad_value=3)
