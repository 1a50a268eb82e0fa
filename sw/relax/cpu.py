"""A segment of nodes for the CPU: as an ONNX model by itself, and as a function of Relax.

TVM's importer takes static float and QDQ graphs right, but forgets node names, knows no domains,
and is silently wrong about some attributes. So what it makes is compared with the types that the
graph says, and what it refuses is found node by node. `vta.sw.relax.cpu_check` compares values.
"""

import contextlib
import io
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from vta.sw.relax.errors import NetworkError, at, one_line
from vta.sw.relax.parts import Segment

__all__ = ["function_name", "imported", "segment_model", "tensor_type", "values_of"]

WAY_OUT = "replace it in the model, or report it"


def values_of(model: ir.Model) -> dict[str, ir.Value]:
    """All values of the graph by name."""
    graph = model.graph
    found = {value.name: value for value in (*graph.inputs, *graph.initializers.values())}
    found |= {value.name: value for node in graph for value in node.outputs if value.name}
    return {name: value for name, value in found.items() if name}


def function_name(segment: Segment) -> str:
    """What the segment's function is called in an IRModule."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in segment.name)


def segment_model(
    nodes: Sequence[ir.Node],
    inputs: Iterable[ir.Value],
    outputs: Iterable[ir.Value],
    model: ir.Model,
) -> onnx.ModelProto:
    """The nodes as a model of their own, whose inputs and outputs have types and shapes.

    Values have new names, v0, v1, ...: TVM makes one of some that differ.
    """
    names: dict[str, str] = {"": ""}

    def name(old: str | None) -> str:
        return names.setdefault(old or "", f"v{len(names) - 1}")

    def info(value: ir.Value) -> onnx.ValueInfoProto:
        dtype, shape = _type(value)
        return onnx.helper.make_tensor_value_info(name(value.name), dtype.value, shape)

    given = [info(value) for value in inputs]
    protos, constants = [], {}
    for node in nodes:
        if node.domain or any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values()):
            raise NetworkError(f"{at(node)}: the CPU part knows operators of ONNX only; {WAY_OUT}")
        proto = ir.serde.serialize_node(node)
        proto.input[:] = [name(value) for value in proto.input]
        proto.output[:] = [name(value) for value in proto.output]
        protos.append(proto)
        for value in node.inputs:
            if value is not None and value.const_value is not None:
                constants[value.name] = value.const_value
    initializers = []
    for old, tensor in constants.items():
        proto = ir.serde.serialize_tensor(tensor)
        proto.name = name(old)
        initializers.append(proto)
    graph = onnx.helper.make_graph(
        protos, "segment", given, [info(value) for value in outputs], initializers
    )
    opset = onnx.helper.make_opsetid("", model.opset_imports[""])
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=model.ir_version)


def imported(segment: Segment, model: ir.Model) -> Any:
    """The segment as an IRModule: "main", of its inputs, to one value or a tuple of more; and the
    functions that this calls.

    Raises
    ------
    NetworkError
        for a node that TVM's importer refuses, or gives another type than the graph has.
    """
    values = values_of(model)
    inputs = [values[name] for name in segment.inputs]
    outputs = [values[name] for name in segment.outputs]
    try:
        module = _import(segment_model(segment.nodes, inputs, outputs, model))
    except NetworkError:
        raise
    except Exception as error:  # TVM raises whatever it likes
        raise _by_node(segment, model, error) from error
    wrong = _wrong_type(module["main"], outputs)
    if wrong is not None:
        for node in segment.nodes:  # whose is it? The first that does it alone
            _check_alone(node, model)
        raise NetworkError(f"{segment.name}: TVM {wrong}; {WAY_OUT}")
    return module


def _import(proto: onnx.ModelProto) -> Any:
    """TVM's module of a model; it prints and warns on its way."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_onnx(proto)


def _by_node(segment: Segment, model: ir.Model, error: Exception) -> NetworkError:
    """The error with the name of the first node that is refused alone."""
    for node in segment.nodes:
        try:
            _check_alone(node, model)
        except NetworkError as found:
            return found
    return NetworkError(f"{segment.name}: TVM refuses it: {one_line(error)}; {WAY_OUT}")


def _check_alone(node: ir.Node, model: ir.Model) -> None:
    """NetworkError where TVM refuses the node, or gives its results other types."""
    outputs = [value for value in node.outputs if value.name and value.uses()]
    outputs = outputs or list(node.outputs[:1])
    inputs = {v.name: v for v in node.inputs if v is not None and v.const_value is None}
    try:
        module = _import(segment_model([node], inputs.values(), outputs, model))
    except NetworkError:
        raise
    except Exception as error:
        raise NetworkError(
            f"{at(node)} runs on the CPU, and TVM refuses it: {one_line(error)}; {WAY_OUT}"
        ) from error
    wrong = _wrong_type(module["main"], outputs)
    if wrong is not None:
        raise NetworkError(f"{at(node)} runs on the CPU, and TVM {wrong}; {WAY_OUT}")


def _wrong_type(function: Any, outputs: Sequence[ir.Value]) -> str | None:
    """What is wrong with the type of what TVM's function returns; None where nothing is."""
    returned = function.ret_ty
    made = list(getattr(returned, "fields", [returned]))  # of a tuple
    for value, found in zip(outputs, made, strict=True):
        expected = tensor_type(value)
        shape = getattr(getattr(found, "shape", None), "values", None)
        known = None if shape is None else [int(size) for size in shape]
        dtype = str(getattr(found, "dtype", "no tensor"))
        if (known, dtype) != ([int(n) for n in expected.shape.values], str(expected.dtype)):
            dtype_name, sizes = _type(value)
            return (
                f"gives {value.name} as {dtype} {known}, where the graph has "
                f"{dtype_name.numpy()} {list(sizes)}"
            )
    return None


def _type(value: ir.Value) -> tuple[ir.DataType, tuple[int, ...]]:
    """dtype and shape of a value; NetworkError where the graph does not fix them."""
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        raise NetworkError(
            f"value {value.name} has no fixed shape or type: {value.dtype}, {value.shape}"
        )
    return value.dtype, tuple(value.shape.numpy())


def tensor_type(value: ir.Value) -> Any:
    """The type of a value in Relax."""
    dtype, shape = _type(value)
    return relax.TensorType(list(shape), str(dtype.numpy()))
