"""Networks whose weights alone are in integers: they compute in floats, so they are float networks.

Converters call that dynamic range or weight-only quantisation; it saves space. VTA needs
activations in integers as well.
"""

import onnx_ir as ir

from vta.sw.relax.evaluate import evaluated
from vta.sw.relax.graph import Rewriter, constant, is_op, warn

__all__ = ["float_weights", "has_weights_only"]


def has_weights_only(model: ir.Model) -> bool:
    """Whether integers are there, but all of them constants."""
    found = [n for n in model.graph if is_op(n, "QuantizeLinear", "DequantizeLinear")]
    return bool(found) and all(
        is_op(node, "DequantizeLinear") and constant(node.inputs[0]) is not None for node in found
    )


def float_weights(model: ir.Model) -> ir.Model:
    """A copy in which the integer weights are floats, with a warning."""
    copy = model.clone()
    copy.meta.update(model.meta)
    for node in list(copy.graph):
        if is_op(node, "DequantizeLinear"):
            feeds = {v.name: constant(v) for v in node.inputs if v is not None}
            rewriter = Rewriter(node)
            rewriter.replace(rewriter.constant("float", evaluated(node, feeds)))
    warn(copy, "only its weights are in integers: it is quantised as a float network")
    return copy
