"""Transposes that go: beside onnxruntime, in floats and on 8-bit numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sw.relax.by_layer import assert_close, compiled
from tests.sw.relax.graphs import kinds, make, node, normal_and_same
from tests.sw.relax.quantised import Graph, compared
from vta.sw.relax.quantize import FORMS

X = {"x": (2, 4, 5, 6)}  # NCHW
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


CONSTANTS = {
    "c": floats(4),
    "one": np.float32(0.5),
    "plane": floats(5, 6, 1),
    "all": floats(1, 5, 6, 4),
    "low": np.float32(-1),
    "high": np.float32(1),
    "pads": np.array([0, 1, 2, 3, 0, 0, 1, 0], np.int64),
    "begin": np.array([1, 0], np.int64),
    "end": np.array([4, 5], np.int64),
    "axes": np.array([-1, 1], np.int64),
    "scales": np.array([1, 2, 3, 1], np.float32),
    "scale": np.float32(0.1),
    "zero": np.int8(3),
}
BETWEEN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "relu": ("Relu", "t", {}),
    "clip": ("Clip", "t low high", {}),
    "by channel": ("Add", "t c", {}),
    "by place": ("Mul", "plane t", {}),
    "scalar": ("Div", "t one", {}),
    "tensor": ("Sub", "t all", {}),
    "itself": ("Add", "t t", {}),
    "prelu": ("PRelu", "t c", {}),
    "another": ("Max", "t t2", {}),
    "concat": ("Concat", "t t2", {"axis": -1}),
    "concat rows": ("Concat", "t all2", {"axis": 1}),
    "softmax": ("Softmax", "t", {"axis": -1}),
    "pad": ("Pad", "t pads", {}),
    "slice": ("Slice", "t begin end axes", {}),
    "resize": ("Resize", "t _ scales", {"mode": "nearest"}),
    "quantised": ("QuantizeLinear", "t scale zero", {}),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_one_meets_its_inverse(name: str) -> None:
    kind, inputs, attributes = BETWEEN[name]
    nodes = [node("Transpose", f"x{n}", f"t{n}", perm=LAST) for n in ("", "2")]
    nodes += [node(kind, inputs, "b", "between", **attributes)]
    nodes += [node("Transpose", "b", "y", perm=FIRST)]
    constants = {n: CONSTANTS[n] for n in inputs.split() if n in CONSTANTS}
    if "all2" in inputs:
        constants["all2"] = floats(2, 3, 6, 4)
    model = normal_and_same(make(nodes, {"x": X["x"], "x2": X["x"]}, "y", constants))
    assert "Transpose" not in kinds(model)
    assert any(made.name.startswith("between") for made in model.graph)


def test_a_mean_over_rows_and_columns_is_a_global_pool() -> None:
    for keepdims in (0, 1):
        nodes = [node("Transpose", "x", "t", perm=LAST)]
        nodes += [node("ReduceMean", "t", "y", axes=[1, 2], keepdims=keepdims)]
        model = normal_and_same(make(nodes, X, "y"))
        assert kinds(model)[0] == "GlobalAveragePool"
        assert kinds(model).count("Transpose") == keepdims


def test_excitation_in_nhwc_has_none() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=LAST),
        node("ReduceMean", "t", "m", axes=[1, 2], keepdims=0),
        node("MatMul", "m w", "d"),
        node("Sigmoid", "d", "s"),
        node("Reshape", "s shape", "g"),
        node("Mul", "t g", "p"),
        node("Transpose", "p", "y", perm=FIRST),
    ]
    constants = {"w": floats(4, 4), "shape": np.array([2, 1, 1, 4], np.int64)}
    model = normal_and_same(make(nodes, X, "y", constants))
    moving = [n for n in model.graph if n.op_type == "Transpose"]
    assert all(np.prod(n.inputs[0].shape[1:]) == 4 for n in moving)  # moves no number


def test_several_in_a_row_are_one_or_none() -> None:
    steps = (("x", "a"), ("a", "y"), ("y", "z"))
    nodes = [node("Transpose", before, behind, perm=LAST) for before, behind in steps]
    assert kinds(normal_and_same(make(nodes[:2], X, "y"))) == ["Transpose"]
    assert kinds(normal_and_same(make(nodes, X, "z"))) == ["Identity"]


def test_one_that_others_read_stays_for_them() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=LAST),
        node("Relu", "t", "r"),
        node("Transpose", "r", "y", perm=FIRST),
        node("MatMul", "t w", "z"),
    ]
    model = normal_and_same(make(nodes, X, "y z", {"w": floats(4, 3)}))
    assert sorted(kinds(model)) == ["MatMul", "Relu", "Transpose"]


# Beside matrix products ---------------------------------------------------------------------------
@pytest.mark.parametrize("product", ["MatMul", "Gemm", "turned", "two"])
@pytest.mark.parametrize("flatten", ["Flatten", "Reshape"])
def test_a_flatten_in_nhwc_goes_into_the_weights(flatten: str, product: str) -> None:
    shape = " shape" if flatten == "Reshape" else ""
    nodes = [
        node("Transpose", "x", "t", perm=LAST),
        node("Relu", "t", "r"),
        node(flatten, f"r{shape}", "f"),
    ]
    constants = {"w": floats(120, 7), "b": floats(7)}
    constants |= {"shape": np.array([2, -1], np.int64)} if shape else {}
    if product == "turned":
        nodes += [node("Gemm", "f w b", "y", transB=1)]
        constants["w"] = constants["w"].T.copy()
    elif product == "two":
        nodes += [node("MatMul", "f w", "y"), node("Gemm", "f w b", "z")]
    else:
        nodes += [node(product, "f w" + " b" * (product == "Gemm"), "y")]
        constants.pop("b") if product == "MatMul" else None
    if product == "turned":
        constants["b"] = floats(7)
    proto = make(nodes, X, "y z" if product == "two" else "y", constants)
    assert "Transpose" not in kinds(normal_and_same(proto))


def test_a_flatten_that_somebody_else_reads_keeps_its_order() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=LAST),
        node("Flatten", "t", "f"),
        node("MatMul", "f w", "y"),
        node("Softmax", "f", "z"),
    ]
    model = normal_and_same(make(nodes, X, "y z", {"w": floats(120, 7)}))
    assert "Transpose" in kinds(model)


@pytest.mark.parametrize("bias", ["", "Gemm", "Add"])
def test_a_map_behind_a_product_is_its_columns_order(bias: str) -> None:
    given = " b" if bias == "Gemm" else ""
    nodes = [node("Gemm" if given else "MatMul", f"x w{given}", "d")]
    nodes += [node("Add", "d b", "e")] if bias == "Add" else []
    nodes += [
        node("Reshape", f"{'e' if bias == 'Add' else 'd'} shape", "m"),
        node("LeakyRelu", "m", "r"),
        node("Transpose", "r", "t", perm=FIRST),
        node("Conv", "t k", "y"),
    ]
    constants = {"w": floats(9, 60), "k": floats(3, 5, 2, 2), "shape": np.array([-1, 3, 4, 5])}
    constants |= {"b": floats(60)} if bias else {}
    model = normal_and_same(make(nodes, {"x": (2, 9)}, "y", constants))
    assert kinds(model) == ["Gemm" if bias else "MatMul", "Reshape", "LeakyRelu", "Conv"]


# On 8-bit numbers ---------------------------------------------------------------------------------
def conv(g: Graph, x: str, channels: int, outputs: int) -> str:
    weight = np.random.default_rng(outputs).integers(-127, 128, (outputs, channels, 3, 3))
    given = g.weights(weight.astype(np.int8), 0.01)
    value = g.node("Transpose", x, perm=FIRST)
    value = g.node("Conv", value, given, kernel_shape=[3, 3], pads=[1] * 4)
    return g.again(g.node("Transpose", value, perm=LAST), 0.2, -5)


def test_a_quantised_network_in_nhwc_is_one_region(tmp_path: Path) -> None:
    """But for its input, whose order is the file's."""
    g = Graph()
    x = g.again(g.node("Transpose", g.input((1, 16, 6, 6), 0.05, 3), perm=LAST), 0.05, 3)
    value = g.again(g.node("Relu", conv(g, x, 16, 24)), 0.1, -128)
    value = g.again(g.node("Add", value, conv(g, value, 24, 24)), 0.2, 4)
    flat = g.node("Reshape", value, g.constant(np.array([1, -1], np.int64)))
    weight = np.random.default_rng(1).integers(-127, 128, (36 * 24, 10)).astype(np.int8)
    scales = np.linspace(0.005, 0.02, 10, dtype=np.float32)
    g.output(g.node("MatMul", g.again(flat, 0.2, 4), g.weights(weight, scales, axis=1)), 5)
    differ, values, most = compared(g, tmp_path)
    assert most <= 1 and differ <= 2 + values // 50


