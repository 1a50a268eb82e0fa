"""Convolutions and dense layers."""

from math import ceil, prod

import numpy as np
import onnx_ir as ir

from vta.hw.errors import shown
from vta.sw.relax.tflite.builder import Builder

__all__ = ["conv2d", "depthwise_conv2d", "fully_connected", "padding", "same_padding"]
__all__ += ["transpose_conv"]

SAME, VALID = 0, 1
BIAS = 0.02  # of a result's unit: how far a bias's scale may be off, as TFLite checks it


def padding(b: Builder, size: int, window: int, stride: int) -> tuple[int, int]:
    """Rows of zeros before and after an axis, for a window that reaches over `window` rows."""
    kind = b.option("Padding")
    if stride < 1 or window < 1 or kind not in (SAME, VALID):
        raise b.error(f"stride {stride}, window {window}, padding {kind}: the file is damaged")
    return (0, 0) if kind == VALID else same_padding(size, window, stride)


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """What padding SAME adds before and after: the odd row is after."""
    total = max((ceil(size / stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def conv2d(b: Builder) -> None:
    """CONV_2D: weights OHWI; groups where they have fewer input channels than the data."""
    channels, inner = b.shape(0)[-1], b.shape(1)[-1]
    if channels % inner:
        raise b.error(f"{channels} channels do not divide into groups of {inner}")
    _convolution(b, (0, 3, 1, 2), channels // inner)


def depthwise_conv2d(b: Builder) -> None:
    """DEPTHWISE_CONV_2D: weights 1HWO, with several outputs for each input or one."""
    _convolution(b, (3, 0, 1, 2), b.shape(0)[-1])


def _convolution(b: Builder, order: tuple[int, ...], groups: int) -> None:
    data, weights = b.real(0), _weights(b, 0, order)
    shape, (_, height, width, _) = b.shape(0), b.shape(1)
    if len(shape) != 4:
        raise b.error(f"its data is {list(shape)}, not of rank 4")
    dilations = [b.option("DilationHFactor", 1), b.option("DilationWFactor", 1)]
    strides = [b.option("StrideH"), b.option("StrideW")]
    pads = [
        padding(b, size, (kernel - 1) * dilation + 1, stride)
        for size, kernel, dilation, stride in zip(
            shape[1:3], (height, width), dilations, strides, strict=True
        )
    ]
    attributes = {
        "kernel_shape": [height, width],
        "strides": strides,
        "dilations": dilations,
        "group": groups,
        "pads": [begin for begin, _ in pads] + [end for _, end in pads],
    }
    bias = _bias(b, 2, 0, b.shape(1)[order[0]])
    operands = [data, weights] if bias is None else [data, weights, bias]
    b.done(b.activated(b.emit("Conv", *operands, attributes=attributes)))


def _weights(b: Builder, data: int, order: tuple[int, ...]) -> ir.Value:
    """The weights; it is noted where TFLite would quantise what meets them."""
    if b.info(1).quantization is not None and b.info(data).quantization is None:
        b.warnings.append(
            f"{b.where}its weights are {b.info(1).type.lower()} and its data is float: TFLite "
            "quantises the data as the network runs, here it stays float"
        )
    return b.weights(1, order)


def _bias(b: Builder, k: int, data: int, channels: int) -> ir.Value | None:
    """A bias in whole numbers of the accumulator: data's scale times the weights'."""
    if not b.has(k):
        return None
    info, x, w = b.info(k), b.info(data).quantization, b.info(1).quantization
    if info.shape != (channels,):
        raise b.error(f"bias {shown(info.name)} is {list(info.shape)}, not [{channels}]")
    if info.type == "FLOAT32":
        return b.value(k)
    if info.type != "INT32" or x is None or w is None:
        raise b.error(f"bias {shown(info.name)} is {info.type}: quantise the network to int8")
    with np.errstate(over="ignore"):
        scale = np.float32(x.scale[0]) * w.scale
    if not np.isfinite(scale).all():
        raise b.error(f"the scales of data and weights, {x.scale[0]} and {w.scale.max()}, are huge")
    own, unit = info.quantization, b.result().quantization
    if own is not None and unit is not None and len(own.scale) == len(scale):
        if not (np.abs(own.scale.astype(float) - scale) <= BIAS * float(unit.scale[0])).all():
            raise b.error(
                f"bias {shown(info.name)} has another scale than data and weights: convert again"
            )
    axis = {} if len(scale) == 1 else {"axis": 0}
    scale = scale.reshape(()) if len(scale) == 1 else scale
    operands = [
        b.constant("bias_scale", scale),
        b.constant("bias_zero_point", np.zeros(scale.shape, np.int32)),
    ]
    return b.emit("DequantizeLinear", b.value(k), *operands, what="bias", attributes=axis)


def transpose_conv(b: Builder) -> None:
    """TRANSPOSE_CONV: its first input is the result's shape, the data is the third."""
    data, weights = b.real(2), _weights(b, 2, (3, 0, 1, 2))
    shape, (outputs, *kernel, _), target = b.shape(2), b.shape(1), b.numbers(0)
    if len(shape) != 4 or len(target) != 4:
        raise b.error(f"its data is {list(shape)}, its result {target}: not of rank 4")
    strides = [b.option("StrideH"), b.option("StrideW")]
    before, after, more = [], [], []
    for size, made, window, stride in zip(shape[1:3], target[1:3], kernel, strides, strict=True):
        begin, _ = padding(b, made, window, stride)
        end = (size - 1) * stride + window - begin - made
        before.append(begin)
        after.append(max(end, 0))
        more.append(max(-end, 0))
    if any(extra >= stride for extra, stride in zip(more, strides, strict=True)):
        raise b.error(f"{list(shape)} does not make {target} with stride {strides}")
    attributes = {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": [1, 1],
        "group": 1,
        "pads": before + after,
        "output_padding": more,
    }
    bias = _bias(b, 3, 2, outputs)
    operands = [data, weights] if bias is None else [data, weights, bias]
    b.done(b.activated(b.emit("ConvTranspose", *operands, attributes=attributes)))


def fully_connected(b: Builder) -> None:
    """FULLY_CONNECTED: weights (outputs, inputs); all axes before the inputs are the batch."""
    if b.option("WeightsFormat"):
        raise b.error("its weights are shuffled for one kind of CPU: convert without that")
    shape, value = b.shape(0), b.value(0)
    if len(b.shape(1)) != 2:
        raise b.error(f"its weights are {list(b.shape(1))}, not of rank 2")
    outputs, inputs = b.shape(1)
    if prod(shape) % inputs:
        raise b.error(f"its data {list(shape)} does not divide into rows of {inputs}")
    if shape != (prod(shape) // inputs, inputs):
        value = b.reshaped_to(value, (prod(shape) // inputs, inputs), "flatten")
    operands = [b.dequantized(value, b.info(0)), _weights(b, 0, (0, 1))]
    bias = _bias(b, 2, 0, outputs)
    operands += [] if bias is None else [bias]
    value = b.activated(b.emit("Gemm", *operands, attributes={"transB": 1}))
    if not b.option("KeepNumDims") or len(shape) == 2:
        return b.done(value)
    b.done(b.reshaped_to(b.stored(value), (*shape[:-1], outputs), "rows"), raw=True)
