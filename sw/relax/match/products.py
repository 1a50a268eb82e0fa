"""Conv, ConvTranspose, Gemm and MatMul: sums of products, requantised."""

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators import Conv2d, Conv2dTranspose, Matmul
from vta.sw.operators.product import Product
from vta.sw.operators.scales import requantization
from vta.sw.relax.graph import attribute
from vta.sw.relax.match.cluster import Match, Placed, Result, covered, result_of
from vta.sw.relax.match.values import NotOnVta, Quantity, Weights, bias_of, quantity, weights

__all__ = ["conv", "conv_transpose", "dense"]

SPATIAL = ("height", "width")
SIDES = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Operands:
    """Of a product: its data, constant weights by output channel, and bias."""

    data: Quantity
    weights: Weights
    bias: ir.Value | None


def conv(node: ir.Node, config: Config) -> Match:
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
    return _product(node, found, operator, result_of(node), config)


def conv_transpose(node: ir.Node, config: Config) -> Match:
    """ConvTranspose of rank 4 without groups."""
    data, given, bias = (*node.inputs, None)[:3]
    found = Operands(quantity(data), weights(given), bias)
    _check_rank(found.data, 4)
    _check_axis(found.weights, 1)
    if attribute(node, "group", 1) != 1:
        raise NotOnVta(
            f"group is {attribute(node, 'group', 1)}; a transposed convolution on VTA has one group"
        )
    images, channels, height, width = found.data.shape
    further = attribute(node, "output_padding", (0, 0))
    operator = Conv2dTranspose(
        images=images,
        height=height,
        width=width,
        channels=channels,
        outputs=found.weights.array.shape[1],
        **{f"output_padding_{n}": value for n, value in zip(SPATIAL, further, strict=True)},
        **_window(node, found.weights.array.shape[2:]),
    )
    return _product(node, found, operator, result_of(node), config)


def dense(node: ir.Node, config: Config) -> Match:
    """Gemm and MatMul with constant weights; the rows are all axes of the data but the last."""
    data, given, bias = (*node.inputs, None)[:3]
    found = Operands(quantity(data), weights(given), bias)
    array = found.weights.array
    if array.ndim != 2:
        raise NotOnVta(f"its weights have {array.ndim} axes; a matrix product on VTA has 2")
    turned = bool(attribute(node, "transB", 0))
    _check_axis(found.weights, 0 if turned else 1)
    if not turned:
        found = replace(found, weights=replace(found.weights, array=array.T.copy()))
    *rows, inner = found.data.shape
    columns = len(found.weights.array)
    operator = Matmul(rows=int(np.prod(rows, dtype=int)), inner=inner, columns=columns)
    return _product(node, found, operator, result_of(node), config)


def _check_rank(data: Quantity, rank: int) -> None:
    if len(data.shape) != rank:
        raise NotOnVta(
            f"its data has {len(data.shape)} axes; VTA's has {rank}: (images, channels, rows, "
            "columns)"
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


def _product(
    node: ir.Node, found: Operands, operator: Product, result: Result, config: Config
) -> Match:
    given = found.weights
    array = given.array
    if isinstance(operator, Conv2dTranspose):
        if found.data.meaning.zero:
            raise NotOnVta(
                f"its data's zero point is {found.data.meaning.zero_point}; a transposed "
                "convolution on VTA needs one that stands for 0 (int8: 0, uint8: 128): quantise "
                "its data symmetrically"
            )
        by_output = array.swapaxes(0, 1)
    else:
        by_output = array
    units = given.scales * found.data.meaning.scale
    made = requantization(
        data=found.data.meaning,
        weight_scale=given.scales,
        out=result.meaning,
        weight=by_output,
        bias=bias_of(found.bias, units, len(by_output)),
        edges=operator.edges if isinstance(operator, Conv2d) else None,
        **result.limits,
    )
    whole = replace(operator, steps=made.steps)
    constants = {"weight": array, **made.operands}
    placed = Placed(
        node.name or "", whole, {"data": found.data.name, "out": result.quantity.name}, constants
    )
    nodes = covered(node, node.inputs, result)
    return Match(node, nodes, (found.data,), result.quantity, (placed,))
