"""A network from an ONNX file: parsed, checked, its functions written out."""

import graphlib
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from google.protobuf.message import DecodeError

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError, at, one_line
from vta.sw.relax.external import take_in
from vta.sw.relax.graph import warn
from vta.sw.relax.infer import check_node
from vta.sw.relax.inputs import fix_shapes
from vta.sw.relax.onnx_checks import check_proto, opset_of, tensors

__all__ = ["model_of", "read"]

LARGEST = 2 << 30  # bytes: a protobuf cannot be longer
OTHERS = {  # how files begin that people take for a network
    b"PK\x03\x04": "a zip archive (PyTorch and Keras save such): export it to ONNX",
    b"\x89HDF": "an HDF5 file (Keras saves such): export it to ONNX",
    b"\x80\x02}q": "a Python pickle: export the network to ONNX",
    b"\x93NUM": "a NumPy array",
    b"version http": "a Git LFS pointer: fetch the file itself (git lfs pull)",
    b"ELF": "a program",
}
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


def read(path: Path, *, shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    """The network in an ONNX file, as `vta.sw.relax.read.read` has it."""
    proto = _parsed(path)
    try:
        for name, tensor in tensors(proto):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                take_in(name, tensor, path.parent)
        return model_of(proto, shapes=shapes)
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def model_of(
    proto: onnx.ModelProto, *, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> ir.Model:
    """The network of a model that was read, all its weights with it.

    Raises
    ------
    NetworkError
        as for a file.
    """
    for name, tensor in tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise NetworkError(f"{shown(name)} is in another file: load it with the model's file")
    check_proto(proto)
    model = _model(proto)
    passes.RemoveInitializersFromInputsPass()(model)
    _write_out(model)
    _in_order(model)
    _check_nodes(model)
    fix_shapes(model, shapes or {})
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    if path.stat().st_size >= LARGEST:
        raise NetworkError(f"{path} is over 2 GB: weights of that size go into a file beside it")
    data = path.read_bytes()
    for mark, kind in OTHERS.items():
        if data.startswith(mark):
            raise NetworkError(f"{path} is {kind}")
    try:
        proto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise NetworkError(f"{path} is no ONNX or TFLite file, or a damaged one") from error
    if not proto.ir_version or not proto.HasField("graph"):
        raise NetworkError(f"{path} is no ONNX or TFLite file, or a damaged one: it has no graph")
    return proto


def _model(proto: onnx.ModelProto) -> ir.Model:
    for node in proto.graph.node:
        node.domain = "" if node.domain == "ai.onnx" else node.domain
    opset = opset_of(proto)
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # whatever a damaged file provokes
        raise NetworkError(f"the file is damaged: {one_line(error.__cause__ or error)}") from error
    model.opset_imports.pop("ai.onnx", None)
    model.opset_imports[""] = opset
    return model


def _write_out(model: ir.Model) -> None:
    """Put the bodies of functions where they are called; nodes are called CALL/NODE."""
    if not model.functions:
        return
    for n, node in enumerate(model.graph):
        if node.op_identifier() in model.functions:
            node.metadata_props["call"] = node.name or node.outputs[0].name or f"call {n}"
    try:
        passes.InlinePass()(model)
    except Exception as error:
        raise NetworkError(f"its functions: {one_line(error.__cause__ or error)}") from error
    model.functions.clear()  # those that nobody calls
    for node in model.graph:
        call = node.metadata_props.pop("call", None)
        if call is not None:
            node.name = f"{call}/{node.name or node.op_type}"


def _in_order(model: ir.Model) -> None:
    try:
        model.graph.sort()
    except ValueError as error:
        before = {
            node: [p for v in node.inputs if v is not None and (p := v.producer())]
            for node in model.graph
        }
        try:
            graphlib.TopologicalSorter(before).prepare()
        except graphlib.CycleError as cycle:
            raise NetworkError(f"{at(cycle.args[1][0])} needs its own result: a cycle") from error
        raise NetworkError(f"its nodes have no order: {one_line(error)}") from error


def _check_nodes(model: ir.Model) -> None:
    """Numbers of operands, attributes and their types, as the file's opset has them."""
    opset = model.opset_imports[""]
    for node in model.graph.all_nodes():
        odd = opset < 13 and node.domain == "" and node.op_type in QUANTIZERS
        if odd and "axis" in node.attributes:
            warn(model, f"{at(node)} has axis, which opset {opset} does not know: taken as meant")
            check_node(node, 13)
        else:
            check_node(node, opset)
    for domain in sorted({node.domain for node in model.graph.all_nodes()} - {""}):
        if domain not in model.opset_imports:
            warn(model, f"the file imports no opset of domain {shown(domain)}, but uses it")
