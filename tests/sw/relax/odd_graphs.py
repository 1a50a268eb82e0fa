"""Legal graphs that are unusual: values read twice, outputs that are inputs, constants that go."""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper

from tests.sw.relax.quantised import TYPES, Graph

__all__ = ["ODD", "random"]

SCALE, OUT = 0.05, 0.1
Case = Callable[[Graph, str], None]
ODD: dict[str, Case] = {}
"""What is made of a graph and its input (1, 16, 6, 6), by name."""


def odd(case: Case) -> Case:
    ODD[case.__name__] = case
    return case


def random(*shape: int) -> np.ndarray:
    """int8 weights, the same for the same shape."""
    return np.random.default_rng(shape).integers(-127, 128, shape).astype(np.int8)


def conv(g: Graph, x: str, inputs: int = 16, outputs: int = 16, kernel: int = 3) -> str:
    bias = np.random.default_rng(outputs).uniform(-1, 1, outputs).astype(np.float32)
    weight = g.weights(random(outputs, inputs, kernel, kernel), 0.01)
    pads = [kernel // 2] * 4
    return g.node("Conv", x, weight, g.constant(bias), kernel_shape=[kernel] * 2, pads=pads)


def dense(g: Graph, x: str, inputs: int, outputs: int) -> str:
    return g.node("Gemm", x, g.weights(random(outputs, inputs), 0.01), transB=1)


def leave(g: Graph, value: str, kind: int = TensorProto.FLOAT) -> None:
    """A float value as an output, whose shape the file does not say."""
    g.outputs.append(helper.make_tensor_value_info(value, kind, None))


def ints(g: Graph, *values: int) -> str:
    return g.constant(np.array(values, np.int64))


# Who reads what -----------------------------------------------------------------------------------
@odd
def read_twice(g: Graph, x: str) -> None:
    value = g.again(conv(g, x), OUT, -5)
    g.output(conv(g, value), OUT)
    g.output(conv(g, value, outputs=24, kernel=1), OUT)


@odd
def an_output_is_read_inside(g: Graph, x: str) -> None:
    number = g.quantised(conv(g, x), OUT, -5)
    leave(g, number, TYPES["int8"])
    value = g.dequantised(number, OUT, np.int8(-5))
    g.output(conv(g, value), OUT)
    leave(g, value)


@odd
def an_input_goes_to_two_regions(g: Graph, x: str) -> None:
    gate = g.again(g.node("Sigmoid", g.again(conv(g, x), OUT)), 1 / 256, -128)
    g.output(g.node("Add", g.again(conv(g, gate), OUT), x), 0.15)


@odd
def a_result_goes_to_the_cpu_and_a_later_region(g: Graph, x: str) -> None:
    first = g.again(conv(g, x), OUT)
    gate = g.again(g.node("Sigmoid", first), 1 / 256, -128)
    g.output(g.node("Add", first, g.again(conv(g, gate), OUT)), 0.15)
    g.output(conv(g, first, outputs=8), OUT)


@odd
def an_output_is_an_input(g: Graph, x: str) -> None:
    g.output(conv(g, x), OUT)
    g.outputs.append(helper.make_tensor_value_info("x0", TYPES["int8"], [1, 16, 6, 6]))
    leave(g, x)


@odd
def constants_leave(g: Graph, x: str) -> None:
    g.output(conv(g, x), OUT)
    leave(g, g.constant(np.arange(6, dtype=np.float32)))
    leave(g, g.constant(np.arange(3, dtype=np.float64)), TensorProto.DOUBLE)
    leave(g, g.node("Sqrt", g.constant(np.arange(6, dtype=np.float32))))
    leave(g, g.node("Shape", x), TensorProto.INT64)


@odd
def weights_leave(g: Graph, x: str) -> None:
    weight = g.weights(random(16, 16, 1, 1), 0.01)
    g.output(g.node("Conv", x, weight), OUT)
    g.output(g.node("Conv", x, weight), 0.07, 9)
    leave(g, weight)


@odd
def one_value_leaves_under_three_names(g: Graph, x: str) -> None:
    number = g.quantised(conv(g, x), OUT)
    for _ in range(3):
        leave(g, g.node("Identity", number), TYPES["int8"])


@odd
def an_input_is_not_read(g: Graph, x: str) -> None:
    g.inputs.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [3]))
    g.output(conv(g, x), OUT)


@odd
def a_value_meets_itself(g: Graph, x: str) -> None:
    value = g.again(conv(g, x), OUT)
    for kind in ("Add", "Sub", "Mul"):
        g.output(g.node(kind, value, value), 0.2)
    g.output(g.node("Add", x, x), 0.13, 4)


@odd
def two_convolutions_of_the_same(g: Graph, x: str) -> None:
    one, other = g.again(conv(g, x), OUT), g.again(conv(g, x), 0.12, 4)
    g.output(g.node("Relu", g.node("Add", one, other)), 0.2, -128)


