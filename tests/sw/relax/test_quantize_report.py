"""The report of errors: what it measures, how it ranks, what it suggests."""

import json
from math import inf

import numpy as np
import onnx_ir as ir
import pytest

from tests.sw.relax.networks import network, nodes, normal, run
from vta.sw.models.onnx import model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize import SCALES, quantize

CONV = "<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>"
X, Y = "float[1, 4, 8, 8] x", "float[1, 4, 8, 8] y"


@pytest.fixture(scope="module")
def blocks() -> ir.Model:
    return normalize(ir.from_proto(model("residuals")))


@pytest.fixture(scope="module")
def poor() -> ir.Model:
    """Its second convolution has large weights for a channel that is always zero: the others vanish
    beside them.
    """
    weight = normal(4, 4, 3, 3, by=1e-2)
    weight[:, 3] = 10
    bias = np.array([0, 0, 0, -100], np.float32)
    body = f"a = Conv{CONV}(x, w, k) d = Relu(a) b = Conv{CONV}(d, v) y = Conv{CONV}(b, w)"
    return network(X, Y, body, w=normal(4, 4, 3, 3), k=bias, v=weight)


@pytest.mark.parametrize("scales", SCALES)
def test_errors_are_those_of_the_runs(blocks: ir.Model, scales: str) -> None:
    """Of the output, measured here once more."""
    samples = normal(3, 32, 16, 16)
    made = quantize(blocks, samples, scales=scales)
    runs = [
        tuple(run(m, {"input": data[None]})["output"] for m in (blocks, made.model))
        for data in samples
    ]
    signal = sum(float(np.sum(exact.astype(float) ** 2)) for exact, _ in runs)
    error = sum(float(np.sum((exact.astype(float) - found) ** 2)) for exact, found in runs)
    snr = 10 * np.log10(signal / error)
    assert made.report.outputs["output"] == pytest.approx(snr, abs=1e-3)
    (row,) = (
        r for r in made.report.tensors if r.node in ("/block2/relu_1/Relu", "/block2/add/Add")
    )
    assert row.snr == pytest.approx(snr, abs=1e-3)
    assert row.mse == pytest.approx(error / sum(exact.size for exact, _ in runs), rel=1e-3)
    assert made.report.samples == 3


def test_the_worst_is_first_and_names_what_it_covers(blocks: ir.Model) -> None:
    report = quantize(blocks, scales="power-of-two").report
    ratios = [row.snr for row in report.tensors]
    assert ratios == sorted(ratios) and len(ratios) == 8
    found = {row.node: row.nodes for row in report.tensors}
    assert found["/block0/relu_1/Relu"] == (
        "/block0/conv2/Conv",
        "/block0/add/Add",
        "/block0/relu_1/Relu",
    )
    assert found["input"] == ()


def test_noise_is_added_where_it_comes_from() -> None:
    """Not by a pool that hands it on."""
    made = network(
        X,
        "float[1, 4, 4, 4] y",
        f"c = Conv{CONV}(x, w) y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)",
        w=normal(4, 4, 3, 3),
    )
    report = quantize(made, scales="power-of-two").report
    noise = {row.node: 10 ** (-row.snr / 10) for row in report.tensors}
    added = {row.node: row.added for row in report.tensors}
    assert added["x"] == pytest.approx(noise["x"])
    assert added["c"] == pytest.approx(noise["c"] - noise["x"])
    assert added["y"] == pytest.approx(max(noise["y"] - noise["c"], 0), abs=1e-9)


@pytest.mark.parametrize("scales", SCALES)
def test_a_poor_layer_is_suggested_and_excluding_it_helps(poor: ir.Model, scales: str) -> None:
    report = quantize(poor, scales=scales).report
    assert report.suggested and report.suggested[0] == "b", str(report)
    better = quantize(poor, scales=scales, exclude=["b"]).report
    assert better.outputs["y"] > report.outputs["y"] + 6
    assert "b" not in better.suggested and better.kept["b"] == "excluded"


def test_an_excluded_node_is_float_between_quantised_ones(poor: ir.Model) -> None:
    made = quantize(poor, scales="power-of-two", exclude=["b"]).model
    weights = {n.name: n.inputs[1].producer() is None for n in nodes(made, "Conv")}
    assert weights == {"a": False, "b": True, "y": False}


def test_a_name_that_is_none_is_refused(poor: ir.Model) -> None:
    for scales in SCALES:
        with pytest.raises(NetworkError, match="exclude: there is no node bb; is it b"):
            quantize(poor, scales=scales, exclude=["bb"])


def test_it_prints_as_a_table_and_goes_to_json(poor: ir.Model) -> None:
    report = quantize(poor, scales="power-of-two", exclude=["y"]).report
    lines = str(report).splitlines()
    assert lines[0].split() == ["tensor", "of", "scale", "mse", "SNR", "dB", "added"]
    assert [line.split()[0] for line in lines[1:4]] == [row.node for row in report.tensors]
    assert "float: y: excluded" in lines
    found = json.loads(json.dumps(report.to_dict()))
    assert found["tensors"][0]["node"] == report.tensors[0].node
    assert found["kept"] == {"y": "excluded"} and found["random"] is True
    assert found["suggested"] == list(report.suggested)


def test_long_names_are_shortened_in_the_table() -> None:
    made = network(X, Y, f"y = Conv{CONV}(x, w)", w=normal(4, 4, 3, 3))
    made.graph[0].name = "begin" + "/long" * 40 + "/end"
    lines = str(quantize(made, scales="power-of-two").report).splitlines()
    assert max(map(len, lines[:3])) < 110 and lines[1].startswith("begin/long")


def test_no_error_is_infinite_and_null_in_json() -> None:
    made = network(X, Y, f"y = Conv{CONV}(x, w)", w=np.zeros((4, 4, 3, 3), np.float32))
    report = quantize(made, np.zeros((2, 4, 8, 8), np.float32), scales="power-of-two").report
    assert report.outputs["y"] == inf and report.to_dict()["outputs"]["y"] is None
    assert not report.suggested
