"""The convolutions and residuals of ResNet-18 as a network, with random weights.

He et al., "Deep Residual Learning for Image Recognition" (2015), table 1, without its first
convolution and pool and without the classifier: 19 convolutions and 8 additions, from 64 channels
of 56 x 56 on. Nodes are called as in torchvision's model. Scales are powers of two.
"""

from collections.abc import Sequence
from functools import lru_cache

from vta.hw.config import Config
from vta.sw.models.random_weights import shift_for
from vta.sw.operators import Conv2d, Kernel
from vta.sw.operators.network import Network

__all__ = ["resnet18"]

STAGES = ((56, 64), (28, 128), (14, 256), (7, 512))  # rows and columns of the result, channels
RELU, SIGNED = (0, 127), (-128, 127)


@lru_cache(maxsize=64)
def _kernel(convolution: Conv2d, config: Config) -> Kernel:
    return convolution.bind(config)


def resnet18(
    config: Config, *, stages: Sequence[int] = (1, 2, 3, 4), outputs: tuple[str, ...] | None = ()
) -> Network:
    """The network from "input" to "layer4.1.conv2", or some stages in a row of it.

    `outputs` as for `Network`.
    """
    network = Network("resnet18", config, outputs=outputs)

    def convolution(
        name: str,
        source: str,
        size: int,
        channels: tuple[int, int],
        *,
        kernel: int = 3,
        stride: int = 1,
        clip: tuple[int, int] = RELU,
        residual: str | None = None,
    ) -> str:
        shift = shift_for(channels[0] * kernel * kernel)
        built = _kernel(
            Conv2d(
                height=size * stride,
                width=size * stride,
                channels=channels[0],
                outputs=channels[1],
                kernel_height=kernel,
                kernel_width=kernel,
                stride=stride,
                padding=kernel // 2,
                bias=True,
                shift=shift,
                low=clip[0],
                high=clip[1],
                residual=residual is not None,
                residual_factor=1 << min(shift, 6) if residual is not None else 1,
            ),
            config,
        )
        added = {} if residual is None else {"residual": residual}
        network.add(name, built, data=source, out=name, **added)
        return name

    source, before = "input", STAGES[max(stages[0] - 2, 0)][1]
    for number in stages:
        size, channels = STAGES[number - 1]
        stride, wider = (1, False) if number == 1 else (2, True)
        for block in range(2):
            name, shortcut = f"layer{number}.{block}", source
            first = convolution(f"{name}.conv1", source, size, (before, channels), stride=stride)
            if wider:
                shortcut = convolution(
                    f"{name}.downsample",
                    source,
                    size,
                    (before, channels),
                    kernel=1,
                    stride=stride,
                    clip=SIGNED,
                )
            source = convolution(
                f"{name}.conv2", first, size, (channels, channels), residual=shortcut
            )
            before, stride, wider = channels, 1, False
    return network
