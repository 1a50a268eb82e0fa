"""Layers beside what the file means, and outputs beside the originals'."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from tests.sw.relax.parted import two_convolutions
from tests.sw.relax.quantised import Graph, parted, random_inputs
from tests.sw.relax.test_build import Spoilt
from vta.hw.errors import OptionError
from vta.sw.models.digits import test_images as images_of_digits
from vta.sw.models.onnx import digits_inputs, model
from vta.sw.relax.accuracy import Accuracy, Agreement, classes, labelled
from vta.sw.relax.build import build
from vta.sw.relax.compile import compile_model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.meaning import Meaning, added
from vta.sw.relax.originals import FLOAT, MEANING, Originals
from vta.sw.relax.parts import Partition
from vta.sw.relax.quantize import observe
from vta.sw.relax.runtime import CompiledNetwork


@pytest.fixture(scope="module", params=["int8", "uint8"])
def partition(request: pytest.FixtureRequest) -> Partition:
    return two_convolutions(dtype=request.param)


@pytest.fixture(scope="module")
def network(partition: Partition) -> CompiledNetwork:
    return build(partition, name="two")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> CompiledNetwork:
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    path.write_bytes(model("digits").SerializeToString())
    images, _ = images_of_digits()
    return compile_model(path, samples={"image": digits_inputs(images[50:100])})


def values(partition: Partition, inputs: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A value of the graph, by onnxruntime on its nodes as they stand."""
    proto = ir.to_proto(partition.model)
    proto.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return np.asarray(session.run([name], inputs)[0])


