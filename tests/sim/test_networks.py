"""Networks from the graph to the core: RTL, golden device and integer reference in every tensor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.sw.relax.by_layer import assert_close, compiled
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.models.onnx import dcgan, detector, digits, digits_int8, mobilenet, residuals
from vta.sw.relax.inference import Run
from vta.sw.relax.quantize import FORMS

TWO = "power-of-two"
CASES: dict[str, tuple[Callable[[], onnx.ModelProto], str, set[str]]] = {
    # What is on the CPU beside what quantises is named.
    "digits": (digits, "default", set()),
    "digits, batch": (lambda: digits(batch=2), "symmetric", set()),
    "digits_int8": (digits_int8, TWO, set()),
    "residuals": (lambda: residuals(size=7, width=20), TWO, set()),
    "residuals, multiplier": (lambda: residuals(size=6, width=16), "per-channel", set()),
    "mobilenet": (lambda: mobilenet(size=32, relu6=True), "default", {"Softmax"}),
    "dcgan": (lambda: dcgan(width=4), "default", {"Tanh"}),
    "u8u8": (lambda: residuals(size=6, width=16), "u8u8", set()),
    "detector": (lambda: detector(size=32, width=2, classes=3), "qoperator", set()),
}
QUANTISE = {"QuantizeLinear", "DequantizeLinear"}


@pytest.mark.parametrize("case", CASES)
def test_three_ways(case: str, tmp_path: Path, device: RtlDevice) -> None:
    """And each layer is onnxruntime's, at most one off."""
    make, form, left = CASES[case]
    path = tmp_path / "network.onnx"
    path.write_bytes(make().SerializeToString())
    options = {"scales": form} if form == TWO else {"form": FORMS[form]}
    parted, network = compiled(path, **options)
    assert {n.operator for s in network.manifest.segments for n in s.nodes} - QUANTISE == left
    inputs = network.random_inputs(5)
    run = network(inputs, device=device)
    assert_close(parted, run)
    assert_same(run, network(inputs))


def assert_same(one: Run, other: Run) -> None:
    """What two devices leave of a network, in every byte."""
    assert one.equal and other.equal
    for a, b in zip(one.regions, other.regions, strict=True):
        assert len(a.checks) == len(b.checks) > 0
        for check in a.checks:
            tensor = a.program.segments[check.tensor]
            place = slice(*(at - a.program.memory_base for at in (tensor.start, tensor.end)))
            np.testing.assert_array_equal(a.result.memory[place], b.result.memory[place])
    for name, array in one.outputs.items():
        np.testing.assert_array_equal(array, other.outputs[name])


@pytest.mark.regress
@pytest.mark.parametrize("preset", ["1x8", "2x16", "1x32"])
@pytest.mark.parametrize("case", CASES)
def test_other_cores(
    case: str, preset: str, tmp_path: Path, rtl: Callable[[Config], RtlDevice]
) -> None:
    make, form, _ = CASES[case]
    path = tmp_path / "network.onnx"
    path.write_bytes(make().SerializeToString())
    options = {"scales": form} if form == TWO else {"form": FORMS[form]}
    config = Config.preset(preset)
    parted, network = compiled(path, config, **options)
    inputs = network.random_inputs(6)
    run = network(inputs, device=rtl(config))
    assert_close(parted, run)
    assert_same(run, network(inputs))
