"""What must hold of an ONNX file before anything believes it: opset, sizes, names, types.

Sizes are compared with each other before memory is asked for, so that a file of a few bytes cannot
ask for gigabytes.
"""

import math
from collections.abc import Iterator

import onnx
import onnx_ir as ir
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from vta.hw.errors import quoted, shown
from vta.sw.relax.errors import NetworkError

__all__ = ["OLDEST", "check_proto", "newest_opset", "opset_of", "tensors"]

OLDEST = 8  # opset
ELEMENTS = 1 << 30  # of one tensor
DEPTH = 100  # of calls
NODES = 100_000  # of a file, its functions written out
FIELDS = {  # the field of a TensorProto that holds numbers which are not raw, and of which types
    "float_data": ("FLOAT", "COMPLEX64"),
    "double_data": ("DOUBLE", "COMPLEX128"),
    "int64_data": ("INT64",),
    "uint64_data": ("UINT64", "UINT32"),
}


def newest_opset() -> int:
    """The newest opset of the default domain that the library onnx knows."""
    return onnx.defs.onnx_opset_version()


def opset_of(proto: ModelProto) -> int:
    """The opset of the default domain that a file is written for; 1 where it does not say."""
    return next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 1)


def check_proto(proto: ModelProto) -> None:
    """NetworkError where a file contradicts itself, or has what is not supported at all."""
    if not proto.graph.node or not proto.graph.output:
        lacks = "nodes" if not proto.graph.node else "outputs"
        raise NetworkError(f"its graph has no {lacks}: nothing is to be computed")
    _check_opset(proto)
    for node in _all_nodes(proto):
        _check_texts(node)
    _check_growth(proto)
    for name, tensor in tensors(proto):
        _check_tensor(name, tensor)
    _check_graph(proto.graph, frozenset())
    for function in proto.functions:
        made = [*function.input, *(name for node in function.node for name in node.output if name)]
        _check_once(made, f"function {shown(function.name)}")
        _check_known(function.node, set(made), f"function {shown(function.name)}")


def _check_opset(proto: ModelProto) -> None:
    opset = opset_of(proto)
    if not OLDEST <= opset <= newest_opset():
        raise NetworkError(
            f"it is written for opset {opset}; read are {OLDEST} to {newest_opset()}: export it "
            f"for another, or use onnx.version_converter.convert_version"
        )


def _check_growth(proto: ModelProto) -> None:
    """Functions call functions: what that comes to, before they are written out."""
    bodies = {(f.domain, f.name, f.overload): f for f in proto.functions}
    if len(bodies) != len(proto.functions):
        raise NetworkError("two of its functions have the same name: rename one")
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: list[NodeProto], callers: tuple[object, ...]) -> int:
        total = 0
        if len(callers) > DEPTH:
            raise NetworkError(f"functions call functions more than {DEPTH} deep: unsupported")
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            if key in callers:
                raise NetworkError(f"function {shown(node.op_type)} calls itself: unsupported")
            if key in bodies and key not in sizes:
                sizes[key] = size(list(bodies[key].node), (*callers, key))
            inner = sum(size(list(graph.node), callers) for graph in _graphs(node))
            total += sizes.get(key, 1) + inner
        return total

    total = size(list(proto.graph.node), ())
    if total > NODES:
        raise NetworkError(f"it has {total} nodes with its functions written out; at most {NODES}")


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _all_nodes(proto: ModelProto) -> Iterator[NodeProto]:
    waiting = [*proto.graph.node, *(node for f in proto.functions for node in f.node)]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [inner for graph in _graphs(node) for inner in graph.node]


def _all_graphs(proto: ModelProto) -> Iterator[GraphProto]:
    yield proto.graph
    for node in _all_nodes(proto):
        yield from _graphs(node)


