"""Every node has a name of its own, and constants are initializers."""

import onnx_ir as ir
import onnx_ir.passes.common as passes

__all__ = ["name_all"]


def name_all(model: ir.Model) -> ir.Model:
    """Name nodes; of equal names the second gets _2.

    A node without a name is called after its first output, which no two nodes share.
    """
    for graph in model.graphs():
        _name_nodes(graph)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def _name_nodes(graph: ir.Graph) -> None:
    taken: set[str] = set()
    for node in graph:
        made = next((value.name for value in node.outputs if value.name), None)
        base = node.name or made or node.op_type
        name, n = base, 1
        while name in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name)
        node.name = name
