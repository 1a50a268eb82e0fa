"""A maximum pool that only follows a convolution: the sums are pooled, before they are requantised.

What requantises keeps the order of numbers, so that both orders give the same.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from vta.hw.errors import VtaError
from vta.sw.operators import Conv2d, Conv2dMaxPool, MaxPool
from vta.sw.relax.match.cluster import Match, Placed

__all__ = ["fuse"]

T = TypeVar("T")


def fuse(found: Mapping[str, Match]) -> dict[str, Match]:
    """The matches, with pools in the convolutions before them where nothing else reads these."""
    return {name: _fused(match, found) for name, match in found.items()}


def _fused(pool: Match, found: Mapping[str, Match]) -> Match:
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


def _only_reader(match: Match, pool: Match) -> bool:
    """Does nobody but the pool see the convolution's result, also dequantised?"""
    values = [match.output.value]
    for value in values:
        readers = {use.node for use in value.uses()}
        if value.is_graph_output() or not readers <= set(pool.nodes):
            return False
        values += [n.outputs[0] for n in readers if n.op_type == "DequantizeLinear"]
    return True


def _square(window: MaxPool) -> bool:
    return window.stride_height == window.stride_width and (
        window.dilation_height,
        window.dilation_width,
    ) == (1, 1)
