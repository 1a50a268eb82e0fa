"""From the nodes of a quantised graph to operators of VTA, each by a rule for its kind.

>>> matched = match(model, Config())                                      # doctest: +SKIP
>>> matched.found["relu1_quantized"].parts[0].operator                    # doctest: +SKIP
Conv2d(...)
"""

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from vta.hw.config import Config
from vta.hw.errors import VtaError
from vta.sw.relax.match.advice import edge_reason, unknown_reason
from vta.sw.relax.match.cluster import Joined, Match, Placed, Viewed, Widened
from vta.sw.relax.match.computed import computed
from vta.sw.relax.match.fuse import fuse
from vta.sw.relax.match.maps import concat, pad, pool, reshape, resize, slice_
from vta.sw.relax.match.pointwise import one, two
from vta.sw.relax.match.products import PRODUCTS, packed, product, with_residual
from vta.sw.relax.match.sink import sink
from vta.sw.relax.match.values import Quantity
from vta.sw.relax.match.views import settle

__all__ = [
    "EDGES",
    "RULES",
    "Joined",
    "Match",
    "Matched",
    "Placed",
    "Quantity",
    "Viewed",
    "Widened",
    "edge_reason",
]
__all__ += ["match", "sink"]

Rule = Callable[[ir.Node, Config], Match]

RULES: dict[str, Rule] = {
    **dict.fromkeys(PRODUCTS, product),
    **dict.fromkeys(
        ("MatMul", "Gemm"), lambda node, config: computed(node, config) or product(node, config)
    ),
    "Add": lambda node, config: with_residual(node, config) or two(node, config),
    **dict.fromkeys(("Sub", "Mul", "Min", "Max"), two),
    **dict.fromkeys(("Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid"), one),
    "QuantizeLinear": one,
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), pool),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    "Resize": resize,
    "Concat": concat,
    "Slice": slice_,
    "Pad": pad,
}
EDGES = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Matched:
    """What could be matched.

    Members
    -------
    found: by the name of the 8-bit value that it makes.
    reasons: by the names of nodes that are not matched, why.
    """

    found: dict[str, Match]
    reasons: dict[str, str]


def match(model: ir.Model, config: Config) -> Matched:
    """Try each node of a network in normal form by itself; nothing is left out for others."""
    found: dict[str, Match] = {}
    reasons: dict[str, str] = {}
    for node in model.graph:
        try:
            rule = RULES.get(node.op_type) if not node.domain else None
            if rule is None:
                if node.op_type not in EDGES:
                    reasons[node.name or ""] = unknown_reason(node)
                continue
            made = rule(node, config)
        except VtaError as error:
            if node.op_type not in EDGES:
                reasons[node.name or ""] = str(error)
        else:
            found.setdefault(made.output.name, made)
    settled, left = settle(found, config)
    return Matched(fuse(packed(settled, config)), reasons | left)
