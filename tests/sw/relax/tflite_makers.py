"""Makers of TFLite files with one operator: data "x" of int8 or float, constants, results "y"."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.sw.relax.tflite_writer import TfliteFile

Case = Callable[[], bytes]
X, W, Y = 0.043, 0.011, 0.057  # scales: of data, weights, results
NONE, RELU, N1, RELU6 = 0, 1, 2, 3
SAME, VALID = 0, 1
FLOAT = "float32"


class _Net:
    """A file with the data "x" of int8 or float; results "y"."""

    def __init__(self, shape: Sequence[int], dtype: str = "int8", zero: int = -7) -> None:
        self.file, self.dtype = TfliteFile(), dtype
        self.rng = np.random.default_rng(list(shape))
        self.inputs = [self.quantized("x", shape, X, zero)]

    def quantized(self, name: str, shape: Sequence[int], scale: float, zero: int = 0) -> int:
        """An activation of the network's type."""
        if self.dtype == FLOAT:
            return self.file.tensor(name, shape, FLOAT)
        zero = zero + 128 if self.dtype == "uint8" else zero
        return self.file.tensor(name, shape, self.dtype, scale=scale, zero=zero)

    def another(self, name: str, shape: Sequence[int], scale: float = X, zero: int = 11) -> int:
        """One more input."""
        self.inputs.append(self.quantized(name, shape, scale, zero))
        return self.inputs[-1]

    def constant(self, name: str, array: Any) -> int:
        """int32 constants: shapes and axes."""
        array = np.array(array, np.int32)
        return self.file.tensor(name, array.shape, "int32", data=array)

    def weights(
        self, shape: Sequence[int], *, axis: int = 0, channels: int = 0, bias: bool = True
    ) -> list[int]:
        """Weights, with a scale for each of `channels`, and a bias."""
        outputs = shape[axis]
        if self.dtype == FLOAT:
            w, b = self.rng.normal(size=shape), self.rng.normal(size=outputs)
            made = [self.file.tensor("w", shape, FLOAT, data=w)]
            return made + [self.file.tensor("b", [outputs], FLOAT, data=b)] * bias
        scale = W * (1 + np.arange(channels)) / 2 if channels else W
        unsigned = self.dtype == "uint8"
        numbers = self.rng.integers(1, 256, shape) - (0 if unsigned else 128)
        zero = 119 if unsigned else 0
        made = [
            self.file.tensor(
                "w", shape, self.dtype, scale=scale, zero=zero, axis=axis, data=numbers
            )
        ]
        sums = self.rng.integers(-3000, 3000, outputs)
        unit = np.float32(X) * np.atleast_1d(np.array(scale, np.float32))
        return made + [self.file.tensor("b", [outputs], "int32", scale=unit, data=sums)] * bias

    def end(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: str = "",
        *,
        scale: float = Y,
        zero: int = 5,
        **fields: Any,
    ) -> bytes:
        """The file, with one operator that makes "y"."""
        y = self.quantized("y", shape, scale, zero)
        self.file.op(kind, inputs, [y], options, **fields)
        return self.file.data(self.inputs, [y])


def conv(
    shape: Sequence[int],
    weights: Sequence[int],
    made: Sequence[int],
    *,
    dtype: str = "int8",
    per_channel: bool = True,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: int = SAME,
    activation: int = NONE,
    scale: float = 0.9,
) -> Case:
    def make() -> bytes:
        net = _Net(shape, dtype)
        channels = weights[0] if per_channel and dtype == "int8" else 0
        operands = [net.inputs[0], *net.weights(weights, channels=channels)]
        fields = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
        fields |= {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]}
        fields |= {"FusedActivationFunction": activation}
        return net.end("CONV_2D", operands, made, "Conv2D", scale=scale, **fields)

    return make