def test_a_quantised_map_behind_a_product(tmp_path: Path) -> None:
    g = Graph()
    weight = np.random.default_rng(1).integers(-127, 128, (30, 4 * 5 * 16)).astype(np.int8)
    scales = np.linspace(0.005, 0.02, 320, dtype=np.float32)
    bias = g.constant(floats(320))
    value = g.node("Gemm", g.input((1, 30), 0.05, 3), g.weights(weight, scales, axis=1), bias)
    value = g.again(g.node("Reshape", value, g.constant(np.array([1, 4, 5, 16]))), 0.5, 2)
    g.output(g.node("Transpose", conv(g, value, 16, 8), perm=FIRST), 0.2, -5)
    differ, values, most = compared(g, tmp_path)
    assert most <= 1 and differ <= 2 + values // 50


@pytest.mark.parametrize("form", ["power-of-two", "default", "per-channel"])
def test_a_float_network_in_nhwc(form: str, tmp_path: Path) -> None:
    """As tf2onnx writes it; on VTA but for the input's Transpose."""
    nodes = [
        node("Transpose", "x", "t", perm=FIRST),
        node("Conv", "t w1", "c1", "first", pads=[1, 1, 1, 1]),
        node("Transpose", "c1", "n1", perm=LAST),
        node("Add", "n1 b", "a1"),
        node("Relu", "a1", "r1"),
        node("Pad", "r1 pads", "p1"),
        node("Transpose", "p1", "t2", perm=FIRST),
        node("Conv", "t2 w2", "c2", "second", strides=[2, 2]),
        node("Transpose", "c2", "n2", perm=LAST),
        node("Relu", "n2", "r2"),
        node("Reshape", "r2 shape", "f"),
        node("MatMul", "f w3", "d", "dense"),
        node("Add", "d b3", "y"),
    ]
    constants = {
        "w1": floats(8, 3, 3, 3),
        "b": floats(8),
        "w2": floats(20, 8, 3, 3),
        "w3": floats(320, 10) / 9,
        "b3": floats(10),
        "shape": np.array([-1, 320]),
        "pads": np.array([0, 0, 0, 0, 0, 1, 1, 0]),
    }
    path = tmp_path / "nhwc.onnx"
    path.write_bytes(make(nodes, {"x": (1, 8, 8, 3)}, "y", constants).SerializeToString())
    options = {"scales": form} if form == "power-of-two" else {"form": FORMS[form]}
    parted, network = compiled(path, **options)
    assert_close(parted, network(network.random_inputs(0)))
    (region,) = parted.regions
    assert [layer.name for layer in region.layers if layer.macs] == ["first", "second", "dense"]
    left = [n.operator for s in network.manifest.segments for n in s.nodes]
    assert sorted(left) == ["DequantizeLinear", "QuantizeLinear", "Transpose"]
