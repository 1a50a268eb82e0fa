"""Transposed convolutions read symmetric data, whatever onnxruntime's quantiser is told."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest

from tests.sw.relax.networks import network, nodes, normal
from vta.sw.models.onnx import dcgan
from vta.sw.relax.graph import constant
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize import FORMS, quantize

MIDDLE = {ir.DataType.INT8: 0, ir.DataType.UINT8: 128}


def data_of(model: ir.Model) -> Iterator[ir.Node]:
    """What quantises the data of each transposed convolution."""
    for node in nodes(model, "ConvTranspose"):
        yield node.inputs[0].producer().inputs[0].producer()


@pytest.mark.parametrize("form", ["default", "per-channel", "u8u8", "symmetric"])
def test_a_relu_comes_back(form: str) -> None:
    """Its results are never negative, and as exact as a bit less allows."""
    start = normalize(ir.from_proto(dcgan(width=2)))
    made = quantize(start, form=FORMS[form])
    found = list(data_of(made.model))
    assert len(found) == 4
    for node in found:
        assert node.op_type == "QuantizeLinear"
        assert constant(node.inputs[2]) == MIDDLE[node.outputs[0].dtype]
        before = node.inputs[0].producer()
        assert before.op_type in ("Relu", "Reshape")
    assert min(made.report.outputs.values()) > 20


def test_through_a_pool_with_both_signs() -> None:
    """The pool's data change with it; other readers of the same numbers take the new scale."""
    body = (
        "c = Conv <kernel_shape=[1,1]> (x, w) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (c) "
        "t = ConvTranspose <kernel_shape=[2,2], strides=[2,2]> (p, u) y = Add (t, c)"
    )
    model = network(
        "float[1,4,6,6] x",
        "float[1,4,6,6] y",
        body,
        w=normal(4, 4, 1, 1),
        u=normal(4, 4, 2, 2, seed=1),
    )
    made = quantize(model)
    (pool,) = nodes(made.model, "MaxPool")
    scales = {
        float(constant(n.inputs[1])) for n in (pool.inputs[0].producer(), *data_of(made.model))
    }
    (quantiser,) = data_of(made.model)
    assert len(scales) == 1 and constant(quantiser.inputs[2]) == 0
    assert not nodes(made.model, "Relu")
    assert made.report.outputs["y"] > 25


def test_other_networks_stay_as_onnxruntime_makes_them() -> None:
    model = network(
        "float[1,4,6,6] x",
        "float[1,4,6,6] y",
        "c = Conv <kernel_shape=[1,1]> (x, w) y = Relu (c)",
        w=normal(4, 4, 1, 1),
    )
    made = quantize(model)
    zeros = [int(np.asarray(constant(n.inputs[2]))) for n in nodes(made.model, "QuantizeLinear")]
    assert -128 in zeros
