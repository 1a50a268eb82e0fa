"""Real files: of VTA_MODELS, and the graphs of real architectures in the wheel of onnx."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.sw.relax.compare import assert_same, run
from tests.sw.relax.graphs import kinds, reread
from vta.sw.relax.graph import constant, is_op, source
from vta.sw.relax.infer import OPSET
from vta.sw.relax.inspect import inspect
from vta.sw.relax.normalize import normalize
from vta.sw.relax.read import read

from .model_files import model_file

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
QUICK = ("squeezenet", "shufflenet", "inception_v1")
LARGE = ("densenet121", "inception_v2", "resnet50", "bvlc_alexnet", "vgg19", "zfnet512")
GONE = {"Constant", "ConstantOfShape", "Identity", "Dropout", "BatchNormalization", "Sum", "Shape"}
EXPLICIT = {
    "Conv": {"kernel_shape", "strides", "dilations", "pads", "group"},
    "MaxPool": {"kernel_shape", "strides", "dilations", "pads", "ceil_mode"},
    "AveragePool": {"kernel_shape", "strides", "pads", "ceil_mode", "count_include_pad"},
    "Gemm": {"alpha", "beta", "transA", "transB"},
}  # fmt: skip


def assert_normal(model: ir.Model, names: set[str]) -> None:
    """The normal form, of a model whose nodes in the file have the given names."""
    assert model.opset_imports == {"": OPSET} and not model.functions
    assert not GONE & {n.op_type for n in model.graph if not n.outputs[0].is_graph_output()}
    found = [node.name for node in model.graph]
    assert len(set(found)) == len(found)
    seen = {*model.graph.inputs, *model.graph.initializers.values()}
    for node in model.graph:
        assert node.domain == "" and source(node) in names
        assert {value for value in node.inputs if value is not None} <= seen
        seen |= set(node.outputs)
        assert EXPLICIT.get(node.op_type, set()) <= node.attributes.keys()
        assert "auto_pad" not in node.attributes
        if is_op(node, "QuantizeLinear", "DequantizeLinear"):
            scale, zero = (constant(value) for value in node.inputs[1:])
            assert scale.dtype == np.float32 and scale.shape == zero.shape
            assert ("axis" in node.attributes) == (scale.ndim == 1)
    for value in seen:
        assert value.name and value.dtype is not None and value.shape.is_static()


FILES = ["mnist_cnn_float", "resnet8_cifar10_float", "espcn_float", "blazeface_128_float"]


@pytest.mark.parametrize("name", FILES)
def test_models(name: str) -> None:
    path = model_file(f"{name}.onnx")
    read_model = read(path)
    names = {node.name or node.outputs[0].name for node in read_model.graph}
    model = normalize(read_model)
    assert_normal(model, names)
    assert_same(onnx.load(path), model)


def test_the_recorded_output_of_a_network() -> None:
    """mnist_cnn comes with an input and an output of its own."""
    path = model_file("mnist_cnn_float.onnx")
    recorded = np.load(path.parent / "mnist_cnn_io.npz")
    given, expected = (recorded[name] for name in recorded.files)
    model = normalize(read(path))
    (name,) = (value.name for value in model.graph.inputs)
    (found,) = run(model, {name: given.astype(np.float32)})
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-3)


MACS = {
    "mnist_cnn_float": 786_560, "resnet8_cifar10_float": 12_501_632,
    "espcn_float": 1_041_235_968, "blazeface_128_float": 30_760_960,
}  # fmt: skip


@pytest.mark.parametrize("name", MACS)
def test_multiplications(name: str) -> None:
    """As they are known from elsewhere: 12.5 million of ResNet-8, 1,041 of ESPCN."""
    path = model_file(f"{name}.onnx")
    found = inspect(read(path), path)
    assert (found.macs, found.form, found.refused) == (MACS[name], "float", None)
    assert found.macs == sum(node.macs for node in found.nodes)


# Architectures of the wheel -----------------------------------------------------------------------
def _random(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Their constants are all alike: random ones instead, and no Softmax that hides differences."""
    random = np.random.default_rng(0)
    sizes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    kept, made = [], []
    for node in proto.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = sizes[node.input[0]]
        value = onnx.numpy_helper.to_array(node.attribute[0].t).item()
        array = random.uniform(0.5, 1.5, shape) * value
        if len(shape) > 1:
            array *= random.choice((-1, 1), shape)
        made.append(onnx.numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    if kept[-1].op_type == "Softmax":
        proto.graph.output[0].CopyFrom(onnx.helper.make_empty_tensor_value_info(kept[-1].input[0]))
        del kept[-1]
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    proto.graph.initializer.extend(made)
    return proto


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.regress) for name in LARGE)]
)
def test_architectures(name: str) -> None:
    proto = _random(onnx.load(LIGHT / f"light_{name}.onnx"))
    read_model = reread(proto)
    names = {node.name or node.outputs[0].name for node in read_model.graph}
    model = normalize(read_model)
    assert_normal(model, names)
    assert_same(proto, model)


def test_all_architectures_are_here() -> None:
    found = {path.stem.removeprefix("light_") for path in LIGHT.glob("*.onnx")}
    assert found == {*QUICK, *LARGE}


@pytest.mark.parametrize("name", ["shufflenet"])
def test_constants_that_nodes_make(name: str) -> None:
    """The file as it is: 243 ConstantOfShape."""
    path = LIGHT / f"light_{name}.onnx"
    model = normalize(read(path))
    assert "ConstantOfShape" not in kinds(model)
    assert_same(onnx.load(path), model)
