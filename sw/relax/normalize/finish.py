"""The end: what is not read goes, and the normal form holds."""

import onnx_ir as ir
import onnx_ir.passes.common as passes

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.infer import infer_node

__all__ = ["finish"]


def finish(model: ir.Model) -> ir.Model:
    """Remove what nothing reads, sort, and infer all types and shapes once more, those of
    constants that leave the network among them.

    Raises
    ------
    NetworkError
        where a node is of another domain than onnx's own.
    """
    passes.RemoveUnusedNodesPass()(model)
    model.graph.sort()
    model.graph.meta.pop("taken", None)
    for node in model.graph:
        if node.domain:
            raise NetworkError(f"{at(node)}: domain {shown(node.domain)} is not supported")
        infer_node(node)
    for value in model.graph.outputs:
        if value.const_value is not None:
            value.shape = ir.Shape(value.const_value.shape.numpy())
            value.type = ir.TensorType(value.const_value.dtype)
    for domain in [domain for domain in model.opset_imports if domain]:
        model.opset_imports.pop(domain)
    return model
