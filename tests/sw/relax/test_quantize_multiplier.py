"""Scales by onnxruntime's quantiser: its forms, what they cost, what is refused."""

import logging
import sys

import onnx
import onnx_ir as ir
import pytest

from tests.sw.relax.networks import network, nodes, normal, rounded, run
from vta.hw.errors import OptionError
from vta.sw.models import digits_network
from vta.sw.models.onnx import digits, digits_inputs, model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import source
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize import FORMS, SCALES, Form, quantize


@pytest.fixture(scope="module")
def the_digits() -> ir.Model:
    return normalize(ir.from_proto(digits(batch=450)))


# Forms --------------------------------------------------------------------------------------------
FURTHER = {
    "per-channel, QOperator": Form(per_channel=True, qoperator=True),
    "u8s8": Form(activations="uint8"),
    "u8u8, QOperator": Form(activations="uint8", weights="uint8", qoperator=True),
    "entropy": Form(calibration="entropy"),
    "percentile": Form(calibration="percentile"),
}


@pytest.mark.parametrize("form", [*FORMS, *FURTHER])
def test_the_digits_stay_within_one_percent_of_the_float_accuracy(
    the_digits: ir.Model, form: str
) -> None:
    images, labels = digits_network.test_images()
    feeds = {"image": digits_inputs(images)}
    made = quantize(the_digits, feeds, form=(FORMS | FURTHER)[form])
    onnx.checker.check_model(ir.to_proto(made.model), full_check=True)
    before, after = (
        digits_network.accuracy(run(m, feeds)["logits"], labels) for m in (the_digits, made.model)
    )
    print(f"float {before:.2%}, {form} {after:.2%}")
    assert abs(before - after) <= 0.01, f"float {before:.2%}, {form} {after:.2%}"
    assert 20 < made.report.outputs["logits"] < 60, str(made.report)


def types(made: ir.Model) -> set[tuple[str, str]]:
    """(kind of input, type) of the products' numbers."""
    found = set()
    for node in nodes(made, "Conv", "Gemm"):
        for what, value in zip(("data", "weight", "bias"), node.inputs, strict=True):
            number = value.producer().inputs[0]
            found.add((what, number.dtype.name.lower()))
    return found


def test_what_the_forms_are() -> None:
    start = normalize(ir.from_proto(model("digits")))
    made = {name: quantize(start, form=form).model for name, form in FORMS.items()}
    for name, own in made.items():
        byte = "uint8" if name == "u8u8" else "int8"
        assert types(own) == {("data", byte), ("weight", byte), ("bias", "int32")}, name
        scales = {n.inputs[1].producer().inputs[1].shape.numpy() for n in nodes(own, "Conv")}
        assert scales == ({(16,), (32,)} if name == "per-channel" else {()}), name
        zeros = {int(n.inputs[2].const_value.numpy()) for n in nodes(own, "QuantizeLinear")}
        assert (zeros == {0}) == (name == "symmetric"), name
        assert len(nodes(own, "Relu")) == (3 if name == "symmetric" else 0), name


@pytest.mark.parametrize("form", FORMS)
def test_nodes_keep_their_names(form: str) -> None:
    start = normalize(ir.from_proto(model("residuals")))
    made = quantize(start, form=FORMS[form])
    products = {node.name for node in nodes(start, "Conv", "Add")}
    assert {node.name for node in nodes(made.model, "Conv", "Add")} == products
    tensors = {row.node for row in made.report.tensors}
    assert products <= tensors and len(made.report.tensors) >= len(products) + 1


def test_excluded_nodes_stay_float() -> None:
    start = normalize(ir.from_proto(model("residuals")))
    made = quantize(start, exclude=["/block1/conv2/Conv", "/block2/add/Add"])
    kept = {"/block1/conv2/Conv", "/block2/add/Add"}
    relu = {"/block2/relu_1/Relu": "onnxruntime's quantiser left it"}
    assert made.report.kept == dict.fromkeys(kept, "excluded") | relu
    for node in nodes(made.model, "Conv"):
        weight = node.inputs[1].producer()
        assert (weight is None) == (source(node) in kept)


def test_what_onnxruntime_leaves_in_float_is_named() -> None:
    """Its QOperator form has no transposed convolution."""
    made = network(
        "float[1, 4, 8, 8] x",
        "float[1, 4, 8, 8] y",
        "t = ConvTranspose<kernel_shape = [1, 1]>(x, w) y = Conv<kernel_shape = [1, 1]>(t, w)",
        w=normal(4, 4, 1, 1),
    )
    report = quantize(made, form=FORMS["qoperator"]).report
    assert report.kept == {"t": "onnxruntime's quantiser left it"}
    assert not quantize(made).report.kept


def test_it_says_nothing(
    the_digits: ir.Model, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither log nor print; and what others log afterwards is heard."""
    for form in (FORMS["qoperator"], Form(calibration="entropy")):
        quantize(the_digits, form=form)
    assert capfd.readouterr() == ("", "") and not caplog.records
    logging.getLogger("someone").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]


# Refused ------------------------------------------------------------------------------------------
def test_forms_that_are_none() -> None:
    with pytest.raises(OptionError, match="activations is 'int4'; it must be int8 or uint8"):
        Form(activations="int4")
    with pytest.raises(OptionError, match="calibration is 'mean'; it must be minmax or entropy or"):
        Form(calibration="mean")
    with pytest.raises(OptionError, match="weights are uint8, activations int8"):
        Form(weights="uint8")


def test_without_onnxruntime_the_extra_is_named(
    the_digits: ir.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And power-of-two scales need none: onnx's reference gives the same."""
    small = normalize(ir.from_proto(model("residuals")))
    samples = normal(2, 32, 16, 16)
    with_it = quantize(small, samples, scales="power-of-two")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NetworkError, match=r"needs onnxruntime.*extra vta-amaranth\[quantize\]"):
        quantize(the_digits)
    without = quantize(small, samples, scales="power-of-two")
    assert rounded(without.model) == rounded(with_it.model)
    assert without.report.outputs["output"] == pytest.approx(with_it.report.outputs["output"], 0.1)


@pytest.mark.parametrize("scales", SCALES)
def test_what_onnxruntime_refuses_is_one_line(scales: str) -> None:
    """It has no Asinh of double."""
    made = network(
        "float[1, 4] x, double[4] n",
        "float[1, 4] y, double[4] z",
        "y = Gemm(x, w) z = Asinh(n)",
        w=normal(4, 4),
    )
    what = "onnxruntime cannot quantise it" if scales == "multiplier" else "the network cannot be"
    with pytest.raises(NetworkError, match=rf"^{what}.*Asinh.*") as refused:
        quantize(made, scales=scales)
    assert "\n" not in str(refused.value)
