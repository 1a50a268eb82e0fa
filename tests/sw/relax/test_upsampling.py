"""A convolution of repeated rows and columns is a transposed convolution of what is repeated."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from vta.sw.relax.normalize import normalize
from vta.sw.relax.read import read
from vta.sw.relax.upsampling import join_upsampling


def upsampled(
    factors: tuple[int, int], kernel: tuple[int, int], pads: list[int], **more: int
) -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    constants = {
        "scales": np.float32([1, 1, *factors]),
        "w": rng.normal(size=(3, 4, *kernel)).astype(np.float32),
        "b": rng.normal(size=3).astype(np.float32),
    }
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["u"], "up", nearest_mode="floor", **how),
        helper.make_node("Conv", ["u", "w", "b"], ["y"], "conv", pads=pads, **more),
    ]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 4, 5, 6]), ("y", None))
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def joined(model: onnx.ModelProto, place: Path) -> ir.Model:
    onnx.save(model, place / "m.onnx")
    return join_upsampling(normalize(read(place / "m.onnx")))


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (2, 4)])
@pytest.mark.parametrize(
    ("kernel", "pads"), [((3, 3), [1, 1, 1, 1]), ((5, 2), [0, 1, 4, 0]), ((1, 1), [0, 0, 0, 0])]
)
def test_it_gives_the_same(
    factors: tuple[int, int], kernel: tuple[int, int], pads: list[int], tmp_path: Path
) -> None:
    model = upsampled(factors, kernel, pads)
    made = joined(model, tmp_path)
    assert [(node.op_type, node.name) for node in made.graph] == [("ConvTranspose", "conv")]
    x = np.random.default_rng(2).normal(size=(1, 4, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(run(ir.to_proto(made), x), run(model, x), atol=1e-4)


@pytest.mark.parametrize("more", [{"strides": [2, 2]}, {"dilations": [2, 2]}])
def test_other_convolutions_stay(more: dict[str, int], tmp_path: Path) -> None:
    made = joined(upsampled((2, 2), (3, 3), [1, 1, 1, 1], **more), tmp_path)
    assert [node.op_type for node in made.graph] == ["Resize", "Conv"]


def test_a_convolution_padded_as_much_as_its_kernel_stays(tmp_path: Path) -> None:
    made = joined(upsampled((2, 2), (1, 1), [1, 1, 1, 1]), tmp_path)
    assert [node.op_type for node in made.graph] == ["Resize", "Conv"]


def test_what_else_is_read_stays(tmp_path: Path) -> None:
    model = upsampled((2, 2), (3, 3), [1, 1, 1, 1])
    model.graph.output.append(helper.make_tensor_value_info("u", onnx.TensorProto.FLOAT, None))
    assert [node.op_type for node in joined(model, tmp_path).graph] == ["Resize", "Conv"]
