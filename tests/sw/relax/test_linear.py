"""Biases, factors and batch norms go into the products before them, against onnxruntime."""

import itertools

import numpy as np
import onnx
import pytest

from tests.sw.relax.graphs import kinds, make, node, normal, normal_and_same
from vta.sw.relax.errors import NetworkError

RANDOM = np.random.default_rng(0)


def _floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def _batch_norm(channels: int) -> dict[str, np.ndarray]:
    var = RANDOM.uniform(0.5, 2, channels).astype(np.float32)
    return {"g": _floats(channels), "b": _floats(channels), "m": _floats(channels), "v": var}


NORM = node("BatchNormalization", "a g b m v", "y", "bn", epsilon=1e-3)
CONV = node("Conv", "x w", "a", "conv", pads=[1, 1, 1, 1])
WEIGHT = {"w": _floats(4, 3, 3, 3)}
PICTURE = {"x": (1, 3, 5, 5)}


@pytest.mark.parametrize("opset", [8, 9, 14, 15])
@pytest.mark.parametrize("bias", [False, True])
def test_batch_norm_after_conv(opset: int, bias: bool) -> None:
    conv = node("Conv", "x w c" if bias else "x w", "a", "conv", pads=[1, 1, 1, 1])
    constants = WEIGHT | _batch_norm(4) | ({"c": _floats(4)} if bias else {})
    model = normal_and_same(make([conv, NORM], PICTURE, "y", constants, opset=opset))
    assert [(made.op_type, made.name) for made in model.graph] == [("Conv", "conv")]


