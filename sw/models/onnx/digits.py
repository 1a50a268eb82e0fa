"""The handwritten-digit network as ONNX, with its trained weights in float and as int8."""

import numpy as np
import onnx
from numpy.typing import DTypeLike

from vta.sw.models.digits_network import (
    DENSE,
    LAYERS,
    PIXEL_MAX,
    Layer,
    QuantizedLayer,
    check_images,
    float_parameters,
    quantized_layers,
)
from vta.sw.models.onnx.builder import Builder

__all__ = ["digits", "digits_inputs", "digits_int8"]


def digits(*, batch: int = 1) -> onnx.ModelProto:
    """Its float model: "image" (batch, 1, 8, 8), 0 to 1, to "logits" (batch, 10)."""
    builder = Builder("digits")
    parameters = float_parameters()
    data = builder.input("image", batch, 1, 8, 8)
    for layer in LAYERS:
        own = [
            builder.constant(f"{layer.name}.{part}", parameters[f"{layer.name}_{part}"])
            for part in ("weight", "bias")
        ]
        if layer is DENSE:
            data = builder.node("Flatten", "flatten", data, axis=1)
        data = _layer(builder, layer, data, *own)
    return builder.model(logits=data)


def digits_int8(*, batch: int = 1) -> onnx.ModelProto:
    """The same in QDQ form, with the integers that run on VTA; its logits are rounded, too.

    ONNX rounds halves to even, this project's integers half up: where they meet, results differ.
    """
    builder = Builder("digits_int8")
    data = builder.input("image", batch, 1, 8, 8)
    first, *_ = layers = quantized_layers()
    data = _rounded(builder, "image", data, first.exponents[0])
    for entry in layers:
        name, (source, own, result) = entry.layer.name, entry.exponents
        if entry.layer is DENSE:
            data = builder.node("Flatten", "flatten", data, axis=1)
            data = _rounded(builder, "flatten", data, source)
        weight = _meant(builder, f"{name}.weight", entry.weight, own)
        bias = _meant(builder, f"{name}.bias", _bias(entry), source + own)
        data = _layer(builder, entry.layer, data, weight, bias)
        data = _rounded(builder, name, data, result)
    return builder.model(logits=data)


def _layer(builder: Builder, layer: Layer, data: str, weight: str, bias: str) -> str:
    if layer is DENSE:
        return builder.node("Gemm", layer.name, data, weight, bias, outputs=layer.outputs, transB=1)
    data = builder.node(
        "Conv",
        layer.name,
        *(data, weight, bias),
        outputs=layer.outputs,
        kernel_shape=[3, 3],
        strides=[layer.stride] * 2,
        pads=[1] * 4,
    )
    return builder.node("Relu", layer.name.replace("conv", "relu"), data)


def _bias(entry: QuantizedLayer) -> np.ndarray:
    """Without the half that makes VTA's shift round."""
    return entry.bias - (1 << entry.shift >> 1)


def _rounded(builder: Builder, path: str, data: str, exponent: int) -> str:
    """int8 numbers of 2^-exponent each, and what they mean."""
    unit = _unit(builder, path, np.int8, exponent)
    number = builder.node("QuantizeLinear", path, data, *unit)
    return builder.node("DequantizeLinear", path, number, *unit)


def _meant(builder: Builder, path: str, numbers: np.ndarray, exponent: int) -> str:
    """What constant numbers of 2^-exponent each mean."""
    number = builder.constant(f"{path}_quantized", numbers)
    unit = _unit(builder, path, numbers.dtype, exponent)
    return builder.node("DequantizeLinear", path, number, *unit)


def _unit(builder: Builder, path: str, dtype: DTypeLike, exponent: int) -> tuple[str, str]:
    """Scale and zero point."""
    scale = builder.constant(f"{path}_scale", np.array(2.0**-exponent, np.float32))
    return scale, builder.constant(f"{path}_zero_point", np.zeros((), dtype))


def digits_inputs(images: np.ndarray) -> np.ndarray:
    """What the model takes, float32 (n, 1, 8, 8), of uint8 images (n, 8, 8) of 0 to 16."""
    check_images(images)
    return images[:, np.newaxis].astype(np.float32) / PIXEL_MAX