@odd
def concatenations_in_each_other(g: Graph, x: str) -> None:
    a = g.again(conv(g, x), OUT)
    b = g.again(conv(g, a), OUT)
    c = g.again(g.node("Concat", a, b, axis=1), OUT)
    d = g.again(conv(g, c, inputs=32), OUT)
    g.output(conv(g, g.again(g.node("Concat", c, d, axis=1), OUT), inputs=48), OUT)
    g.output(conv(g, g.again(g.node("Concat", d, a, d, axis=1), OUT), inputs=48), OUT)
    leave(g, c)


@odd
def a_concatenation_of_inputs_and_few_channels(g: Graph, x: str) -> None:
    value = g.again(conv(g, x, outputs=5), OUT)
    g.output(g.node("Concat", x, x, axis=1), SCALE, 3)
    g.output(g.node("Concat", x, value, x, axis=1), 0.08, 1)
    g.output(g.node("Concat", value, value, axis=2), OUT)


@odd
def a_flatten_without_a_scale(g: Graph, x: str) -> None:
    """As brevitas writes it: nothing quantises behind a pool or a Flatten."""
    value = g.again(g.node("Relu", conv(g, x)), OUT, -128)
    value = g.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    flat = g.node("Flatten", value, axis=1)
    g.output(dense(g, flat, 144, 10), OUT)
    g.output(dense(g, flat, 144, 20), OUT)
    leave(g, flat)


# Numbers ------------------------------------------------------------------------------------------
@odd
def clips_in_a_row(g: Graph, x: str) -> None:
    def clip(value: str, low: float, high: float) -> str:
        return g.node("Clip", value, *(g.constant(np.float32(end)) for end in (low, high)))

    g.output(g.node("Relu", clip(conv(g, x), -5, -2)), OUT)
    g.output(clip(g.node("Relu", conv(g, x)), -5, -2), OUT)
    g.output(clip(conv(g, x), 2, -2), OUT)
    g.output(clip(clip(conv(g, x), 1, 3), -1, 2), OUT)


@odd
def results_that_are_constant(g: Graph, x: str) -> None:
    weight = g.weights(random(16, 16, 1, 1), 1e-7)
    g.output(g.node("Conv", x, weight), 1e-6)
    g.output(g.node("Conv", x, weight), 0.1, 5)
    g.output(g.node("Conv", x, g.weights(random(16, 16, 1, 1), 1.0)), 1e-3)
    g.output(g.node("Relu", x), 1e5, 5)
    g.output(g.node("Add", x, x), 1e5, 5)


@odd
def dead_channels(g: Graph, x: str) -> None:
    weight, scales = random(16, 16, 3, 3), np.full(16, 0.01, np.float32)
    weight[::2], scales[::2] = 0, 1e-9
    bias = np.full(16, 100, np.int32)
    bias[::4], bias[2::4] = (1 << 31) - 1, -(1 << 31)
    units = scales * np.float32(SCALE)
    given = g.dequantised(g.constant(bias), units, np.zeros(16, np.int32), axis=0)
    value = g.node("Conv", x, g.weights(weight, scales), given, kernel_shape=[3, 3], pads=[1] * 4)
    g.output(value, OUT)


@odd
def numbers_alone(g: Graph, x: str) -> None:
    """Scales and types change, nothing else."""
    value = g.again(g.again(x, OUT, 5, "uint8"), 0.05, 0, "int8")
    g.output(value, 0.02, 100, "uint8")


@odd
def zero_points_left_out(g: Graph, x: str) -> None:
    """Then they are 0, and the numbers uint8."""
    scale = g.constant(np.float32(OUT))
    number = g.node("QuantizeLinear", g.node("Relu", conv(g, x)), scale)
    value = g.node("DequantizeLinear", number, scale)
    g.output(conv(g, value), OUT)


# Shapes -------------------------------------------------------------------------------------------
@odd
def reshapes_that_move(g: Graph, x: str) -> None:
    value = g.again(conv(g, x), OUT)
    g.output(conv(g, g.node("Reshape", value, ints(g, 1, 64, 3, 3)), inputs=64), OUT)
    last = g.node("Transpose", value, perm=[0, 2, 3, 1])
    g.output(last, OUT)
    rows = g.node("Reshape", last, ints(g, 36, 16))
    g.output(g.node("MatMul", rows, g.weights(random(16, 20), 0.01, axis=1)), OUT)


@odd
def channels_in_turn(g: Graph, x: str) -> None:
    """ShuffleNet's."""
    value = g.again(conv(g, x, outputs=32), OUT)
    value = g.node("Reshape", value, ints(g, 1, 2, 16, 6, 6))
    value = g.node("Transpose", value, perm=[0, 2, 1, 3, 4])
    value = g.again(g.node("Reshape", value, ints(g, 1, 32, 6, 6)), OUT)
    g.output(conv(g, value, inputs=32), OUT)


