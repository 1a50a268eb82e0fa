"""Whole networks on the golden device: every tensor is the reference's, every layer onnxruntime's.

The small ones run on the RTL, too: tests/sim/test_networks.py; those of full size in the benchmark.
"""

from pathlib import Path

import onnx
import pytest

from tests.sw.relax.by_layer import assert_close, compiled
from vta.sw.models.onnx import dcgan, detector, mobilenet, resnet18
from vta.sw.relax.compile import compile_model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.quantize import FORMS
from vta.sw.relax.read import read

from .model_files import model_file

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SMALL = {  # too long for a simulation in `make test`
    "resnet18": lambda: resnet18(size=64, classes=20),
    "mobilenet": lambda: mobilenet(size=64, quarters=2, relu6=True),
    "dcgan": lambda: dcgan(width=32),
    "detector": lambda: detector(size=96, width=8),
}
FLOAT = ("mnist_cnn_float", "resnet8_cifar10_float", "blazeface_128_float", "espcn_float")
LEAST = {"qoperator": 1}
"""Layers on VTA, if not 3: QOperator has no ConvTranspose."""
INTEGERS = ("resnet8_cifar10_int8", "keyword_dscnn_int8", "anomaly_autoencoder_int8")


@pytest.mark.regress
@pytest.mark.parametrize("form", ["power-of-two", *FORMS])
@pytest.mark.parametrize("name", SMALL)
def test_made_networks(name: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(SMALL[name]().SerializeToString())
    _check(path, form)


@pytest.mark.regress
@pytest.mark.parametrize("form", ["power-of-two", *FORMS])
@pytest.mark.parametrize("name", FLOAT)
def test_float_files_in_every_form(name: str, form: str) -> None:
    _check(model_file(f"{name}.onnx"), form)


@pytest.mark.regress
@pytest.mark.parametrize("name", [*INTEGERS, "keyword_dscnn_float", "resnet8_cifar10_float"])
def test_tflite_files(name: str) -> None:
    _check(model_file(f"{name}.tflite"), "power-of-two")


def _check(path: Path, form: str) -> None:
    options = {"scales": form} if form == "power-of-two" else {"form": FORMS[form]}
    parted, network = compiled(path, **options)
    found = assert_close(parted, network(network.random_inputs(3)))
    assert len(found) >= LEAST.get(form, 3)


@pytest.mark.regress
@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem)
def test_real_architectures_compile_or_say_why_not(path: Path) -> None:
    """The graphs in onnx's wheel. Their weights are made up: quantised, they mean nothing."""
    shapes = {v.name: tuple(v.shape.numpy()) for v in read(path).graph.inputs}
    try:
        network = compile_model(path, scales="power-of-two")
    except NetworkError as error:
        assert "\n" not in str(error) and len(str(error)) > 30
        return
    assert {value.name: value.shape for value in network.manifest.inputs} == shapes
    assert sum(layer.macs for r in network.manifest.regions for layer in r.layers) > 10**7
    for segment in network.manifest.segments:
        for node in segment.nodes:
            assert node.reason or node.operator in ("QuantizeLinear", "DequantizeLinear")
