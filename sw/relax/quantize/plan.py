"""Where a network is quantised: which nodes, what gets a QuantizeLinear, what shares a scale.

Nodes in integers are products (convolutions, matrix products with constant weights), what moves
numbers or chooses among them (pools, Relu, Concat, Reshape, ...), and sums and products of tensors
behind these. A value between two of them gets one QuantizeLinear, but for the values inside of what
VTA does with one rounding:

- product -> Relu or Clip: it stands behind the Relu;
- product -> Add -> Relu: none between the product and the Add, whose sums it goes into in full;
  the Add's other operand is quantised. Where both are products, the one deeper in the network stays
  unquantised.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import prod

import numpy as np
import onnx_ir as ir

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import attribute, constant, is_op, only_use, shape_of, source

__all__ = ["BIAS", "PAIRS", "PRODUCTS", "Plan", "check_names", "data_of", "made_plan"]

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
BIAS = 2  # the input of Conv, ConvTranspose and Gemm that is their bias
ONE_SCALE = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Relu", "Clip")
ONE_SCALE += ("Concat", "Resize", "Reshape", "Flatten", "Pad", "Slice", "Split", "Transpose")
ONE_SCALE += ("Squeeze", "Unsqueeze", "DepthToSpace", "SpaceToDepth")
OWN_SCALE = ("Add", "Sub", "Mul", "Max", "Min", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid")
CLIPS = ("Relu", "Clip")
LOSSY = (*CLIPS, "AveragePool", "GlobalAveragePool")  # better done before rounding than behind it
CLIPPED = (*PRODUCTS, "Add", "Sub", "Mul", "Max", "Min")  # a Relu behind them is part of them
PAIRS = ("Add", "Sub", "Mul", "Max", "Min")  # their constants are quantised, too


@dataclass
class Plan:
    """What is decided about a network.

    Members
    -------
    nodes: in integers, in order.
    kept: source name of each node that stays float, and why.
    points: values that get a QuantizeLinear, by name, in order.
    inner: values between two nodes in integers without one: name, and the node that reads it.
    residuals: for each Add that a product's sums go into: by node name, that product.
    """

    nodes: list[ir.Node] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    points: dict[str, ir.Value] = field(default_factory=dict)
    inner: dict[str, ir.Node] = field(default_factory=dict)
    residuals: dict[str, ir.Node] = field(default_factory=dict)
    _scales: dict[str, str] = field(default_factory=dict)

    def scale_of(self, value: ir.Value) -> str:
        """The name of the value whose scale this one has, too."""
        name = value.name or ""
        while self._scales.get(name, name) != name:
            name = self._scales[name]
        return name

    def share(self, values: Iterable[ir.Value]) -> None:
        """One scale for all of them."""
        first, *others = (self.scale_of(value) for value in values)
        for other in others:
            self._scales[other] = first

    def result(self, node: ir.Node) -> ir.Value:
        """The value that a node's results are rounded to: behind its Add and its Relu."""
        value = node.outputs[0]
        while (value.name or "") in self.inner:
            value = self.inner[value.name or ""].outputs[0]
        return value


def made_plan(model: ir.Model, exclude: Collection[str] = ()) -> Plan:
    """The plan of a float network in normal form.

    Arguments
    ---------
    exclude: names of the file's nodes that stay float.

    Raises
    ------
    NetworkError
        where one of them is none.
    """
    check_names(model, exclude)
    plan = Plan()
    active = _active(model, exclude, plan.kept)
    plan.nodes = [node for node in model.graph if node in active]
    depths = _depths(model)
    for node in plan.nodes:
        _merge(plan, node, active, depths)
    for node in plan.nodes:
        _place(plan, node)
    return plan


def data_of(node: ir.Node) -> list[ir.Value]:
    """The inputs that are quantised as data are: what is computed, and constants beside it."""
    if is_op(node, *PAIRS, "Concat"):
        return [value for value in node.inputs if value is not None]
    return [value for value in node.inputs[:1] if value is not None]


def is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT


def check_names(model: ir.Model, exclude: Collection[str]) -> None:
    """NetworkError unless all of these are names of nodes."""
    names = {source(node) for node in model.graph} | {node.name or "" for node in model.graph}
    for name in exclude:
        if name not in names:
            near = get_close_matches(name, sorted(names), 1)
            hint = f"; is it {shown(near[0])}?" if near else ""
            raise NetworkError(f"exclude: there is no node {shown(name)}{hint}")


