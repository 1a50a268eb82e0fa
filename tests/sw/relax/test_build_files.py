"""Real files of VTA_MODELS from the file to a checked run; what is missing is skipped by name."""

from pathlib import Path

import numpy as np
import pytest

from vta.sw.relax.compile import compile_model
from vta.sw.relax.read import read
from vta.sw.relax.runtime import CompiledNetwork
from vta.sw.relax.saving import load, save

from .model_files import model_file

SMALL = ("anomaly_autoencoder_int8.tflite", "mnist_cnn_float.onnx")
LARGE = (
    "keyword_dscnn_int8.tflite",
    "keyword_dscnn_float.tflite",
    "resnet8_cifar10_int8.tflite",
    "resnet8_cifar10_float.onnx",
    "resnet8_cifar10_float.tflite",
    "blazeface_128_float.onnx",
    "espcn_float.onnx",
)


def _compiled(path: Path, directory: Path) -> CompiledNetwork:
    """The network as it comes back from its directory."""
    save(compile_model(path), directory)
    return load(directory)


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(name, marks=pytest.mark.regress) for name in LARGE)]
)
def test_every_layer_that_multiplies_runs_on_vta_and_is_exact(name: str, tmp_path: Path) -> None:
    network = _compiled(model_file(name), tmp_path / "n")
    operators = {node.operator for s in network.manifest.segments for node in s.nodes}
    assert not operators & {"Conv", "Gemm", "MatMul", "MaxPool", "Add", "Concat"}
    run = network(network.random_inputs(1))
    assert run.equal
    layers = [la for r in network.manifest.regions for la in r.layers if la.kernels]
    assert sum(len(region.checks) for region in run.regions) >= len(layers) > 3


@pytest.mark.parametrize("scales", ["multiplier", "power-of-two"])
def test_mnist_gives_its_own_recorded_output(scales: str, tmp_path: Path) -> None:
    """The class, and scores within what quantising costs."""
    recorded = np.load(model_file("mnist_cnn_io.npz"))
    path, samples = model_file("mnist_cnn_float.onnx"), tmp_path / "samples.npz"
    (name,) = (value.name or "" for value in read(path).graph.inputs)
    np.savez(samples, **{name: recorded["input_0"]})
    network = compile_model(path, samples=samples, scales=scales)
    run = network({name: recorded["input_0"]})
    (found,) = run.outputs.values()
    expected = recorded["output_0"]
    assert run.equal
    assert found.argmax() == expected.argmax()
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
