"""Group and depthwise convolution, and data packed by windows."""

from typing import Any

import numpy as np
import pytest

from tests.sw.operators.convolutions import plain_sums
from tests.sw.operators.support import assert_right
from vta.hw.config import Config
from vta.hw.isa import Load
from vta.sim.documents.convolutions import MOBILENET
from vta.sw.layout import pack, unpack
from vta.sw.operators import Conv2d, OperatorError
from vta.sw.operators.network import Network

REQUANTISE = {"bias": True, "shift": 6, "low": 0, "high": 127}


def mobilenet(size: int, channels: int, stride: int, group: int) -> Conv2d:
    return Conv2d(
        height=size,
        width=size,
        channels=channels,
        outputs=channels,
        groups=channels // group,
        stride=stride,
        **REQUANTISE,
    )


@pytest.mark.parametrize(
    ("channels", "outputs", "groups"), [(6, 6, 6), (4, 12, 4), (6, 4, 2), (8, 8, 2)]
)
def test_golden_against_plain_loops(channels: int, outputs: int, groups: int) -> None:
    rng = np.random.default_rng(4)
    conv = Conv2d(
        height=5, width=4, channels=channels, outputs=outputs, groups=groups, kernel_width=2
    )
    data = rng.integers(-128, 128, (2, channels, 5, 4)).astype(np.int8)
    weight = rng.integers(-128, 128, (outputs, channels // groups, 3, 2)).astype(np.int8)
    np.testing.assert_array_equal(conv.sums(data, weight), plain_sums(conv, data, weight))


@pytest.mark.parametrize("preset", ["1x16", "2x16", "4x4", "2x8", "1x32"])
@pytest.mark.parametrize(
    ("channels", "outputs", "groups"),
    [(20, 20, 20), (10, 30, 10), (64, 32, 2), (64, 64, 16), (36, 36, 3), (40, 20, 5)],
)
def test_groups_of_every_kind(preset: str, channels: int, outputs: int, groups: int) -> None:
    """Depthwise, with a multiplier; groups that are, divide, and do not divide whole blocks."""
    conv = Conv2d(
        height=7, width=6, channels=channels, outputs=outputs, groups=groups, **REQUANTISE
    )
    assert_right(conv.bind(Config.preset(preset)), 3)


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "uops"),
    [
        (64, 64, 64, 9),
        (64, 128, 64, 9),  # a multiplier
        (64, 64, 4, 9),  # groups of 16
        (64, 64, 16, 9),  # groups of 4
        (64, 64, 2, 18),  # groups of 32
        (64, 64, 1, 36),
        (20, 60, 20, 9),
        (48, 48, 2, 27),  # groups of 24: block-diagonal
    ],
)
def test_products_a_vector(channels: int, outputs: int, groups: int, uops: int) -> None:
    conv = Conv2d(channels=channels, outputs=outputs, groups=groups)
    shape = conv.shape(Config())
    assert shape.gemm == shape.vectors * uops


@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize(("size", "channels", "stride"), MOBILENET[-2:])
def test_mobilenet(size: int, channels: int, stride: int, group: int) -> None:
    assert_right(mobilenet(size, channels, stride, group).bind(Config()), 4)


@pytest.mark.regress
@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize(("size", "channels", "stride"), MOBILENET)
def test_all_of_mobilenet(size: int, channels: int, stride: int, group: int) -> None:
    assert_right(mobilenet(size, channels, stride, group).bind(Config()), 5)


def test_residual_and_small_buffers() -> None:
    config = Config(log_inp_buff_size=12, log_wgt_buff_size=14, log_acc_buff_size=13)
    conv = Conv2d(
        height=9, width=9, channels=40, outputs=40, groups=40, residual=True, **REQUANTISE
    )
    assert_right(conv.bind(config), 6)


# Packed by windows --------------------------------------------------------------------------------
WINDOWS: dict[str, dict[str, Any]] = {
    "7x7x3": {"height": 20, "width": 17, "channels": 3, "kernel_height": 7, "kernel_width": 7}
    | {"stride": 2, "padding": 3},
    "10x4x1": {"height": 24, "width": 10, "channels": 1, "kernel_height": 10, "kernel_width": 4}
    | {"stride": 2, "pad_top": 4, "pad_bottom": 5, "pad_left": 1, "pad_right": 2},
    "dilated": {"height": 9, "width": 9, "channels": 3, "dilation": 2, "stride_width": 2},
}


@pytest.mark.parametrize("preset", ["1x16", "4x8", "2x32"])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str, preset: str) -> None:
    conv = Conv2d(outputs=20, im2col=True, **WINDOWS[name], **REQUANTISE)
    assert_right(conv.bind(Config.preset(preset)), 7)


def test_windows_change_nothing_but_the_packing() -> None:
    """The same logical tensors give the same result, in fewer GEMM steps."""
    values = dict(outputs=20, **WINDOWS["7x7x3"], **REQUANTISE)
    plain, packed = (Conv2d(im2col=im2col, **values).bind(Config()) for im2col in (False, True))
    inputs = plain.random_inputs(1)
    np.testing.assert_array_equal(plain.expected(inputs)["out"], packed.expected(inputs)["out"])
    steps = [
        k.operator.shape(k.config).gemm for k in (plain, packed) if isinstance(k.operator, Conv2d)
    ]
    assert steps == [10 * 9 * 2 * 49, 10 * 9 * 2 * 10]
    assert not any(i.x_pad_0 for i in packed.compiled.instructions if isinstance(i, Load))


def test_a_network_packs_its_input_by_windows() -> None:
    config = Config()
    first = Conv2d(outputs=20, im2col=True, **WINDOWS["7x7x3"], **REQUANTISE)
    second = Conv2d(height=10, width=9, channels=20, outputs=20, groups=20, **REQUANTISE)
    network = Network("two", config)
    network.add("first", first.bind(config), data="input", out="between")
    network.add("second", second.bind(config), data="between")
    inputs = {"input": first.bind(config).random_inputs(0)["data"]}
    for node in network.nodes:
        made = node.kernel.random_inputs(1)
        inputs |= {node.tensors[own]: made[own] for own in ("weight", "bias")}
    golden = network.golden(inputs)
    logical = unpack(golden["between"], "NCHW1n16c", (1, 20, 10, 9))
    wanted = first.golden(
        {"data": inputs["input"], "weight": inputs["first.weight"], "bias": inputs["first.bias"]}
    )["out"]
    np.testing.assert_array_equal(logical, wanted)
    np.testing.assert_array_equal(golden["between"], pack(wanted, "NCHW1n16c"))


def test_what_does_not_go_together_is_named() -> None:
    with pytest.raises(OperatorError, match="conv2d: outputs is 9, which 2 groups do not divide"):
        Conv2d(channels=8, outputs=9, groups=2)
    with pytest.raises(OperatorError, match="channels is 9, which 2 groups do not divide"):
        Conv2d(channels=9, outputs=8, groups=2)
    with pytest.raises(OperatorError, match="im2col packs one group, there are 2: leave out one"):
        Conv2d(channels=8, outputs=8, groups=2, im2col=True)
