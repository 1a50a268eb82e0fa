"""Operators of older and newer opsets, as opset 21 writes them.

Most operators did not change. What onnx's own schemas tell apart is compared here: an attribute
that came later has the older meaning as its default, one that went is dropped where it has its
default. What needs more has a rule.
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import Rewriter, attribute, constant, live
from vta.sw.relax.infer import OPSET, schema_of

__all__ = ["upgrade"]

IR_VERSION = 10  # the first that has opset 21

Rule = Callable[[ir.Node], None]


def upgrade(model: ir.Model) -> ir.Model:
    """Every operator of the default domain as opset 21 has it, those in branches too.

    Raises
    ------
    NetworkError
        where an operator has no equal there.
    """
    opset = model.opset_imports[""]
    for node in list(model.graph.all_nodes()):
        if node.domain == "":
            _upgrade(node, opset)
            node.version = None
    model.opset_imports[""] = model.graph.opset_imports[""] = OPSET
    model.ir_version = IR_VERSION
    return model


def _upgrade(node: ir.Node, opset: int) -> None:
    old = schema_of(node, opset)
    for before, rule in RULES.get(node.op_type, ()):
        if opset < before:
            rule(node)
            return
    new = schema_of(node, OPSET)
    for name in [name for name in node.attributes if name not in new.attributes]:
        known = old.attributes.get(name)
        if known is not None and not _is_default(node.attributes[name], known):
            raise NetworkError(
                f"{at(node)}: its attribute {name} of opset {opset} has no equal in opset {OPSET}"
            )
        if known is not None:
            node.attributes.pop(name)


def _is_default(attribute: ir.Attr, known: onnx.defs.OpSchema.Attribute) -> bool:
    if not known.default_value.name:
        return False
    return ir.serde.deserialize_attribute(known.default_value).value == attribute.value


# Rules --------------------------------------------------------------------------------------------
def _to_input(node: ir.Node, name: str, place: int, dtype: type = np.int64) -> None:
    """Make an attribute an operand; nothing where it is not there."""
    found = node.attributes.pop(name, None)
    if found is not None:
        _operand(node, name, place, np.array(found.value, dtype))


def _operand(node: ir.Node, name: str, place: int, array: np.ndarray) -> None:
    if len(node.inputs) <= place:
        node.resize_inputs(place + 1)
    node.replace_input_with(place, Rewriter(node).constant(name, array))


def _axes(node: ir.Node) -> None:
    """Reductions, Squeeze, Unsqueeze: the axes became an operand."""
    _to_input(node, "axes", 1)


def _clip(node: ir.Node) -> None:
    """Opset 6 has limits as attributes; the largest float means none."""
    for name, place in (("min", 1), ("max", 2)):
        value = attribute(node, name)
        if value is not None and abs(value) >= np.finfo(np.float32).max:
            node.attributes.pop(name)
        _to_input(node, name, place, np.float32)


def _dropout(node: ir.Node) -> None:
    node.attributes.pop("ratio", None)


def _batch_norm(node: ir.Node) -> None:
    if not attribute(node, "spatial", 1):
        raise NetworkError(
            f"{at(node)} has spatial=0, a mean for each pixel, which opset 9 gave up: unsupported"
        )
    node.attributes.pop("spatial", None)
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise NetworkError(f"{at(node)} trains: export the network for inference")
    node.resize_outputs(1)


def _pad(node: ir.Node) -> None:
    _to_input(node, "pads", 1)
    _to_input(node, "value", 2, np.float32)


def _slice(node: ir.Node) -> None:
    for place, name in enumerate(("starts", "ends", "axes"), start=1):
        _to_input(node, name, place)


def _split_2(node: ir.Node) -> None:
    _to_input(node, "split", 1)
    _split(node)


def _split(node: ir.Node) -> None:
    """Equal parts: their number became an attribute."""
    if len(live(node.inputs)) < 2:
        node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))


def _top_k(node: ir.Node) -> None:
    k = node.attributes.pop("k")
    _operand(node, "k", 1, np.array([k.as_int()], np.int64))


def _scatter(node: ir.Node) -> None:
    node.op_type = "ScatterElements"


def _roi_align(node: ir.Node) -> None:
    name = "coordinate_transformation_mode"
    node.attributes[name] = ir.AttrString(name, "output_half_pixel")


def _grid_sample(node: ir.Node) -> None:
    modes = {"bilinear": "linear", "bicubic": "cubic"}
    mode = attribute(node, "mode", "bilinear")
    node.attributes["mode"] = ir.AttrString("mode", modes.get(mode, mode))


def _softmax(node: ir.Node) -> None:
    """Before opset 13 all axes from `axis` on are one: flatten, and back again."""
    axis = attribute(node, "axis", 1)
    rewriter = Rewriter(node, infer=False)
    source = node.inputs[0]
    shape = rewriter.op("Shape", source, what="shape")
    flat = rewriter.op("Flatten", source, what="flatten", attributes={"axis": axis})
    row = rewriter.op(node.op_type, flat, attributes={"axis": -1})
    rewriter.replace(rewriter.op("Reshape", row, shape, what="reshape"))


def _upsample_7(node: ir.Node) -> None:
    _to_input(node, "scales", 1, np.float32)
    _resize_10(node)


def _resize_10(node: ir.Node) -> None:
    """Upsample, and Resize of opset 10: pixels lie at their left corners, nearest rounds down."""
    scales, mode = node.inputs[1], attribute(node, "mode", "nearest")
    known = constant(scales)
    if mode == "nearest" and node.op_type == "Resize" and _odd(known):
        raise NetworkError(
            f"{at(node)} makes smaller, by no whole number, and opset 10 does not say which pixel "
            f"is nearest: export the network for opset 11 or later"
        )
    made = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    made |= {"nearest_mode": "floor"} if mode == "nearest" else {}
    rewriter = Rewriter(node, infer=False)
    rewriter.replace(rewriter.op("Resize", node.inputs[0], None, scales, attributes=made))


def _odd(scales: np.ndarray | None) -> bool:
    """Whether some pixel may lie between two of which one is to be taken."""
    if scales is None:
        return False
    small = scales[scales < 1]
    return bool(np.any(np.abs(1 / small - np.rint(1 / small)) > 1e-6))


REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
RULES: dict[str, tuple[tuple[int, Rule], ...]] = {
    # operator: rules, each with the first opset that does not need it; the first that applies
    **{f"Reduce{name}": ((18, _axes),) for name in REDUCTIONS},
    **dict.fromkeys(("ReduceSum", "Squeeze", "Unsqueeze"), ((13, _axes),)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), ((13, _softmax),)),
    "BatchNormalization": ((14, _batch_norm),),
    "Clip": ((11, _clip),),
    "Dropout": ((12, _dropout),),
    "GridSample": ((20, _grid_sample),),
    "Pad": ((11, _pad),),
    "Resize": ((11, _resize_10),),
    "RoiAlign": ((16, _roi_align),),
    "Scatter": ((12, _scatter),),
    "Slice": ((10, _slice),),
    "Split": ((13, _split_2), (18, _split)),
    "TopK": ((10, _top_k),),
    "Upsample": ((9, _upsample_7), (12, _resize_10)),
}