# Which nodes --------------------------------------------------------------------------------------
def _active(model: ir.Model, exclude: Collection[str], kept: dict[str, str]) -> set[ir.Node]:
    """Nodes in integers: products; sums behind them; what moves numbers, before or behind."""
    able = set()
    for node in model.graph:
        why = "excluded" if {source(node), node.name} & set(exclude) else _unable(node)
        if why:
            kept[source(node)] = why
        else:
            able.add(node)
    active = {node for node in able if is_op(node, *PRODUCTS)}
    grown = True
    while grown:
        before = len(active)
        for node in able - active:
            behind = any(value.producer() in active for value in data_of(node))
            ahead = any(use.node in active for value in node.outputs for use in value.uses())
            if behind or (ahead and is_op(node, *ONE_SCALE) and not is_op(node, *LOSSY)):
                active.add(node)
        grown = len(active) > before
    for node in model.graph:
        if node in able and node not in active:
            kept[source(node)] = "no product before it"
    return active


def _unable(node: ir.Node) -> str:
    """Why a node stays float; empty: it need not."""
    if not is_op(node, *PRODUCTS, *ONE_SCALE, *OWN_SCALE):
        return f"{node.op_type} is computed in float"
    data = data_of(node)
    if not data or not all(is_float(value) for value in (*data, node.outputs[0])):
        return "its data is not float32"
    if all(constant(value) is not None for value in data):
        return "its data is constant"
    if is_op(node, *PRODUCTS):
        return _unable_product(node)
    if is_op(node, "MaxPool") and len(node.outputs) > 1:
        return "the places of its maxima are read"
    if is_op(node, "Resize") and attribute(node, "mode", "nearest") != "nearest":
        return f"mode {attribute(node, 'mode')} interpolates"
    if is_op(node, "Pad") and _pads_other(node):
        return "it pads with other values than zeros"
    return ""


def _unable_product(node: ir.Node) -> str:
    weight, *rest = node.inputs[1:]
    if constant(weight) is None:
        return "its weights are not constant"
    if is_op(node, "MatMul", "Gemm") and np.ndim(constant(weight)) != 2:
        return "its weights are no matrix"
    if any(value is not None and constant(value) is None for value in rest):
        return "its bias is not constant"
    return ""


def _pads_other(node: ir.Node) -> bool:
    given = node.inputs[2] if len(node.inputs) > 2 else None
    if attribute(node, "mode", "constant") != "constant" or given is None:
        return False
    value = constant(given)
    return value is None or bool(np.any(value != 0))


def _depths(model: ir.Model) -> dict[ir.Node, int]:
    """Products on the longest way from an input to each node, itself included."""
    found: dict[ir.Node, int] = {}
    for node in model.graph:
        before = [found[p] for v in node.inputs if v is not None and (p := v.producer()) in found]
        found[node] = max(before, default=0) + is_op(node, *PRODUCTS)
    return found


# Which values -------------------------------------------------------------------------------------
def _merge(plan: Plan, node: ir.Node, active: set[ir.Node], depths: dict[ir.Node, int]) -> None:
    """Note the values before `node` that are not rounded."""
    if is_op(node, *CLIPS):
        value = node.inputs[0]
        assert value is not None
        maker = value.producer()
        if maker in active and is_op(maker, *CLIPPED) and only_use(value) is node:
            plan.inner[value.name or ""] = node
    if is_op(node, "Add"):
        sums = [value for value in data_of(node) if _goes_into(value, node, active)]
        if sums:
            chosen = max(sums, key=lambda value: _rank(value, depths))
            maker = chosen.producer()
            assert maker is not None
            plan.inner[chosen.name or ""] = node
            plan.residuals[node.name or ""] = maker


def _goes_into(value: ir.Value, node: ir.Node, active: set[ir.Node]) -> bool:
    """Whether a product's sums are an operand of an Add of two computed tensors of one shape."""
    maker, operands = value.producer(), data_of(node)
    return (
        maker in active
        and is_op(maker, *PRODUCTS)
        and only_use(value) is node
        and all(constant(operand) is None for operand in operands)
        and len({shape_of(operand) for operand in operands}) == 1
    )


def _rank(value: ir.Value, depths: dict[ir.Node, int]) -> tuple[int, int, int]:
    """Depth, then size of the weights, then order decide which of two products is rounded late."""
    maker = value.producer()
    assert maker is not None
    weight = maker.inputs[1]
    assert weight is not None
    return depths[maker], prod(shape_of(weight)), list(depths).index(maker)


def _place(plan: Plan, node: ir.Node) -> None:
    """The node's points, and what shares a scale."""
    around = [*data_of(node), *node.outputs]
    rounded = [value for value in around if (value.name or "") not in plan.inner]
    for value in rounded:
        if constant(value) is None:
            plan.points.setdefault(value.name or "", value)
    if is_op(node, *ONE_SCALE) and len(rounded) == len(around):
        plan.share(value for value in around if constant(value) is None)
