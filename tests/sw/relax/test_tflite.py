"""TFLite files as ONNX graphs: every operator against TFLite's own kernels, and the rounding."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from tests.sw.relax.tflite_cases import CASES, FLOAT_CASES
from tests.sw.relax.tflite_writer import litert
from vta.sw.relax.graph import SOURCE
from vta.sw.relax.tflite.integer import KERNELS
from vta.sw.relax.tflite.rounding import roundings
from vta.sw.relax.tflite.schema import parse
from vta.sw.relax.tflite_file import model_of

# Lookup tables and approximations of TFLite: not one rounding, but several numbers apart.
HALVES = 0.25  # of the results of a pool, at most, are halves, which TFLite rounds another way
APPROXIMATE = {"softmax, beta, rank 4": 2, "hard swish": 2}


def given(data: bytes, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of a file, by name."""
    file, rng = parse(data), np.random.default_rng(seed)
    inputs = {}
    for info in (file.tensors[index] for index in file.inputs):
        if np.dtype(info.dtype).kind == "f":
            inputs[info.name] = (np.abs(rng.normal(size=info.shape)) + 0.1).astype(info.dtype)
        else:
            bounds = np.iinfo(info.dtype)
            inputs[info.name] = rng.integers(
                bounds.min, bounds.max + 1, info.shape, dtype=info.dtype
            )
    return inputs


def run(model: ir.Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value of a model, by onnxruntime without optimisation."""
    proto = ir.to_proto(model)
    names = [value.name for node in model.graph for value in node.outputs]
    have = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in have)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return dict(zip(names, session.run(names, inputs), strict=True)) | inputs


def assert_names(data: bytes, model: ir.Model) -> None:
    """Every node belongs to an operator of the file, and inputs and outputs are the file's."""
    file = parse(data)
    operators = {op.name for op in file.operators}
    for node in model.graph:
        of_edge = node.op_type == "Transpose" and SOURCE not in node.metadata_props
        assert node.metadata_props.get(SOURCE, node.name) in operators or of_edge, node.name
    names = [node.name for node in model.graph]
    assert len(set(names)) == len(names)
    for values, indices in ((model.graph.inputs, file.inputs), (model.graph.outputs, file.outputs)):
        infos = [file.tensors[index] for index in indices]
        assert [value.name for value in values] == [info.name for info in infos]
        assert [value.shape.numpy() for value in values] == [info.shape for info in infos]


@pytest.mark.parametrize("name", CASES)
def test_quantised(name: str) -> None:
    data = CASES[name]()
    model, inputs = model_of(data), given(data)
    assert_names(data, model)
    found, expected = run(model, inputs), litert(data, inputs)
    for output in model.graph.outputs:
        want = expected[output.name].astype(np.float64)
        assert found[output.name].dtype == expected[output.name].dtype
        off = np.abs(found[output.name] - want)
        assert off.max() <= APPROXIMATE.get(name, 1), f"{off.max()} in {np.count_nonzero(off)}"
        # A wrong order of axes or a wrong pad would be all over the tensor.
        assert np.count_nonzero(off) <= max(2, HALVES * off.size)
        assert len(np.unique(want)) > 1


@pytest.mark.parametrize("name", FLOAT_CASES)
def test_float(name: str) -> None:
    data = FLOAT_CASES[name]()
    model, inputs = model_of(data), given(data)
    assert_names(data, model)
    found, expected = run(model, inputs), litert(data, inputs, reference=False)
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_rounding_is_tflites(name: str) -> None:
    """From its own inputs and outputs, TFLite differs nowhere from what we say it does."""
    data = CASES[name]()
    inputs = given(data, seed=1)
    expected = inputs | litert(data, inputs)
    found = roundings(data, expected)
    counted = [op.name for op in parse(data).operators if op.kind in KERNELS]
    assert [one.name for one in found] == counted
    assert all(one.differ == 0 for one in found)


def test_rounding_counts() -> None:
    data = CASES["conv"]()
    inputs = given(data)
    made = litert(data, inputs)["y"]
    made.flat[7] -= 3 if made.flat[7] > 0 else -3
    (one,) = roundings(data, inputs | {"y": made})
    assert (one.name, one.operator, one.elements) == ("y", "CONV_2D", 90)
    assert (one.differ, one.largest) == (1, 3)
    assert roundings(data, inputs) == []
