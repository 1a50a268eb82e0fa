"""Little networks for tests, in few words."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from tests.sw.relax.compare import assert_same
from vta.sw.relax.normalize import normalize
from vta.sw.relax.read import read

__all__ = ["kinds", "make", "node", "normal", "normal_and_same", "reread"]


def node(
    op_type: str, inputs: str, outputs: str, name: str = "", **attributes: Any
) -> onnx.NodeProto:
    """A node; names of values are apart by spaces, and _ is one left out."""
    domain = attributes.pop("domain", "")
    given = ["" if value == "_" else value for value in inputs.split()]
    return helper.make_node(op_type, given, outputs.split(), name, domain=domain, **attributes)


def make(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[Any, ...]],
    outputs: str,
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 13,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model; an input is its shape (of float32), or a type and a shape."""
    given = []
    for name, spec in inputs.items():
        typed = len(spec) == 2 and isinstance(spec[1], tuple)
        kind, shape = spec if typed else ("float32", spec)
        code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        given.append(helper.make_tensor_value_info(name, code, list(shape)))
    made = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs.split()]
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", given, made, tensors)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(
        graph, opset_imports=opsets, functions=list(functions), ir_version=10 if opset < 24 else 11
    )


def reread(proto: onnx.ModelProto, **options: Any) -> ir.Model:
    """The model as it is read from a file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return read(path, **options)


def normal(proto: onnx.ModelProto, **options: Any) -> ir.Model:
    """The model in normal form."""
    return normalize(reread(proto, **options))


def normal_and_same(proto: onnx.ModelProto, *, exact: bool = False) -> ir.Model:
    """The model in normal form, which gives the same on two random inputs."""
    model = normal(proto)
    for seed in range(2):
        assert_same(proto, model, exact=exact, seed=seed)
    return model


def kinds(model: ir.Model) -> list[str]:
    """The operators, in order."""
    return [made.op_type for made in model.graph]
