"""Data of transposed convolutions with a zero point that stands for 0, as VTA needs them.

onnxruntime's quantiser gives what comes from a Relu all 256 numbers, the least one for 0, and drops
the Relu. Here such data have the middle number for 0 and twice the scale: a bit less, but on VTA.
"""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.graph import Rewriter, constant, is_op

__all__ = ["symmetric_data"]

SAME = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Slice")
"""They have one scale before and behind them."""
ENDS = {ir.DataType.INT8: (-128, 0, 127), ir.DataType.UINT8: (0, 128, 255)}
"""Least number, the one that stands for 0, largest number."""


def symmetric_data(model: ir.Model) -> ir.Model:
    """The same network, quantised, in normal form; it is changed in place."""
    for node in list(model.graph):
        if is_op(node, "ConvTranspose"):
            _change(node.inputs[0])
    return model


def _change(value: ir.Value | None) -> None:
    """Give the numbers behind a DequantizeLinear another scale, and what they come from, too."""
    dequantize = None if value is None else value.producer()
    number = dequantize.inputs[0] if is_op(dequantize, "DequantizeLinear") else None
    quantize = None if number is None else number.producer()
    if number is None or number.dtype not in ENDS or not is_op(quantize, "QuantizeLinear"):
        return
    scale, zero = (constant(each) for each in quantize.inputs[1:3])
    least, middle, most = ENDS[number.dtype]
    if scale is None or zero is None or scale.size != 1 or zero.item() == middle:
        return
    low, high = ((end - int(zero)) * float(scale) for end in (least, most))
    before = quantize.inputs[0]
    moved = None if before is None else before.producer()
    if is_op(moved, *SAME):
        _change(moved.inputs[0])
    elif low == 0:  # it clipped, as a Relu does
        quantize.replace_input_with(0, Rewriter(quantize).op("Relu", before, what="relu"))
    rewriter = Rewriter(quantize)
    own = (
        rewriter.constant("scale", np.array(max(-low, high) / 127, np.float32)),
        rewriter.constant("zero", np.array(middle, zero.dtype)),
    )
    for node in (quantize, *(use.node for use in number.uses())):
        if is_op(node, "QuantizeLinear", "DequantizeLinear"):
            for place, constant_value in enumerate(own, 1):
                node.replace_input_with(place, constant_value)