def depthwise(
    shape: Sequence[int], multiplier: int, made: Sequence[int], *, dtype: str = "int8", **f: int
) -> Case:
    def make() -> bytes:
        net = _Net(shape, dtype)
        weights = (1, 3, 3, shape[3] * multiplier)
        channels = weights[3] if dtype == "int8" else 0
        operands = [net.inputs[0], *net.weights(weights, axis=3, channels=channels)]
        fields = {"Padding": SAME, "StrideH": 1, "StrideW": 1, "DepthMultiplier": multiplier}
        fields |= {"DilationHFactor": 1, "DilationWFactor": 1, "FusedActivationFunction": RELU} | f
        return net.end("DEPTHWISE_CONV_2D", operands, made, "DepthwiseConv2D", scale=0.3, **fields)

    return make


def transposed(
    shape: Sequence[int],
    kernel: tuple[int, int],
    made: Sequence[int],
    *,
    stride: int = 2,
    padding: int = SAME,
    bias: bool = True,
    dtype: str = "int8",
) -> Case:
    def make() -> bytes:
        net = _Net(shape, dtype)
        size = net.constant("size", made)
        weights = (made[3], *kernel, shape[3])
        channels = made[3] if dtype == "int8" else 0
        w, *b = net.weights(weights, channels=channels, bias=bias)
        fields = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        operands = [size, w, net.inputs[0], *b]
        return net.end("TRANSPOSE_CONV", operands, made, "TransposeConv", scale=0.7, **fields)

    return make


def dense(
    shape: Sequence[int],
    outputs: int,
    *,
    dtype: str = "int8",
    keep: bool = False,
    per: bool = False,
) -> Case:
    def make() -> bytes:
        net = _Net(shape, dtype)
        inputs = shape[-1] if keep else int(np.prod(shape[1:]))
        operands = [net.inputs[0], *net.weights((outputs, inputs), channels=outputs * per)]
        made = (*shape[:-1], outputs) if keep else (shape[0], outputs)
        fields = {"KeepNumDims": keep, "FusedActivationFunction": RELU}
        return net.end("FULLY_CONNECTED", operands, made, "FullyConnected", scale=0.8, **fields)

    return make


def pool(
    kind: str,
    shape: Sequence[int],
    made: Sequence[int],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: int,
    dtype: str = "int8",
    activation: int = NONE,
) -> Case:
    def make() -> bytes:
        net = _Net(shape, dtype)
        fields = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
        fields |= {"FilterHeight": window[0], "FilterWidth": window[1]}
        fields |= {"FusedActivationFunction": activation}
        return net.end(kind, net.inputs, made, "Pool2D", scale=X, zero=-7, **fields)

    return make


def pair(
    kind: str,
    left: Sequence[int],
    right: Sequence[int],
    options: str = "",
    *,
    dtype: str = "int8",
    scale: float = Y,
    other: tuple[float, int] = (0.029, 11),
    zero: int = 5,
    constant: bool = False,
    **fields: Any,
) -> Case:
    def make() -> bytes:
        net = _Net(left, dtype)
        if constant:
            numbers = (
                net.rng.normal(size=right) if dtype == FLOAT else net.rng.integers(0, 120, right)
            )
            more = {} if dtype == FLOAT else {"scale": other[0], "zero": other[1]}
            second = net.file.tensor("c", right, dtype, data=numbers, **more)
        else:
            second = net.another("z", right, *other)
        made = np.broadcast_shapes(tuple(left), tuple(right))
        return net.end(kind, [0, second], made, options, scale=scale, zero=zero, **fields)

    return make


def one(
    kind: str,
    shape: Sequence[int],
    made: Sequence[int],
    constants: Sequence[Any] = (),
    options: str = "",
    *,
    dtype: str = "int8",
    scale: float = X,
    zero: int = -7,
    first: bool = False,
    **fields: Any,
) -> Case:
    """An operator of "x" and constants; as a rule with the scale of its data."""

    def make() -> bytes:
        net = _Net(shape, dtype)
        given = [net.constant(f"c{n}", array) for n, array in enumerate(constants)]
        operands = [*given, 0] if first else [0, *given]
        return net.end(kind, operands, made, options, scale=scale, zero=zero, **fields)

    return make