# Layer by layer -----------------------------------------------------------------------------------
@pytest.mark.parametrize("installed", [True, False])
def test_values_of_a_layer_are_counted(
    partition: Partition, network: CompiledNetwork, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(observe, "find_spec", lambda _: None)
    inputs = network.random_inputs(4)
    run = network(inputs)
    found = Meaning(network.manifest, network.originals).differences(run, inputs)
    assert list(found) == ["conv0_q", "conv1_q"]
    first = run.regions[0]
    stored = first.region.output(first.region.saved.outputs[0], first.result.memory)
    off = np.abs(stored.astype(int) - values(partition, inputs, "conv0_q"))
    one = found["conv0_q"]
    assert (one.values, one.differ, one.largest) == (off.size, np.count_nonzero(off), off.max())
    assert one.by == ("onnxruntime" if installed else "onnx.reference") == found["conv1_q"].by
    assert all(each.largest <= each.expected == 1 for each in found.values())


def test_what_is_wrong_in_one_layer_is_not_blamed_on_the_next(network: CompiledNetwork) -> None:
    """A byte of the first layer's result is another one; the second is computed from that."""
    inputs = network.random_inputs(1)
    meaning = Meaning(network.manifest, network.originals)
    right = meaning.differences(network(inputs), inputs)
    spoilt = network(inputs, device=Spoilt("conv0", "conv0_q"))
    wrong = meaning.differences(spoilt, inputs)
    assert not spoilt.equal and wrong["conv0_q"].differ == right["conv0_q"].differ + 1
    assert wrong["conv1_q"].differ <= right["conv1_q"].differ + 5


def test_a_layer_that_rounds_twice_may_be_further_off(tmp_path: Path) -> None:
    """Of a convolution and an addition, the first rounding's unit is 2.5 of the result's."""
    graph, rng = Graph(), np.random.default_rng(0)
    data, other = graph.input((1, 4, 6, 6), 0.05), graph.input((1, 8, 6, 6), 0.05)
    weights = graph.weights(rng.integers(-90, 90, (8, 4, 1, 1)).astype(np.int8), 0.01)
    product = graph.again(graph.node("Conv", data, weights), 0.25)
    graph.output(graph.node("Add", product, other), 0.1)
    network = build(parted(graph, tmp_path), name="sum")
    inputs = random_inputs(graph, 1)
    (one,) = (
        Meaning(network.manifest, network.originals).differences(network(inputs), inputs).values()
    )
    assert one.expected == 1 + 3 and one.largest <= one.expected and one.values == 8 * 36


def test_runs_are_added_up(network: CompiledNetwork) -> None:
    meaning = Meaning(network.manifest, network.originals)
    one, two = (
        meaning.differences(network(inputs), inputs)["conv0_q"]
        for inputs in (network.random_inputs(1), network.random_inputs(2))
    )
    both = added(one, two)
    assert (both.values, both.differ) == (2 * one.values, one.differ + two.differ)
    assert str(both) == f"{both.share} by 1" and both.share.endswith("%") and both.share != "0%"


def test_a_network_that_cannot_be_computed_here_says_so(network: CompiledNetwork) -> None:
    graph = onnx.parser.parse_graph("g (float[1] x) => (float[1] y) { y = Unheard (x) }")
    originals = Originals({MEANING: onnx.helper.make_model(graph).SerializeToString()})
    with pytest.raises(NetworkError, match=r"the network cannot be run on the CPU: .*Unheard"):
        Meaning(network.manifest, originals).outputs(MEANING, {})
    with pytest.raises(NetworkError, match=r"float\.onnx: it is no ONNX model"):
        Originals({FLOAT: b"\xff" * 9}).model(FLOAT)


# Outputs ------------------------------------------------------------------------------------------
def test_outputs_are_compared_with_both_originals(digits: CompiledNetwork) -> None:
    images, labels = images_of_digits()
    inputs = {"image": digits_inputs(images[:8])}
    accuracy = Accuracy(digits.manifest, digits.originals, np.array(labels[:8]))
    outputs = []
    for run, given in zip(digits.batches(inputs), digits.split(inputs), strict=True):
        accuracy.add(run, given)
        outputs.append(run.outputs["logits"])
    float_file = onnxruntime.InferenceSession(model("digits").SerializeToString())
    expected = np.concatenate(
        [float_file.run(None, {"image": inputs["image"][n : n + 1]})[0] for n in range(8)]
    )
    found = np.concatenate(outputs)
    agreement = accuracy.found["logits", FLOAT]
    assert agreement.largest == pytest.approx(np.abs(found - expected).max(), rel=1e-3)
    assert (agreement.samples, agreement.values) == (8, 80)
    assert agreement.top1 == (found.argmax(1) == expected.argmax(1)).sum()
    assert agreement.right == (expected.argmax(1) == labels[:8]).sum()
    assert accuracy.right == (found.argmax(1) == labels[:8]).sum() >= 7
    quantised = accuracy.found["logits", MEANING]
    assert quantised.largest < agreement.largest
    document = accuracy.to_dict()
    assert document["labels"] == 8 and document["right"] == accuracy.right
    assert document["agreement"][1]["sqnr_db"] > 20
    lines = list(accuracy.lines())
    assert lines[0].startswith("logits beside the quantised network: ")
    assert lines[-1].startswith(f"right by the labels: {accuracy.right} of 8 (")
    with pytest.raises(OptionError, match="there are 8 labels, fewer than samples"):
        accuracy.add(digits(digits.random_inputs(0)), digits.random_inputs(0))


def test_agreement_in_numbers() -> None:
    one = Agreement("y", FLOAT)
    one.add(np.array([[1, 5, 2, 0]], np.float32), np.array([[1, 4, 2, 0]], np.float32))
    one.add(np.array([[9, 5, 2, 0]], np.float32), np.array([[1, 5, 2, 0]], np.float32))
    assert (one.values, one.differ, one.largest, one.reach) == (8, 2, 8, 5)
    assert (one.samples, one.top1, one.error, one.power) == (2, 1, 65, 21 + 30)
    assert one.line() == (
        "y beside the float network: 25% of the numbers differ, by 8 at most, where the largest "
        "is 5; the same class in 1 of 2"
    )


def test_classes_are_of_vectors_alone() -> None:
    assert classes(np.zeros((2, 3, 4))) is None and classes(np.zeros((2, 1, 1))) is None
    assert list(classes(np.eye(3)[:2].reshape(2, 3, 1, 1))) == [0, 1]  # type: ignore[arg-type]


def test_labels_need_an_output_of_classes(network: CompiledNetwork) -> None:
    with pytest.raises(OptionError, match=r"labels are of an output .*: this has y \[1, 24, 8, 8"):
        labelled(network.manifest.outputs)
