"""A Transpose between a map and a matrix product: the product's weights take another order.

A map in NHWC that is flattened before a matrix product, or one that a product's result becomes, is
the same map in NCHW where rows, or columns, of the weights change places.
"""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, only_use, shape_of
from vta.sw.relax.infer import infer_node
from vta.sw.relax.normalize.transposes import ALONE, order_of
from vta.sw.relax.normalize.weights import is_weight

__all__ = ["order_weights"]

PRODUCTS = ("Gemm", "MatMul")
RESHAPES = ("Reshape", "Flatten")
PAIRS = ("Add", "Sub", "Mul", "Div")
MATRIX = 2


def order_weights(model: ir.Model) -> ir.Model:
    """The same network; it is changed in place."""
    for node in list(model.graph):
        if is_op(node, *RESHAPES) and order_of(node.inputs[0]) is not None:
            _before(node)
        elif is_op(node, "Transpose"):
            _behind(node)
    return model


# Before a product ---------------------------------------------------------------------------------
def _before(node: ir.Node) -> None:
    """A Transpose, a Reshape to a matrix of one row an image, matrix products."""
    value, order = node.inputs[0], order_of(node.inputs[0])
    assert value is not None and order is not None
    made, mover = shape_of(node.outputs[0]), value.producer()
    assert mover is not None and mover.inputs[0] is not None
    source = mover.inputs[0]
    shape = shape_of(source)
    if len(made) != MATRIX or order[0] != 0 or made[0] != shape[0]:
        return
    products = list(_products(node.outputs[0]))
    if not products or any(product is None for product in products):
        return
    places = np.arange(made[1]).reshape(1, *shape[1:]).transpose(order).reshape(-1)
    for product in products:
        assert product is not None
        axis = int(attribute(product, "transB", 0))
        weight = _ordered(Rewriter(product), product.inputs[1], axis, np.argsort(places))
        product.replace_input_with(1, weight)
    rewriter = Rewriter(node)
    target = rewriter.constant("shape", np.array(made, np.int64))
    rewriter.replace(rewriter.op("Reshape", source, target))


def _products(value: ir.Value) -> Iterator[ir.Node | None]:
    """The matrix products that a matrix goes into; None for another reader."""
    if value.is_graph_output():
        yield None
    for use in value.uses():
        node = use.node
        if is_op(node, *ALONE) and _one_scale(node) and use.idx == 0:
            yield from _products(node.outputs[0])
        elif is_op(node, *PRODUCTS) and use.idx == 0 and not attribute(node, "transA", 0):
            yield node if _can(node.inputs[1]) else None
        else:
            yield None


def _one_scale(node: ir.Node) -> bool:
    if not is_op(node, "QuantizeLinear", "DequantizeLinear"):
        return True
    scale = constant(node.inputs[1])
    return scale is not None and scale.size == 1


# Behind a product ---------------------------------------------------------------------------------
def _behind(node: ir.Node) -> None:
    """A matrix product, a Reshape to a map for each row, a Transpose."""
    order, value = order_of(node.outputs[0]), node.inputs[0]
    assert order is not None and value is not None
    way = list(_way_back(value))
    if order[0] != 0 or len(way) < MATRIX or not is_op(way[-1], *PRODUCTS):
        return
    (reshape,) = (n for n, each in enumerate(way) if is_op(each, "Reshape"))
    given = shape_of(way[reshape].outputs[0])
    places = np.arange(np.prod(given[1:])).reshape(1, *given[1:]).transpose(order).reshape(-1)
    for each in way[reshape + 1 :]:
        first = 1 if is_op(each, *PRODUCTS) else 0
        for n, operand in list(enumerate(each.inputs))[first:]:
            if is_op(each, *PAIRS, *PRODUCTS) and operand is not None and is_weight(operand):
                axis = -1 - (n == 1 and bool(attribute(each, "transB", 0)))
                if shape_of(operand) and shape_of(operand)[axis] == len(places):
                    each.replace_input_with(n, _ordered(Rewriter(each), operand, axis, places))
    made = np.array(shape_of(node.outputs[0]), np.int64)
    way[reshape].replace_input_with(1, Rewriter(way[reshape]).constant("shape", made))
    for each in reversed(way[: reshape + 1]):
        each.outputs[0].shape = None
        infer_node(each)
    Rewriter(node).replace(value)


def _way_back(value: ir.Value) -> Iterator[ir.Node]:
    """From a value back to a matrix product: each node's result is read by the next one alone.

    There is one Reshape among them. Nothing more where something else is in the way.
    """
    columns = 0
    while only_use(value) is not None:
        node = value.producer()
        if is_op(node, *ALONE) and _one_scale(node):
            following = node.inputs[0]
        elif is_op(node, "Reshape") and not columns and node.inputs[0] is not None:
            following = node.inputs[0]
            rows, *more = shape_of(following)
            if len(more) != 1 or rows != shape_of(value)[0]:
                return
            columns = more[0]
        elif is_op(node, *PAIRS) and columns and any(map(is_weight, node.inputs)):
            following = next((v for v in node.inputs if not is_weight(v)), None)
            known = next(v for v in node.inputs if v is not None and is_weight(v))
            if len(shape_of(known)) > MATRIX or np.prod(shape_of(known)[:-1]) != 1:
                return
        else:
            if is_op(node, *PRODUCTS) and columns and _can(node.inputs[1]):
                yield node
            return
        yield node
        if following is None:
            return
        value = following


def _can(value: ir.Value | None) -> bool:
    return value is not None and is_weight(value) and len(shape_of(value)) == MATRIX


def _ordered(rewriter: Rewriter, value: ir.Value | None, axis: int, places: np.ndarray) -> ir.Value:
    """A constant, or a dequantised one, whose numbers along an axis are in an order."""
    assert value is not None
    maker, known = value.producer(), constant(value)
    if known is not None or maker is None:
        assert known is not None
        return rewriter.constant("ordered", np.take(known, places, axis))
    own = int(attribute(maker, "axis", 1))
    along = own == axis % len(shape_of(value))
    operands = []
    for n, operand in enumerate(maker.inputs):
        array = constant(operand)
        if array is not None and (n == 0 or (along and array.size > 1)):
            array = np.take(array, places, axis if n == 0 else 0)
            operand = rewriter.constant("ordered", array)
        operands.append(operand)
    attributes = {"axis": own} if "axis" in maker.attributes else None
    return rewriter.op("DequantizeLinear", *operands, what="ordered", attributes=attributes)
