"""Reshapes of float values moved to where the numbers have 8 bits: 8-bit numbers move.

Behind the QuantizeLinear that follows, or before the DequantizeLinear, where no QuantizeLinear
follows, as brevitas writes it; that way maximum pools go, too. With one scale for all numbers the
order does not matter. A Transpose that moves axes of size 1 only is a Reshape.
"""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, only_use, shape_of
from vta.sw.relax.match.values import BYTES

__all__ = ["sink"]

COMPUTE = ("Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "Add", "Concat", "Reshape")
COMPUTE += ("Flatten", "Squeeze", "Unsqueeze", "Transpose")
"""Whoever reads 8-bit numbers on VTA: else a float reshape is as good."""
MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")


def sink(model: ir.Model) -> ir.Model:
    """The same network; it is changed in place."""
    for node in list(model.graph):
        if node.op_type == "Transpose" and not node.domain:
            _as_reshape(node)
    moved = True
    while moved:
        each = [_behind(node) for node in list(model.graph) if node.op_type in MOVES]
        moved = any(each)
    for node in list(model.graph):
        if node.op_type in (*MOVES, "MaxPool"):
            _before(node)
    for node in list(model.graph):
        if node.op_type == "QuantizeLinear":
            _cancel(node)
    return model


def _as_reshape(node: ir.Node) -> None:
    data = node.inputs[0]
    assert data is not None
    shape = shape_of(data)
    order = attribute(node, "perm", tuple(reversed(range(len(shape)))))
    kept = [axis for axis in order if shape[axis] != 1]
    if kept != sorted(kept):
        return
    rewriter = Rewriter(node)
    result = np.array([shape[axis] for axis in order], np.int64)
    rewriter.replace(rewriter.op("Reshape", data, rewriter.constant("shape", result)))


def _behind(node: ir.Node) -> bool:
    """Let the QuantizeLinear that reads a float reshape come before it."""
    value = node.outputs[0]
    after = only_use(value)
    if node.domain or after is None or after.op_type != "QuantizeLinear":
        return False
    scale = constant(after.inputs[1])
    if value is not after.inputs[0] or scale is None or scale.size != 1:
        return False
    data, result = node.inputs[0], after.outputs[0]
    assert data is not None and data.shape is not None
    name, numbers = result.name, ir.TensorType(result.dtype or ir.DataType.INT8)
    after.replace_input_with(0, data)
    node.replace_input_with(0, result)
    result.replace_all_uses_with(value, replace_graph_outputs=True)
    node.replace_input_with(0, result)
    value.type, result.shape = numbers, data.shape
    result.name, value.name = f"{name}/{node.name}", name
    graph = node.graph
    assert graph is not None
    graph.remove(after)
    graph.insert_before(node, after)
    return True


def _before(node: ir.Node) -> None:
    """Let a reshape, or a maximum pool, take the numbers that its DequantizeLinear reads."""
    given = node.inputs[0].producer() if node.inputs[0] is not None else None
    if node.domain or given is None or given.op_type != "DequantizeLinear":
        return
    source, scale = given.inputs[0], constant(given.inputs[1])
    result, readers = node.outputs[0], [use.node for use in node.outputs[0].uses()]
    alone = not any(value.uses() or value.is_graph_output() for value in node.outputs[1:])
    wanted = any(reader.op_type in COMPUTE for reader in readers)
    if not wanted or not alone or source is None or source.dtype not in BYTES:
        return
    if scale is None or scale.size != 1 or scale.item() <= 0 or constant(source) is not None:
        return
    rewriter = Rewriter(node)
    inputs, attributes = (source, *node.inputs[1:]), dict(node.attributes)
    numbers = rewriter.op(node.op_type, *inputs, attributes=attributes)
    meant = rewriter.op("DequantizeLinear", numbers, *given.inputs[1:], what="dequantized")
    assert meant.shape == result.shape
    rewriter.replace(meant)
    if not given.outputs[0].uses() and not given.outputs[0].is_graph_output():
        rewriter.graph.remove(given, safe=True)  # else it counts as a reader


def _cancel(node: ir.Node) -> None:
    """A QuantizeLinear that gives a DequantizeLinear's numbers back."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is None or before.op_type != "DequantizeLinear":
        return
    source, result = before.inputs[0], node.outputs[0]
    assert source is not None
    same = source.dtype == result.dtype and not result.is_graph_output()
    for one, two in zip(before.inputs[1:], node.inputs[1:], strict=False):
        first, second = constant(one), constant(two)
        same &= first is not None and second is not None and np.array_equal(first, second)
    same &= len(before.inputs) == len(node.inputs) and source.shape == result.shape
    if same and attribute(before, "axis", 1) == attribute(node, "axis", 1):
        result.replace_all_uses_with(source)
        graph = node.graph
        assert graph is not None
        graph.remove(node, safe=True)
