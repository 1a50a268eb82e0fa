"""Sum of several is Add after Add."""

import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, is_op, live

__all__ = ["spell_sums"]


def spell_sums(model: ir.Model) -> ir.Model:
    """Sum of two is an Add; of more a chain of them, of which the last bears the name."""
    for node in model.graph:
        if not is_op(node, "Sum"):
            continue
        rewriter = Rewriter(node)
        total, *others = live(node.inputs)
        for n, value in enumerate(others):
            what = "" if n == len(others) - 1 else f"sum{n}"
            total = rewriter.op("Add", total, value, what=what)
        rewriter.replace(total)
    return model