@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_after_conv_transpose(group: int) -> None:
    conv = node("ConvTranspose", "x w", "a", "up", group=group, strides=[2, 2])
    constants = {"w": _floats(4, 6 // group, 3, 3)} | _batch_norm(6)
    model = normal_and_same(make([conv, NORM], {"x": (1, 4, 5, 5)}, "y", constants))
    assert kinds(model) == ["ConvTranspose"]


@pytest.mark.parametrize("transposed", [0, 1])
def test_batch_norm_after_gemm(transposed: int) -> None:
    gemm = node("Gemm", "x w c", "a", "dense", transB=transposed)
    constants = {"w": _floats(3, 4)[::1].T.copy() if transposed else _floats(3, 4), "c": _floats(4)}
    model = normal_and_same(make([gemm, NORM], {"x": (2, 3)}, "y", constants | _batch_norm(4)))
    assert kinds(model) == ["Gemm"]


def test_batch_norm_elsewhere_is_mul_and_add() -> None:
    nodes = [node("Relu", "x", "a"), NORM]
    model = normal_and_same(make(nodes, PICTURE, "y", _batch_norm(3)))
    assert [(made.op_type, made.name) for made in model.graph] == [
        ("Relu", "a"), ("Mul", "bn/scale"), ("Add", "bn"),
    ]  # fmt: skip
    assert model.graph[1].metadata_props["source"] == "bn"


def test_batch_norm_of_what_is_read_twice_stays_apart() -> None:
    nodes = [CONV, NORM, node("Relu", "a", "z")]
    model = normal_and_same(make(nodes, PICTURE, "y z", WEIGHT | _batch_norm(4)))
    assert sorted(kinds(model)) == ["Add", "Conv", "Mul", "Relu"]


@pytest.mark.parametrize("kind", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (), (1,), (1, 1, 1, 1)])
@pytest.mark.parametrize("first", [False, True])
def test_constants_after_conv(kind: str, shape: tuple[int, ...], first: bool) -> None:
    """c - x and c / x are something else, and stay."""
    made = node(kind, "c a" if first else "a c", "y", "more")
    constants = WEIGHT | {"c": _floats(*shape) + np.float32(3)}
    model = normal_and_same(make([CONV, made], PICTURE, "y", constants))
    stays = first and kind in ("Sub", "Div")
    assert kinds(model) == (["Conv", kind] if stays else ["Conv"])
    assert len(model.graph[0].inputs) == (2 if stays or kind in ("Mul", "Div") else 3)


@pytest.mark.parametrize("shape", [(5,), (1, 5, 5), (4, 5, 5), (2, 4, 5, 5)])
def test_what_differs_along_other_axes_stays(shape: tuple[int, ...]) -> None:
    nodes = [CONV, node("Add", "a c", "y")]
    model = normal_and_same(make(nodes, PICTURE, "y", WEIGHT | {"c": _floats(*shape)}))
    assert kinds(model) == ["Conv", "Add"]


def test_division_by_zero_stays() -> None:
    nodes = [CONV, node("Div", "a c", "y")]
    constants = WEIGHT | {"c": np.array([1, 2, 0, 3], np.float32).reshape(4, 1, 1)}
    model = normal_and_same(make(nodes, PICTURE, "y", constants))
    assert kinds(model) == ["Conv", "Div"]


def test_chain_of_factors_and_shifts_is_one() -> None:
    """As after a concatenation in a DenseNet."""
    shapes = {"p": (3, 1, 1), "q": (1, 3, 1, 1), "r": (), "s": (3, 1, 1), "t": (1,)}
    nodes = [
        node("Relu", "x", "a"), node("Add", "a p", "b"), node("Mul", "q b", "c", "c"),
        node("Mul", "c r", "d"), node("Add", "d s", "e"), node("Mul", "e t", "f"),
        node("Add", "f p", "y"),
    ]  # fmt: skip
    constants = {name: _floats(*shape) for name, shape in shapes.items()}
    assert kinds(normal_and_same(make(nodes, PICTURE, "y", constants))) == ["Relu", "Mul", "Add"]


def test_matmul_with_a_vector_is_a_gemm() -> None:
    for order, shape in itertools.product(("a c", "c a"), ((4,), (1, 4), ())):
        nodes = [node("MatMul", "x w", "a", "dense"), node("Add", order, "y", "bias")]
        constants = {"w": _floats(3, 4), "c": _floats(*shape)}
        (gemm,) = normal_and_same(make(nodes, {"x": (2, 3)}, "y", constants)).graph
        assert (gemm.op_type, gemm.name) == ("Gemm", "dense")
        assert gemm.inputs[2].shape == (4,)


def test_matmul_of_more_axes_stays() -> None:
    nodes = [node("MatMul", "x w", "a"), node("Add", "a c", "y")]
    constants = {"w": _floats(3, 4), "c": _floats(4)}
    assert kinds(normal_and_same(make(nodes, {"x": (2, 5, 3)}, "y", constants))) == [
        "MatMul",
        "Add",
    ]


@pytest.mark.parametrize("opset", [8, 13])
@pytest.mark.parametrize("transposed", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("bias", [(4,), (), (1,), (1, 4), (2, 1), (2, 4), None])
def test_gemm(opset: int, transposed: tuple[int, int], bias: tuple[int, ...] | None) -> None:
    if bias is None and opset < 11:
        bias = ()
    made = node(
        "Gemm",
        "x w c" if bias is not None else "x w",
        "y",
        "dense",
        alpha=0.5,
        beta=2.0,
        transA=transposed[0],
        transB=transposed[1],
    )
    constants = {"w": _floats(4, 3) if transposed[1] else _floats(3, 4)}
    constants |= {"c": _floats(*bias)} if bias is not None else {}
    model = normal_and_same(
        make([made], {"x": (3, 2) if transposed[0] else (2, 3)}, "y", constants, opset=opset)
    )
    gemm = model.graph[-1]
    found = {name: attribute.value for name, attribute in gemm.attributes.items()}
    assert found == {"alpha": 1, "beta": 1, "transA": 0, "transB": transposed[1]}
    assert kinds(model) == ["Transpose"] * transposed[0] + ["Gemm"]


def test_gemm_of_no_constants() -> None:
    made = node("Gemm", "x w c", "y", "dense", alpha=0.5, beta=2.0)
    inputs = {"x": (2, 3), "w": (3, 4), "c": (4,)}
    assert kinds(normal_and_same(make([made], inputs, "y"))) == ["Mul", "Mul", "Gemm"]


def _quantized_conv(then: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    nodes = [
        node("DequantizeLinear", "x sx zx", "f"),
        node("DequantizeLinear", "w sw zw", "v", axis=0),
        node("Conv", "f v", "a", "conv", pads=[1, 1, 1, 1]),
        *then,
        node("QuantizeLinear", "n sy zy", "y"),
    ]
    known = {
        "sx": np.float32(0.02), "zx": np.int8(3), "sy": np.float32(0.05), "zy": np.int8(-4),
        "w": RANDOM.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8),
        "sw": RANDOM.uniform(0.001, 0.01, 4).astype(np.float32), "zw": np.zeros(4, np.int8),
    }  # fmt: skip
    return make(nodes, {"x": ("int8", (1, 3, 5, 5))}, "y", known | constants)


def test_bias_between_a_quantized_conv_and_its_rounding() -> None:
    proto = _quantized_conv([node("Add", "a c", "n")], c=_floats(4, 1, 1))
    model = normal_and_same(proto, exact=True)
    assert kinds(model) == ["DequantizeLinear", "DequantizeLinear", "Conv", "QuantizeLinear"]
    assert len(model.graph[2].inputs) == 3


def test_quantized_bias_that_is_added() -> None:
    bias = RANDOM.integers(-1000, 1000, (1, 4, 1, 1)).astype(np.int32)
    nodes = [node("DequantizeLinear", "c sc", "d"), node("Add", "a d", "n")]
    proto = _quantized_conv(nodes, c=bias, sc=np.float32(0.0001))
    assert "Add" not in kinds(normal_and_same(proto, exact=True))


def test_factor_between_a_quantized_conv_and_its_rounding_stays() -> None:
    proto = _quantized_conv([node("Mul", "a c", "n")], c=_floats(4, 1, 1))
    assert "Mul" in kinds(normal_and_same(proto, exact=True))


def test_rounding_between_conv_and_bias_keeps_them_apart() -> None:
    nodes = [
        node("QuantizeLinear", "a sy zy", "q"), node("DequantizeLinear", "q sy zy", "d"),
        node("Add", "d c", "n"),
    ]  # fmt: skip
    assert "Add" in kinds(normal_and_same(_quantized_conv(nodes, c=_floats(4, 1, 1)), exact=True))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_sum(parts: int) -> None:
    names = "abcd"[:parts]
    nodes = [node("Sum", " ".join(names), "s", "sum"), node("Relu", "s", "y")]
    model = normal_and_same(make(nodes, dict.fromkeys(names, (2, 3)), "y"))
    assert kinds(model) == ["Add"] * (parts - 1) + ["Relu"]
    assert parts == 1 or model.graph[parts - 2].name == "sum"


SPELLINGS = {
    "x * clip(x+3) / 6": ["Add x three a", "Clip a zero six b", "Mul x b c", "Div c six y"],
    "x * (clip(x+3) / 6)": ["Add x three a", "Clip a zero six b", "Div b six c", "Mul x c y"],
    "(clip(3+x) * sixth) * x": ["Add three x a", "Clip a zero six b", "Mul sixth b c", "Mul c x y"],
    "x * hardsigmoid": ["HardSigmoid x a", "Mul x a y"],
    "x * clip(x * sixth + half)": [
        "Mul x sixth a",
        "Add a half b",
        "Clip b zero one c",
        "Mul x c y",
    ],
}
NUMBERS = {"zero": 0, "three": 3, "six": 6, "sixth": 1 / 6, "half": 0.5, "one": 1}


def _spelled(lines: list[str]) -> onnx.ModelProto:
    nodes = []
    for line in lines:
        kind, *inputs, output = line.split()
        more = {"alpha": 1 / 6, "beta": 0.5} if kind == "HardSigmoid" else {}
        nodes.append(node(kind, " ".join(inputs), output, **more))
    constants = {name: np.float32(value) for name, value in NUMBERS.items()}
    return make(nodes, {"x": (2, 50)}, "y", constants, opset=14)


@pytest.mark.parametrize("name", SPELLINGS)
def test_hard_swish_spelled_out(name: str) -> None:
    model = normal_and_same(_spelled(SPELLINGS[name]))
    assert [(made.op_type, made.name) for made in model.graph] == [("HardSwish", "y")]


@pytest.mark.parametrize(
    "lines",
    [
        ["Add x three a", "Clip a zero six b", "Div b six y"],
        ["Mul x sixth a", "Add a half b", "Clip b zero one y"],
    ],
)
def test_hard_sigmoid_spelled_out(lines: list[str]) -> None:
    (made,) = normal_and_same(_spelled(lines)).graph
    assert made.op_type == "HardSigmoid"
    assert made.attributes["alpha"].value == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    "lines",
    [
        ["Add x three a", "Clip a zero six b", "Div b three y"],
        ["Add x half a", "Clip a zero six b", "Mul x b c", "Div c six y"],
        ["Add x three a", "Clip a one six b", "Mul x b c", "Div c six y"],
        ["Add x three a", "Clip a zero six b", "Mul a b c", "Div c six y"],
    ],
)
def test_what_looks_like_it_stays(lines: list[str]) -> None:
    assert not {"HardSwish", "HardSigmoid"} & set(kinds(normal_and_same(_spelled(lines))))


def test_hard_swish_with_rounding_inside_stays() -> None:
    nodes = [
        node("Add", "x three", "a"), node("QuantizeLinear", "a s", "q"),
        node("DequantizeLinear", "q s", "d"), node("Clip", "d zero six", "b"),
        node("Mul", "x b", "c"), node("Div", "c six", "y"),
    ]  # fmt: skip
    constants = {name: np.float32(value) for name, value in NUMBERS.items()}
    proto = make(nodes, {"x": (2, 50)}, "y", constants | {"s": np.float32(0.1)})
    assert "Clip" in kinds(normal_and_same(proto))


def test_batch_norm_that_trains_is_refused() -> None:
    made = node("BatchNormalization", "x g b m v", "y n o", "bn", training_mode=1)
    with pytest.raises(NetworkError, match="BatchNormalization bn trains"):
        normal(make([made], PICTURE, "y", _batch_norm(3), opset=15))


def test_hard_sigmoid_of_something_else_stays() -> None:
    nodes = [
        node("Neg", "x", "n"), node("HardSigmoid", "x", "a", alpha=1 / 6, beta=0.5),
        node("Mul", "n a", "y"),
    ]  # fmt: skip
    model = normal_and_same(make(nodes, {"x": (2, 50)}, "y"))
    assert sorted(kinds(model)) == ["HardSigmoid", "Mul", "Neg"]


def test_a_chain_that_makes_the_tensor_larger_stays() -> None:
    nodes = [node("Relu", "x", "a"), node("Add", "a p", "b"), node("Mul", "b q", "y")]
    constants = {"p": _floats(1, 3, 4, 4), "q": _floats(3, 1, 1)}
    model = normal_and_same(make(nodes, {"x": (1, 3, 1, 1)}, "y", constants))
    assert kinds(model) == ["Relu", "Add", "Mul"]
