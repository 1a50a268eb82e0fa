"""Compiled networks: run on arrays against onnxruntime, checked tensor by tensor."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from tests.sw.relax.parted import SIDE, two_convolutions
from vta.hw.isa import ErrorClass
from vta.sw.compiler import Instruments
from vta.sw.golden import GoldenDevice
from vta.sw.program import DeviceError, Program, Result
from vta.sw.relax import cpu_check
from vta.sw.relax.build import build
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.parts import Partition
from vta.sw.relax.runtime import CompiledNetwork


class Spoilt:
    """The golden device, but the first byte of one region's stored tensor is another one."""

    def __init__(self, region: str, tensor: str, error: DeviceError | None = None) -> None:
        self.region, self.tensor, self.error = region, tensor, error

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        result = GoldenDevice().run(program, max_cycles=max_cycles, progress=progress)
        if program.name == self.region:
            result.error = self.error
            result.memory[program.segments[self.tensor].start - program.memory_base + 5] ^= 1
        return result


@pytest.fixture(scope="module", params=["int8", "uint8"])
def partition(request: pytest.FixtureRequest) -> Partition:
    return two_convolutions(dtype=request.param)


@pytest.fixture(scope="module")
def network(partition: Partition) -> CompiledNetwork:
    return build(partition, name="two")


