"""Quantised networks in QDQ, as others write them, in one form."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.sw.relax.compare import random_inputs, run
from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same, reread
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import constant, warnings
from vta.sw.relax.normalize import normalize

RANDOM = np.random.default_rng(0)
SCALE, ZERO = {"s": np.float32(0.05)}, {"z": np.int8(3)}


def _integers(dtype: type, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def _floats(*shape: int, low: float = 0.001, high: float = 0.02) -> np.ndarray:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


# QDQ ----------------------------------------------------------------------------------------------
def test_zero_point_left_out_is_uint8() -> None:
    nodes = [node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "y")]
    model = normal_and_same(make(nodes, {"x": (2, 3)}, "y", SCALE), exact=True)
    for made in model.graph:
        zero = constant(made.inputs[2])
        assert zero is not None and (zero.dtype, zero.shape, zero.item()) == (np.uint8, (), 0)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_scales_of_one_number(shape: tuple[int, ...]) -> None:
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y", axis=1)]
    constants = {"s": np.full(shape, 0.05, np.float32), "z": np.full(shape, -7, np.int8)}
    model = normal_and_same(make(nodes, {"x": (2, 3)}, "y", constants), exact=True)
    for made in model.graph:
        assert [constant(value).shape for value in made.inputs[1:]] == [(), ()]
        assert not made.attributes


@pytest.mark.parametrize("axis", [0, 1, -2, None])
def test_axis_of_channels(axis: int | None) -> None:
    more = {} if axis is None else {"axis": axis}
    size = (4, 3, 2)[1 if axis is None else axis]
    nodes = [
        node("QuantizeLinear", "x s z", "q", **more),
        node("DequantizeLinear", "q s z", "y", **more),
    ]
    constants = {"s": _floats(size), "z": _integers(np.int8, size)}
    model = normal_and_same(make(nodes, {"x": (4, 3, 2)}, "y", constants), exact=True)
    for made in model.graph:
        assert made.attributes["axis"].value == (1 if axis is None else axis % 3)


@pytest.mark.parametrize("opset", [10, 12])
def test_axis_before_opset_13_is_taken_and_said(opset: int) -> None:
    """As onnxruntime's quantiser writes it into old files, which onnxruntime then refuses."""
    weight = {"w": _integers(np.int8, 4, 3, 1, 1), "s": _floats(4), "z": np.zeros(4, np.int8)}
    nodes = [node("DequantizeLinear", "w s z", "v", "dq", axis=0), node("Conv", "x v", "y")]
    old = reread(make(nodes, {"x": (1, 3, 4, 4)}, "y", weight, opset=opset))
    assert warnings(old) == [
        f"DequantizeLinear dq has axis, which opset {opset} does not know: taken as meant"
    ]
    new = make(nodes, {"x": (1, 3, 4, 4)}, "y", weight, opset=13)
    feeds = random_inputs(old)
    np.testing.assert_array_equal(run(normalize(old), feeds)[0], run(new, feeds)[0])


def test_another_attribute_that_the_opset_lacks_is_refused() -> None:
    made = node("DequantizeLinear", "x s", "y", "dq", ax=0)
    with pytest.raises(NetworkError, match="DequantizeLinear dq: Unrecognized attribute: ax"):
        reread(make([made], {"x": ("uint8", (2, 3))}, "y", SCALE, opset=10))


def test_opset_imports_that_nobody_uses() -> None:
    nodes = [node("Relu", "x", "y")]
    domains = ["com.microsoft", "ai.onnx.ml", "org.nobody"]
    model = normal_and_same(make(nodes, {"x": (3,)}, "y", domains=domains[:2]), exact=True)
    assert model.opset_imports == {"": 21}
    assert normal(make(nodes, {"x": (3,)}, "y", domains=domains)).opset_imports == {"": 21}


