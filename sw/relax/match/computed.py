"""MatMul and Gemm of two tensors that are both computed at run time, as attention has them."""

import numpy as np
import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators import BatchMatmul
from vta.sw.relax.graph import attribute, constant, shape_of
from vta.sw.relax.match.cluster import Match, Placed, covered, result_of
from vta.sw.relax.match.values import BYTES, NotOnVta, Quantity, quantity

__all__ = ["computed"]


def computed(node: ir.Node, config: Config) -> Match | None:
    """The product of two computed tensors; None where one is a constant."""
    left, right, bias = (*node.inputs, None)[:3]
    if _constant(left) or _constant(right):
        return None
    a, given = quantity(left), quantity(right)
    if bias is not None:
        raise NotOnVta(
            "it has a bias beside two operands that are computed as the network runs; on VTA only "
            "a product with constant weights has one: write it as MatMul and Add"
        )
    b, turned, between = _untransposed(given)
    if attribute(node, "transB", 0):
        turned = not turned
    shapes = [shape_of(value) for value in node.inputs[:2] if value is not None]
    count, rows = _matrices(*shapes)
    inner, columns = a.shape[-1], shape_of(node.outputs[0])[-1]
    result = result_of(node)
    operator, operands = BatchMatmul.of_scales(
        a.meaning,
        b.meaning,
        result.meaning,
        count=count,
        rows=rows,
        inner=inner,
        columns=columns,
        transpose_b=turned,
        **result.limits,
    )
    tensors = {"a": a.name, "b": b.name, "out": result.quantity.name}
    placed = Placed(node.name or "", operator, tensors, operands)
    nodes = (*between, *covered(node, node.inputs, result))
    return Match(node, nodes, (a, b), result.quantity, (placed,))


def _constant(value: ir.Value | None) -> bool:
    node = value.producer() if value is not None else None
    if node is not None and node.op_type == "DequantizeLinear":
        value = node.inputs[0]
    return constant(value) is not None


def _untransposed(given: Quantity) -> tuple[Quantity, bool, tuple[ir.Node, ...]]:
    """What a Transpose of the last two axes makes the numbers of, whether it does, and it.

    A matrix of one row or column may be transposed by a Reshape.
    """
    node = given.value.producer()
    source = node.inputs[0] if node is not None else None
    if node is None or node.domain or source is None or source.dtype not in BYTES:
        return given, False, ()
    shape = shape_of(source)
    if len(shape) < 2:
        return given, False, ()
    rank, (*lead, x, y) = len(given.shape), shape
    order = list(attribute(node, "perm", tuple(reversed(range(rank)))))
    turns = node.op_type == "Transpose" and order == [*range(rank - 2), rank - 1, rank - 2]
    alike = node.op_type == "Reshape" and given.shape == (*lead, y, x) and 1 in (x, y)
    return (Quantity(source, given.scale), True, (node,)) if turns or alike else (given, False, ())


def _matrices(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int]:
    """How many products, and rows of each."""
    if min(len(a), len(b)) < 2:
        raise NotOnVta(
            f"its operands are {list(a)} and {list(b)}; VTA multiplies matrices: give a vector a "
            "second axis of 1"
        )
    many, others = (int(np.prod(shape[:-2], dtype=int)) for shape in (a, b))
    if others == 1:
        return 1, many * a[-2]
    aligned = [(1,) * max(0, len(y) - len(x)) + x[:-2] for x, y in ((a, b), (b, a))]
    if aligned[0] != aligned[1]:
        raise NotOnVta(
            f"its operands are {list(a)} and {list(b)}: VTA takes as many matrices of both, or one "
            "of the second: expand the other one"
        )
    return many, a[-2]
