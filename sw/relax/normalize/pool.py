"""MaxPool and AveragePool with every attribute spelled out; means over a picture as global pools.

Where ceil_mode makes one more window, that is said by pads at the end, which neither kind counts.
"""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, set_ints, shape_of
from vta.sw.relax.normalize.window import same_pads

__all__ = ["spell_pools"]


def spell_pools(model: ir.Model) -> ir.Model:
    """Spell strides, dilations, pads, ceil_mode, count_include_pad; means over H, W.

    ceil_mode is 1 only where pads cannot say the same.
    """
    for node in model.graph:
        if is_op(node, "MaxPool", "AveragePool"):
            _spell(node)
        elif is_op(node, "ReduceMean"):
            _reduce(node)
    return model


def _spell(node: ir.Node) -> None:
    data = node.inputs[0]
    assert data is not None
    size, made = shape_of(data)[2:], shape_of(node.outputs[0])[2:]
    kernel = list(attribute(node, "kernel_shape"))
    ones = [1] * len(size)
    strides = list(attribute(node, "strides", ones))
    dilations = list(attribute(node, "dilations", ones))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = list(attribute(node, "pads", [0] * (2 * len(size))))
    auto, ceil = attribute(node, "auto_pad", "NOTSET"), attribute(node, "ceil_mode", 0)
    counted = attribute(node, "count_include_pad", 0)
    if auto == "VALID":
        pads = [0] * len(pads)
    elif auto != "NOTSET":
        pads = same_pads(size, strides, reach, upper=auto == "SAME_UPPER")
    needed = _ends(size, made, strides, reach, pads)
    if ceil and needed == pads:
        ceil = 0
    elif ceil and not counted:
        pads, ceil = needed, 0
    node.attributes.pop("auto_pad", None)
    set_ints(node, "kernel_shape", kernel)
    set_ints(node, "strides", strides)
    set_ints(node, "dilations", dilations)
    set_ints(node, "pads", pads)
    node.attributes["ceil_mode"] = ir.AttrInt64("ceil_mode", int(ceil))
    if is_op(node, "AveragePool"):
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", int(counted))


def _ends(
    size: tuple[int, ...],
    made: tuple[int, ...],
    strides: list[int],
    reach: list[int],
    pads: list[int],
) -> list[int]:
    """The pads, those at the end made so large that the last window fits in."""
    begins, ends = pads[: len(size)], pads[len(size) :]
    last = [(m - 1) * s + r for m, s, r in zip(made, strides, reach, strict=True)]
    needed = [w - n - b for w, n, b in zip(last, size, begins, strict=True)]
    return begins + [max(have, need) for have, need in zip(ends, needed, strict=True)]


def _reduce(node: ir.Node) -> None:
    """A mean over H and W of [N, C, H, W]."""
    data = node.inputs[0]
    assert data is not None
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(shape_of(data))
    if axes is None or rank != 4 or {int(a) % rank for a in axes} != {2, 3}:
        return
    rewriter = Rewriter(node)
    made = rewriter.op("GlobalAveragePool", data)
    if not attribute(node, "keepdims", 1):
        where = rewriter.constant("axes", np.array([2, 3], np.int64))
        made = rewriter.op("Squeeze", made, where, what="squeeze")
    rewriter.replace(made)
