"""Nodes of the CPU that TVM computes by functions of their own, in several segments."""

from pathlib import Path

import numpy as np
import pytest

from tests.sw.relax.quantised import Graph, on_onnxruntime, parted, random_inputs
from tests.sw.relax.tflite_cases import CASES
from tests.sw.relax.tflite_writer import litert
from vta.sw.relax.build import build
from vta.sw.relax.compile import compile_model


@pytest.mark.parametrize("name", ["pad", "mirror", "mirror the border", "pad with a number"])
def test_pads_run_on_the_cpu(name: str, tmp_path: Path) -> None:
    data = CASES[name]()
    path = tmp_path / "pad.tflite"
    path.write_bytes(data)
    network = compile_model(path)
    inputs = network.random_inputs(1)
    expected = litert(data, inputs)
    for output, array in network(inputs).outputs.items():
        np.testing.assert_array_equal(array, expected[output])


def test_segments_keep_functions_of_the_same_name_apart(tmp_path: Path) -> None:
    graph = Graph()
    data = graph.input((1, 4, 6, 6), 0.1)
    weights = np.random.default_rng(0).integers(-99, 99, (4, 4, 3, 3)).astype(np.int8)
    for sides in ((1, 1, 1, 1), (2, 0, 1, 1)):  # two functions "pad", each with its own sides
        pads = graph.constant(np.array([0, 0, *sides[:2], 0, 0, *sides[2:]], np.int64))
        data = graph.again(graph.node("Pad", data, pads, mode="reflect"), 0.1)
        data = graph.again(graph.node("Conv", data, graph.weights(weights, 0.004)), 0.1)
    graph.output(data, 0.1)
    network = build(parted(graph, tmp_path), name="pads")
    assert [len(segment.nodes) > 1 for segment in network.manifest.segments] == [True, True]
    inputs = random_inputs(graph, 2)
    run = network(inputs)
    (found,), (expected,) = run.outputs.values(), on_onnxruntime(graph, inputs)
    assert run.equal and len(run.regions) == 2 and len(np.unique(expected)) > 50
    assert np.abs(found.astype(int) - expected).max() <= 1
