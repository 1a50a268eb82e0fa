"""The nodes that quantise: QuantizeLinear and DequantizeLinear round each value of a plan."""

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from vta.sw.relax.graph import SOURCE, Rewriter, constant, is_op
from vta.sw.relax.quantize.exponents import Exponents
from vta.sw.relax.quantize.plan import BIAS, PAIRS, PRODUCTS, Plan

__all__ = ["inserted"]

ZERO = np.array(0, np.int8)


def inserted(model: ir.Model, plan: Plan, exponents: Exponents) -> ir.Model:
    """The model in QDQ form; `model` itself, of which `plan` is, is changed."""
    active = set(plan.nodes)
    for node in plan.nodes:
        if is_op(node, *PRODUCTS):
            _parameters(node, plan, exponents)
        else:
            _constants(node, plan, exponents)
    for value in plan.points.values():
        _point(model.graph, value, exponents.data[plan.scale_of(value)], active)
    model.graph.sort()
    passes.RemoveUnusedNodesPass()(model)
    return model


def scale(exponent: int) -> np.ndarray:
    return np.array(2.0**exponent, np.float32)


def integers(values: np.ndarray, exponent: int, dtype: type[np.signedinteger]) -> np.ndarray:
    """float values as numbers of that type, rounded half to even."""
    ends = np.iinfo(dtype)
    numbers = np.rint(np.ldexp(values.astype(np.float64), -exponent))
    return np.clip(numbers, ends.min, ends.max).astype(dtype)


# Values -------------------------------------------------------------------------------------------
def _point(graph: ir.Graph, value: ir.Value, exponent: int, active: set[ir.Node]) -> None:
    """Quantise a value. Readers get what is left of it; but where it comes from a node in float,
    other nodes in float still read it as it is.
    """
    maker = value.producer()
    readers = [use for use in value.uses() if maker in active or use.node in active]
    leaves = value.is_graph_output() and maker in active
    rewriter = Rewriter(maker if maker is not None else graph[0])
    if maker is None:
        rewriter.source = value.name or ""
    unit = rewriter.constant("scale", scale(exponent)), rewriter.constant("zero_point", ZERO)
    number = rewriter.op("QuantizeLinear", value, *unit, what="quantize")
    again = rewriter.op("DequantizeLinear", number, *unit, what="dequantize")
    if maker is None:
        for made in (number.producer(), again.producer()):
            del made.metadata_props[SOURCE]
    for use in readers:
        use.node.replace_input_with(use.idx, again)
    if leaves:
        graph.outputs[list(graph.outputs).index(value)] = again  # which takes the name
        value.name, again.name = again.name, value.name


# Constants ----------------------------------------------------------------------------------------
def _parameters(node: ir.Node, plan: Plan, exponents: Exponents) -> None:
    """Weights as int8, the bias as int32 in the unit of the sums."""
    data, own = node.inputs[0], exponents.weights[node.name or ""]
    assert data is not None
    _dequantized(node, 1, "weight", own, np.int8)
    if len(node.inputs) > BIAS and node.inputs[BIAS] is not None:
        _dequantized(node, BIAS, "bias", exponents.data[plan.scale_of(data)] + own, np.int32)


def _constants(node: ir.Node, plan: Plan, exponents: Exponents) -> None:
    """Constant operands: of a Concat in the scale of all, of others in one of their own."""
    if not is_op(node, *PAIRS, "Concat"):
        return
    for index, value in enumerate(node.inputs):
        if value is None or constant(value) is None:
            continue
        if is_op(node, "Concat"):
            exponent = exponents.data[plan.scale_of(node.outputs[0])]
        else:
            exponent = exponents.constants[value.name or ""]
        _dequantized(node, index, f"constant{index}", exponent, np.int8)


def _dequantized(
    node: ir.Node, index: int, what: str, exponent: int, dtype: type[np.signedinteger]
) -> None:
    """Put a constant input as numbers of `dtype` and a DequantizeLinear."""
    values = constant(node.inputs[index])
    assert values is not None
    rewriter = Rewriter(node)
    parts = (
        rewriter.constant(f"{what}_quantized", integers(values, exponent, dtype)),
        rewriter.constant(f"{what}_scale", scale(exponent)),
        rewriter.constant(f"{what}_zero_point", np.zeros((), dtype)),
    )
    made = rewriter.op("DequantizeLinear", *parts, what=f"{what}/dequantize")
    node.replace_input_with(index, made)
