"""The convolutions of MobileNet v1 as a network, with random weights.

Howard et al., "MobileNets" (2017), table 1: a 3 x 3 convolution of the image, then 13 pairs of a
depthwise 3 x 3 and a 1 x 1 convolution. Scales are powers of two; data is not negative.
"""

from vta.hw.config import Config
from vta.sw.models.random_weights import shift_for
from vta.sw.operators import Conv2d
from vta.sw.operators.network import Network

__all__ = ["mobilenet"]

PAIRS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""Channels of each pair's result, and the stride of its depthwise convolution."""


def mobilenet(config: Config, *, size: int = 96, quarters: int = 1) -> Network:
    """The network for images of `size` x `size` pixels, with a quarter of its channels or more,
    from "input" to "pointwise13".
    """
    network = Network(f"mobilenet_{quarters * 25}_{size}", config)
    channels = 32 * quarters // 4
    first = Conv2d(
        height=size,
        width=size,
        channels=3,
        outputs=channels,
        stride=2,
        padding=1,
        im2col=True,
        bias=True,
        shift=shift_for(27),
        low=0,
        high=127,
    )
    network.add("conv", first.bind(config), data="input", out="conv")
    source, size = "conv", -(-size // 2)
    for number, (outputs, stride) in enumerate(PAIRS, 1):
        outputs = outputs * quarters // 4
        common = {"channels": channels, "bias": True, "low": 0, "high": 127}
        depthwise = Conv2d(
            height=size,
            width=size,
            outputs=channels,
            groups=channels,
            stride=stride,
            padding=1,
            shift=shift_for(9),
            **common,
        )
        size = -(-size // stride)
        pointwise = Conv2d(
            height=size,
            width=size,
            outputs=outputs,
            kernel_height=1,
            kernel_width=1,
            padding=0,
            shift=shift_for(channels),
            **common,
        )
        for kind, built in (("depthwise", depthwise), ("pointwise", pointwise)):
            name = f"{kind}{number}"
            network.add(name, built.bind(config), data=source, out=name)
            source = name
        channels = outputs
    return network
