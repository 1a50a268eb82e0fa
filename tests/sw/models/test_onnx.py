"""The ONNX models: names, shapes, seeds, what they compute, the script that writes them."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from vta.hw.errors import OptionError
from vta.sw.models import digits_network
from vta.sw.models.onnx import MODELS, TRAINED, digits, digits_inputs, digits_int8, model, resnet18
from vta.sw.models.onnx.__main__ import main

NODES = {
    "digits": {"Conv": 3, "Relu": 3, "Flatten": 1, "Gemm": 1},
    "resnet18": {
        "Conv": 20,
        "Relu": 17,
        "MaxPool": 1,
        "Add": 8,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
    },
    "mobilenet": {
        "Conv": 27,
        "Relu": 27,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
        "Softmax": 1,
    },
    "mobilenet_relu6": {
        "Conv": 27,
        "Clip": 27,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
        "Softmax": 1,
    },
    "dcgan": {"Gemm": 1, "Relu": 4, "Reshape": 1, "ConvTranspose": 4, "Tanh": 1},
    "detector": {"Conv": 13, "LeakyRelu": 11, "MaxPool": 6, "Resize": 1, "Concat": 1},
    "residuals": {"Conv": 7, "Relu": 5, "Add": 3},
}
NODES["digits_int8"] = NODES["digits"] | {"QuantizeLinear": 6, "DequantizeLinear": 14}
NODES["detector_224"] = NODES["detector"]
OUTPUTS = {
    "digits": {"logits": (1, 10)},
    "digits_int8": {"logits": (1, 10)},
    "resnet18": {"output": (1, 1000)},
    "mobilenet": {"output": (1, 2)},
    "mobilenet_relu6": {"output": (1, 2)},
    "dcgan": {"image": (1, 3, 64, 64)},
    "detector": {"coarse": (1, 75, 5, 5), "fine": (1, 75, 10, 10)},
    "detector_224": {"coarse": (1, 75, 7, 7), "fine": (1, 75, 14, 14)},
    "residuals": {"output": (1, 32, 16, 16)},
}


def run(made: onnx.ModelProto, seed: int = 0) -> dict[str, np.ndarray]:
    """Every value that a node makes, by name, for random inputs."""
    every = [name for node in made.graph.node for name in node.output]
    shown = onnx.ModelProto()
    shown.CopyFrom(made)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in every)
    session = onnxruntime.InferenceSession(shown.SerializeToString())
    (own,) = session.get_inputs()
    data = np.random.default_rng(seed).standard_normal(own.shape).astype(np.float32)
    return dict(zip(every, session.run(every, {own.name: data}), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_nodes_shapes_and_ranges(name: str) -> None:
    made = model(name)
    kinds = [node.op_type for node in made.graph.node]
    assert {kind: kinds.count(kind) for kind in kinds} == NODES[name]
    names = [node.name for node in made.graph.node]
    assert len(set(names)) == len(names) and all(names)
    values = run(made)
    assert {v.name: values[v.name].shape for v in made.graph.output} == OUTPUTS[name]
    constants = {tensor.name for tensor in made.graph.initializer}
    data = [n.output[0] for n in made.graph.node if n.input[0] not in constants]
    deviations = [values[n].std() for n in data if values[n].dtype == np.float32]
    assert 0.1 < min(deviations) and max(deviations) < 20  # nothing vanishes, nothing grows


@pytest.mark.parametrize("name", ["resnet18", "dcgan", "residuals"])
def test_the_same_bytes_for_a_seed(name: str) -> None:
    first, again, other = (
        model(name, seed=seed).SerializeToString(deterministic=True) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other and len(first) == len(other)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in TRAINED])
def test_batch_norms_are_folded_without_a_difference(name: str) -> None:
    folded, separate = model(name), model(name, batch_norm=True)
    norms = [n for n in separate.graph.node if n.op_type == "BatchNormalization"]
    assert len(separate.graph.node) == len(folded.graph.node) + len(norms) and norms
    for own in folded.graph.output:
        found, expected = run(separate)[own.name], run(folded)[own.name]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())


def test_resnet18_is_named_as_the_exporter_names_torchvisions() -> None:
    names = [node.name for node in model("resnet18").graph.node]
    assert names[:4] == [
        "/conv1/Conv",
        "/relu/Relu",
        "/maxpool/MaxPool",
        "/layer1/layer1.0/conv1/Conv",
    ]
    assert "/layer2/layer2.0/downsample/downsample.0/Conv" in names
    assert names[-1] == "/fc/Gemm"
    tensors = {tensor.name: tuple(tensor.dims) for tensor in model("resnet18").graph.initializer}
    assert tensors["layer4.1.conv2.weight"] == (512, 512, 3, 3)


def test_sizes_are_options() -> None:
    made = resnet18(size=32, classes=10)
    assert run(made)["output"].shape == (1, 10)


def test_the_digits_are_the_projects_own_network() -> None:
    images, _ = digits_network.test_images()
    made = digits(batch=len(images))
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (found,) = session.run(["logits"], {"image": digits_inputs(images)})
    np.testing.assert_allclose(found, digits_network.float_logits(images), rtol=1e-4, atol=1e-4)


def test_the_digits_in_integers_are_the_ones_that_run_on_vta() -> None:
    """Numbers are the same; results but for halves, which ONNX rounds to even, and what follows."""
    images, labels = digits_network.test_images()
    made = digits_int8(batch=len(images))
    held = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    for entry in digits_network.quantized_layers():
        name, (source, own, result) = entry.layer.name, entry.exponents
        np.testing.assert_array_equal(held[f"{name}.weight_quantized"], entry.weight)
        rounding = 2 ** (entry.shift - 1)
        np.testing.assert_array_equal(held[f"{name}.bias_quantized"] + rounding, entry.bias)
        assert held[f"{name}.weight_scale"] == 2.0**-own
        assert held[f"{name}.bias_scale"] == 2.0 ** -(source + own)
        assert held[f"{name}_scale"] == 2.0**-result
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(made.SerializeToString(), options)
    (found,) = session.run(["logits"], {"image": digits_inputs(images)})
    exponent = digits_network.quantized_layers()[-1].exponents[2]
    steps = np.ldexp(found, exponent) - digits_network.golden_logits(images)
    assert np.abs(steps).max() <= 1 and np.count_nonzero(steps) < 0.15 * steps.size
    golden = digits_network.accuracy(digits_network.golden_logits(images), labels)
    assert abs(digits_network.accuracy(found, labels) - golden) <= 0.01


def test_wrong_names_and_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"no model 'resnet'; there are digits, digits_int8, .*"):
        model("resnet")
    with pytest.raises(OptionError, match="digits has trained weights: it takes no seed"):
        model("digits", seed=1)


# The script ---------------------------------------------------------------------------------------
def test_the_script_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "small.onnx"
    assert main(["residuals", "-o", str(path), "--seed", "2", "--batch-norm"]) == 0
    assert path.read_bytes() == model("residuals", seed=2, batch_norm=True).SerializeToString(
        deterministic=True
    )
    assert capsys.readouterr().out == f"{path}: 21 nodes, {path.stat().st_size:,} bytes\n"


def test_the_script_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lenet"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no model 'lenet'; there are digits")
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "python -m vta.sw.models.onnx resnet18" in capsys.readouterr().out
