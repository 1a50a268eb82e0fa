"""A block of attention, quantised: its products on VTA, softmax on the CPU, beside onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.sw.relax.quantised import Graph, compared, parted
from vta.hw.config import Config
from vta.sw.relax.compile import compile_model
from vta.sw.relax.meaning import Meaning
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize import FORMS, quantize
from vta.sw.relax.read import read

ROWS, WIDTH = 20, 32


class Block:
    """Nodes and weights in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    def constant(self, name: str, array: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}.out"], name, **attributes))
        return f"{name}.out"

    def linear(self, name: str, data: str) -> str:
        weight = np.float32(self.rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5)
        bias = np.float32(self.rng.normal(size=WIDTH) / 10)
        product = self.node("MatMul", name, data, self.constant(f"{name}.w", weight))
        return self.node("Add", f"{name}_bias", product, self.constant(f"{name}.b", bias))

    def heads(self, name: str, data: str, count: int, order: list[int]) -> str:
        if count == 1:
            turned = order == [0, 2, 3, 1]
            return self.node("Transpose", f"{name}_t", data, perm=[0, 2, 1]) if turned else data
        shape = self.constant(f"{name}.s", np.array([1, ROWS, count, WIDTH // count]))
        split = self.node("Reshape", f"{name}_r", data, shape)
        return self.node("Transpose", f"{name}_t", split, perm=order)


def attention(heads: int) -> onnx.ModelProto:
    block = Block()
    orders = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
    q, k, v = (block.heads(n, block.linear(n, "x"), heads, orders[n]) for n in "qkv")
    scale = block.constant("scale", np.float32((WIDTH // heads) ** -0.5))
    scores = block.node("Mul", "scaled", block.node("MatMul", "scores", q, k), scale)
    mixed = block.node("MatMul", "mixed", block.node("Softmax", "softmax", scores), v)
    if heads > 1:
        mixed = block.node("Transpose", "mixed_t", mixed, perm=[0, 2, 1, 3])
        shape = block.constant("shape", np.array([1, ROWS, WIDTH]))
        mixed = block.node("Reshape", "mixed_r", mixed, shape)
    result = block.linear("out", mixed)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, ROWS, WIDTH])
        for name in ("x", result)
    ]
    graph = helper.make_graph(block.nodes, "attention", ends[:1], ends[1:], block.constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("form", ["default", "u8u8", "symmetric", "qoperator"])
def test_attention(heads: int, form: str, tmp_path: Path) -> None:
    path = tmp_path / "attention.onnx"
    onnx.save(attention(heads), path)
    samples = np.float32(np.random.default_rng(1).normal(size=(20, ROWS, WIDTH)))
    quantised = quantize(normalize(read(path)), {"x": samples}, form=FORMS[form])
    made = compile_model(quantised.model)
    layers = [layer.name for region in made.manifest.regions for layer in region.layers]
    assert {*"qkv", "scores", "scaled", "mixed", "out", "out_bias"} <= set(layers)
    assert ("k_t" in layers) is False
    inputs = {"x": samples[:1]}
    run = made(inputs)
    assert run.equal
    found = Meaning(made.manifest, made.originals).differences(run, inputs)
    assert len(found) >= 8
    assert all(one.largest <= one.expected == 1 for one in found.values())
    expected = np.asarray(onnxruntime.InferenceSession(path).run(None, inputs)[0])
    (result,) = run.outputs.values()
    assert np.abs(result - expected).mean() < 0.05 * expected.std()


@pytest.mark.parametrize("name", ["1x8", "2x16"])
def test_products_of_products_in_other_configurations(name: str, tmp_path: Path) -> None:
    """x times weights is both operands, one of them transposed; the rows are counted otherwise."""
    graph, rng = Graph(), np.random.default_rng(2)
    data = graph.input((1, 12, 24), 0.02, 3)
    weights = graph.weights(rng.integers(-60, 60, (24, 20)).astype(np.int8), 0.01)
    linear = graph.again(graph.node("MatMul", data, weights), 0.05, 7)
    rows = graph.node("Reshape", linear, graph.constant(np.array([12, 20])))
    again = graph.again(rows, 0.05, 7)
    value = graph.node("MatMul", again, graph.node("Transpose", again, perm=[1, 0]))
    value = graph.again(value, 0.7, -5)
    graph.output(graph.node("Relu", graph.node("Add", value, value)), 1.5, -60)
    count, size, most = compared(graph, tmp_path, config=Config.preset(name))
    assert most <= 1 and count <= 2 + 0.04 * size


def test_a_map_that_lies_by_rows_is_not_shown_by_channels(tmp_path: Path) -> None:
    """Its numbers would have to move: the CPU reshapes."""
    graph, rng = Graph(), np.random.default_rng(2)
    weights = graph.weights(rng.integers(-60, 60, (24, 32)).astype(np.int8), 0.01)
    product = graph.node("MatMul", graph.input((1, 20, 24), 0.02), weights)
    shape = graph.constant(np.array([1, 20, 4, 8]))
    heads = graph.node("Reshape", graph.again(product, 0.05), shape)
    graph.output(heads, 0.05)
    made = parted(graph, tmp_path)
    (reason,) = [why for part in made.segments for why in part.reasons.values() if why]
    assert "is [20, 2, 1, 16] in DRAM" in reason and "would have to move" in reason


def test_what_is_no_pair_of_matrices_is_named(tmp_path: Path) -> None:
    graph = Graph()
    a, b = graph.input((2, 3, 8, 16), 0.1), graph.input((3, 16, 8), 0.1)
    graph.output(graph.node("MatMul", a, b), 0.5)
    reasons = [r for part in parted(graph, tmp_path).segments for r in part.reasons.values()]
    assert any("as many matrices of both, or one of the second: expand" in r for r in reasons)
    graph = Graph()
    a, b = graph.input((2, 3, 8), 0.1), graph.input((2, 8, 3), 0.1)
    graph.output(graph.node("MatMul", a, b), 0.5)
    made = parted(graph, tmp_path, Config.preset("2x8"))
    reasons = [reason for part in made.segments for reason in part.reasons.values()]
    assert any("a configuration with BATCH 1" in reason for reason in reasons)