def test_clip_on_integers_stays_between() -> None:
    """QCDQ, as brevitas writes it for fewer than eight bits."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("Clip", "q low high", "c"),
        node("DequantizeLinear", "c s z", "y"),
    ]  # fmt: skip
    constants = SCALE | {"z": np.int8(0), "low": np.int8(-8), "high": np.int8(7)}
    model = normal_and_same(make(nodes, {"x": (2, 9)}, "y", constants), exact=True)
    assert kinds(model) == ["QuantizeLinear", "Clip", "DequantizeLinear"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_float_weights_and_float_bias(dtype: type) -> None:
    nodes = [
        node("DequantizeLinear", "x s z", "f"),
        node("QuantizeLinear", "w sw zw", "q", axis=0),
        node("DequantizeLinear", "q sw zw", "v", axis=0),
        node("Conv", "f v b", "a", "conv"), node("QuantizeLinear", "a s z", "y"),
    ]  # fmt: skip
    constants = {
        "w": RANDOM.normal(size=(4, 3, 1, 1)).astype(np.float32), "sw": _floats(4),
        "zw": _integers(dtype, 4), "b": RANDOM.normal(size=4).astype(np.float32),
    }  # fmt: skip
    proto = make(nodes, {"x": ("int8", (1, 3, 4, 4))}, "y", SCALE | ZERO | constants)
    model = normal_and_same(proto, exact=True)
    assert kinds(model) == ["DequantizeLinear"] * 2 + ["Conv", "QuantizeLinear"]
    weights = model.graph[2].inputs[1].producer()
    assert constant(weights.inputs[0]).dtype == dtype


def test_dead_channels() -> None:
    """A scale of 0 times anything is 0."""
    nodes = [node("DequantizeLinear", "w sw zw", "v", axis=0), node("Conv", "x v", "y")]
    constants = {
        "w": _integers(np.int8, 4, 3, 1, 1), "sw": np.array([0.01, 0, 2e-12, 0], np.float32),
        "zw": np.array([0, 5, 0, -3], np.int8),
    }  # fmt: skip
    model = normal_and_same(make(nodes, {"x": (1, 3, 4, 4)}, "y", constants), exact=True)
    data, scale, zero = (constant(value) for value in model.graph[0].inputs)
    assert scale.tolist() == [np.float32(0.01), 1, np.float32(2e-12), 1]
    assert (data[1] == 5).all() and (data[3] == -3).all() and zero.tolist() == [0, 5, 0, -3]


def test_sixteen_bits_stay() -> None:
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
    constants = SCALE | {"z": np.int16(5)}
    model = normal_and_same(make(nodes, {"x": (2, 3)}, "y", constants, opset=21), exact=True)
    assert kinds(model) == ["QuantizeLinear", "DequantizeLinear"]


def _float_scale() -> dict[str, Any]:
    return {"s": np.float32(0.1), "z": np.int8(0)}


@pytest.mark.parametrize(
    ("constants", "more", "words"),
    [
        ({"s": np.float32(0)}, {}, "has the scale 0.0: scales must be positive"),
        ({"s": np.float32("nan")}, {}, "has the scale nan"),
        ({"s": np.float32(-1)}, {}, "has the scale -1.0"),
        ({"s": np.float32("inf")}, {}, "has the scale inf"),
        ({"s": np.ones(4, np.float32), "z": np.zeros(4, np.int8)}, {"axis": 1}, "on axis 1 of"),
        ({"s": np.ones(3, np.float32), "z": np.zeros(3, np.int8)}, {"axis": 5}, "on axis 5 of"),
        ({"s": np.ones(3, np.float32)}, {"axis": 1}, "has 3 scales, but 1 zero points"),
        ({"s": np.ones((2, 3), np.float32), "z": np.zeros((2, 3), np.int8)},
         {"axis": 1, "block_size": 1}, "quantised in blocks"),
    ],
)  # fmt: skip
def test_quantizers_that_are_refused(
    constants: dict[str, np.ndarray], more: dict[str, int], words: str
) -> None:
    made = node("QuantizeLinear", "x s z", "y", "quantize", **more)
    proto = make([made], {"x": (2, 3)}, "y", _float_scale() | constants, opset=21)
    with pytest.raises(NetworkError, match=f"QuantizeLinear quantize.*{words}"):
        normal(proto)


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT4E2M1"])
def test_types_that_are_refused_by_name(kind: str) -> None:
    code = getattr(TensorProto, kind)
    opset = 23 if kind == "FLOAT4E2M1" else 21
    proto = make(
        [node("DequantizeLinear", "w s", "y", "weights")], {"x": (3,)}, "y", SCALE, opset=opset
    )
    proto.graph.initializer.append(helper.make_tensor("w", code, [4], [0, 1, 2, 3]))
    with pytest.raises(NetworkError, match=f"DequantizeLinear weights: .*{kind.lower()}"):
        normal(proto)


def test_a_scale_that_is_computed_is_refused() -> None:
    nodes = [node("ReduceMax", "x", "s", keepdims=0), node("QuantizeLinear", "x s z", "y", "q")]
    with pytest.raises(NetworkError, match="QuantizeLinear q: its scale is computed"):
        normal(make(nodes, {"x": (2, 3)}, "y", ZERO))


def test_bias_with_a_zero_point_is_refused() -> None:
    constants = {"b": _integers(np.int32, 3), "s": np.float32(1), "z": np.int32(1)}
    nodes = [node("DequantizeLinear", "b s z", "d", "bias"), node("Add", "x d", "y")]
    with pytest.raises(NetworkError, match="bias: the zero point of an int32 must be 0"):
        normal(make(nodes, {"x": (3,)}, "y", constants))


# Weights that are moved ---------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("kind", ["Transpose", "Reshape", "Unsqueeze"])
def test_weights_that_are_moved_after_they_are_dequantized(kind: str, axis: int | None) -> None:
    size = () if axis is None else (4, 6)[axis : axis + 1]
    constants = {
        "w": _integers(np.int8, 4, 6), "s": _floats(*size), "z": _integers(np.int8, *size),
        "to": np.array([1, 4, 6]), "first": np.array([0]),
    }  # fmt: skip
    inputs = {"Transpose": "v", "Reshape": "v to", "Unsqueeze": "v first"}[kind]
    more = {} if axis is None else {"axis": axis}
    nodes = [
        node("DequantizeLinear", "w s z", "v", **more), node(kind, inputs, "m", "moved"),
        node("MatMul", "x m", "y"),
    ]  # fmt: skip
    proto = make(nodes, {"x": (2, 6) if kind == "Transpose" else (1, 2, 4)}, "y", constants)
    model = normal_and_same(proto, exact=True)
    assert kinds(model) == ["DequantizeLinear", "MatMul"]
    assert model.graph[0].name == "moved"


@pytest.mark.parametrize("shape", [(8, 3), (2, 2, 6), (24,)])
def test_a_shape_that_breaks_the_axis_of_the_scales_stays(shape: tuple[int, ...]) -> None:
    constants = {"w": _integers(np.int8, 4, 6), "s": _floats(4), "z": _integers(np.int8, 4)}
    nodes = [
        node("DequantizeLinear", "w s z", "v", axis=0), node("Reshape", "v to", "m"),
        node("Add", "x m", "y"),
    ]  # fmt: skip
    proto = make(nodes, {"x": shape}, "y", constants | {"to": np.array(shape)})
    assert "Reshape" in kinds(normal_and_same(proto, exact=True))
