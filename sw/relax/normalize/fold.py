"""Shapes and constants, in one walk: what can be computed now is, and all else gets its shape."""

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx.reference import ReferenceEvaluator

from vta.sw.relax.errors import NetworkError, at, one_line
from vta.sw.relax.graph import constant, initializer, is_op, live
from vta.sw.relax.infer import OPSET, infer_node, schema_of

__all__ = ["fold"]


def fold(model: ir.Model) -> ir.Model:
    """Constants of what constants give, but never of a DequantizeLinear."""
    for node in model.graph:
        infer_node(node)
        if is_op(node, "Shape") and node.inputs[0].shape.is_static():
            shape = np.array(node.inputs[0].shape.numpy(), np.int64)
            start, end = (node.attributes.get(n) for n in ("start", "end"))
            kept = slice(start.as_int() if start else 0, end.as_int() if end else None)
            _become(node, [shape[kept]])
        elif _foldable(node):
            _become(node, _evaluate(node))
    passes.RemoveUnusedNodesPass()(model)
    return model


def _foldable(node: ir.Node) -> bool:
    random = schema_of(node).node_determinism == onnx.defs.OpSchema.NodeDeterminism.NonDeterministic
    known = all(constant(value) is not None for value in live(node.inputs))
    return known and not random and not is_op(node, "DequantizeLinear")


def _evaluate(node: ir.Node) -> list[np.ndarray]:
    feeds = {value.name: constant(value) for value in live(node.inputs)}
    try:
        proto = ir.serde.serialize_node(node)
        return ReferenceEvaluator(proto, opsets={"": OPSET}).run(None, feeds)
    except Exception as error:
        raise NetworkError(f"{at(node)} cannot be computed: {one_line(error)}") from error


def _become(node: ir.Node, arrays: list[np.ndarray]) -> None:
    assert node.graph is not None
    for old, array in zip(node.outputs, arrays, strict=True):
        name, old.name = old.name, None
        new = initializer(name, np.asarray(array))
        node.graph.register_initializer(new)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)
