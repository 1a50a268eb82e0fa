"""Conv, ConvTranspose, Gemm and MatMul: sums of products, requantised."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators import Conv2d, Conv2dTranspose, Matmul, OperatorError
from vta.sw.operators.product import TERMS, Product, terms_of
from vta.sw.operators.scales import Requantization, requantization
from vta.sw.relax.graph import attribute, only_use, shape_of
from vta.sw.relax.match.cluster import Match, Placed, Result, Viewed, covered, result_of
from vta.sw.relax.match.values import NotOnVta, Quantity, Weights, bias_of, quantity, weights

__all__ = ["PRODUCTS", "packed", "product", "with_residual"]

SPATIAL = ("height", "width")
SIDES = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Operands:
    """Of a product: its data, constant weights by output channel, and bias."""

    data: Quantity
    weights: Weights
    bias: ir.Value | None


def _conv(node: ir.Node) -> tuple[Operands, Product]:
    """Conv of rank 4, by groups too."""
    data, given, bias = (*node.inputs, None)[:3]
    found = Operands(quantity(data), weights(given), bias)
    _check_rank(found.data, 4)
    _check_axis(found.weights, 0)
    images, channels, height, width = found.data.shape
    operator = Conv2d(
        images=images,
        height=height,
        width=width,
        channels=channels,
        outputs=len(found.weights.array),
        groups=attribute(node, "group", 1),
        **_window(node, found.weights.array.shape[2:]),
    )
    return found, operator


def _conv_transpose(node: ir.Node) -> tuple[Operands, Product]:
    """ConvTranspose of rank 4, by groups too."""
    data, given, bias = (*node.inputs, None)[:3]
    found = Operands(quantity(data), weights(given), bias)
    _check_rank(found.data, 4)
    _check_axis(found.weights, 1)
    groups, scales = attribute(node, "group", 1), found.weights.scales
    if scales.size > 1:  # each group's outputs have the same ones
        found = replace(found, weights=replace(found.weights, scales=np.tile(scales, groups)))
    images, channels, height, width = found.data.shape
    further = attribute(node, "output_padding", (0, 0))
    operator = Conv2dTranspose(
        images=images,
        height=height,
        width=width,
        channels=channels,
        outputs=found.weights.array.shape[1] * groups,
        groups=groups,
        **{f"output_padding_{n}": value for n, value in zip(SPATIAL, further, strict=True)},
        **_window(node, found.weights.array.shape[2:]),
    )
    return found, operator


def _dense(node: ir.Node) -> tuple[Operands, Product]:
    """Gemm and MatMul with constant weights; the rows are all axes of the data but the last."""
    data, given, bias = (*node.inputs, None)[:3]
    found = Operands(quantity(data), weights(given), bias)
    array = found.weights.array
    if array.ndim != 2:
        raise NotOnVta(
            f"its weights have {array.ndim} axes; a matrix product on VTA has 2: one "
            "node for each matrix"
        )
    turned = bool(attribute(node, "transB", 0))
    _check_axis(found.weights, 0 if turned else 1)
    if not turned:
        found = replace(found, weights=replace(found.weights, array=array.T.copy()))
    *rows, inner = found.data.shape
    columns = len(found.weights.array)
    operator = Matmul(rows=int(np.prod(rows, dtype=int)), inner=inner, columns=columns)
    return found, operator


def _check_rank(data: Quantity, rank: int) -> None:
    if len(data.shape) != rank:
        raise NotOnVta(
            f"its data has {len(data.shape)} axes; VTA's has {rank}: (images, channels, rows, "
            "columns): leave an axis of one place out"
        )


def _check_axis(given: Weights, axis: int) -> None:
    if given.axis not in (None, axis):
        raise NotOnVta(
            f"its weights have scales along axis {given.axis}; on VTA they may differ by output "
            f"channel (axis {axis}): quantise them so"
        )


def _window(node: ir.Node, kernel: tuple[int, ...]) -> dict[str, int]:
    """Kernel, strides, dilations and pads as the operators have them."""
    found: dict[str, int] = {}
    for name, values in (
        ("kernel", kernel),
        ("stride", attribute(node, "strides", (1, 1))),
        ("dilation", attribute(node, "dilations", (1, 1))),
    ):
        found |= {f"{name}_{n}": int(v) for n, v in zip(SPATIAL, values, strict=True)}
    pads = attribute(node, "pads", (0, 0, 0, 0))
    return found | {f"pad_{side}": pad for side, pad in zip(SIDES, pads, strict=True)}


PRODUCTS: dict[str, Callable[[ir.Node], tuple[Operands, Product]]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _dense,
    "MatMul": _dense,
}


def product(node: ir.Node, config: Config) -> Match:
    """Conv, ConvTranspose, Gemm or MatMul with constant weights."""
    return _match(node, result_of(node), None, node)


def packed(found: Mapping[str, Match], config: Config) -> dict[str, Match]:
    """The matches; convolutions of few channels whose data no match makes take it by windows.

    The host packs these, so that no block is nearly empty, where the bound says that it is less.
    """
    return {name: _by_windows(match, found, config) for name, match in found.items()}


def _by_windows(match: Match, found: Mapping[str, Match], config: Config) -> Match:
    (part, *others) = match.parts
    if others or not isinstance(part, Placed):
        return match
    data, views = match.inputs[0], ()
    while (before := found.get(data.name)) is not None:
        if not all(isinstance(each, Viewed) for each in before.parts):
            return match
        data, views = before.inputs[0], (*before.nodes, *views)
    operator = part.operator
    if type(operator) is not Conv2d or operator.groups > 1 or operator.residual:
        return match
    if operator.channels >= config.block:
        return match
    tried = [match]
    for rows in range(1, operator.kernel_height + 1):
        with suppress(OperatorError):  # such windows end before the data does
            result = result_of(match.node)
            made = _match(match.node, result, None, match.node, im2col_rows=rows)
            tried.append(_of(made, data, views))
    return min(tried, key=lambda each: _bound(each, config))


def _of(match: Match, data: Quantity, views: tuple[ir.Node, ...]) -> Match:
    """A match of other data: these numbers in another shape, by nodes that only give it."""
    (placed,) = match.parts
    assert isinstance(placed, Placed)
    tensors = {**placed.tensors, "data": data.name}
    nodes = tuple(dict.fromkeys((*views, *match.nodes)))
    parts = (replace(placed, tensors=tensors),)
    return replace(match, inputs=(data, *match.inputs[1:]), nodes=nodes, parts=parts)


def _bound(match: Match, config: Config) -> tuple[int, int]:
    (placed,) = match.parts
    assert isinstance(placed, Placed)
    demand = placed.operator.demand(config)
    return demand["bound"], demand["reads"]


def with_residual(node: ir.Node, config: Config) -> Match | None:
    """Add of a product's float result and an 8-bit tensor, rounded once; None where it is none."""
    for n, value in enumerate(node.inputs):
        maker = value.producer() if value is not None else None
        if value is None or maker is None or maker.domain or maker.op_type not in PRODUCTS:
            continue
        if only_use(value) is node:
            return _match(maker, result_of(node), quantity(node.inputs[1 - n]), node)
    return None


