"""What follows a product and is its only reader becomes part of it.

- A maximum pool behind a convolution: the sums are pooled, before they are requantised. What
  requantises keeps the order of numbers, so that both orders give the same.
- An Add of a product's 8-bit result and another tensor: its multiplications, shift and clip are
  further steps of the product, with the other tensor as residual. The product's own result is
  rounded and clipped before, as the graph says; it only never leaves the accumulators.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from vta.hw.errors import VtaError
from vta.sw.operators import Conv2d, Conv2dMaxPool, Matmul, MaxPool
from vta.sw.operators.product import Product
from vta.sw.operators.quantized import QuantizedAdd
from vta.sw.relax.match.cluster import Match, Placed

__all__ = ["fuse"]

OPERANDS = ("a", "b")
SUM = "sum"  # the operand of an addition's own constant

T = TypeVar("T")


def fuse(found: Mapping[str, Match]) -> dict[str, Match]:
    """The matches, joined with products where nothing else reads these."""
    return {name: _added(_pooled(match, found), found) for name, match in found.items()}


def _added(match: Match, found: Mapping[str, Match]) -> Match:
    addition = _operator(match, QuantizedAdd)
    if addition is None or addition.broadcast != "none" or len(match.inputs) != len(OPERANDS):
        return match
    factors = (addition.a_multiplier, addition.b_multiplier)
    products = []
    for n, (own, other) in enumerate(((0, 1), (1, 0))):
        before = found.get(match.inputs[own].name)
        product = before and (_operator(before, Conv2d) or _operator(before, Matmul))
        if before is None or not product or product.residual or product.planes:
            continue
        if _only_reader(before, match) and 0 < factors[other]:
            products.append((product.depth, -n, before, product, own))
    if not products or match.inputs[0].shape != match.inputs[1].shape:
        return match
    _, _, before, product, own = max(products)
    return _with_addition(before, product, match, addition, own)


def _with_addition(
    before: Match, product: Product, match: Match, addition: QuantizedAdd, own: int
) -> Match:
    """The product whose result is operand number `own` of an addition."""
    factors = (addition.a_multiplier, addition.b_multiplier)
    (part,), (added,) = before.parts, match.parts
    assert isinstance(part, Placed) and isinstance(added, Placed)
    steps = [product.steps or "", f"mul {factors[own]}", "add residual", f"add {SUM}"]
    steps += [f"shr {addition.shift}", f"max {addition.low}", f"min {addition.high}"]
    try:
        operator = replace(
            product, steps=", ".join(steps), residual=True, residual_factor=factors[1 - own]
        )
    except VtaError:
        return match
    tensors = {
        **part.tensors,
        "residual": added.tensors[OPERANDS[1 - own]],
        "out": match.output.name,
    }
    outputs = len(next(v for name, v in part.constants.items() if name != "weight"))
    constants = {**part.constants, SUM: np.full(outputs, addition.addend, np.int32)}
    zeros = match.output.meaning.zero, match.inputs[1 - own].meaning.zero
    placed = replace(
        part,
        operator=operator,
        tensors=tensors,
        constants=constants,
        fillers=operator.epilogue.filling(*zeros),
    )
    nodes = tuple(dict.fromkeys((*before.nodes, *match.nodes)))
    inputs = (*before.inputs, match.inputs[1 - own])
    return Match(
        before.node, nodes, inputs, match.output, (placed,), otherwise=match, note=before.note
    )


def _pooled(pool: Match, found: Mapping[str, Match]) -> Match:
    window = _operator(pool, MaxPool)
    before = found.get(pool.inputs[0].name)
    if window is None or before is None:
        return pool
    convolution = _operator(before, Conv2d)
    if convolution is None or not _only_reader(before, pool) or not _square(window):
        return pool
    try:
        operator = Conv2dMaxPool(
            **{field.name: getattr(convolution, field.name) for field in fields(convolution)},
            pool_height=window.kernel_height,
            pool_width=window.kernel_width,
            pool_stride=window.stride_height,
            pool_pad_top=window.pad_top,
            pool_pad_bottom=window.pad_bottom,
            pool_pad_left=window.pad_left,
            pool_pad_right=window.pad_right,
            pool_ceil=window.ceil_mode,
        )
    except VtaError:
        return pool
    (part,) = before.parts
    assert isinstance(part, Placed)
    placed = replace(part, operator=operator, tensors={**part.tensors, "out": pool.output.name})
    nodes = (*before.nodes, *pool.nodes)
    return Match(before.node, nodes, before.inputs, pool.output, (placed,), otherwise=pool)


def _operator(match: Match, kind: type[T]) -> T | None:
    """The match's one operator, where it is of this kind and no other."""
    (first, *others) = match.parts
    own = first.operator if isinstance(first, Placed) else None
    return own if not others and type(own) is kind else None


def _only_reader(match: Match, reader: Match) -> bool:
    """Does nobody but the reader see the result, also dequantised?"""
    values = [match.output.value]
    for value in values:
        readers = {use.node for use in value.uses()}
        if value.is_graph_output() or not readers <= set(reader.nodes):
            return False
        values += [n.outputs[0] for n in readers if n.op_type == "DequantizeLinear"]
    return True


def _square(window: MaxPool) -> bool:
    return window.stride_height == window.stride_width and (
        window.dilation_height,
        window.dilation_width,
    ) == (1, 1)
