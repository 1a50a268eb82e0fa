"""onnxruntime's operators on integers, spelled out, against onnxruntime, step by step."""

from typing import Any

import numpy as np
import onnx
import pytest

from tests.sw.relax.compare import random_inputs, run
from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import constant, source

RANDOM = np.random.default_rng(0)
SCALE, ZERO = {"s": np.float32(0.05)}, {"z": np.int8(3)}


def _integers(dtype: type, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def _floats(*shape: int, low: float = 0.001, high: float = 0.02) -> np.ndarray:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


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
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


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
    """QLinearAdd adds the zero point before it rounds: a middle goes to the other side."""
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


@pytest.mark.parametrize("zero", [6, 7])
def test_qlinear_add_rounds_after_it_adds_the_zero_point(zero: int) -> None:
    """Half to even: before an odd zero point is added that is another number than after."""
    constants = _quantized("x", np.int8, 0.25, 0) | _quantized("v", np.int8, 0.25, 0)
    constants |= _quantized("y", np.int8, 0.5, zero)
    proto = _microsoft("QLinearAdd", "x sx zx v sv zv sy zy", constants, np.int8)
    apart, middles = [], []
    for seed in range(4):
        model = normal(proto)
        feeds = random_inputs(model, seed)
        old, new = (run(network, feeds)[0].astype(int) for network in (proto, model))
        sums = feeds["x"].astype(int) + feeds["v"].astype(int)
        apart.append(np.abs(old - new))
        middles.append((sums % 2 == 1) & (old < 127) & (new < 127) & (old > -128) & (new > -128))
    wrong = np.array(apart) == 1
    assert np.array(apart).max() == zero % 2
    np.testing.assert_array_equal(wrong & np.array(middles), np.array(middles) & (zero % 2 == 1))


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
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01
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
