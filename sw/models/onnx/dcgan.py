"""The generator of a DCGAN as ONNX.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks" (2015), figure 1, with 4 x 4 kernels as in PyTorch's example.
"""

import numpy as np
import onnx

from vta.sw.models.onnx.builder import Builder

__all__ = ["dcgan"]

NOISE = 100
TIMES = (8, 4, 2, 1)  # the width: channels before each transposed convolution, from 4 x 4 on
COLOURS = 3


def dcgan(*, seed: int = 0, batch_norm: bool = False, width: int = 128) -> onnx.ModelProto:
    """Its float model: "noise" (1, 100), normally distributed, to "image" (1, 3, 64, 64).

    `width`: channels before the last convolution; all others follow.
    """
    builder = Builder("dcgan", seed=seed, batch_norm=batch_norm)
    first, *others = (width * times for times in TIMES)
    data = builder.input("noise", 1, NOISE)
    data = builder.dense("project", data, NOISE, first * 16, gain=1.0)
    data = builder.node("Relu", "relu", data)
    shape = builder.constant("shape", np.array([1, first, 4, 4], np.int64))
    data = builder.node("Reshape", "reshape", data, shape, outputs=first)
    for number, outputs in enumerate(others, 1):
        data = builder.conv_transpose(f"deconv{number}", data, outputs, norm=f"bn{number}")
        data = builder.node("Relu", f"relu{number}", data)
    data = builder.conv_transpose(f"deconv{len(TIMES)}", data, COLOURS, gain=0.5)
    return builder.model(image=builder.node("Tanh", "tanh", data))
