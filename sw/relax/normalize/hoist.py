"""Weights that are moved after they are dequantised: moved before, as integers."""

import math

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, shape_of
from vta.sw.relax.normalize.weights import is_weight

__all__ = ["hoist_weights"]

MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


def hoist_weights(model: ir.Model) -> ir.Model:
    """A Transpose or a new shape of a dequantised constant goes into the constant.

    What is left is a DequantizeLinear that bears the node's name. A Reshape that splits or joins
    the axis of the scales stays.
    """
    for node in model.graph:
        if is_op(node, *MOVES) and node.inputs and is_weight(node.inputs[0]):
            assert node.inputs[0] is not None
            maker = node.inputs[0].producer()
            if maker is not None:
                _hoist(node, maker)
    return model


def _hoist(node: ir.Node, maker: ir.Node) -> None:
    data, scale, zero = maker.inputs
    array, scales = constant(data), constant(scale)
    assert array is not None and scales is not None
    made = shape_of(node.outputs[0])
    axis = attribute(maker, "axis", 0) if scales.ndim else None
    if is_op(node, "Transpose"):
        perm = list(attribute(node, "perm", range(array.ndim)[::-1]))
        moved = array.transpose(perm)
        place = None if axis is None else perm.index(axis)
    else:
        moved = array.reshape(made)
        place = None if axis is None else _same_axis(array.shape, axis, made)
        if axis is not None and place is None:
            return
    rewriter = Rewriter(node)
    constant_data = rewriter.constant("x", np.ascontiguousarray(moved))
    more = None if place is None else {"axis": place}
    rewriter.replace(rewriter.op("DequantizeLinear", constant_data, scale, zero, attributes=more))


def _same_axis(before: tuple[int, ...], axis: int, after: tuple[int, ...]) -> int | None:
    """Where the axis is in the new shape: of the same size, with as many numbers before it."""
    ahead = math.prod(before[:axis])
    for place, size in enumerate(after):
        if size == before[axis] and math.prod(after[:place]) == ahead:
            return place
    return None
