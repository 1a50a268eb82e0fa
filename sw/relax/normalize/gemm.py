"""Gemm without factors and without a transposed first operand."""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, shape_of
from vta.sw.relax.normalize.weights import channel_vector, is_weight

__all__ = ["spell_gemms"]


def spell_gemms(model: ir.Model) -> ir.Model:
    """Gemm with alpha = beta = 1, transA = 0, transB there, a bias as a vector where it is one."""
    for node in model.graph:
        if is_op(node, "Gemm"):
            _spell(node)
    return model


def _spell(node: ir.Node) -> None:
    a, b, *rest = node.inputs
    assert a is not None and b is not None
    rewriter = Rewriter(node)
    if attribute(node, "transA", 0):
        a = rewriter.op("Transpose", a, what="a", attributes={"perm": [1, 0]})
    b = _times(rewriter, b, attribute(node, "alpha", 1.0), "b")
    operands = [a, b]
    if rest and rest[0] is not None:
        c = _times(rewriter, rest[0], attribute(node, "beta", 1.0), "c")
        operands.append(_vector(rewriter, c))
    node.resize_inputs(len(operands))
    for place, value in enumerate(operands):
        node.replace_input_with(place, value)
    transposed = int(attribute(node, "transB", 0))
    for name, value in (("transA", 0), ("transB", transposed)):
        node.attributes[name] = ir.AttrInt64(name, value)
    for name in ("alpha", "beta"):
        node.attributes[name] = ir.AttrFloat32(name, 1.0)


def _times(rewriter: Rewriter, value: ir.Value, factor: float, what: str) -> ir.Value:
    """A factor: into a float constant, into the scale of a quantised one, or a Mul."""
    if factor == 1.0:
        return value
    known, maker = constant(value), value.producer()
    if known is not None:
        return rewriter.constant(what, known * known.dtype.type(factor))
    if is_weight(value) and maker is not None and factor > 0:
        data, scale, zero = maker.inputs[:3]
        have = constant(scale)
        assert have is not None
        more = rewriter.constant(f"{what}_scale", have * np.float32(factor))
        axis = {"axis": attribute(maker, "axis")}
        return rewriter.op("DequantizeLinear", data, more, zero, what=what, attributes=axis)
    assert value.dtype is not None
    number = rewriter.constant(f"{what}_factor", np.array(factor, value.dtype.numpy()))
    return rewriter.op("Mul", value, number, what=what)


def _vector(rewriter: Rewriter, c: ir.Value) -> ir.Value:
    """A constant that is the same for each row: one number for each column."""
    known, shape = constant(c), shape_of(rewriter.node.outputs[0])
    vector = None if known is None else channel_vector(known, shape)
    if known is None or vector is None or vector.shape == known.shape:
        return c
    return rewriter.constant("bias", vector)
