"""Element-wise operators, activations, and changes of type and scale."""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.tflite.builder import Builder

__all__ = ["BINARY", "CLIPS", "UNARY", "binary", "cast", "clip", "dequantize", "leaky_relu"]
__all__ += ["prelu", "quantize", "reciprocal_root", "square", "squared_difference", "unary"]

BINARY = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div"}
BINARY |= {"MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow"}
UNARY = {"RELU": "Relu", "LOGISTIC": "Sigmoid", "TANH": "Tanh", "HARD_SWISH": "HardSwish"}
UNARY |= {"ABS": "Abs", "NEG": "Neg", "EXP": "Exp", "LOG": "Log", "SQRT": "Sqrt", "ELU": "Elu"}
UNARY |= {"FLOOR": "Floor", "CEIL": "Ceil", "SIN": "Sin", "COS": "Cos", "ROUND": "Round"}
CLIPS = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}


def _pair(b: Builder) -> list[ir.Value]:
    """Both operands, of one rank unless one is a scalar: ranks are broadcast by axes in front."""
    shapes = [b.shape(0), b.shape(1)]
    rank = max(map(len, shapes))
    return [b.real(k, rank if shapes[k] else None) for k in (0, 1)]


def binary(b: Builder) -> None:
    """An operator of two tensors that are broadcast, with its fused activation."""
    b.done(b.activated(b.emit(BINARY[b.op.kind], *_pair(b))))


def squared_difference(b: Builder) -> None:
    """SQUARED_DIFFERENCE: (a - b) * (a - b)."""
    value = b.emit("Sub", *_pair(b), what="difference")
    b.done(b.emit("Mul", value, value))


def unary(b: Builder) -> None:
    """An operator of one tensor without attributes."""
    b.done(b.emit(UNARY[b.op.kind], b.real(0)))


def clip(b: Builder) -> None:
    """RELU6 and its like."""
    b.done(b.clipped(b.real(0), *CLIPS[b.op.kind]))


def square(b: Builder) -> None:
    """SQUARE."""
    value = b.real(0)
    b.done(b.emit("Mul", value, value))


def reciprocal_root(b: Builder) -> None:
    """RSQRT."""
    b.done(b.emit("Reciprocal", b.emit("Sqrt", b.real(0), what="root")))


def leaky_relu(b: Builder) -> None:
    """LEAKY_RELU."""
    b.done(b.emit("LeakyRelu", b.real(0), attributes={"alpha": b.option("Alpha", 0.0)}))


def prelu(b: Builder) -> None:
    """PRELU: slopes are broadcast, one a channel as a rule."""
    b.done(b.emit("PRelu", *_pair(b)))


def quantize(b: Builder) -> None:
    """QUANTIZE: from floats, or from another scale."""
    b.done(b.real(0))


def dequantize(b: Builder) -> None:
    """DEQUANTIZE: of int8, or of constants that are stored as float16."""
    info = b.info(0)
    if info.type != "FLOAT16":
        return b.done(b.real(0))
    value = b.value(0)
    if value.const_value is None:
        return b.done(b.emit("Cast", value, attributes={"to": ir.DataType.FLOAT}))
    array = value.const_value.numpy().astype(np.float32)
    b.done(b.constant("float32", array))


def cast(b: Builder) -> None:
    """CAST, to the type of the result."""
    to = ir.DataType.from_numpy(np.dtype(b.result().dtype))
    b.done(b.emit("Cast", b.value(0), attributes={"to": to}), raw=True)