@odd
def of_one_pixel(g: Graph, x: str) -> None:
    value = g.again(g.node("GlobalAveragePool", x), 0.02, -3)
    value = g.again(conv(g, value, outputs=1), 0.1)
    g.output(conv(g, value, 1, 1, 1), 0.1)


@odd
def squeeze_and_excite(g: Graph, x: str) -> None:
    value = g.again(g.node("Relu", conv(g, x)), OUT, -128)
    gate = g.again(g.node("GlobalAveragePool", value), OUT, -128)
    gate = g.again(g.node("Relu", conv(g, gate, 16, 8, 1)), OUT, -128)
    gate = g.again(conv(g, gate, 8, 16, 1), OUT)
    gate = g.again(g.node("HardSigmoid", gate, alpha=1 / 6, beta=0.5), 1 / 255, -128)
    g.output(g.node("Mul", value, gate), OUT, -128)


@odd
def slices_of_channels(g: Graph, x: str) -> None:
    value = g.again(conv(g, x, outputs=32), OUT)
    for begin, end, step in ((0, 16, 1), (16, 32, 1), (5, 20, 1), (0, 32, 2), (-1, -33, -1)):
        own = (ints(g, n) for n in (begin, end, 1, step))
        g.output(g.node("Slice", value, *own), OUT)


# Names --------------------------------------------------------------------------------------------
@odd
def names_of_nodes(g: Graph, x: str) -> None:
    for name in ("uop", "vta0", "out", "data", "", " a b ", "é/ü", "x" * 300, "cpu0", "main"):
        x = conv(g, x, kernel=1)
        g.nodes[-1].name = name
        x = g.again(x, 0.5)
    g.output(x, OUT)


@odd
def names_of_values(g: Graph, x: str) -> None:
    for name in ("uop", "insn", "weight", "conv.weight", "T.x", "lambda", "a b"):
        g.quantised(conv(g, x, kernel=1), 0.5)
        g.nodes[-1].output[0] = name
        x = g.dequantised(name, 0.5, np.int8(0))
    g.output(x, OUT)


# Nothing for VTA ----------------------------------------------------------------------------------
@odd
def nothing_for_vta(g: Graph, x: str) -> None:
    leave(g, g.node("Softmax", g.node("Sigmoid", x), axis=1))


@odd
def nothing_at_all(g: Graph, x: str) -> None:
    leave(g, g.node("Identity", x))
    g.outputs.append(helper.make_tensor_value_info("x0", TYPES["int8"], [1, 16, 6, 6]))


@odd
def only_quantised(g: Graph, x: str) -> None:
    leave(g, g.again(g.node("Neg", x), OUT))


# Read in two shapes -------------------------------------------------------------------------------
@odd
def one_value_as_rows_and_flat(g: Graph, x: str) -> None:
    """A matrix product takes it as rows, another one what is flattened: it lies in one way only."""
    pixels = g.node("Reshape", conv(g, x, outputs=3), ints(g, -1, 3, 36))
    value = g.again(g.node("MatMul", g.again(pixels, OUT), g.weights(random(36, 36), 0.01)), OUT)
    g.output(g.node("MatMul", value, g.weights(random(36, 20), 0.01)), OUT)
    flat = g.again(g.node("Reshape", value, ints(g, -1, 108)), OUT)
    g.output(g.node("MatMul", flat, g.weights(random(108, 20), 0.01)), OUT)


@odd
def a_product_of_rows_becomes_a_map(g: Graph, x: str) -> None:
    """Its result has more axes than two before the Reshape."""
    pixels = g.node("Reshape", x, ints(g, -1, 16, 36))
    value = g.again(g.node("MatMul", pixels, g.weights(random(36, 36), 0.01)), OUT)
    g.output(conv(g, g.node("Reshape", value, ints(g, -1, 16, 6, 6))), OUT)


@odd
def one_pixel_of_two_through_a_row(g: Graph, x: str) -> None:
    """Strides leave out what a reader beside the convolution takes."""
    row = g.again(
        g.node("Squeeze", g.node("Slice", x, ints(g, 0), ints(g, 1), ints(g, 2)), ints(g, 2)),
        SCALE,
        3,
    )
    weight = g.weights(random(8, 16, 1), 0.01)
    g.output(g.node("Conv", row, weight, kernel_shape=[1], strides=[2]), OUT)
    g.output(g.node("Add", row, row), OUT)


@odd
def five_axes_flattened(g: Graph, x: str) -> None:
    value = g.again(g.node("Reshape", conv(g, x), ints(g, -1, 2, 8, 6, 6)), OUT)
    flat = g.again(g.node("Reshape", value, ints(g, -1, 576)), OUT)
    g.output(dense(g, flat, 576, 10), OUT)