def _match(
    node: ir.Node,
    result: Result,
    residual: Quantity | None,
    last: ir.Node,
    im2col_rows: int | None = None,
) -> Match:
    """The operator of a product, and of an Add, `last`, behind it."""
    found, operator = PRODUCTS[node.op_type](node)
    if isinstance(operator, Conv2d) and im2col_rows is not None:
        zero = found.data.meaning.zero
        rows = None if im2col_rows == operator.kernel_height else im2col_rows
        operator = replace(operator, im2col=True, im2col_rows=rows, pad_value=zero)
    array = found.weights.array
    inputs, tensors = [found.data], {"data": found.data.name, "out": result.quantity.name}
    if residual is not None:
        if residual.shape != shape_of(last.outputs[0]):
            raise NotOnVta(
                f"{list(residual.shape)} is added to {list(shape_of(last.outputs[0]))} before it "
                "is quantised; VTA adds a tensor of the same shape"
            )
        inputs.append(residual)
        tensors["residual"] = residual.name
    made = _requantization(found, operator, array, result, residual)
    dead = [n for n, channel in enumerate(made.channels) if channel.constant is not None]
    if dead and residual is None and not isinstance(operator, Conv2dTranspose):
        array = array.copy()
        array[dead] = 0  # whose results are alike: without products their sums are, too
        made = _requantization(found, operator, array, result, residual)
    terms = terms_of(array)
    whole = replace(
        operator,
        steps=made.steps,
        residual=residual is not None,
        residual_factor=made.residual_factor,
        terms=terms.shape[TERMS] if found.weights.wide else 1,
    )
    fillers = whole.epilogue.filling(result.meaning.zero, residual.meaning.zero if residual else 0)
    constants = {"weight": terms, **made.operands}
    placed = Placed(node.name or "", whole, tensors, constants, fillers)
    nodes = covered(node, node.inputs, result)
    if last is not node:
        nodes = (*nodes, *covered(last, last.inputs, result))
    unique = tuple(dict.fromkeys(nodes))
    note = _note(found.weights, whole.terms) if found.weights.wide else ""
    return Match(node, unique, tuple(inputs), result.quantity, (placed,), note=note)


def _requantization(
    found: Operands, operator: Product, array: np.ndarray, result: Result, residual: Quantity | None
) -> Requantization:
    """Steps for weights, which may be others than the file's."""
    data, scales = found.data.meaning, found.weights.scales
    weight = operator.by_output(array) if isinstance(operator, Conv2dTranspose) else array
    return requantization(
        data=data,
        weight_scale=scales,
        out=result.meaning,
        weight=weight,
        bias=bias_of(found.bias, scales * data.scale, len(weight)),
        edges=operator.edges,
        residual=residual.meaning if residual else None,
        **result.limits,
    )


def _note(weights: Weights, terms: int) -> str:
    least, most = weights.ends
    return (
        f"its weights reach from {least} to {most} without their zero point; VTA multiplies -128 "
        f"to 127, so it does {terms} products: quantise the weights symmetrically to save them"
    )
