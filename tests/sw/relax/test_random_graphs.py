"""Random little networks give the same before and after, by onnxruntime."""

import onnx
import pytest
from hypothesis import given, settings

from tests.sw.relax.graphs import normal_and_same
from tests.sw.relax.random_graphs import float_networks, quantized_networks
from tests.sw.relax.test_files import assert_normal
from vta.sw.relax.normalize import normalize


def _check(proto: onnx.ModelProto, *, exact: bool) -> None:
    model = normal_and_same(proto, exact=exact)
    names = {made.name or made.output[0] for made in proto.graph.node}
    assert_normal(model, names)
    again = normalize(model)
    assert [str(node) for node in again.graph] == [str(node) for node in model.graph]


@settings(max_examples=40)
@given(float_networks())
def test_float(proto: onnx.ModelProto) -> None:
    """Close: factors that go into weights round elsewhere."""
    _check(proto, exact=False)


@settings(max_examples=40)
@given(quantized_networks())
def test_quantized(proto: onnx.ModelProto) -> None:
    """Bit for bit."""
    _check(proto, exact=True)


@pytest.mark.regress
@settings(max_examples=1000)
@given(float_networks())
def test_float_many(proto: onnx.ModelProto) -> None:
    _check(proto, exact=False)


@pytest.mark.regress
@settings(max_examples=1000)
@given(quantized_networks())
def test_quantized_many(proto: onnx.ModelProto) -> None:
    _check(proto, exact=True)
