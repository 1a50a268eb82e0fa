"""MobileNet v1 as ONNX, with names like Keras's.

Howard et al., "MobileNets" (2017), table 1. With a quarter of the channels, images of 96 x 96 and
two classes it is the shape of MLPerf Tiny's person detection.
"""

import numpy as np
import onnx

from vta.sw.models.onnx.builder import Builder

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


def mobilenet(
    *,
    seed: int = 0,
    batch_norm: bool = False,
    size: int = 96,
    quarters: int = 1,
    relu6: bool = False,
    classes: int = 2,
) -> onnx.ModelProto:
    """Its float model: "input" (1, 3, size, size) to "output" (1, classes), after a softmax.

    `quarters`: of its 32 to 1024 channels, as many quarters. relu6: its activations are clipped
    at 6 (nodes Clip).
    """
    builder = Builder("mobilenet", seed=seed, batch_norm=batch_norm)
    low, high = "", ""
    if relu6:
        low = builder.constant("low", np.array(0, np.float32))
        high = builder.constant("high", np.array(6, np.float32))

    def layer(name: str, data: str, outputs: int, **sizes: int) -> str:
        data = builder.conv(name, data, outputs, norm=f"{name}_bn", **sizes)
        activation = (
            ("Clip", f"{name}_relu", data, low, high) if relu6 else ("Relu", f"{name}_relu", data)
        )
        return builder.node(*activation)

    data = builder.input("input", 1, 3, size, size)
    data = layer("conv1", data, 32 * quarters // 4, stride=2)
    for number, (outputs, stride) in enumerate(PAIRS, 1):
        groups = builder.channels[data]
        data = layer(f"conv_dw_{number}", data, groups, stride=stride, groups=groups)
        data = layer(f"conv_pw_{number}", data, outputs * quarters // 4, kernel=1)
    inputs = builder.channels[data]
    data = builder.node("GlobalAveragePool", "pool", data)
    data = builder.node("Flatten", "flatten", data, axis=1)
    data = builder.dense("dense", data, inputs, classes)
    return builder.model(output=builder.node("Softmax", "softmax", data, axis=1))
