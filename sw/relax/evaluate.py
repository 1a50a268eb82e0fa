"""One node, computed by ONNX's reference."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from vta.sw.relax.infer import OPSET

__all__ = ["evaluated"]


def evaluated(node: ir.Node, feeds: Mapping[str | None, np.ndarray | None]) -> np.ndarray:
    """The first output of a node; `feeds` by the names of its inputs."""
    evaluator = ReferenceEvaluator(ir.serde.serialize_node(node), opsets={"": OPSET})
    return np.asarray(evaluator.run(None, dict(feeds))[0])
