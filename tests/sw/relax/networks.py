"""Small networks for the tests, from onnx's text form, and how they are run."""

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
from onnx import numpy_helper

from vta.sw.relax.graph import source
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize.observe import session

Feeds = dict[str, np.ndarray]


def network(inputs: str, outputs: str, body: str, **constants: Any) -> ir.Model:
    """A float network in normal form. Nodes are called after what they make."""
    text = f'<ir_version: 10, opset_import: ["" : 21]> graph ({inputs}) => ({outputs}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    for node in model.graph.node:
        node.name = node.output[0]
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return normalize(ir.from_proto(model))


def normal(*shape: int, seed: int = 0, by: float = 1.0) -> np.ndarray:
    """float32, normally distributed."""
    return (np.random.default_rng(seed).standard_normal(shape) * by).astype(np.float32)


def run(model: ir.Model, feeds: Feeds) -> dict[str, np.ndarray]:
    """The outputs by name."""
    names = [value.name for value in model.graph.outputs]
    return dict(zip(names, session(ir.to_proto(model))(names, feeds), strict=True))


def nodes(model: ir.Model, *types: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type in types]


def rounded(model: ir.Model) -> dict[str, float]:
    """Scale of each tensor of data that is rounded, by the file's node that makes it."""
    found = {}
    for node in nodes(model, "QuantizeLinear"):
        maker = node.inputs[0].producer()
        name = node.inputs[0].name if maker is None else source(maker)
        assert name not in found, f"{name} is rounded twice"
        found[name] = float(node.inputs[1].const_value.numpy())
    return found
