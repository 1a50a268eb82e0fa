"""HardSwish and HardSigmoid that an exporter spelled out in Add, Clip, Mul and Div.

Between a QuantizeLinear and a DequantizeLinear each step rounds on its own: so only those that
follow each other as floats are one again.
"""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, live

__all__ = ["join_activations"]

CLOSE = 1e-4  # exporters write a sixth with four digits or more


def join_activations(model: ir.Model) -> ir.Model:
    """Clip(x + 3, 0, 6) / 6 is HardSigmoid, x times that HardSwish, named as the last node."""
    for node in model.graph:
        if is_op(node, "Clip"):
            _unit_clip(node)
        elif is_op(node, "Mul", "Div"):
            _sixth(node)
    for node in model.graph:
        if is_op(node, "Mul"):
            _swish(node)
    return model


def _unit_clip(node: ir.Node) -> None:
    """Clip(x * alpha + beta, 0, 1)."""
    if _limits(node) != (0.0, 1.0):
        return
    inner = _scalar(node.inputs[0], "Add")
    if inner is None:
        return
    data, beta = inner
    factor = _scalar(data, "Mul") or _inverse(_scalar(data, "Div"))
    if factor is not None:
        _replace(node, factor[0], alpha=factor[1], beta=beta)


def _sixth(node: ir.Node) -> None:
    """Clip(x + c, 0, m) times a factor: slope factor, up to 1 where m * factor is 1."""
    found = _scalar(node.outputs[0], node.op_type)
    found = _inverse(found) if node.op_type == "Div" else found
    clip = found[0].producer() if found is not None else None
    if found is None or clip is None or not is_op(clip, "Clip"):
        return
    limits = _limits(clip)
    inner = _scalar(clip.inputs[0], "Add")
    if limits is None or inner is None or limits[0] != 0:
        return
    if abs(limits[1] * found[1] - 1) > CLOSE:
        return
    _replace(node, inner[0], alpha=1 / limits[1], beta=inner[1] / limits[1])


def _swish(node: ir.Node) -> None:
    """x * HardSigmoid(x) of slope 1/6 and offset 1/2; or x * Clip(x + 3, 0, 6), and that by 6."""
    for data, gate in (node.inputs, node.inputs[::-1]):
        maker = gate.producer() if gate is not None else None
        if data is None or maker is None:
            continue
        if is_op(maker, "HardSigmoid") and maker.inputs[0] is data and _is_swish_gate(maker):
            rewriter = Rewriter(node)
            rewriter.replace(rewriter.op("HardSwish", data))
            return
        if is_op(maker, "Clip") and _limits(maker) == (0.0, 6.0):
            inner, last = _scalar(maker.inputs[0], "Add"), _last_sixth(node)
            if inner is not None and inner[0] is data and inner[1] == 3.0 and last is not None:
                rewriter = Rewriter(last)
                rewriter.replace(rewriter.op("HardSwish", data))
                return


def _last_sixth(node: ir.Node) -> ir.Node | None:
    """What divides the product by 6."""
    uses = tuple(node.outputs[0].uses())
    if len(uses) != 1 or node.outputs[0].is_graph_output():
        return None
    last = uses[0].node
    found = _scalar(last.outputs[0], "Mul") or _inverse(_scalar(last.outputs[0], "Div"))
    good = found is not None and found[0] is node.outputs[0] and abs(found[1] * 6 - 1) <= CLOSE
    return last if good else None


def _is_swish_gate(node: ir.Node) -> bool:
    alpha, beta = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
    return abs(alpha * 6 - 1) <= CLOSE and beta == 0.5


def _scalar(value: ir.Value | None, op_type: str) -> tuple[ir.Value, float] | None:
    """The operands of the operator that makes `value`, if one is a single number."""
    node = value.producer() if value is not None else None
    if node is None or not is_op(node, op_type):
        return None
    a, b = node.inputs
    for data, other in ((a, b), (b, a)):
        known = constant(other)
        if data is not None and known is not None and known.size == 1:
            return data, float(known.reshape(-1)[0])
        if op_type == "Div":
            break
    return None


def _inverse(found: tuple[ir.Value, float] | None) -> tuple[ir.Value, float] | None:
    return None if found is None or found[1] == 0 else (found[0], 1 / found[1])


def _limits(node: ir.Node) -> tuple[float, float] | None:
    known = [constant(value) for value in live(node.inputs[1:])]
    if len(known) != 2 or any(array is None or array.size != 1 for array in known):
        return None
    low, high = (float(np.reshape(array, -1)[0]) for array in known if array is not None)
    return low, high


def _replace(node: ir.Node, data: ir.Value, *, alpha: float, beta: float) -> None:
    rewriter = Rewriter(node)
    rewriter.replace(rewriter.op("HardSigmoid", data, attributes={"alpha": alpha, "beta": beta}))