def original(partition: Partition, x: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of the graph, node by node as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = ir.to_proto(partition.model).SerializeToString()
    return np.asarray(onnxruntime.InferenceSession(model, options).run(None, {"x": x})[0])


def test_regions_and_segments_give_what_the_graph_means(
    partition: Partition, network: CompiledNetwork
) -> None:
    run = network(network.random_inputs(1))
    assert run.equal
    assert [each.region.saved.name for each in run.regions] == ["conv0", "conv1"]
    assert [check.tensor for each in run.regions for check in each.checks] == ["conv0_q", "conv1_q"]
    assert list(run.cpu_seconds) == ["first", "between", "last"]
    expected = original(partition, network.random_inputs(1)["x"])
    assert expected.std() > 0.01
    # A quantised step of the logits is 0.08: a rounding apart, probabilities are 8% apart.
    np.testing.assert_allclose(run.outputs["y"], expected, rtol=0.2, atol=0.02)
    off = np.abs(run.outputs["y"] - expected) > 1e-4
    assert off.mean() < 0.2


def test_a_wrong_tensor_is_named_with_its_index_and_its_store(network: CompiledNetwork) -> None:
    run = network(network.random_inputs(1), device=Spoilt("conv0", "conv0_q"))
    assert not run.equal and run.outputs
    first, second = run.regions
    assert not first.equal and second.equal  # the second one computes with what the first gave
    (check,) = first.checks
    assert (check.tensor, check.node, check.wrong) == ("conv0_q", "conv0", 1)
    assert check.first is not None
    assert check.first.index == (0, 5, 0, 0)  # byte 5 is channel 5 of the first pixel
    assert check.first.actual == check.first.expected ^ 1
    golden = GoldenDevice(record_writers=True).run(first.program).writers
    place = first.program.segments["conv0_q"].start - first.program.memory_base + 5
    assert golden is not None and check.first.instruction == golden[place]


def test_an_error_of_the_device_ends_the_run(network: CompiledNetwork) -> None:
    error = DeviceError(ErrorClass.BUS_ERROR, 7, "no memory there")
    run = network(network.random_inputs(1), device=Spoilt("conv0", "conv0_q", error))
    assert not run.equal and not run.outputs
    assert [each.result.error for each in run.regions] == [error]
    assert network(network.random_inputs(1)).equal  # the next run works again


def test_what_a_device_raises_reaches_the_caller(network: CompiledNetwork) -> None:
    class Broken(GoldenDevice):
        def run(self, program: Program, **_: object) -> Result:
            raise KeyboardInterrupt("now")

    with pytest.raises(KeyboardInterrupt, match="now"):
        network(network.random_inputs(1), device=Broken())
    assert network(network.random_inputs(1)).equal


def test_batches_follow_each_other(network: CompiledNetwork) -> None:
    inputs = [network.random_inputs(seed)["x"] for seed in range(3)]
    runs = list(network.batches({"x": np.concatenate(inputs)}))
    assert len(runs) == 3
    for x, run in zip(inputs, runs, strict=True):
        np.testing.assert_array_equal(run.outputs["y"], network({"x": x}).outputs["y"])
    with pytest.raises(NetworkError, match="x has 0 rows; they must be a multiple of 1"):
        next(network.batches({"x": np.zeros((0, 3, SIDE, SIDE), np.float32)}))


def test_threads_do_not_mix_their_runs(network: CompiledNetwork, partition: Partition) -> None:
    other = build(partition, name="other")
    found: dict[str, np.ndarray] = {}

    def run(name: str, compiled: CompiledNetwork, seed: int) -> None:
        for _ in range(5):
            found[name] = compiled(compiled.random_inputs(seed)).outputs["y"]

    threads = [
        threading.Thread(target=run, args=each)
        for each in (("one", network, 1), ("other", other, 2))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, seed in (("one", 1), ("other", 2)):
        expected = network(network.random_inputs(seed)).outputs["y"]
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "two: its input x is not given"),
        ({"z": np.zeros(1)}, "two has no input z; it has x"),
        ({"x": np.zeros((1, 3, 9, 8), np.float32)}, r"x is float32 \[1, 3, 9, 8\]; it must be"),
        ({"x": np.zeros((1, 3, 8, 8))}, r"x is float64 .*; it must be float32 \[1, 3, 8, 8\]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    network: CompiledNetwork, inputs: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        network(inputs)


def test_passes_are_timed_and_written_down(tmp_path: Path) -> None:
    steps: list[str] = []
    instruments = Instruments(steps.append, tmp_path)
    build(two_convolutions(), name="two", instruments=instruments)
    assert {"link", "encode", "relax", "llvm", "tvm LegalizeOps"} <= set(instruments.seconds)
    assert "conv1: translate conv1" in steps
    assert "vta.run" in (tmp_path / "01-relax.txt").read_text()
    assert "vta.run" in (tmp_path / "02-llvm.txt").read_text()
    assert "store out" in next((tmp_path / "conv0").glob("*-encode.txt")).read_text()


# What TVM takes wrongly ---------------------------------------------------------------------------
def test_what_tvm_refuses_is_named(partition: Partition) -> None:
    with _replaced(partition, "gate", "Det") as changed, pytest.raises(NetworkError) as error:
        build(changed, name="two")
    assert str(error.value).startswith("Det gate runs on the CPU, and TVM refuses it: ")
    assert "\n" not in str(error.value)


def test_another_domain_is_refused_for_tvm_does_not_look_at_it(partition: Partition) -> None:
    node = partition.parts[2].nodes[1]  # type: ignore[union-attr]
    node.domain = "my.own"
    try:
        with pytest.raises(NetworkError, match=r"my.own.Sigmoid gate: .* operators of ONNX only"):
            build(partition, name="two")
    finally:
        node.domain = ""


def test_other_values_than_onnx_means_are_refused(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = cpu_check._reference
    monkeypatch.setattr(
        cpu_check, "_reference", lambda *given: [each + 9 for each in reference(*given)]
    )
    with pytest.raises(NetworkError, match=r"QuantizeLinear x_q runs on the CPU, where TVM gives"):
        build(partition, name="two")


def test_what_the_reference_lacks_is_said(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> list[np.ndarray]:
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(cpu_check, "_reference", lacking)
    made = build(partition, name="two")
    line = "between was not compared with onnx.reference: no such operator"
    assert line in made.manifest.warnings


def test_a_part_that_reads_what_nobody_makes_is_refused() -> None:
    partition = two_convolutions()
    del partition.parts[0]
    with pytest.raises(NetworkError, match="conv0 reads x_q, which no part before it makes"):
        build(partition, name="two")


class _replaced:
    """The partition, in which a node of a segment is of another type for a while."""

    def __init__(self, partition: Partition, node: str, op_type: str) -> None:
        self.partition, self.op_type = partition, op_type
        self.node = next(n for part in partition.segments for n in part.nodes if n.name == node)

    def __enter__(self) -> Partition:
        self.before, self.node.op_type = self.node.op_type, self.op_type
        return self.partition

    def __exit__(self, *_: object) -> None:
        self.node.op_type = self.before


def test_iterating_batches_is_lazy(network: CompiledNetwork) -> None:
    x = np.concatenate([network.random_inputs(seed)["x"] for seed in range(2)])
    runs = network.batches({"x": x})
    assert isinstance(runs, Iterator)
    assert next(runs).equal


def test_another_shape_than_the_graph_has_is_refused() -> None:
    partition = two_convolutions()
    node = next(node for node in partition.model.graph if node.name == "gate")
    node.outputs[0].shape = ir.Shape((1, 16, SIDE, SIDE + 1))
    partition.segments[1].outputs.append("gate")
    with pytest.raises(NetworkError) as error:
        build(partition, name="two")
    assert str(error.value).startswith(
        "Sigmoid gate runs on the CPU, and TVM gives gate as float32"
    )
    assert "[1, 16, 8, 8], where the graph has float32 [1, 16, 8, 9]" in str(error.value)
