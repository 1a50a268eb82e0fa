"""Shapes and constants, in one walk: what can be computed now is, and all else gets its shape.

One walk in topological order is enough: where it comes to a node, its operands have their shapes,
and are initializers where they are constant. So Shape is a constant, and so are what Slice, Gather,
Concat and others make of it.
"""

import math

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx.reference import ReferenceEvaluator

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError, at, one_line
from vta.sw.relax.graph import attribute, constant, initializer, is_op, live
from vta.sw.relax.infer import OPSET, SUBGRAPHS, infer_node
from vta.sw.relax.normalize.branch import take_branch

__all__ = ["fold"]

RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform")
RANDOM += ("RandomUniformLike",)
FOLDED = 1 << 29  # elements of all constants that are computed


def fold(model: ir.Model) -> ir.Model:
    """Constants of what constants give, but never of a DequantizeLinear.

    Raises
    ------
    NetworkError
        where a shape depends on data, control flow on what is no constant, operands do not fit
        their operator, or a constant would be absurdly large.
    """
    left = FOLDED
    for node in model.graph:
        if any(a.type in SUBGRAPHS for a in node.attributes.values()):
            take_branch(node)
            continue
        infer_node(node)
        arrays = _computed(node, left)
        if arrays is None:
            _check_outputs(node)
        else:
            left -= sum(array.size for array in arrays)
            _become(node, arrays)
    passes.RemoveUnusedNodesPass()(model)
    return model


def _computed(node: ir.Node, left: int) -> list[np.ndarray] | None:
    """What a node gives whatever the network's inputs are; None where that depends on them."""
    if node.domain or is_op(node, "DequantizeLinear"):
        return None
    if is_op(node, "Shape", "Size"):
        return _shape(node)
    given = live(node.inputs)
    if node.op_type in RANDOM or any(value.const_value is None for value in given):
        return None
    known = (v.shape.numpy() for v in node.outputs if v.shape is not None and v.shape.is_static())
    elements = sum(math.prod(shape) for shape in known)
    if elements > left:
        raise NetworkError(
            f"{at(node)} makes constants of {elements} elements; at most {FOLDED} in all"
        )
    return _evaluated(node)


def _shape(node: ir.Node) -> list[np.ndarray] | None:
    (data,) = node.inputs
    if data is None or data.shape is None or not data.shape.is_static():
        return None
    shape = data.shape.numpy()
    if is_op(node, "Size"):
        return [np.array(math.prod(shape), np.int64)]
    kept = slice(attribute(node, "start", 0), attribute(node, "end"))
    return [np.array(shape[kept], np.int64)]


def _evaluated(node: ir.Node) -> list[np.ndarray]:
    feeds = {value.name: constant(value) for value in live(node.inputs)}
    try:
        with np.errstate(all="ignore"):
            proto = ir.serde.serialize_node(node)
            arrays = ReferenceEvaluator(proto, opsets={"": OPSET}).run(None, feeds)
    except Exception as error:  # whatever its operands provoke
        raise NetworkError(f"{at(node)} cannot be computed: {one_line(error)}") from error
    found = []
    for array, value in zip(arrays, node.outputs, strict=False):
        if not isinstance(array, np.ndarray | np.generic) or value.dtype is None:
            raise NetworkError(f"{at(node)} makes {shown(value.name)}, which is no tensor")
        found.append(np.asarray(array).astype(value.dtype.numpy(), copy=False))
    return found


def _become(node: ir.Node, arrays: list[np.ndarray]) -> None:
    assert node.graph is not None
    for old, array in zip(node.outputs, arrays, strict=False):
        name, old.name = old.name, None
        new = initializer(name, array)
        node.graph.register_initializer(new)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)


def _check_outputs(node: ir.Node) -> None:
    for value in node.outputs:
        if not value.uses() and not value.is_graph_output():
            continue
        if not isinstance(value.type, ir.TensorType):
            raise NetworkError(f"{at(node)} makes {shown(value.name)}, which is no tensor")
        if value.shape is None or not value.shape.is_static():
            raise NetworkError(
                f"{at(node)}: the shape of {shown(value.name)} depends on data ({value.shape}): "
                f"only networks whose shapes are known beforehand are supported"
            )
