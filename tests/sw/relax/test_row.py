"""Convolutions and pools of one spatial axis, beside onnxruntime and on VTA: maps of one row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sw.relax.by_layer import assert_close, compiled
from tests.sw.relax.graphs import kinds, make, node, normal_and_same
from tests.sw.relax.quantised import Graph, compared
from vta.sw.models.onnx.builder import Builder
from vta.sw.operators import Conv2d
from vta.sw.relax.quantize import FORMS

X = {"x": (2, 4, 11)}


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


WINDOWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "conv": ("Conv", "x w b", {"pads": [2, 1], "strides": [2], "dilations": [2]}),
    "same": ("Conv", "x w b", {"auto_pad": "SAME_LOWER", "strides": [2]}),
    "depthwise": ("Conv", "x d", {"group": 4, "kernel_shape": [3]}),
    "transposed": ("ConvTranspose", "x t", {"strides": [2], "output_padding": [1], "pads": [0, 1]}),
    "to a size": ("ConvTranspose", "x t", {"strides": [3], "output_shape": [33]}),
    "maximum": ("MaxPool", "x", {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
    "mean": ("AveragePool", "x", {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}),
    "all": ("GlobalAveragePool", "x", {}),
    "most": ("GlobalMaxPool", "x", {}),
}
WEIGHTS = {"w": floats(6, 4, 3), "b": floats(6), "d": floats(4, 1, 3), "t": floats(4, 5, 3)}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    kind, inputs, attributes = WINDOWS[name]
    nodes = [node(kind, inputs, "y", "first", **attributes), node("Relu", "y", "z", "second")]
    constants = {n: WEIGHTS[n] for n in inputs.split() if n != "x"}
    model = normal_and_same(make(nodes, X, "z", constants))
    assert kinds(model) == ["Unsqueeze", kind, "Relu", "Squeeze"]
    assert [made.name for made in model.graph][1:3] == ["first", "second"]


BETWEEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "relu": ("Relu", "a", {}),
    "clip": ("Clip", "a low high", {}),
    "prelu": ("PRelu", "a slope", {}),
    "itself": ("Add", "a a", {}),
    "the input": ("Add", "a x", {}),
    "of a matrix": ("Mul", "matrix a", {}),
    "of a vector": ("Sub", "a vector", {}),
    "of a channel": ("Add", "a slope", {}),
    "concat": ("Concat", "a x a", {"axis": -2}),
    "concat columns": ("Concat", "a a", {"axis": 2}),
    "pad": ("Pad", "a pads", {}),
    "slice": ("Slice", "a one five last", {}),
    "resize": ("Resize", "a _ scales", {"coordinate_transformation_mode": "asymmetric"}),
    "batch norm": ("BatchNormalization", "x wide wide wide wide", {}),
    "squeezed": ("Unsqueeze", "a two", {}),
}
OPERANDS = {
    "low": np.float32(-1),
    "high": np.float32(1),
    "slope": floats(4, 1),
    "matrix": floats(4, 11),
    "vector": floats(11),
    "pads": np.array([0, 1, 2, 0, 0, 3], np.int64),
    "one": np.array([1], np.int64),
    "five": np.array([5], np.int64),
    "last": np.array([-1], np.int64),
    "scales": np.array([1, 1, 2], np.float32),
    "wide": np.abs(floats(4)) + 1,
    "two": np.array([2], np.int64),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_what_is_beside_them(name: str) -> None:
    """Nothing but what is a map of one row stands between two convolutions."""
    kind, inputs, attributes = BETWEEN[name]
    conv = {"kernel_shape": [1]}
    second = node("Conv", "b v", "y", **({"kernel_shape": [1, 1]} if name == "squeezed" else conv))
    nodes = [node("Conv", "x u", "a", **conv), node(kind, inputs, "b", **attributes), second]
    channels = {"concat": 12, "pad": 5}.get(name, 4)
    weights = floats(3, channels, 1, 1) if name == "squeezed" else floats(3, channels, 1)
    constants = {n: OPERANDS[n] for n in inputs.split() if n in OPERANDS}
    constants |= {"u": floats(4, 4, 1), "v": weights}
    model = normal_and_same(make(nodes, X, "y", constants))
    moves = [k for k in kinds(model) if k in ("Squeeze", "Unsqueeze", "Reshape")]
    given = 1 + (name in ("the input", "concat"))
    assert moves == ["Unsqueeze"] * given + ["Squeeze"] * (name != "squeezed")


def test_a_mean_over_all_columns_is_a_global_pool() -> None:
    nodes = [
        node("Conv", "x w b", "y"),
        node("ReduceMean", "y", "z", axes=[-1], keepdims=0),
        node("Gemm", "z m", "g"),
    ]
    constants = {"w": WEIGHTS["w"], "b": WEIGHTS["b"], "m": floats(6, 3)}
    model = normal_and_same(make(nodes, X, "g", constants))
    assert kinds(model) == ["Unsqueeze", "Conv", "GlobalAveragePool", "Squeeze", "Gemm"]


@pytest.mark.parametrize("kind", ["Softmax", "Transpose", "MatMul", "Flatten"])
def test_what_has_three_axes_stays(kind: str) -> None:
    more = " m" if kind == "MatMul" else ""
    nodes = [node("Conv", "x w b", "a"), node(kind, f"a{more}", "y")]
    constants = {"w": WEIGHTS["w"], "b": WEIGHTS["b"]} | ({"m": floats(9, 3)} if more else {})
    model = normal_and_same(make(nodes, X, "y", constants))
    assert "Squeeze" in kinds(model) and kind in kinds(model)


def test_places_of_maxima_stay() -> None:
    nodes = [node("MaxPool", "x", "y i", kernel_shape=[2], strides=[2])]
    model = normal_and_same(make(nodes, X, "y i"))
    assert kinds(model) == ["MaxPool"]


# On VTA -------------------------------------------------------------------------------------------
def keyword(images: int = 1) -> Builder:
    """A network of sounds: a wide first kernel on one channel, depthwise ones, a residual."""
    b = Builder("sounds", seed=0)
    rng = np.random.default_rng(0)

    def conv(name: str, data: str, i: int, o: int, k: int, group: int = 1, **more: Any) -> str:
        weight = (rng.normal(size=(o, i // group, k)) / np.sqrt(i // group * k)).astype(np.float32)
        operands = [b.constant(f"{name}.{n}", a) for n, a in (("w", weight), ("b", floats(o)))]
        return b.node("Conv", name, data, *operands, group=group, **more)

    data = b.input("sound", images, 1, 400)
    data = b.node("Relu", "relu1", conv("first", data, 1, 24, 20, strides=[4], pads=[8, 8]))
    data = b.node("MaxPool", "pool", data, kernel_shape=[2], strides=[2])
    kept = data
    data = b.node("Relu", "relu2", conv("deep", data, 24, 24, 3, 24, pads=[1, 1]))
    data = conv("wide", data, 24, 24, 1)
    data = b.node("Relu", "relu3", b.node("Add", "residual", data, kept))
    data = b.node("AveragePool", "mean", data, kernel_shape=[4], strides=[4])
    data = b.node("GlobalAveragePool", "all", data)
    data = b.node("Flatten", "flat", data, axis=1)
    weight = b.constant("dense.w", floats(24, 12))
    b.result = b.node("Gemm", "dense", data, weight)
    return b


@pytest.mark.parametrize("form", ["power-of-two", "default", "qoperator"])
def test_a_network_of_rows_is_one_region(form: str, tmp_path: Path) -> None:
    builder = keyword()
    path = tmp_path / "sounds.onnx"
    path.write_bytes(builder.model(scores=builder.result).SerializeToString())
    options = {"scales": form} if form == "power-of-two" else {"form": FORMS[form]}
    parted, network = compiled(path, **options)
    run = network(network.random_inputs(1))
    layers = assert_close(parted, run)
    assert len(parted.regions) == 1 and len(layers) >= 6
    left = {n.operator for s in network.manifest.segments for n in s.nodes}
    assert left == {"QuantizeLinear", "DequantizeLinear"}
    first = parted.regions[0].network.nodes[0].kernel.operator
    assert isinstance(first, Conv2d) and first.im2col  # of one channel


def test_eight_bits_in_and_out_leave_nothing_to_the_cpu(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.input((1, 3, 40), 0.05, 5)
    weight = np.random.default_rng(0).integers(-127, 128, (16, 3, 5)).astype(np.int8)
    value = graph.node("Conv", x, graph.weights(weight, 0.01), kernel_shape=[5], pads=[2, 2])
    value = graph.again(graph.node("Relu", value), 0.1, -128)
    weight = np.random.default_rng(1).integers(-127, 128, (16, 20, 4)).astype(np.int8)
    deconv = graph.node("ConvTranspose", value, graph.weights(weight, 0.01, axis=1), strides=[2])
    graph.output(deconv, 0.2)
    differ, values, most = compared(graph, tmp_path)
    assert most <= 1 and differ <= values // 50
