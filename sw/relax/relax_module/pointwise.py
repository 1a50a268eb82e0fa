"""Operators that compute each number by itself, or with the one at its place; softmax."""

from functools import partial
from typing import Any

import numpy as np

from vta.sw.relax.relax_module.builder import Builder, Held, Table

__all__ = ["POINTWISE"]


def _one(kind: str, b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data)
    return Held(b.emit(kind, data.value), data.order)


def _two(kind: str, b: Builder) -> Held:
    each = [b.tensor(0), b.tensor(1)]
    b.floats(*each)
    values, order = b.aligned(each)
    return Held(b.emit(kind, *values), order)


def _clip(b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data)
    low, high = (float(b.resolve(b.call.args[k], "limit")) for k in (1, 2))
    if not low <= high:
        raise b.error(f"its limits {low} and {high} are not in order")
    return Held(b.clipped(data.value, low, high), data.order)


def _leakyrelu(b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data)
    attributes = {"alpha": float(b.attribute("alpha"))}
    return Held(b.emit("LeakyRelu", data.value, attributes=attributes), data.order)


def _prelu(b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data, b.tensor(1, "slope"))
    slope = b.array(1, "slope")
    shape = [1] * data.rank
    shape[data.axis(b.attribute("axis"))] = slope.size
    made = b.emit("PRelu", data.value, b.constant("slopes", slope.reshape(shape)))
    return Held(made, data.order)


def _silu(b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data)
    gate = b.emit("Sigmoid", data.value, what="sigmoid")
    return Held(b.emit("Mul", data.value, gate), data.order)


def _softmax(kind: str, b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data)
    attributes = {"axis": data.axis(b.attribute("axis"))}
    return Held(b.emit(kind, data.value, attributes=attributes), data.order)


def _batch_norm(b: Builder) -> list[Any]:
    """Of moving mean and variance, which its other results are."""
    names = ("data", "gamma", "beta", "mean", "variance")
    data, gamma, beta, mean, variance = (b.tensor(k, name) for k, name in enumerate(names))
    b.floats(data, gamma, beta, mean, variance)
    if b.attribute("training"):
        raise b.error("it is in training: make it with training=False")
    axis = b.attribute("axis") % data.rank
    order = data.order
    if order[1:2] != (axis,):
        order = (0, axis, *(n for n in range(1, data.rank) if n != axis))
    ones = np.ones(gamma.shape, np.float32)
    scale = gamma.value if b.attribute("scale") else b.constant("ones", ones)
    offset = beta.value if b.attribute("center") else b.constant("zeros", 0 * ones)
    operands = b.ordered(data, order), scale, offset, mean.value, variance.value
    attributes = {"epsilon": float(b.attribute("epsilon"))}
    return [
        Held(b.emit("BatchNormalization", *operands, attributes=attributes), order),
        mean,
        variance,
    ]


def _astype(b: Builder) -> Held:
    data, to = b.tensor(0, "data"), str(b.attribute("dtype"))
    if to != "float32":
        raise b.error(f"to {to} is not read, to float32 is: round by relax.quantize")
    return Held(b.emit("Cast", data.value, attributes={"to": 1}), data.order)


def _quantizer(b: Builder, kind: str, integer: str) -> Held:
    """QuantizeLinear and DequantizeLinear. integer: the quantised type."""
    data, scale, zero = b.tensor(0, "data"), b.array(1, "scale"), b.array(2, "zero_point")
    if integer not in ("int8", "uint8", "int32"):
        raise b.error(f"its integers are {integer}; read are int8 and uint8, and int32 of biases")
    if scale.dtype != np.float32:
        raise b.error(f"its scale is {scale.dtype}; it must be float32")
    held = zero.astype(integer)
    if not np.array_equal(held, zero) or (integer == "int32" and held.any()):
        raise b.error(f"{integer} does not take its zero point (int32 only 0)")
    attributes: dict[str, Any] = {}
    size = max(scale.size, held.size)
    shape: tuple[int, ...] = ()
    if size > 1:
        axis = data.axis(b.attribute("axis"))
        attributes["axis"], shape = axis, (size,)
    operands = (
        b.constant(name, np.broadcast_to(array.reshape(-1) if shape else array.reshape(()), shape))
        for name, array in (("scale", scale), ("zero_point", held))
    )
    return Held(b.emit(kind, data.value, *operands, attributes=attributes), data.order)


def _quantize(b: Builder) -> Held:
    b.floats(b.tensor(0, "data"))
    return _quantizer(b, "QuantizeLinear", str(b.attribute("out_dtype")))


def _dequantize(b: Builder) -> Held:
    b.same_type()
    dtype = b.tensor(0, "data").value.dtype
    return _quantizer(b, "DequantizeLinear", str(dtype.numpy()) if dtype else "")


ONES = {"nn.relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log"}
ONES |= {"sqrt": "Sqrt", "abs": "Abs", "negative": "Neg", "erf": "Erf", "floor": "Floor"}
ONES |= {"ceil": "Ceil"}
TWOS = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow"}
TWOS |= {"maximum": "Max", "minimum": "Min"}

POINTWISE: Table = {
    **{f"relax.{name}": partial(_one, kind) for name, kind in ONES.items()},
    **{f"relax.{name}": partial(_two, kind) for name, kind in TWOS.items()},
    "relax.clip": _clip,
    "relax.nn.leakyrelu": _leakyrelu,
    "relax.nn.prelu": _prelu,
    "relax.nn.silu": _silu,
    "relax.nn.softmax": partial(_softmax, "Softmax"),
    "relax.nn.log_softmax": partial(_softmax, "LogSoftmax"),
    "relax.nn.batch_norm": _batch_norm,
    "relax.astype": _astype,
    "relax.quantize": _quantize,
    "relax.dequantize": _dequantize,
}
