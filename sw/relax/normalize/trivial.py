"""What changes nothing goes: Identity, Dropout, casts to the same type, shapes that stay."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import attribute, constant, is_op, live, replace_value, shape_of

__all__ = ["drop_trivial"]


def drop_trivial(model: ir.Model) -> ir.Model:
    """Remove nodes whose output is their first input.

    An Identity stays where an output of the network would lose its name: from an input, a
    constant, or another output.

    Raises
    ------
    NetworkError
        where a Dropout or a BatchNormalization trains.
    """
    for node in model.graph:
        if is_op(node, "Resize"):
            _leave_out_empty(node)
        check = TRIVIAL.get(node.op_type)
        if node.domain or check is None or not check(node):
            continue
        given, made = node.inputs[0], node.outputs[0]
        assert given is not None
        fixed = given.is_graph_output() or given.is_graph_input() or given.is_initializer()
        if is_op(node, "Identity") and made.is_graph_output() and fixed:
            continue
        replace_value(made, given)
        model.graph.remove(node, safe=True)
    return model


def _leave_out_empty(node: ir.Node) -> None:
    """Exporters write an operand that is not there as a constant without elements."""
    for place, value in enumerate(node.inputs):
        if value is not None and value.is_initializer() and 0 in shape_of(value):
            node.replace_input_with(place, None)


def _always(node: ir.Node) -> bool:
    return True


def _dropout(node: ir.Node) -> bool:
    """Its mask, if it is asked for, is a constant that nobody needs: refused."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    known = constant(training)
    if training is not None and (known is None or known.any()):
        raise NetworkError(f"{at(node)} trains: export the network for inference")
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise NetworkError(f"{at(node)}: its mask is read, which inference does not have")
    return True


def _same_type(node: ir.Node) -> bool:
    given = node.inputs[0]
    return given is not None and given.dtype == node.outputs[0].dtype


def _same_shape(node: ir.Node) -> bool:
    given = node.inputs[0]
    return given is not None and shape_of(given) == shape_of(node.outputs[0])


def _alone(node: ir.Node) -> bool:
    return len(live(node.inputs)) == 1


def _in_order(node: ir.Node) -> bool:
    rank = len(shape_of(node.outputs[0]))
    return list(attribute(node, "perm", range(rank)[::-1])) == list(range(rank))


def _no_pads(node: ir.Node) -> bool:
    pads = constant(node.inputs[1])
    return pads is not None and not pads.any()


def _whole(node: ir.Node) -> bool:
    """A slice of everything, forwards."""
    steps = constant(node.inputs[4]) if len(node.inputs) > 4 else np.ones(1)
    return steps is not None and bool((steps > 0).all()) and _same_shape(node)


def _no_limits(node: ir.Node) -> bool:
    return len(live(node.inputs)) == 1


def _one_part(node: ir.Node) -> bool:
    return len(node.outputs) == 1


TRIVIAL: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": _always,
    "Dropout": _dropout,
    "Cast": _same_type,
    "CastLike": _same_type,
    "Reshape": _same_shape,
    "Flatten": _same_shape,
    "Squeeze": _same_shape,
    "Unsqueeze": _same_shape,
    "Expand": _same_shape,
    "Tile": _same_shape,
    "Transpose": _in_order,
    "Pad": _no_pads,
    "Slice": _whole,
    "Clip": _no_limits,
    "Concat": _alone,
    "Sum": _alone,
    "Max": _alone,
    "Min": _alone,
    "Mean": _alone,
    "Split": _one_part,
}
