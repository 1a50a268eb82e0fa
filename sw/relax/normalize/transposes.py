"""A Transpose moves behind what does not care for the order of axes, until another undoes it.

So a network that was exported in NHWC, with a Transpose around every convolution, has none between
its layers. Operands that broadcast are brought to the order before it, constants for good.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, live, shape_of
from vta.sw.relax.normalize.weights import is_weight

__all__ = ["ALONE", "order_of", "move_transposes"]

ALONE = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu", "Erf")
ALONE += ("Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Softplus", "Selu", "Cast")
ALONE += ("QuantizeLinear", "DequantizeLinear")
BROADCAST = ("Add", "Sub", "Mul", "Div", "Min", "Max", "Sum", "PRelu", "Pow")
AXIS = ("Concat", "Softmax", "LogSoftmax", "Split")
REDUCE = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum")
Order = tuple[int, ...]
"""The axis of the data that each axis of a Transpose's result is."""


def move_transposes(model: ir.Model) -> ir.Model:
    """The same network; it is changed in place."""
    for node in list(model.graph):
        if node.domain:
            continue
        if node.op_type == "Transpose":
            _join(node)
        elif node.op_type in MOVES:
            order = next((o for value in live(node.inputs) if (o := order_of(value))), None)
            if order is not None:
                MOVES[node.op_type](node, order)
    return model


def order_of(value: ir.Value | None) -> Order | None:
    """Of what a Transpose makes."""
    node = value.producer() if value is not None else None
    if value is None or not is_op(node, "Transpose"):
        return None
    return tuple(attribute(node, "perm", range(len(shape_of(value)))[::-1]))


def _source(value: ir.Value) -> ir.Value:
    node = value.producer()
    assert node is not None and node.inputs[0] is not None
    return node.inputs[0]


def _inverse(order: Order) -> Order:
    return tuple(int(n) for n in np.argsort(order))


def _join(node: ir.Node) -> None:
    """Two Transposes in a row are one, or none."""
    value = node.inputs[0]
    first, second = order_of(value), order_of(node.outputs[0])
    if first is None or second is None or value is None:
        return
    order, rewriter = tuple(first[n] for n in second), Rewriter(node)
    if order == tuple(range(len(order))):
        rewriter.replace(_source(value))
    else:
        made = rewriter.op("Transpose", _source(value), attributes={"perm": order})
        rewriter.replace(made)


def _finish(rewriter: Rewriter, made: ir.Value | list[ir.Value], order: Order) -> None:
    """The node's results are those of another one, transposed."""
    each = made if isinstance(made, list) else [made]
    identity = order == tuple(range(len(order)))
    what, more = "transpose", {"perm": order}
    rewriter.replace(
        *(v if identity else rewriter.op("Transpose", v, what=what, attributes=more) for v in each)
    )


# Operands -----------------------------------------------------------------------------------------
def _aligned(rewriter: Rewriter, value: ir.Value, order: Order) -> ir.Value | None:
    """An operand in the order before the Transpose; None where that would cost one."""
    if order_of(value) == order:
        return _source(value)
    shape = shape_of(value)
    if np.prod(shape, dtype=int) == 1 and len(shape) <= 1:
        return value
    full = (1,) * (len(order) - len(shape)) + shape
    if len(full) != len(order):
        return None
    turned, known = _inverse(order), constant(value)
    if known is not None:
        return rewriter.constant("operand", np.transpose(known.reshape(full), turned))
    moved = [axis for axis in turned if full[axis] != 1]
    if not is_weight(value) and moved != sorted(moved):
        return None
    if full != shape:
        target = rewriter.constant("shape", np.array(full, np.int64))
        value = rewriter.op("Reshape", value, target, what="full")
    return rewriter.op("Transpose", value, what="operand", attributes={"perm": turned})


def _broadcast(node: ir.Node, order: Order) -> None:
    if len(shape_of(node.outputs[0])) != len(order):
        return
    if any(_costs(value, order) for value in live(node.inputs)):
        return
    rewriter = Rewriter(node)
    operands = [_aligned(rewriter, value, order) for value in live(node.inputs)]
    made = rewriter.op(node.op_type, *operands, attributes=_attributes(node, order))
    _finish(rewriter, made, order)


