"""Every node and value has a name of its own."""

import onnx_ir as ir

__all__ = ["name_all"]


def name_all(model: ir.Model) -> ir.Model:
    """Nodes without a name are called after what they make; of equal names the second gets _2."""
    taken: set[str] = set()
    for node in model.graph:
        base = node.name or node.outputs[0].name or node.op_type
        name, n = base, 1
        while name in taken:
            n += 1
            name = f"{base}_{n}"
        taken.add(name)
        node.name = name
    return model
