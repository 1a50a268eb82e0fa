"""Quantised networks as others write them: QDQ in one form, QOperator spelled out."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.sw.relax.compare import random_inputs, run
from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same, reread
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import constant, source, warnings
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
        node("QuantizeLinear", "w sw zw", "q", axis=0), node("DequantizeLinear", "q sw zw", "v", axis=0),
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


# QOperator ----------------------------------------------------------------------------------------
def _steps_apart(proto: onnx.ModelProto) -> np.ndarray:
    """How far the integers of the normal form are from onnxruntime's, over some inputs."""
    model = normal(proto)
    found = []
    for seed in range(4):
        feeds = random_inputs(model, seed)
        for old, new in zip(run(proto, feeds), run(model, feeds), strict=True):
            assert (old.dtype, old.shape) == (new.dtype, new.shape)
            found.append(np.abs(old.astype(np.int32) - new.astype(np.int32)).ravel())
    return np.concatenate(found)


def _quantized(name: str, dtype: type, scale: float, zero: int) -> dict[str, np.ndarray]:
    return {f"s{name}": np.float32(scale), f"z{name}": dtype(zero)}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(dtype: type, channels: bool, bias: bool) -> None:
    made = node(
        "QLinearConv",
        "x sx zx w sw zw sy zy" + (" b" if bias else ""),
        "y",
        "conv",
        pads=[1, 1, 1, 1],
        strides=[2, 1],
    )
    shape = (5,) if channels else ()
    constants = {
        "w": _integers(dtype, 5, 3, 3, 3),
        "sw": _floats(*shape),
        "zw": np.full(shape, 3, dtype),
    }
    constants |= _quantized("x", dtype, 0.02, 5) | _quantized("y", dtype, 0.1, 60)
    if channels:
        constants["zw"] = np.zeros(shape, dtype)
    constants |= {"b": _integers(np.int32, 5) // (1 << 20)} if bias else {}
    proto = make([made], {"x": (np.dtype(dtype).name, (1, 3, 8, 8))}, "y", constants)
    apart = _steps_apart(proto)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.002
    model = normal(proto)
    conv = next(n for n in model.graph if n.op_type == "Conv")
    assert (conv.name, len(conv.inputs)) == ("conv", 3 if bias else 2)
    assert {source(n) for n in model.graph} == {"conv"}
    if bias:
        _, scale, zero = (constant(v) for v in conv.inputs[2].producer().inputs)
        np.testing.assert_array_equal(scale, constants["sx"] * constants["sw"])
        assert zero.dtype == np.int32


@pytest.mark.parametrize("columns", [False, True])
def test_qlinear_matmul(columns: bool) -> None:
    made = node("QLinearMatMul", "x sx zx w sw zw sy zy", "y", "dense")
    shape = (6,) if columns else ()
    constants = {
        "w": _integers(np.int8, 9, 6),
        "sw": _floats(*shape),
        "zw": np.zeros(shape, np.int8),
    }
    constants |= _quantized("x", np.uint8, 0.02, 128) | _quantized("y", np.uint8, 0.1, 100)
    apart = _steps_apart(make([made], {"x": ("uint8", (2, 9))}, "y", constants))
    assert apart.max() <= 1 and (apart > 0).mean() < 0.05


def _microsoft(
    kind: str, inputs: str, constants: dict[str, Any], dtype: type, **more: Any
) -> onnx.ModelProto:
    made = node(kind, inputs, "y", "op", domain="com.microsoft", **more)
    names = [name for name in ("x", "v") if name in inputs.split()]
    shapes = {name: (np.dtype(dtype).name, (1, 3, 6, 7)) for name in names}
    return make([made], shapes, "y", constants, domains=["com.microsoft"])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("kind", "op_type", "inputs", "more", "share"),
    [
        ("QLinearAdd", "Add", "x sx zx v sv zv sy zy", {}, 0.05),
        ("QLinearMul", "Mul", "x sx zx v sv zv sy zy", {}, 0.05),
        (
            "QLinearAveragePool",
            "AveragePool",
            "x sx zx sy zy",
            {"kernel_shape": [2, 3], "strides": [2, 2]},
            0.05,
        ),
        ("QLinearGlobalAveragePool", "GlobalAveragePool", "x sx zx sy zy", {}, 0.1),
        ("QLinearLeakyRelu", "LeakyRelu", "x sx zx sy zy", {"alpha": 0.1}, 0.02),
        ("QLinearSigmoid", "Sigmoid", "x sx zx s1 zs", {}, 0.02),
        ("QLinearConcat", "Concat", "sy zy x sx zx v sv zv", {"axis": 1}, 0.01),
    ],
)
def test_operators_of_onnxruntime(
    dtype: type, kind: str, op_type: str, inputs: str, more: dict[str, Any], share: float
) -> None:
    """QLinearAdd adds the zero point before it rounds: a sum in the middle goes to the other side."""
    middle = int(np.iinfo(dtype).max) // 2
    constants = _quantized("x", dtype, 0.02, middle + 5) | _quantized("v", dtype, 0.03, middle - 9)
    constants |= _quantized("y", dtype, 0.05, middle)
    constants |= {"s1": np.float32(1 / 256), "zs": dtype(np.iinfo(dtype).min)}
    used = {name: constants[name] for name in inputs.split() if name in constants}
    proto = _microsoft(kind, inputs, used, dtype, **more)
    apart = _steps_apart(proto)
    assert apart.max() <= 1 and (apart > 0).mean() <= share
    made = next(n for n in normal(proto).graph if n.op_type == op_type)
    assert made.name == "op"


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_qgemm(transposed: int, columns: bool, alpha: float) -> None:
    made = node(
        "QGemm",
        "x sx zx w sw zw b sy zy",
        "y",
        "dense",
        domain="com.microsoft",
        transB=transposed,
        alpha=alpha,
    )
    shape = (6,) if columns else ()
    constants = {
        "w": _integers(np.int8, *((6, 9) if transposed else (9, 6))), "sw": _floats(*shape),
        "zw": np.zeros(shape, np.int8), "b": _integers(np.int32, 6) // (1 << 18),
    }  # fmt: skip
    constants |= _quantized("x", np.int8, 0.02, 7) | _quantized("y", np.int8, 0.1, -3)
    proto = make([made], {"x": ("int8", (2, 9))}, "y", constants, domains=["com.microsoft"])
    apart = _steps_apart(proto)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.05
    assert [n.name for n in normal(proto).graph if n.op_type == "Gemm"] == ["dense"]


