"""Which values are matrices, row by row in DRAM, whatever their rank: those of matrix products."""

import onnx_ir as ir

from vta.sw.relax.graph import shape_of

__all__ = ["RESHAPES", "lies_by_rows"]

PRODUCTS = ("MatMul", "Gemm")
RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
SAME = ("QuantizeLinear", "DequantizeLinear", "Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish")
SAME += ("HardSigmoid", "Add", "Sub", "Mul", "Min", "Max")
"""Whose result lies as its operands do."""


def lies_by_rows(value: ir.Value | None) -> bool:
    """Is a value a product of matrices, or made of one number by number?"""
    waiting, seen = [value], set[ir.Node]()
    while waiting:
        found = waiting.pop()
        node = found.producer() if found is not None else None
        if found is None or node is None or node.domain or node in seen:
            continue
        seen.add(node)
        if node.op_type in PRODUCTS:
            return True
        shape = shape_of(found)
        if node.op_type in SAME:
            waiting += [v for v in node.inputs if v is not None and _shape(v) == shape]
        elif node.op_type in RESHAPES and (_shape(node.inputs[0]) or (0,))[-1:] == shape[-1:]:
            waiting.append(node.inputs[0])
    return False


def _shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """None where it is not known, as nobody asks."""
    known = value is not None and value.shape is not None and value.shape.is_static()
    return shape_of(value) if value is not None and known else None