def parts(kind: str, shape: Sequence[int], made: Sequence[Sequence[int]], case: str) -> Case:
    def make() -> bytes:
        net = _Net(shape)
        outputs = [net.quantized(f"y{n}", size, X, -7) for n, size in enumerate(made)]
        if kind == "SPLIT":
            operands = [net.constant("axis", int(case)), 0]
            net.file.op(kind, operands, outputs, "Split", NumSplits=len(made))
        elif kind == "SPLIT_V":
            sizes, axis = net.constant("sizes", [3, -1]), net.constant("axis", int(case))
            net.file.op(kind, [0, sizes, axis], outputs, "SplitV", NumSplits=len(made))
        else:
            net.file.op(kind, [0], outputs, "Unpack", Num=len(made), Axis=int(case))
        return net.file.data([0], outputs)

    return make


def joined(axis: int, made: Sequence[int], *shapes: Sequence[int], kind: str = "") -> Case:
    def make() -> bytes:
        net = _Net(shapes[0])
        rest = [net.another(f"x{n}", size, X, -7) for n, size in enumerate(shapes[1:])]
        if kind:
            fields = {"ValuesCount": len(shapes), "Axis": axis}
            return net.end("PACK", [0, *rest], made, "Pack", scale=X, zero=-7, **fields)
        fields = {"Axis": axis}
        return net.end(
            "CONCATENATION", [0, *rest], made, "Concatenation", scale=X, zero=-7, **fields
        )

    return make


def requantized(shape: Sequence[int], to: str, scale: float, zero: int, of: str = "int8") -> Case:
    def make() -> bytes:
        net = _Net(shape, of)
        net.dtype, kind = to, "DEQUANTIZE" if to == FLOAT else "QUANTIZE"
        return net.end(kind, [0], shape, scale=scale, zero=zero)

    return make


def prelu(dtype: str = "int8") -> bytes:
    net = _Net((1, 3, 4, 5), dtype)
    numbers = net.rng.normal(size=5) if dtype == FLOAT else net.rng.integers(-100, 100, 5)
    more = {} if dtype == FLOAT else {"scale": 0.01, "zero": 3}
    slope = net.file.tensor("slope", (1, 1, 5), dtype, data=numbers.reshape(1, 1, 5), **more)
    return net.end("PRELU", [0, slope], (1, 3, 4, 5))


def pad_value() -> bytes:
    net = _Net((1, 3, 4, 5))
    amounts = net.constant("pads", [[0, 0], [1, 0], [0, 2], [1, 1]])
    value = net.file.tensor("value", (), "int8", scale=X, zero=-7, data=60)
    return net.end("PADV2", [0, amounts, value], (1, 4, 6, 7), scale=X, zero=-7)


def computed_shape() -> bytes:
    """As Keras writes a Flatten whose batch is open: SHAPE, STRIDED_SLICE, PACK, RESHAPE."""
    net = _Net((1, 3, 4, 5))
    ints = [net.file.tensor(f"i{n}", size, "int32") for n, size in enumerate([[4], [], [2]])]
    lists = [net.constant(f"l{n}", [n]) for n in range(2)]
    rest = net.constant("rest", 60)
    net.file.op("SHAPE", [0], [ints[0]], "Shape", OutType=2)
    net.file.op(
        "STRIDED_SLICE",
        [ints[0], lists[0], lists[1], lists[1]],
        [ints[1]],
        "StridedSlice",
        ShrinkAxisMask=1,
    )
    net.file.op("PACK", [ints[1], rest], [ints[2]], "Pack", ValuesCount=2, Axis=0)
    return net.end("RESHAPE", [0, ints[2]], (1, 60), "Reshape", scale=X, zero=-7)


def half_weights() -> bytes:
    """float16 weights behind DEQUANTIZE, as the converter writes them."""
    net = _Net((1, 6), FLOAT)
    half = net.file.tensor("half", (3, 6), "float16", data=net.rng.normal(size=(3, 6)))
    w = net.file.tensor("w", (3, 6), FLOAT)
    net.file.op("DEQUANTIZE", [half], [w])
    return net.end("FULLY_CONNECTED", [0, w, -1], (1, 3), "FullyConnected")
