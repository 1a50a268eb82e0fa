"""A network from an ONNX file."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from google.protobuf.message import DecodeError

from vta.sw.relax.errors import NetworkError

__all__ = ["read"]


def read(path: Path, *, shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    """The network in an ONNX file, as `vta.sw.relax.read.read` has it."""
    try:
        proto = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise NetworkError(f"{path}: this is neither an ONNX nor a TFLite file") from error
    if not proto.graph.node:
        raise NetworkError(f"{path}: this is neither an ONNX nor a TFLite file: it has no nodes")
    model = ir.from_proto(proto)
    ir.external_data.set_base_dir(model.graph, path.resolve().parent)
    passes.RemoveInitializersFromInputsPass()(model)
    passes.InlinePass()(model)
    _fix_shapes(model, shapes)
    return model


def _fix_shapes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for value in model.graph.inputs:
        if value.name in shapes:
            value.shape = ir.Shape(shapes[value.name])
        if value.shape is None or not value.shape.is_static():
            raise NetworkError(f"input {value.name} has shape {value.shape}: give --shape")
