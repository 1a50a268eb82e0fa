"""Each kind of node on VTA beside onnxruntime: at most one off, and rarely."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sw.operators import Conv2d

from .quantised import Graph, compared, parted

RARELY = 0.02
DTYPES = ("int8", "uint8")
Rng = np.random.Generator


def scale(rng: Rng) -> float:
    return float(np.float32(2.0 ** rng.uniform(-7, -3)))


def zero(rng: Rng, dtype: str) -> int:
    return int(rng.integers(100, 156)) - (128 if dtype == "int8" else 0)


def operand(graph: Graph, rng: Rng, shape: tuple[int, ...]) -> tuple[str, float]:
    dtype = str(rng.choice(DTYPES))
    size = scale(rng)
    return graph.input(shape, size, zero(rng, dtype), dtype), size


def finished(graph: Graph, rng: Rng, value: str, size: float) -> Graph:
    """Quantised so that most values are not clipped, some of them by a Relu or Clip."""
    dtype = str(rng.choice(DTYPES))
    kind = rng.integers(3)
    if kind == 1:
        value = graph.node("Relu", value)
    elif kind == 2:
        ends = (graph.constant(np.float32(-40 * size)), graph.constant(np.float32(60 * size)))
        value = graph.node("Clip", value, *ends)
    graph.output(value, float(np.float32(size)), zero(rng, dtype), dtype)
    return graph


def weights(graph: Graph, rng: Rng, shape: tuple[int, ...], scales: Any, axis: int) -> str:
    """Symmetric int8, or uint8 that reach beyond int8 without their zero points."""
    if rng.integers(3):
        return graph.weights(rng.integers(-127, 128, shape).astype(np.int8), scales, axis=axis)
    zeros = np.asarray(rng.integers(118, 139, np.shape(scales)), np.uint8)
    array = graph.constant(rng.integers(0, 256, shape).astype(np.uint8))
    return graph.dequantised(array, scales, zeros, axis=axis)


def product_scale(inputs: float, weights: float, depth: int) -> float:
    """Of results of `depth` products of uniform bytes: three deviations are 127."""
    return float(np.float32(inputs * weights * 74 * 74 * depth**0.5 / 42))


def conv(rng: Rng) -> Graph:
    graph = Graph()
    groups = int(rng.choice([1, 1, 1, 2]))
    channels, outputs = (groups * int(rng.integers(1, 20)) for _ in range(2))
    if rng.integers(3) == 0:
        groups = channels
        outputs = channels * int(rng.integers(1, 3))
    kernel = rng.integers(1, 4, 2)
    x, size = operand(graph, rng, (1, channels, *map(int, rng.integers(5, 12, 2))))
    shape = (outputs, channels // groups, *kernel)
    per_channel = bool(rng.integers(2))
    scales = np.float32(rng.uniform(0.5, 2, outputs) * scale(rng))
    scales = scales if per_channel else scales[0]
    units = np.broadcast_to(scales * np.float32(size), (outputs,))
    depth = int(np.prod(shape[1:]))
    bias = rng.integers(-5000, 5000, outputs).astype(np.int32)
    zeros = np.zeros(units.shape, np.int32)
    given = graph.dequantised(graph.constant(bias), units, zeros, axis=0)
    value = graph.node(
        "Conv",
        x,
        weights(graph, rng, shape, scales, 0),
        given,
        kernel_shape=list(map(int, kernel)),
        strides=list(map(int, rng.integers(1, 3, 2))),
        dilations=list(map(int, rng.integers(1, 3, 2))),
        pads=[int(rng.integers(0, kernel[n % 2])) for n in range(4)],
        group=groups,
    )
    return finished(graph, rng, value, product_scale(size, float(np.mean(scales)), depth))


def dense(rng: Rng) -> Graph:
    graph = Graph()
    rows, inner, columns = (int(n) for n in rng.integers(1, 40, 3))
    x, size = operand(graph, rng, (rows, inner))
    turned = int(rng.integers(2))
    shape = (columns, inner) if turned else (inner, columns)
    scales = np.float32(rng.uniform(0.5, 2, columns) * scale(rng))
    given = weights(graph, rng, shape, scales, 1 - turned)
    if rng.integers(2) or turned:
        bias = graph.constant(np.float32(rng.uniform(-1, 1, columns)))
        value = graph.node("Gemm", x, given, bias, transB=turned)
    else:
        value = graph.node("MatMul", x, given)
    return finished(graph, rng, value, product_scale(size, float(np.mean(scales)), inner))


def computed(rng: Rng) -> Graph:
    """Two operands that are both computed, the second of them transposed or not."""
    graph = Graph()
    rows, inner, columns = (int(n) for n in rng.integers(1, 40, 3))
    lead = [(), (1,), (3,), (1, 2)][rng.integers(4)]
    x, size = operand(graph, rng, (*lead, rows, inner))
    turned, alone = bool(rng.integers(2)), bool(rng.integers(2))
    shape = (columns, inner) if turned else (inner, columns)
    y, second = operand(graph, rng, shape if alone else (*lead, *shape))
    kind = "MatMul"
    if turned and not alone:
        order = [*range(len(lead)), len(lead) + 1, len(lead)]
        y = graph.node("Transpose", y, perm=order)
    elif turned:
        kind = "Gemm" if not lead else "MatMul"
        y = y if not lead else graph.node("Transpose", y)
    attributes = {"transB": 1} if kind == "Gemm" else {}
    value = graph.node(kind, x, y, **attributes)
    return finished(graph, rng, value, product_scale(size, second, inner))


def conv_transpose(rng: Rng) -> Graph:
    graph = Graph()
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, outputs = (int(n) for n in rng.integers(1, 20, 2))  # of a group
    if rng.integers(3) == 0:
        groups, channels, outputs = channels, 1, int(rng.integers(1, 3))
    kernel = [int(n) for n in rng.integers(2, 5, 2)]
    size, own = scale(rng), scale(rng)
    dtype = str(rng.choice(DTYPES))
    x = graph.input((1, channels * groups, 4, 5), size, zero(rng, dtype), dtype)
    shape = (channels * groups, outputs, *kernel)
    scales = np.float32(own * rng.uniform(0.5, 2, outputs)) if rng.integers(2) else own
    strides = [int(rng.integers(1, k + 1)) for k in kernel]
    value = graph.node(
        "ConvTranspose",
        x,
        weights(graph, rng, shape, scales, 1),
        graph.constant(np.float32(rng.uniform(-1, 1, outputs * groups))),
        kernel_shape=kernel,
        group=groups,
        strides=strides,
        pads=[0, 1, 1, 0],
        output_padding=[s - 1 for s in strides],
    )
    return finished(graph, rng, value, product_scale(size, own, channels * 2))


def two(rng: Rng) -> Graph:
    graph, kind = Graph(), str(rng.choice(["Add", "Sub", "Mul", "Min", "Max"]))
    shape = (1, int(rng.integers(1, 40)), int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    x, size = operand(graph, rng, shape)
    way = rng.integers(5)
    if way < 2:
        other = [shape, (1, shape[1], 1, 1)][way]
        y, second = operand(graph, rng, other)
    else:
        other = [shape, (shape[1], 1, 1), ()][way - 2]
        second, zero_point = scale(rng), zero(rng, "uint8")
        array = rng.integers(0, 256, other).astype(np.uint8)
        y = graph.dequantised(graph.constant(array), second, np.array(zero_point, np.uint8))
    value = graph.node(kind, x, y)
    sizes = {"Mul": size * second * 61.7}  # no ties
    return finished(graph, rng, value, sizes.get(kind, size + second))


def one(rng: Rng) -> Graph:
    graph = Graph()
    kind = str(rng.choice(["Relu", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid", "none"]))
    shape = (1, int(rng.integers(1, 40)), 5, 6)
    x, size = operand(graph, rng, shape)
    if kind == "PRelu":
        slopes = graph.constant(np.float32(rng.uniform(-0.2, 0.6, (shape[1], 1, 1))))
        value = graph.node(kind, x, slopes)
    elif kind == "LeakyRelu":
        value = graph.node(kind, x, alpha=float(rng.uniform(0, 0.3)))
    else:
        value = x if kind == "none" else graph.node(kind, x)
    dtype = str(rng.choice(DTYPES))
    result = 1 / 256 if kind == "HardSigmoid" else size * float(rng.uniform(0.7, 1.5))
    graph.output(value, float(np.float32(result)), zero(rng, dtype), dtype)
    return graph


def pool(rng: Rng) -> Graph:
    graph = Graph()
    kind = str(rng.choice(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"]))
    shape = (1, int(rng.integers(1, 40)), *map(int, rng.integers(4, 9, 2)))
    x, size = operand(graph, rng, shape)
    window = {}
    if not kind.startswith("Global"):
        kernel = [int(n) for n in rng.integers(1, 4, 2)]
        window = {
            "kernel_shape": kernel,
            "strides": [int(n) for n in rng.integers(1, 4, 2)],
            "pads": [int(rng.integers(0, kernel[n % 2])) for n in range(4)],
        }
        if kind == "MaxPool":
            overlap = all(k >= s for k, s in zip(kernel, window["strides"], strict=True))
            window["ceil_mode"] = int(overlap and rng.integers(2))
    value = graph.node(kind, x, **window)
    if kind.startswith("Global"):  # of few values
        graph.output(value, size * (0.08 if kind == "GlobalAveragePool" else 1), 128, "uint8")
        return graph
    return finished(graph, rng, value, size * 0.97)  # no ties


def resize(rng: Rng) -> Graph:
    graph = Graph()
    x, size = operand(graph, rng, (1, int(rng.integers(1, 40)), 4, 5))
    factors = graph.constant(np.float32([1, 1, *rng.integers(1, 4, 2)]))
    modes = [("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")]
    where, how = modes[rng.integers(2)]
    value = graph.node(
        "Resize",
        x,
        "",
        factors,
        mode="nearest",
        coordinate_transformation_mode=where,
        nearest_mode=how,
    )
    return finished(graph, rng, value, size)


def concat(rng: Rng) -> Graph:
    graph = Graph()
    aligned = bool(rng.integers(2))
    values, sizes = [], []
    for _ in range(int(rng.integers(2, 4))):
        channels = 16 * int(rng.integers(1, 3)) if aligned else int(rng.integers(1, 40))
        x, size = operand(graph, rng, (1, channels, 4, 5))
        values.append(x)
        sizes.append(size)
    if rng.integers(2):
        values.append(graph.constant(np.zeros((1, 3, 4, 5), np.float32)))
    return finished(graph, rng, graph.node("Concat", *values, axis=1), max(sizes))


def slice_(rng: Rng) -> Graph:
    graph = Graph()
    x, size = operand(graph, rng, (1, 40, 6, 7))
    first = [int(n) for n in rng.integers(0, 4, 3)]
    last = [int(rng.integers(n + 1, 6)) for n in first]
    constants = [graph.constant(np.array(n, np.int64)) for n in (first, last, [1, 2, -1])]
    return finished(graph, rng, graph.node("Slice", x, *constants), size)


def pad(rng: Rng) -> Graph:
    graph = Graph()
    size, filled = scale(rng), int(rng.integers(-3, 4))
    x = graph.input((1, 20, 4, 5), size, zero(rng, "int8"))
    pads = np.array([0, 0, *rng.integers(0, 3, 2), 0, 0, *rng.integers(0, 3, 2)], np.int64)
    number = graph.constant(np.float32(filled * np.float32(size)))
    return finished(graph, rng, graph.node("Pad", x, graph.constant(pads), number), size)


KINDS: dict[str, Callable[[Rng], Graph]] = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "dense": dense,
    "computed": computed,
    "two": two,
    "one": one,
    "pool": pool,
    "resize": resize,
    "concat": concat,
    "slice": slice_,
    "pad": pad,
}


def assert_alike(kind: str, seed: int, place: Path, config: Config | None = None) -> None:
    graph = KINDS[kind](np.random.default_rng(seed))
    count, size, most = compared(graph, place, seed=seed, config=config)
    assert most <= 1
    assert count <= 2 + RARELY * size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_a_random_node_is_onnxruntimes(kind: str, seed: int, tmp_path: Path) -> None:
    assert_alike(kind, seed, tmp_path)


@pytest.mark.parametrize(("kind", "size"), [("conv", 10), ("conv_transpose", 12), ("dense", 10)])
def test_what_requantises_need_not_fit_acc(kind: str, size: int, tmp_path: Path) -> None:
    """All of it is much of the few entries; it comes with the tiles where it must."""
    assert_alike(kind, 5, tmp_path, Config(log_acc_buff_size=size))


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_taps_that_are_far_apart(kind: str, tmp_path: Path) -> None:
    """As in DeepLab; on VTA whatever lies between them."""
    graph, rng = Graph(), np.random.default_rng(4)
    x = graph.input((1, 20, 33, 33) if kind == "Conv" else (1, 20, 9, 9), 0.03, 128, "uint8")
    weight = graph.weights(rng.integers(-127, 128, (20, 20, 3, 3)).astype(np.int8), 0.01)
    attributes = {"dilations": [24, 24], "pads": [24] * 4}
    value = graph.node(kind, x, weight, **attributes)
    graph.output(value, product_scale(0.03, 0.01, 40), 128, "uint8")
    count, number, most = compared(graph, tmp_path)
    assert most <= 1
    assert count <= 2 + RARELY * number


@pytest.mark.parametrize("size", [(31, 7), (19, 19), (23, 29)])
@pytest.mark.parametrize("ratio", [1, 0.08])
def test_averages_of_many_values(ratio: float, size: tuple[int, int], tmp_path: Path) -> None:
    """With one scale they are the mean itself; then ties are half up here, to even there."""
    graph = Graph()
    x = graph.input((1, 20, *size), 0.03, 128, "uint8")
    graph.output(graph.node("GlobalAveragePool", x), 0.03 * ratio, 128, "uint8")
    count, number, most = compared(graph, tmp_path)
    assert most <= (count > 0)
    assert count <= 2 + RARELY * number


@pytest.mark.regress
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_random_nodes_are_onnxruntimes(kind: str, seed: int, tmp_path: Path) -> None:
    assert_alike(kind, seed, tmp_path)


def test_what_fills_images_up_has_no_windows(tmp_path: Path) -> None:
    """One image on a core of two: the other one's padding is not the data's zero point."""
    graph = Graph()
    x = graph.input((1, 3, 8, 8), 0.05, 100)
    weight = np.random.default_rng(0).integers(-127, 128, (16, 3, 3, 3)).astype(np.int8)
    graph.output(graph.node("Conv", x, graph.weights(weight, 0.01), pads=[1, 1, 1, 1]), 0.3)
    differ, values, most = compared(graph, tmp_path, config=Config.preset("2x16"))
    assert most <= 1 and differ <= values // 50


def test_a_value_lies_in_one_way_only(tmp_path: Path) -> None:
    """One product takes it as rows, another one flattened, in as many bytes, but another order."""
    graph = Graph()
    x = graph.input((3, 4, 4), 0.05)
    flat = graph.node("Reshape", x, graph.constant(np.array([3, 16])))
    for inner, value in ((4, x), (16, flat)):
        weight = np.random.default_rng(inner).integers(-127, 128, (inner, 6)).astype(np.int8)
        graph.output(graph.node("MatMul", value, graph.weights(weight, 0.01)), 0.1)
    made = parted(graph, tmp_path)
    (region,) = made.regions
    assert [layer.operator for layer in region.layers] == ["MatMul"]
    reasons = [why for segment in made.segments for why in segment.reasons.values()]
    assert any("x0 is [12, 1, 1, 16] in DRAM, and would have to be" in why for why in reasons)


@pytest.mark.parametrize("zeros", [(0, 0), (5, -128)])
@pytest.mark.parametrize("step", [2.0**-9, 0.0017])
def test_channels_whose_results_are_alike_cost_nothing(
    step: float, zeros: tuple[int, int], tmp_path: Path
) -> None:
    """A dead channel's bias is far below zero: it needs no pass of its own, nor products."""
    graph = Graph()
    x = graph.input((1, 20, 6, 6), 2.0**-5, zeros[0])
    rng = np.random.default_rng(7)
    weight = rng.integers(-127, 128, (24, 20, 3, 3)).astype(np.int8)
    bias = rng.uniform(-1, 1, 24).astype(np.float32)
    bias[::3] = -1e4
    bias[1] = 1e4
    scale = graph.weights(weight, np.float32(step))
    product = graph.node("Conv", x, scale, graph.constant(bias), kernel_shape=[3, 3], pads=[1] * 4)
    graph.output(graph.node("Relu", product), 2.0**-2, zeros[1])
    (region,) = parted(graph, tmp_path).regions
    operator = region.network.nodes[0].kernel.operator
    assert isinstance(operator, Conv2d)
    assert operator.epilogue.passes == (1 if step == 2.0**-9 else 3) + bool(zeros[0])
    count, size, most = compared(graph, tmp_path)
    assert most <= 1 and count <= 0.01 * size
