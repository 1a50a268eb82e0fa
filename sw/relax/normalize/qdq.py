"""QuantizeLinear and DequantizeLinear in one form: with zero point, axis where it counts.

The scale is a float32 constant, a number or one for each channel; the zero point is there and tells
the type. Weights that are quantised in the file by a QuantizeLinear were folded before.
"""

import numpy as np
import onnx_ir as ir

from vta.hw.errors import quoted
from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, shape_of

__all__ = ["QUANTIZED", "canonical_quantizers"]

QUANTIZED = (ir.DataType.INT8, ir.DataType.UINT8)
BIAS = ir.DataType.INT32  # of a DequantizeLinear only
WIDE = (ir.DataType.INT16, ir.DataType.UINT16)  # computed on the CPU


def canonical_quantizers(model: ir.Model) -> ir.Model:
    """Every QuantizeLinear and DequantizeLinear in the normal form.

    Raises
    ------
    NetworkError
        where one has a type of 4 bits or of floats, is quantised in blocks, has a scale that is no
        constant, or that is not positive, or scales and axis that do not fit its operand.
    """
    for node in model.graph:
        if is_op(node, "QuantizeLinear", "DequantizeLinear"):
            _canonical(node)
    return model


def _canonical(node: ir.Node) -> None:
    if attribute(node, "block_size", 0):
        raise NetworkError(f"{at(node)} is quantised in blocks: use one scale for each channel")
    scale = _scale(node)
    zero = _zero_point(node, scale)
    axis = _axis(node, scale)
    for name in ("axis", "block_size", "saturate", "output_dtype"):
        node.attributes.pop(name, None)
    if axis is None:
        scale, zero = scale.reshape(()), zero.reshape(())
    else:
        node.attributes["axis"] = ir.AttrInt64("axis", axis)
    _check_values(node, scale, zero)
    scale = _without_dead(node, scale, zero)
    _give(node, 1, "scale", scale)
    _give(node, 2, "zero_point", zero)


def _scale(node: ir.Node) -> np.ndarray:
    scale = constant(node.inputs[1])
    if scale is None:
        raise NetworkError(f"{at(node)}: its scale is computed: quantise the network statically")
    if scale.dtype != np.float32:
        raise NetworkError(f"{at(node)}: its scale is {scale.dtype}; only float32 is supported")
    return scale


def _zero_point(node: ir.Node, scale: np.ndarray) -> np.ndarray:
    """As the file has it, or 0 of the quantised type."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    quantized = node.outputs[0] if is_op(node, "QuantizeLinear") else node.inputs[0]
    assert quantized is not None and quantized.dtype is not None
    bias = quantized.dtype == BIAS and is_op(node, "DequantizeLinear")
    if not bias and quantized.dtype not in QUANTIZED + WIDE:
        raise NetworkError(
            f"{at(node)}: {quantized.dtype.name.lower()} is not supported; quantise to int8, uint8"
        )
    if value is None:
        return np.zeros(scale.shape, quantized.dtype.numpy())
    zero = constant(value)
    if zero is None:
        raise NetworkError(
            f"{at(node)}: its zero point is computed: quantise the network statically"
        )
    if zero.size != scale.size:
        raise NetworkError(f"{at(node)} has {scale.size} scales, but {zero.size} zero points")
    return zero.reshape(scale.shape)


def _axis(node: ir.Node, scale: np.ndarray) -> int | None:
    """The axis of the channels; None where one scale holds for all."""
    data = node.inputs[0]
    assert data is not None
    shape = shape_of(data)
    if scale.size == 1 and scale.ndim <= 1:
        return None
    axis = attribute(node, "axis", 1)
    if len(shape) == 1 and "axis" not in node.attributes:
        axis = 0  # as onnxruntime and others take the scales of a bias
    place = axis + len(shape) if axis < 0 else axis
    if scale.ndim != 1 or not 0 <= place < len(shape) or shape[place] != scale.size:
        raise NetworkError(
            f"{at(node)} has scales of {list(scale.shape)} on axis {axis} of "
            f"{quoted(list(shape))}: they must be one number, or one for each channel"
        )
    return place


def _check_values(node: ir.Node, scale: np.ndarray, zero: np.ndarray) -> None:
    bad = ~np.isfinite(scale) | (scale < 0)
    if is_op(node, "QuantizeLinear") or constant(node.inputs[0]) is None:
        bad |= scale == 0
    if bad.any():
        raise NetworkError(
            f"{at(node)} has the scale {scale[bad].flat[0]}: scales must be positive numbers"
        )
    if zero.dtype == np.int32 and zero.any():
        raise NetworkError(f"{at(node)}: the zero point of an int32 must be 0")


def _without_dead(node: ir.Node, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Constants times a scale of 0 are 0: as the zero point, times 1."""
    if not (scale == 0).any():
        return scale
    data = constant(node.inputs[0])
    assert data is not None
    line = [1] * data.ndim
    if scale.ndim:
        line[node.attributes["axis"].as_int()] = -1
    dead = np.broadcast_to((scale == 0).reshape(line), data.shape)
    alive = np.where(dead, zero.reshape(line), data).astype(data.dtype)
    node.replace_input_with(0, Rewriter(node).constant("x", alive))
    return np.where(scale == 0, np.float32(1), scale)


def _give(node: ir.Node, place: int, what: str, array: np.ndarray) -> None:
    """Make an operand the constant `array`, unless it is that already."""
    value = node.inputs[place] if len(node.inputs) > place else None
    known = constant(value)
    if known is not None and known.shape == array.shape and np.array_equal(known, array):
        return
    if len(node.inputs) <= place:
        node.resize_inputs(place + 1)
    node.replace_input_with(place, Rewriter(node).constant(what, array))