def _check_texts(node: NodeProto) -> None:
    """Names are text; an attribute says what it is."""
    names = (node.name, node.op_type, node.domain, *node.input, *node.output)
    for name in (*names, *(attribute.name for attribute in node.attribute)):
        if not isinstance(name, str):  # of bytes that are no UTF-8 protobuf makes no text
            raise NetworkError(f"a node has the name {quoted(name)}, no text: the file is damaged")
    for attribute in node.attribute:
        if attribute.type == AttributeProto.UNDEFINED:
            raise NetworkError(
                f"{shown(node.op_type)} {shown(node.name)}: its attribute {shown(attribute.name)} "
                f"has no type: the file is damaged"
            )


# Tensors ------------------------------------------------------------------------------------------
def tensors(proto: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    """Every tensor of a file, and how a message names it."""
    for graph in _all_graphs(proto):
        for tensor in graph.initializer:
            yield f"initializer {shown(tensor.name)}", tensor
        for sparse in graph.sparse_initializer:
            raise NetworkError(f"initializer {shown(sparse.values.name)} is sparse: store it dense")
    for node in _all_nodes(proto):
        made = node.name or next(iter(node.output), "")
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise NetworkError(f"{node.op_type} {shown(made)} has a sparse tensor: use a dense")
            named = f"{node.op_type} {shown(made)}'s {shown(attribute.name)}"
            if attribute.HasField("t"):
                yield named, attribute.t
            for tensor in attribute.tensors:
                yield named, tensor


def _check_tensor(name: str, tensor: TensorProto) -> None:
    if tensor.data_type not in TensorProto.DataType.values() or not tensor.data_type:
        raise NetworkError(f"{name} has data type {tensor.data_type}, which ONNX does not have")
    kind = TensorProto.DataType.Name(tensor.data_type)
    if kind == "STRING":
        raise NetworkError(f"{name} holds text: only numbers are supported")
    shape = list(tensor.dims)
    if any(size < 0 for size in shape):
        raise NetworkError(f"{name} has shape {quoted(shape)}: no size can be negative")
    elements = math.prod(shape)
    if elements > ELEMENTS:
        raise NetworkError(f"{name} of {quoted(shape)} has {elements} elements; at most {ELEMENTS}")
    bits = ir.DataType(tensor.data_type).bitwidth
    if tensor.HasField("raw_data"):
        have, need, unit = len(tensor.raw_data), -(-elements * bits // 8), "bytes"
    else:
        field = next((f for f, kinds in FIELDS.items() if kind in kinds), "int32_data")
        have, need, unit = len(getattr(tensor, field)), elements, "numbers"
        need *= 2 if kind.startswith("COMPLEX") else 1
        need = -(-need * min(bits, 8) // 8)  # of four bits two are in one number
    if have != need:
        raise NetworkError(
            f"{name} of {quoted(shape)} {kind.lower()} has {have} {unit}, not {need}: "
            f"the file is damaged"
        )


# Names --------------------------------------------------------------------------------------------
def _check_graph(graph: GraphProto, outer: frozenset[str]) -> None:
    made = [name for node in graph.node for name in node.output if name]
    given = [value.name for value in graph.input]
    constants = [tensor.name for tensor in graph.initializer]
    _check_once(given, "its inputs")
    _check_once(constants, "its initializers")
    known = {*given, *constants}
    _check_once([*made, *known], "its graph")
    for tensor in graph.initializer:
        if not tensor.name:
            raise NetworkError("an initializer has no name: the file is damaged")
    own = {*known, *made}
    known = own | outer
    _check_known(graph.node, known, "the graph")
    for node in graph.node:
        for inner in _graphs(node):
            _check_graph(inner, frozenset(known))
    for output in graph.output:
        if output.name not in own:
            raise NetworkError(f"nothing makes output {shown(output.name)}: the file is damaged")


def _check_once(names: list[str], where: str) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise NetworkError(f"{where}: {shown(name)} is made twice: the file is damaged")
        seen.add(name)


def _check_known(nodes: object, known: set[str], where: str) -> None:
    for node in nodes:  # type: ignore[attr-defined]
        for name in node.input:
            if name and name not in known:
                named = shown(node.name or next(iter(node.output), ""))
                raise NetworkError(
                    f"{shown(node.op_type)} {named}: nothing in {where} makes its input "
                    f"{shown(name)}: the file is damaged"
                )
