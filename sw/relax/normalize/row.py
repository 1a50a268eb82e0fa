"""Convolutions and pools of one spatial axis: a map of one row, (images, channels, 1, columns).

They and what is computed value by value beside them get that axis; where a value comes from, or
goes to, something else, an Unsqueeze and a Squeeze stand between. What stands behind a Squeeze
moves before it, so that none is left between two convolutions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, shape_of

__all__ = ["widen_rows"]

RANK, ROW = 3, 2  # of a value without the axis, and where it comes in
AXES = 3  # the operand of Pad and Slice
WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
ALONE = ("Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu")
ALONE += ("Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "BatchNormalization")
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
FIRST: dict[str, int] = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0}
"""Attributes of windows, and what they have for the row."""


def widen_rows(model: ir.Model) -> ir.Model:
    """The same network; only what is beside convolutions and pools of one axis changes."""
    for node in list(model.graph):
        if is_op(node, "Unsqueeze"):
            _cancel(node)
        elif any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
            continue
        elif is_op(node, *WINDOWS) and _rank(node.inputs[0]) == RANK:
            _widen(node, {}, _window(node))
        elif any(_squeezed(value) is not None for value in node.inputs):
            if is_op(node, *ALONE, *QUANTISERS, "Concat") and _rank(node.outputs[0]) == RANK:
                _widen(node, {}, _axis(node))
            elif not node.domain and node.op_type in OPERANDS:
                operands = OPERANDS[node.op_type](node)
                if operands is not None:
                    _widen(node, operands, dict(node.attributes))
    return model


def _rank(value: ir.Value | None) -> int:
    return len(value.shape) if value is not None and value.shape is not None else -1


def _squeezed(value: ir.Value | None) -> ir.Value | None:
    """What a value was before its row was taken off; None where none was."""
    node = value.producer() if value is not None else None
    if not is_op(node, "Squeeze") or _rank(value) != RANK or _rank(node.inputs[0]) != RANK + 1:
        return None
    source = node.inputs[0]
    assert source is not None and value is not None
    images, channels, row, columns = shape_of(source)
    return source if row == 1 and shape_of(value) == (images, channels, columns) else None


def _cancel(node: ir.Node) -> None:
    source = _squeezed(node.inputs[0])
    if source is not None and shape_of(source) == shape_of(node.outputs[0]):
        Rewriter(node).replace(source)


def _widen(node: ir.Node, operands: dict[int, np.ndarray], attributes: dict[str, Any]) -> None:
    """The node on maps of one row. `operands`: constants that are others there, by their place."""
    rewriter = Rewriter(node)
    inputs = [
        rewriter.constant("rows", operands[place]) if place in operands else _wide(rewriter, value)
        for place, value in enumerate(node.inputs)
    ]
    made = rewriter.op(node.op_type, *inputs, attributes=attributes)
    if _rank(node.outputs[0]) == RANK:
        made = rewriter.op("Squeeze", made, _axes(rewriter, ROW), what="squeeze")
    rewriter.replace(made)


def _wide(rewriter: Rewriter, value: ir.Value | None) -> ir.Value | None:
    """An operand with the axis before its last one, if it has as many as two."""
    if value is None or _rank(value) < 2:
        return value
    known, place = constant(value), _rank(value) - 1
    if known is not None:
        return rewriter.constant("rows", np.expand_dims(known, place))
    source = _squeezed(value)
    if source is not None:
        return source
    return rewriter.op("Unsqueeze", value, _axes(rewriter, place), what="unsqueeze")


def _axes(rewriter: Rewriter, axis: int) -> ir.Value:
    return rewriter.constant("axes", np.array([axis], np.int64))


# What nodes say about axes ------------------------------------------------------------------------
def _window(node: ir.Node) -> dict[str, Any]:
    found = dict(node.attributes)
    for name, first in FIRST.items():
        if name in found:
            found[name] = [first, *attribute(node, name)]
    if "pads" in found:
        begin, end = attribute(node, "pads")
        found["pads"] = [0, begin, 0, end]
    if "output_shape" in found:
        found["output_shape"] = [1, attribute(node, "output_shape")[-1]]
    return found


def _moved(axis: int) -> int:
    """An axis of three, counted among four."""
    axis %= RANK
    return axis + (axis >= ROW)


def _axis(node: ir.Node) -> dict[str, Any]:
    found = dict(node.attributes)
    if "axis" in found:
        found["axis"] = _moved(attribute(node, "axis"))
    return found


def _named(node: ir.Node) -> dict[int, np.ndarray] | None:
    """Axes as an operand; None where it is computed, or left out."""
    axes = constant(node.inputs[AXES]) if len(node.inputs) > AXES else None
    return None if axes is None else {AXES: np.array([_moved(n) for n in axes.tolist()], np.int64)}


def _pad(node: ir.Node) -> dict[int, np.ndarray] | None:
    pads = constant(node.inputs[1])
    if len(node.inputs) > AXES and node.inputs[AXES] is not None:
        return _named(node)
    return None if pads is None else {1: np.insert(pads, [ROW, RANK + ROW], 0)}


def _mean(node: ir.Node) -> dict[int, np.ndarray] | None:
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or [int(axis) % RANK for axis in axes] != [ROW]:
        return None
    return {1: np.array([ROW, ROW + 1], np.int64)}


def _resize(node: ir.Node) -> dict[int, np.ndarray] | None:
    given = {n: constant(value) for n, value in enumerate(node.inputs) if n and value is not None}
    if "axes" in node.attributes or 1 in given or any(a is None for a in given.values()):
        return None
    return {n: np.insert(array, ROW, 1) for n, array in given.items() if array is not None}


OPERANDS: dict[str, Callable[[ir.Node], dict[int, np.ndarray] | None]] = {
    "Pad": _pad,
    "Slice": _named,
    "ReduceMean": _mean,
    "Resize": _resize,
}
"""Nodes whose operands name axes: these for four; None where that is not known."""
