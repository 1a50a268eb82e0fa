"""Pad and Resize that name some axes: all of them, in order."""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, shape_of

__all__ = ["spell_axes"]


def spell_axes(model: ir.Model) -> ir.Model:
    """Give Pad and Resize a number for each axis, where their operands are constant."""
    for node in model.graph:
        if is_op(node, "Pad"):
            _pad(node)
        elif is_op(node, "Resize"):
            _resize(node)
    return model


def _rank(node: ir.Node) -> int:
    return len(shape_of(node.outputs[0]))


def _pad(node: ir.Node) -> None:
    """pads: all begins, then all ends."""
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    pads = constant(node.inputs[1])
    if axes is None or pads is None:
        return
    full = np.zeros((2, _rank(node)), np.int64)
    full[:, axes] = pads.reshape(2, -1)
    node.replace_input_with(1, Rewriter(node).constant("pads", full.reshape(-1)))
    node.resize_inputs(3)


def _resize(node: ir.Node) -> None:
    """scales, or sizes where all is stretched to them."""
    axes = attribute(node, "axes")
    if axes is None or attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return
    roi = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if roi is not None:
        return
    data = node.inputs[0]
    assert data is not None
    usual = {2: np.ones(_rank(node), np.float32), 3: np.array(shape_of(data), np.int64)}
    for place, full in usual.items():
        given = constant(node.inputs[place]) if len(node.inputs) > place else None
        if given is None:
            continue
        full[list(axes)] = given
        node.replace_input_with(place, Rewriter(node).constant("to", full))
    node.attributes.pop("axes")
