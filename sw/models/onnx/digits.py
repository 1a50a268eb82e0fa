"""The handwritten-digit network as ONNX, with the weights that it was trained to."""

import numpy as np
import onnx

from vta.sw.models.digits_network import (
    CONVOLUTIONS,
    DENSE,
    PIXEL_MAX,
    check_images,
    float_parameters,
)
from vta.sw.models.onnx.builder import Builder

__all__ = ["digits", "digits_inputs"]


def digits(*, batch: int = 1) -> onnx.ModelProto:
    """Its float model: "image" (batch, 1, 8, 8), 0 to 1, to "logits" (batch, 10)."""
    builder = Builder("digits")
    parameters = float_parameters()
    data = builder.input("image", batch, 1, 8, 8)
    for layer in CONVOLUTIONS:
        own = [
            builder.constant(f"{layer.name}.{part}", parameters[f"{layer.name}_{part}"])
            for part in ("weight", "bias")
        ]
        sizes = {"kernel_shape": [3, 3], "strides": [layer.stride] * 2, "pads": [1] * 4}
        data = builder.node("Conv", layer.name, data, *own, outputs=layer.outputs, **sizes)
        data = builder.node("Relu", layer.name.replace("conv", "relu"), data)
    data = builder.node("Flatten", "flatten", data, axis=1)
    weight, bias = (parameters[f"{DENSE.name}_{part}"] for part in ("weight", "bias"))
    return builder.model(logits=builder.matmul(DENSE.name, data, weight, bias))


def digits_inputs(images: np.ndarray) -> np.ndarray:
    """What the model takes, float32 (n, 1, 8, 8), of uint8 images (n, 8, 8) of 0 to 16."""
    check_images(images)
    return images[:, np.newaxis].astype(np.float32) / PIXEL_MAX
