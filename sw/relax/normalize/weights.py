"""Constants as floats, dequantised where they are integers, and as one number for each channel."""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import attribute, constant, is_op

__all__ = ["channel_vector", "float_of", "is_weight"]


def is_weight(value: ir.Value | None) -> bool:
    """Whether a value is constant: an initializer, or a DequantizeLinear of one."""
    maker = value.producer() if value is not None else None
    if is_op(maker, "DequantizeLinear"):
        return all(constant(operand) is not None for operand in maker.inputs)
    return constant(value) is not None


def float_of(value: ir.Value | None) -> np.ndarray | None:
    """The floats of such a value; None of others."""
    if value is None or not is_weight(value):
        return None
    maker = value.producer()
    if maker is None:
        return constant(value)
    data, scale, *rest = (constant(operand) for operand in maker.inputs)
    assert data is not None and scale is not None
    zero = rest[0] if rest and rest[0] is not None else np.zeros(scale.shape, data.dtype)
    line = [1] * data.ndim
    if scale.ndim:
        line[attribute(maker, "axis", 1)] = -1
    scale, zero = scale.reshape(line if scale.ndim else ()), zero.reshape(line if zero.ndim else ())
    return (data.astype(np.int32) - zero.astype(np.int32)).astype(scale.dtype) * scale


def channel_vector(array: np.ndarray, shape: tuple[int, ...], axis: int = 1) -> np.ndarray | None:
    """What is added to (or multiplies) a tensor of `shape`, as one number for each of its channels.

    None where it differs along another axis, or makes the tensor larger.
    """
    if array.ndim > len(shape):
        return None
    full = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    others = [size for n, size in enumerate(full.shape) if n != axis]
    if any(size != 1 for size in others) or full.shape[axis] not in (1, shape[axis]):
        return None
    return np.broadcast_to(full.reshape(-1), (shape[axis],))
