"""Types and shapes of what a node makes, by onnx's own rules, one node at a time."""

import math

import onnx
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at, one_line

__all__ = ["OPSET", "check_node", "infer_node", "schema_of"]

OPSET = 21  # of the default domain, in the normal form
SUBGRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
ELEMENTS = 1 << 30  # of one value
DATA = 4096  # elements of a constant operand that rules may look at: shapes, axes, sizes


def schema_of(node: ir.Node, opset: int = OPSET) -> onnx.defs.OpSchema:
    """What onnx knows of a node's operator.

    Raises
    ------
    NetworkError
        where it knows none of that name and domain.
    """
    try:
        return onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError as error:
        where = f"opset {opset}" if not node.domain else f"domain {node.domain}"
        raise NetworkError(
            f"{at(node)}: {where} has no such operator that is known here; export the network "
            f"without it"
        ) from error


def check_node(node: ir.Node, opset: int = OPSET) -> None:
    """Check the number of a node's operands, its attributes, and their types.

    Raises
    ------
    NetworkError
        where they are not those of the operator, in the words of onnx.
    """
    if any(a.type in SUBGRAPHS for a in node.attributes.values()):
        return  # its values are those of the graph around it
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {"": opset, node.domain: opset if node.domain == "" else 1}
    try:
        onnx.checker.check_node(_proto(node), context)
    except onnx.checker.ValidationError as error:
        raise NetworkError(f"{at(node)}: {one_line(error)}") from error


def infer_node(node: ir.Node, opset: int = OPSET) -> None:
    """Give a node's outputs their types and shapes, from those of its inputs.

    Raises
    ------
    NetworkError
        where the inputs do not fit the operator, in the words of onnx.
    """
    schema = schema_of(node, opset)
    proto = _proto(node)
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for value in node.inputs:
        if value is None or value.name is None or value.name in types:
            continue
        if value.type is None:
            raise NetworkError(f"{at(node)}: nothing makes its input {value.name}")
        types[value.name] = _type(value)
        known = value.const_value
        if known is not None and known.size <= DATA and known.dtype != ir.DataType.STRING:
            data[value.name] = onnx.numpy_helper.from_array(known.numpy())
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, proto, types, data, None, [onnx.helper.make_opsetid("", opset)]
        )
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise NetworkError(f"{at(node)}: {one_line(error)}") from error
    for value in node.outputs:
        if value.name in found:
            value.type = ir.serde.deserialize_type_proto_for_type(found[value.name])
            value.shape = ir.serde.deserialize_type_proto_for_shape(found[value.name])
        _check_size(node, value)


def _proto(node: ir.Node) -> onnx.NodeProto:
    try:
        return ir.serde.serialize_node(node)
    except ir.serde.SerdeError as error:
        raise NetworkError(f"{at(node)}: {one_line(error.__cause__ or error)}") from error


def _check_size(node: ir.Node, value: ir.Value) -> None:
    if value.shape is None or not value.shape.is_static():
        return
    shape = value.shape.numpy()
    if math.prod(shape) > ELEMENTS or any(size < 0 for size in shape):
        raise NetworkError(
            f"{at(node)} makes {value.name} of {list(shape)}: at most {ELEMENTS} elements are "
            f"supported"
        )


def _type(value: ir.Value) -> onnx.TypeProto:
    made = onnx.TypeProto()
    assert value.type is not None
    ir.serde.serialize_type_into(made, value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(made, value.shape)
    return made
