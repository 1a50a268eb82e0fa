"""Small TFLite files, one for each operator and attribute: name, file, inputs' types and shapes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.sw.relax.tflite_writer import TfliteFile

__all__ = ["CASES", "FLOAT_CASES", "Case"]

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


A, B4 = (1, 5, 6, 4), (2, 5, 6, 4)
ADD = {"FusedActivationFunction": NONE}
CASES: dict[str, Case] = {
    "conv": conv(A, (3, 3, 3, 4), (1, 5, 6, 3)),
    "conv valid, stride, relu": conv(
        (1, 9, 8, 4), (5, 3, 2, 4), (1, 4, 7, 5), stride=(2, 1), padding=VALID, activation=RELU
    ),
    "conv same, even kernel, stride 2": conv(
        (1, 8, 7, 3), (4, 2, 4, 3), (1, 4, 4, 4), stride=(2, 2), activation=RELU6, scale=0.03
    ),
    "conv dilated": conv((1, 9, 9, 2), (3, 3, 3, 2), (1, 9, 9, 3), dilation=(2, 3)),
    "conv per tensor": conv(
        A, (3, 1, 1, 4), (1, 5, 6, 3), per_channel=False, activation=N1, scale=0.01
    ),
    "conv in groups": conv(A, (6, 3, 3, 2), (1, 5, 6, 6)),
    "conv, 2 images": conv(B4, (3, 3, 3, 4), (2, 5, 6, 3)),
    "conv uint8": conv(A, (3, 3, 3, 4), (1, 5, 6, 3), dtype="uint8"),
    "depthwise": depthwise(A, 1, (1, 5, 6, 4)),
    "depthwise, multiplier 3, stride": depthwise(A, 3, (1, 3, 3, 12), StrideH=2, StrideW=2),
    "depthwise dilated": depthwise(A, 2, (1, 5, 6, 8), DilationHFactor=2, DilationWFactor=2),
    "depthwise uint8": depthwise(A, 1, (1, 5, 6, 4), dtype="uint8"),
    "transposed": transposed((1, 3, 4, 5), (3, 3), (1, 6, 8, 2)),
    "transposed, odd": transposed((1, 3, 4, 5), (4, 2), (1, 5, 7, 2)),
    "transposed valid": transposed((1, 3, 4, 5), (3, 3), (1, 7, 9, 2), padding=VALID),
    "transposed, gap": transposed((1, 3, 4, 5), (2, 2), (1, 9, 12, 2), stride=3, bias=False),
    "dense": dense((1, 7), 5),
    "dense of an image": dense((1, 2, 3, 4), 5),
    "dense per channel": dense((3, 7), 5, per=True),
    "dense, rank kept": dense((1, 4, 7), 5, keep=True),
    "dense uint8": dense((2, 7), 5, dtype="uint8"),
    "average": pool("AVERAGE_POOL_2D", A, (1, 3, 3, 4), (2, 2), (2, 2), SAME),
    "average same": pool("AVERAGE_POOL_2D", A, (1, 5, 6, 4), (3, 3), (1, 1), SAME),
    "average of all": pool("AVERAGE_POOL_2D", A, (1, 1, 1, 4), (5, 6), (5, 6), VALID, "int8", RELU),
    "average uint8": pool("AVERAGE_POOL_2D", A, (1, 4, 5, 4), (2, 2), (1, 1), VALID, "uint8"),
    "max": pool("MAX_POOL_2D", A, (1, 3, 3, 4), (3, 3), (2, 2), SAME),
    "max relu": pool("MAX_POOL_2D", A, (1, 4, 5, 4), (2, 2), (1, 1), VALID, "int8", RELU),
    "add": pair("ADD", A, A, "Add", **ADD),
    "add relu6": pair("ADD", A, A, "Add", FusedActivationFunction=RELU6, scale=0.03),
    "add uint8": pair("ADD", A, A, "Add", dtype="uint8", **ADD),
    "add of channels": pair("ADD", A, (4,), "Add", constant=True, **ADD),
    "add, lower rank": pair("ADD", A, (6, 4), "Add", **ADD),
    "sub": pair("SUB", A, A, "Sub", **ADD),
    "mul": pair("MUL", A, A, "Mul", **ADD),
    "mul by channels": pair("MUL", A, (1, 1, 1, 4), "Mul", **ADD),
    "mul by a number": pair("MUL", A, (), "Mul", constant=True, **ADD),
    "maximum": pair("MAXIMUM", A, A, "MaximumMinimum", other=(X, -7), scale=X, zero=-7),
    "minimum": pair("MINIMUM", A, (4,), "MaximumMinimum", other=(X, -7), scale=X, zero=-7),
    "mean": one("MEAN", A, (1, 4), [[1, 2]], "Reducer", scale=0.02, zero=3),
    "mean, kept": one("MEAN", A, (1, 1, 1, 4), [[1, 2]], "Reducer", scale=0.02, KeepDims=True),
    "mean of rows": one("MEAN", A, (1, 6, 4), [[1]], "Reducer", scale=0.02),
    "mean of channels": one("MEAN", A, (1, 5, 6), [[-1]], "Reducer", scale=0.02),
    "mean, rank 2": one("MEAN", (3, 9), (3,), [[1]], "Reducer", scale=0.02),
    "largest of channels": one("REDUCE_MAX", A, (1, 5, 6), [[3]], "Reducer"),
    "smallest": one("REDUCE_MIN", A, (1, 1, 6, 4), [[1]], "Reducer", KeepDims=True),
    "reshape": one("RESHAPE", A, (1, 120), [[1, 120]], "Reshape"),
    "reshape, -1": one("RESHAPE", A, (1, 6, 20), [[1, 6, -1]], "Reshape"),
    "reshape by option": one("RESHAPE", A, (1, 30, 4), [], "Reshape", NewShape=[1, 30, 4]),
    "reshape of rank 4": one("RESHAPE", A, (1, 6, 5, 4), [[1, 6, 5, 4]], "Reshape"),
    "reshape mixed": one("RESHAPE", A, (1, 4, 5, 6), [[1, 4, 5, 6]], "Reshape"),
    "reshape to images": one("RESHAPE", (1, 120), A, [A], "Reshape"),
    "squeeze": one("SQUEEZE", (1, 1, 6, 4), (1, 6, 4), [], "Squeeze", SqueezeDims=[1]),
    "squeeze all": one("SQUEEZE", (1, 1, 6, 4), (6, 4), [], "Squeeze"),
    "expand": one("EXPAND_DIMS", (1, 6, 4), (1, 1, 6, 4), [1], "ExpandDims"),
    "expand at the end": one("EXPAND_DIMS", (5, 6, 4), (5, 6, 4, 1), [-1], "ExpandDims"),
    "transpose": one("TRANSPOSE", A, (1, 4, 5, 6), [[0, 3, 1, 2]], "Transpose"),
    "transpose, rank 3": one("TRANSPOSE", (5, 6, 4), (4, 5, 6), [[2, 0, 1]], "Transpose"),
    "pad": one("PAD", A, (2, 8, 6, 7), [[[1, 0], [1, 2], [0, 0], [0, 3]]], "Pad"),
    "pad with a number": pad_value,
    "mirror": one("MIRROR_PAD", A, (1, 8, 8, 4), [[[0, 0], [1, 2], [1, 1], [0, 0]]], "MirrorPad"),
    "mirror the border": one(
        "MIRROR_PAD", A, (1, 7, 7, 4), [[[0, 0], [1, 1], [0, 1], [0, 0]]], "MirrorPad", Mode=1
    ),
    "concat of channels": joined(3, (1, 5, 6, 7), A, (1, 5, 6, 3)),
    "concat of columns": joined(-2, (1, 5, 8, 4), A, (1, 5, 2, 4)),
    "concat, rank 2": joined(1, (2, 7), (2, 3), (2, 4)),
    "pack": joined(1, (5, 2, 6, 4), (5, 6, 4), (5, 6, 4), kind="PACK"),
    "split": parts("SPLIT", A, [(1, 5, 6, 2)] * 2, "3"),
    "split of rows": parts("SPLIT", (1, 6, 5, 4), [(1, 2, 5, 4)] * 3, "-3"),
    "split in sizes": parts("SPLIT_V", A, [(1, 3, 6, 4), (1, 2, 6, 4)], "1"),
    "unpack": parts("UNPACK", (1, 2, 6, 4), [(1, 6, 4)] * 2, "1"),
    "slice": one("SLICE", A, (1, 2, 5, 2), [[0, 1, 1, 2], [1, 2, -1, 2]], "Slice"),
    "strides": one(
        "STRIDED_SLICE",
        A,
        (1, 2, 6, 2),
        [[0, 1, 9, 3], [1, 5, 2, -5], [1, 2, 1, -2]],
        "StridedSlice",
        BeginMask=4,
        EndMask=4,
    ),
    "strides, an index": one(
        "STRIDED_SLICE",
        A,
        (1, 6, 3),
        [[0, -2, 0, 1], [1, 0, 6, 4], [1, 1, 1, 1]],
        "StridedSlice",
        ShrinkAxisMask=2,
    ),
    "strides, ellipsis": one(
        "STRIDED_SLICE", A, (1, 5, 6), [[0, 2], [0, 3], [1, 1]], "StridedSlice",
        EllipsisMask=1, ShrinkAxisMask=2,
    ),
    "strides, a new axis": one(
        "STRIDED_SLICE", (5, 4), (1, 5, 2), [[0, 0, 1], [1, 5, 3], [1, 1, 1]], "StridedSlice",
        NewAxisMask=1,
    ),
    "nearest": one("RESIZE_NEAREST_NEIGHBOR", A, (1, 10, 18, 4), [[10, 18]], "ResizeNearestNeighbor"),
    "nearest, smaller": one("RESIZE_NEAREST_NEIGHBOR", A, (1, 3, 4, 4), [[3, 4]], "ResizeNearestNeighbor"),
    "nearest, half pixels": one(
        "RESIZE_NEAREST_NEIGHBOR", A, (1, 7, 9, 4), [[7, 9]], "ResizeNearestNeighbor",
        HalfPixelCenters=True,
    ),
    "nearest, corners": one(
        "RESIZE_NEAREST_NEIGHBOR", A, (1, 7, 9, 4), [[7, 9]], "ResizeNearestNeighbor",
        AlignCorners=True,
    ),
    "bilinear": one("RESIZE_BILINEAR", A, (1, 10, 9, 4), [[10, 9]], "ResizeBilinear"),
    "bilinear, half pixels": one(
        "RESIZE_BILINEAR", A, (1, 10, 9, 4), [[10, 9]], "ResizeBilinear", HalfPixelCenters=True
    ),
    "bilinear, corners": one(
        "RESIZE_BILINEAR", A, (1, 10, 9, 4), [[10, 9]], "ResizeBilinear", AlignCorners=True
    ),
    "depth to space": one("DEPTH_TO_SPACE", A, (1, 10, 12, 1), [], "DepthToSpace", BlockSize=2),
    "space to depth": one("SPACE_TO_DEPTH", (1, 4, 6, 3), (1, 2, 3, 12), [], "SpaceToDepth", BlockSize=2),
    "softmax": one("SOFTMAX", (2, 9), (2, 9), [], "Softmax", scale=1 / 256, zero=-128, Beta=1.0),
    "softmax, beta, rank 4": one("SOFTMAX", A, A, [], "Softmax", scale=1 / 256, zero=-128, Beta=2.5),
    "logistic": one("LOGISTIC", A, A, scale=1 / 256, zero=-128),
    "tanh": one("TANH", A, A, scale=1 / 128, zero=0),
    "hard swish": one("HARD_SWISH", A, A, scale=0.031, zero=-100),
    "leaky": one("LEAKY_RELU", A, A, [], "LeakyRelu", scale=Y, Alpha=0.2),
    "prelu": prelu,
    "relu": one("RELU", A, A, scale=0.03, zero=-128),
    "relu6": one("RELU6", A, A, scale=0.03, zero=-128),
    "relu n1 to 1": one("RELU_N1_TO_1", A, A, scale=0.01, zero=0),
    "requantize": requantized(A, "int8", 0.031, 4),
    "to uint8": requantized(A, "uint8", X, 0),
    "from uint8": requantized(A, "int8", X, -7, "uint8"),
    "quantize": requantized(A, "int8", 0.031, 4, FLOAT),
    "dequantize": requantized(A, FLOAT, 0, 0),
    "shape computed": computed_shape,
}  # fmt: skip
FLOAT_CASES: dict[str, Case] = {
    "conv": conv(A, (3, 3, 3, 4), (1, 5, 6, 3), dtype=FLOAT, activation=RELU6),
    "depthwise": depthwise(A, 2, (1, 5, 6, 8), dtype=FLOAT),
    "transposed": transposed((1, 3, 4, 5), (3, 3), (1, 6, 8, 2), dtype=FLOAT),
    "dense": dense((2, 7), 5, dtype=FLOAT),
    "average": pool("AVERAGE_POOL_2D", A, (1, 3, 3, 4), (3, 3), (2, 2), SAME, FLOAT),
    "max": pool("MAX_POOL_2D", A, (1, 3, 3, 4), (3, 3), (2, 2), SAME, FLOAT, RELU),
    "add": pair("ADD", A, (4,), "Add", dtype=FLOAT, constant=True, **ADD),
    "div": pair("DIV", A, A, "Div", dtype=FLOAT),
    "pow": pair("POW", A, (), "Pow", dtype=FLOAT, constant=True),
    "squared difference": pair("SQUARED_DIFFERENCE", A, A, dtype=FLOAT),
    "mean": one("MEAN", A, (1, 4), [[1, 2]], "Reducer", dtype=FLOAT),
    "sum": one("SUM", A, (1, 5, 4), [[2]], "Reducer", dtype=FLOAT),
    "softmax": one("SOFTMAX", A, A, [], "Softmax", dtype=FLOAT, Beta=0.5),
    "log softmax": one("LOG_SOFTMAX", (2, 9), (2, 9), dtype=FLOAT),
    "prelu": lambda: prelu(FLOAT),
    "half weights": half_weights,
    "bilinear": one("RESIZE_BILINEAR", A, (1, 10, 9, 4), [[10, 9]], "ResizeBilinear", dtype=FLOAT),
} | {
    kind.lower(): one(kind, A, A, dtype=FLOAT)
    for kind in ("ABS", "NEG", "EXP", "LOG", "SQRT", "RSQRT", "SQUARE", "FLOOR", "CEIL", "SIN")
    + ("COS", "ELU", "RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "ROUND")
}  # fmt: skip
