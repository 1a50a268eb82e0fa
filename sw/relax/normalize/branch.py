"""Control flow whose way is known: an If on a constant is the branch that it takes."""

import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import constant, free_name, is_op, replace_value

__all__ = ["take_branch"]


def take_branch(node: ir.Node) -> None:
    """Put the nodes of the branch in the place of an If. Values are called NODE/VALUE.

    Raises
    ------
    NetworkError
        where the way depends on data, and for Loop, Scan and others.
    """
    condition = constant(node.inputs[0]) if is_op(node, "If") and node.inputs else None
    if condition is None or condition.size != 1 or node.graph is None:
        raise NetworkError(
            f"{at(node)}: control flow that depends on data is not supported; export the network "
            f"with it unrolled"
        )
    graph = node.graph
    way = node.attributes.get("then_branch" if condition.item() else "else_branch")
    branch = way.value if way is not None else None
    if not isinstance(branch, ir.Graph) or len(branch.outputs) != len(node.outputs):
        raise NetworkError(f"{at(node)} lacks a branch, or its outputs: the file is damaged")
    outputs, nodes = list(branch.outputs), list(branch)
    for value in list(branch.initializers.values()):
        branch.initializers.pop(value.name)
        value.name = free_name(graph, f"{node.name}/{value.name}")
        graph.register_initializer(value)
    branch.outputs.clear()
    branch.remove(nodes)
    for inner in nodes:
        inner.name = free_name(graph, f"{node.name}/{inner.name or inner.op_type}")
        for value in inner.outputs:
            if value.name:
                value.name = free_name(graph, f"{node.name}/{value.name}")
    graph.insert_after(node, nodes)
    for old, new in zip(node.outputs, outputs, strict=True):
        replace_value(old, new)
    graph.remove(node, safe=True)