def test_qgemm_without_rounding() -> None:
    made = node("QGemm", "x sx zx w sw zw", "y", "dense", domain="com.microsoft")
    constants = {"w": _integers(np.int8, 9, 6), "sw": np.float32(0.01), "zw": np.int8(0)}
    constants |= _quantized("x", np.int8, 0.02, 7)
    proto = make([made], {"x": ("int8", (2, 9))}, "y", constants, domains=["com.microsoft"])
    assert kinds(normal_and_same(proto)) == ["DequantizeLinear", "DequantizeLinear", "Gemm"]


@pytest.mark.parametrize("kind", ["DynamicQuantizeLinear", "MatMulInteger"])
def test_dynamic_quantization_is_refused_by_name(kind: str) -> None:
    if kind == "DynamicQuantizeLinear":
        proto = make([node(kind, "x", "y s z", "now")], {"x": (2, 3)}, "y")
    else:
        proto = make(
            [node(kind, "x w", "y", "now")],
            {"x": ("uint8", (2, 3))},
            "y",
            {"w": _integers(np.int8, 3, 4)},
        )
    with pytest.raises(NetworkError, match=f"{kind} now is quantised while it runs"):
        normal(proto)


def test_unknown_domain_is_refused_by_name() -> None:
    made = node("FusedMatMul", "x w", "y", "fused", domain="com.microsoft")
    proto = make([made], {"x": (2, 3)}, "y", {"w": _floats(3, 4)}, domains=["com.microsoft"])
    with pytest.raises(NetworkError, match=r"com\.microsoft\.FusedMatMul fused: domain com\.micro"):
        normal(proto)