def _costs(value: ir.Value, order: Order) -> bool:
    """Would an operand need a Transpose that moves numbers, to be in the order before?"""
    shape = shape_of(value)
    if order_of(value) == order or constant(value) is not None or is_weight(value):
        return len(shape) > len(order)
    full = (1,) * (len(order) - len(shape)) + shape
    moved = [axis for axis in _inverse(order) if len(full) == len(order) and full[axis] != 1]
    return len(full) != len(order) or moved != sorted(moved)


def _alone(node: ir.Node, order: Order) -> None:
    """Only the first operand has these axes."""
    if order_of(node.inputs[0]) != order or node.inputs[0] is None:
        return
    rewriter = Rewriter(node)
    operands = (_source(node.inputs[0]), *node.inputs[1:])
    outputs = len(node.outputs)
    made = rewriter.op(
        node.op_type, *operands, outputs=outputs, attributes=_attributes(node, order)
    )
    _finish(rewriter, made, order)


def _attributes(node: ir.Node, order: Order) -> dict[str, Any]:
    found = dict(node.attributes)
    if "axis" in found or node.op_type in AXIS:
        default = {"Softmax": -1, "LogSoftmax": -1}.get(node.op_type, 0)
        found["axis"] = order[attribute(node, "axis", default)]
    return found


# Axes as operands ---------------------------------------------------------------------------------
def _with_operands(node: ir.Node, order: Order, operands: dict[int, np.ndarray]) -> None:
    rewriter = Rewriter(node)
    inputs = list(node.inputs)
    assert inputs[0] is not None
    inputs[0] = _source(inputs[0])
    for place, array in operands.items():
        inputs[place] = rewriter.constant("axes", array)
    made = rewriter.op(node.op_type, *inputs, attributes=dict(node.attributes))
    _finish(rewriter, made, order)


def _pad(node: ir.Node, order: Order) -> None:
    pads = constant(node.inputs[1])
    if pads is None or order_of(node.inputs[0]) != order or len(live(node.inputs)) > 3:
        return
    turned = list(_inverse(order))
    _with_operands(node, order, {1: pads.reshape(2, -1)[:, turned].reshape(-1)})


def _slice(node: ir.Node, order: Order) -> None:
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    if axes is not None and order_of(node.inputs[0]) == order:
        _with_operands(node, order, {3: np.array([order[axis] for axis in axes], np.int64)})


def _resize(node: ir.Node, order: Order) -> None:
    given = {n: constant(value) for n, value in enumerate(node.inputs) if n and value is not None}
    arrays = {n: array for n, array in given.items() if array is not None}
    known = len(arrays) == len(given) and 1 not in arrays and "axes" not in node.attributes
    if known and order_of(node.inputs[0]) == order:
        turned = list(_inverse(order))
        _with_operands(node, order, {n: array[turned] for n, array in arrays.items()})


def _reduce(node: ir.Node, order: Order) -> None:
    """Reduce and Squeeze: of the axes that are left the order is kept."""
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or order_of(node.inputs[0]) != order:
        return
    gone = sorted(order[int(axis)] for axis in axes.reshape(-1))
    if node.op_type != "Squeeze" and attribute(node, "keepdims", 1):
        rest = order
    else:
        left = [axis for axis in order if axis not in gone]
        rest = tuple(sorted(left).index(axis) for axis in left)
    _with_operands(node, rest, {1: np.array(gone, np.int64)})


Move = Callable[[ir.Node, Order], None]
MOVES: dict[str, Move] = {
    **dict.fromkeys(ALONE, _alone),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Split"), _alone),
    **dict.fromkeys((*BROADCAST, "Concat"), _broadcast),
    "Pad": _pad,
    "Slice": _slice,
    "Resize": _resize,
    **dict.fromkeys((*REDUCE, "Squeeze"), _reduce),
}
