"""Real TFLite files, those of VTA_MODELS, against TFLite's own kernels, tensor by tensor."""

import numpy as np
import pytest

from tests.sw.relax.test_tflite import assert_names, given, run
from tests.sw.relax.tflite_writer import litert
from vta.sw.relax.compile import compile_model
from vta.sw.relax.graph import warnings
from vta.sw.relax.meaning import Meaning
from vta.sw.relax.read import read
from vta.sw.relax.tflite.integer import KERNELS
from vta.sw.relax.tflite.rounding import roundings, roundings_of_run
from vta.sw.relax.tflite.schema import parse

from .model_files import model_file

QUANTISED = ("anomaly_autoencoder_int8", "keyword_dscnn_int8", "resnet8_cifar10_int8")


@pytest.mark.parametrize("name", QUANTISED)
def test_rounding_differs_by_one_at_most(name: str) -> None:
    """Layer by layer: what onnxruntime makes of our graph, and what TFLite makes of its inputs."""
    path = model_file(f"{name}.tflite")
    data = path.read_bytes()
    model = read(path)
    assert_names(data, model)
    values = run(model, given(data))
    found = roundings(path, values)
    integer = [op.name for op in parse(data).operators if op.kind in KERNELS]
    assert [one.name for one in found] == integer
    for one in found:
        assert one.largest <= 1, one
        assert one.differ <= max(1, 0.03 * one.elements), one


@pytest.mark.parametrize("name", QUANTISED)
def test_rounding_is_tflites(name: str) -> None:
    """From TFLite's own tensors no operator differs."""
    data = model_file(f"{name}.tflite").read_bytes()
    file, inputs = parse(data), given(data)
    values = inputs | litert(data, inputs)
    edge = {file.tensors[index].name for index in (*file.inputs, *file.outputs)}
    named = {
        key: value.transpose(0, 3, 1, 2) if value.ndim == 4 and key not in edge else value
        for key, value in values.items()
    }
    found = roundings(data, named)
    assert len(found) > 8
    assert all(one.differ == 0 for one in found)


@pytest.mark.parametrize("name", QUANTISED)
def test_same_result(name: str) -> None:
    """The whole network: what differs by one in a layer stays small to the end."""
    path = model_file(f"{name}.tflite")
    data = path.read_bytes()
    inputs, file = given(data, seed=3), parse(data)
    last = file.operators[-1]
    index = last.inputs[0] if last.kind == "SOFTMAX" else last.outputs[0]
    name = file.tensors[index].name
    found, expected = run(read(path), inputs)[name], litert(data, inputs)[name]
    assert len(np.unique(expected)) > 5
    assert np.abs(found - expected.astype(int)).max() <= 8


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.regress) if name.startswith("resnet8") else name
        for name in QUANTISED
    ],
)
def test_vta_rounds_as_tflite_nearly(name: str) -> None:
    """Of what VTA stores some in a thousand are one off, layer by layer, and none more.

    But an addition that is one layer with a convolution: nobody stores that one's result, and a
    step of it may be several of the sum.
    """
    path = model_file(f"{name}.tflite")
    network = compile_model(path)
    inputs = network.random_inputs(0)
    made = network(inputs)
    assert made.equal
    found = roundings_of_run(path, made, inputs)
    layers = [layer for region in network.manifest.regions for layer in region.layers]
    stored = {port.value.removesuffix("/nchw") for layer in layers for port in layer.outputs}
    assert [one.name for one in found] == [
        op.name
        for op in parse(path.read_bytes()).operators
        if op.kind in KERNELS and op.name in stored
    ]
    assert all(one.largest <= (3 if one.operator == "ADD" else 1) for one in found)
    assert sum(one.differ for one in found) <= 0.003 * sum(one.elements for one in found)


def test_float() -> None:
    path = model_file("resnet8_cifar10_float.tflite")
    data = path.read_bytes()
    inputs = given(data)
    model = read(path)
    assert_names(data, model)
    (output,) = model.graph.outputs
    expected = litert(data, inputs)[output.name]
    np.testing.assert_allclose(run(model, inputs)[output.name], expected, atol=1e-5)


def test_weights_in_int8_stay_so() -> None:
    """A float network with int8 weights: TFLite quantises what meets them as it runs, we do not."""
    path = model_file("keyword_dscnn_float.tflite")
    model = read(path)
    assert any(value.dtype == value.dtype.INT8 for value in model.graph.initializers.values())
    assert len(warnings(model)) == 5 and "its weights are int8 and its data" in warnings(model)[0]
    data = path.read_bytes()
    inputs = given(data)
    (output,) = model.graph.outputs
    expected = litert(data, inputs)[output.name]
    np.testing.assert_allclose(run(model, inputs)[output.name], expected, atol=0.05)


@pytest.mark.parametrize("name", QUANTISED)
def test_layers_are_compared_with_tflites_rounding(name: str) -> None:
    """Also those that were joined with an addition, whose operands nobody stored."""
    path = model_file(f"{name}.tflite")
    network = compile_model(path)
    inputs = network.random_inputs(0)
    meaning = Meaning(network.manifest, network.originals)
    found = meaning.differences(network(inputs), inputs)
    kinds = {one.layer: one.by for one in found.values()}
    computed = {layer.name for region in network.manifest.regions for layer in region.layers}
    moves = {op.name for op in parse(path.read_bytes()).operators if op.kind not in KERNELS}
    assert {layer for layer, by in kinds.items() if by == "TFLite"} == computed - moves
    assert all(one.largest <= one.expected for one in found.values())
    joined = [one for one in found.values() if one.expected > 1]
    assert len(joined) == (3 if name.startswith("resnet8") else 0)
