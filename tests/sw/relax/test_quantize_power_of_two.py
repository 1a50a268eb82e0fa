"""Power-of-two scales: where values are rounded, what shares a scale, and what the numbers are."""

from math import log2

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.sw.relax.networks import network, nodes, normal, rounded, run
from vta.sw.models import digits_network
from vta.sw.models.onnx import MODELS, digits, digits_inputs, model
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.normalize import normalize
from vta.sw.relax.quantize import exponents, quantize
from vta.sw.relax.quantize.exponents import SHIFT, best, covering, solved
from vta.sw.relax.quantize.plan import made_plan

CONV = "<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>"
ONE = "<kernel_shape = [1, 1]>"
POOL = "p = MaxPool<kernel_shape = [1, 1]>"
X = "float[1, 4, 8, 8] x"


def power_of_two(made: ir.Model, **options) -> ir.Model:
    return quantize(made, scales="power-of-two", **options).model


# Accuracy -----------------------------------------------------------------------------------------
def test_the_digits_stay_within_one_percent_of_the_float_accuracy() -> None:
    images, labels = digits_network.test_images()
    made = normalize(ir.from_proto(digits(batch=len(images))))
    feeds = {"image": digits_inputs(images)}
    quantized = power_of_two(made, samples=digits_inputs(images))
    before, after = (
        digits_network.accuracy(run(m, feeds)["logits"], labels) for m in (made, quantized)
    )
    print(f"float {before:.2%}, power-of-two {after:.2%}")
    assert abs(before - after) <= 0.01, f"float {before:.2%}, power-of-two {after:.2%}"


@pytest.mark.parametrize("name", ["digits", "residuals"])
def test_clipping_rare_values_keeps_more_than_covering_all(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = normalize(ir.from_proto(model(name)))
    samples = digits_inputs(digits_network.test_images()[0][:50]) if name == "digits" else None
    clipped = quantize(start, samples, scales="power-of-two").report
    monkeypatch.setattr(exponents, "CLIPPING", 0)
    covered = quantize(start, samples, scales="power-of-two").report
    for output, ratio in clipped.outputs.items():
        assert ratio > covered.outputs[output], f"{ratio} dB, {covered.outputs[output]} dB"


@pytest.mark.parametrize("name", sorted({*MODELS} - {"detector_224", "digits_int8"}))
def test_every_network_is_near_its_float_one(name: str) -> None:
    start = normalize(ir.from_proto(model(name)))
    (own,) = start.graph.inputs
    samples = normal(2, *own.shape.numpy())
    made = quantize(start, samples, scales="power-of-two")
    onnx.checker.check_model(ir.to_proto(made.model), full_check=True)
    assert min(made.report.outputs.values()) > 20, str(made.report)
    for node in nodes(made.model, "QuantizeLinear", "DequantizeLinear"):
        scale, zero = (value.const_value.numpy() for value in node.inputs[1:])
        assert scale.shape == zero.shape == () and scale.dtype == np.float32
        assert log2(scale) == round(log2(scale)) and zero == 0
        assert zero.dtype == (np.int32 if node.inputs[0].dtype == ir.DataType.INT32 else np.int8)


# Where values are rounded -------------------------------------------------------------------------
def test_a_relu_is_rounded_once() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w, b) y = Relu(c)",
        w=normal(4, 4, 3, 3),
        b=normal(4),
    )
    assert list(rounded(power_of_two(made))) == ["x", "y"]


def test_relu6_is_rounded_once_and_the_clip_stays() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w) y = Clip(c, low, high)",
        w=normal(4, 4, 3, 3),
        low=np.float32(0),
        high=np.float32(6),
    )
    quantized = power_of_two(made)
    assert list(rounded(quantized)) == ["x", "y"] and len(nodes(quantized, "Clip")) == 1


RESIDUAL = f"a = Conv{CONV}(x, w) r = Relu(a) c = Conv{CONV}(r, v) s = Add(c, x) y = Relu(s)"


def test_nothing_is_rounded_between_a_product_and_the_add() -> None:
    weights = {"w": normal(4, 4, 3, 3), "v": normal(4, 4, 3, 3, seed=1)}
    made = network(X, "float[1, 4, 8, 8] y", RESIDUAL, **weights)
    assert list(rounded(power_of_two(made))) == ["x", "r", "y"]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_of_two_products_the_deeper_one_stays_unrounded(swapped: bool, first: bool) -> None:
    """Whatever the order of operands, and of the nodes."""
    deep, flat = f"a = Conv{CONV}(x, w) c = Conv{CONV}(a, v)", f"d = Conv{ONE}(x, u)"
    lines = (flat, deep) if first else (deep, flat)
    add = "s = Add(d, c)" if swapped else "s = Add(c, d)"
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"{lines[0]} {lines[1]} {add} y = Relu(s)",
        w=normal(4, 4, 3, 3),
        v=normal(4, 4, 3, 3),
        u=normal(4, 4, 1, 1),
    )
    assert set(rounded(power_of_two(made))) == {"x", "a", "d", "y"}


@pytest.mark.parametrize("first", [False, True])
def test_of_two_products_as_deep_the_one_with_more_weights_stays_unrounded(first: bool) -> None:
    lines = [f"c = Conv{CONV}(x, w)", f"d = Conv{ONE}(x, u)"]
    body = " ".join(lines if first else reversed(lines))
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"{body} y = Add(c, d)",
        w=normal(4, 4, 3, 3),
        u=normal(4, 4, 1, 1),
    )
    assert list(rounded(power_of_two(made))) == ["x", "d", "y"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        # Read twice: by the Add and by the pool.
        (f"c = Conv{CONV}(x, w) s = Add(c, x) {POOL}(c) y = Add(s, p)", ["x", "c", "s", "p", "y"]),
        # A constant operand is no residual.
        (f"a = Conv{CONV}(x, w) {POOL}(a) y = Add(p, k)", ["x", "a", "p", "y"]),
        # A constant that is no bias.
        (f"a = Conv{CONV}(x, w) y = Add(a, map)", ["x", "a", "y"]),
        # The other operand is broadcast.
        (f"p = GlobalMaxPool(x) a = Conv{CONV}(x, w) y = Add(a, p)", ["x", "p", "a", "y"]),
        # The Relu is between them.
        (f"a = Conv{CONV}(x, w) r = Relu(a) y = Add(r, x)", ["x", "r", "y"]),
        # Both operands are the same.
        (f"a = Conv{CONV}(x, w) y = Add(a, a)", ["x", "a", "y"]),
    ],
)
def test_other_sums_are_rounded_on_both_sides(body: str, found: list[str]) -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        body,
        w=normal(4, 4, 3, 3),
        k=normal(1, 4, 1, 1),
        map=normal(1, 4, 8, 8),
    )
    assert set(rounded(power_of_two(made))) == set(found)


def test_a_value_that_leaves_is_rounded_before_the_relu() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] c, float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w) y = Relu(c)",
        w=normal(4, 4, 3, 3),
    )
    quantized = power_of_two(made)
    assert list(rounded(quantized)) == ["x", "c", "y"]
    assert [value.name for value in quantized.graph.outputs] == ["c", "y"]
    assert set(run(quantized, {"x": normal(1, 4, 8, 8)})) == {"c", "y"}


def test_softmax_and_what_is_behind_it_stay_float() -> None:
    made = network(
        "float[1, 16] x",
        "float[2, 4] y",
        "g = Gemm(x, w, b) s = Softmax<axis = 1>(g) t = Mul(s, k) y = Reshape(t, shape)",
        w=normal(16, 8),
        b=normal(8),
        k=np.float32(2),
        shape=np.array([2, 4]),
    )
    found = quantize(made, scales="power-of-two")
    assert list(rounded(found.model)) == ["x", "g"]
    assert found.report.kept == {
        "s": "Softmax is computed in float",
        "t": "no product before it",
        "y": "no product before it",
    }


def test_what_is_computed_before_the_first_product_stays_float() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"s = Sub(x, mean) r = Relu(s) y = Conv{CONV}(r, w)",
        w=normal(4, 4, 3, 3),
        mean=np.float32(0.5),
    )
    assert list(rounded(power_of_two(made))) == ["r", "y"]


def test_the_relu_of_an_excluded_product_stays_float() -> None:
    """So that only one of them is rounded, and that to the scale of what is left."""
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w) r = Relu(c) y = Conv{CONV}(r, w)",
        w=normal(4, 4, 3, 3),
    )
    assert list(rounded(power_of_two(made, exclude=["c"]))) == ["r", "y"]


def test_a_float_reader_of_a_float_value_reads_it_as_it_is() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y, float[1, 4, 8, 8] z",
        f"s = Sigmoid(x) y = Conv{CONV}(s, w) z = Tanh(s)",
        w=normal(4, 4, 3, 3),
    )
    quantized = power_of_two(made)
    assert list(rounded(quantized)) == ["s", "y"]
    data = {"x": normal(1, 4, 8, 8)}
    np.testing.assert_array_equal(run(quantized, data)["z"], run(made, data)["z"])


# What shares a scale ------------------------------------------------------------------------------
MOVES = {
    "MaxPool": ("y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c)", "float[1, 4, 4, 4]"),
    "AveragePool": (
        "y = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(c)",
        "float[1, 4, 4, 4]",
    ),
    "GlobalAveragePool": ("y = GlobalAveragePool(c)", "float[1, 4, 1, 1]"),
    "Resize": ('y = Resize<mode = "nearest">(c, , scales)', "float[1, 4, 16, 16]"),
    "Reshape": ("y = Reshape(c, shape)", "float[4, 64]"),
    "Flatten": ("y = Flatten(c)", "float[1, 256]"),
    "Pad": ("y = Pad(c, pads)", "float[1, 4, 9, 8]"),
    "Slice": ("y = Slice(c, starts, ends)", "float[1, 2, 8, 8]"),
    "Transpose": ("y = Transpose<perm = [0, 2, 3, 1]>(c)", "float[1, 8, 8, 4]"),
    "Concat": ("y = Concat<axis = 1>(c, x)", "float[1, 8, 8, 8]"),
}
CONSTANTS = {
    "scales": np.array([1, 1, 2, 2], np.float32),
    "shape": np.array([4, 64]),
    "pads": np.array([0, 0, 1, 0, 0, 0, 0, 0]),
    "starts": np.array([0, 0]),
    "ends": np.array([1, 2]),
}


@pytest.mark.parametrize("kind", MOVES)
def test_what_moves_numbers_keeps_their_scale(kind: str) -> None:
    body, shape = MOVES[kind]
    made = network(
        X, f"{shape} y", f"c = Conv{CONV}(x, w) {body}", w=normal(4, 4, 3, 3), **CONSTANTS
    )
    found = rounded(power_of_two(made))
    assert list(found) == ["x", "c", "y"]
    assert found["y"] == found["c"]
    if kind == "Concat":
        assert (
            found["x"]
            == found["c"]
            > rounded(
                power_of_two(
                    network(X, "float[1, 4, 8, 8] y", f"y = Conv{CONV}(x, w)", w=normal(4, 4, 3, 3))
                )
            )["x"]
        )


def test_a_pool_behind_a_relu_has_its_scale() -> None:
    made = network(
        X,
        "float[1, 4, 4, 4] y",
        f"c = Conv{CONV}(x, w) r = Relu(c) y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r)",
        w=normal(4, 4, 3, 3),
    )
    found = rounded(power_of_two(made))
    assert list(found) == ["x", "r", "y"] and found["r"] == found["y"]


def test_zeros_in_a_concat_are_constants_of_its_scale() -> None:
    made = network(
        X,
        "float[1, 6, 8, 8] y",
        f"c = Conv{CONV}(x, w) y = Concat<axis = 1>(c, zeros)",
        w=normal(4, 4, 3, 3),
        zeros=np.zeros((1, 2, 8, 8), np.float32),
    )
    quantized = power_of_two(made)
    assert list(rounded(quantized)) == ["x", "c", "y"]
    (concat,) = nodes(quantized, "Concat")
    scales = {float(v.producer().inputs[1].const_value.numpy()) for v in concat.inputs}
    assert scales == {rounded(quantized)["y"]}
    assert not run(quantized, {"x": normal(1, 4, 8, 8)})["y"][:, 4:].any()


def test_a_transpose_before_the_first_product_is_in_integers() -> None:
    made = network(
        "float[1, 8, 8, 4] x",
        "float[1, 4, 8, 8] y",
        f"t = Transpose<perm = [0, 3, 1, 2]>(x) y = Conv{CONV}(t, w)",
        w=normal(4, 4, 3, 3),
    )
    found = rounded(power_of_two(made))
    assert list(found) == ["x", "t", "y"] and found["x"] == found["t"]


def test_leaky_relu_has_two_scales() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w, b) y = LeakyRelu<alpha = 0.01>(c)",
        w=normal(4, 4, 3, 3),
        b=np.full(4, -30, np.float32),
    )
    found = rounded(power_of_two(made))
    assert list(found) == ["x", "c", "y"] and found["y"] < found["c"]


# The numbers --------------------------------------------------------------------------------------
def integers(node: ir.Node, index: int) -> tuple[np.ndarray, int]:
    """Constant input `index` of a product: its numbers, and their exponent."""
    made = node.inputs[index].producer()
    return made.inputs[0].const_value.numpy(), exponent(made)


def exponent(node: ir.Node) -> int:
    return int(log2(node.inputs[1].const_value.numpy()))


def half_even(sums: np.ndarray, shift: int) -> np.ndarray:
    return np.clip(np.rint(sums / 2.0**shift), -128, 127)


def sums_of(data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A 3 x 3 convolution with padding 1, in int64."""
    padded = np.pad(data.astype(np.int64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("ncyxij,ocij->noyx", view, weight.astype(np.int64))


def test_a_residual_block_is_one_shift_of_integer_sums() -> None:
    """Convolution, bias, residual and relu in integers, by hand, against onnxruntime."""
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w, b) s = Add(x, c) y = Relu(s)",
        w=normal(4, 4, 3, 3, by=0.2),
        b=normal(4),
    )
    quantized = power_of_two(made)
    (conv,) = nodes(quantized, "Conv")
    steps = {n.inputs[0].name: exponent(n) for n in nodes(quantized, "QuantizeLinear")}
    (weight, own), (bias, unit) = integers(conv, 1), integers(conv, 2)
    (result,) = (k for name, k in steps.items() if name != "x")
    assert weight.dtype == np.int8 and bias.dtype == np.int32
    assert unit == steps["x"] + own and steps["x"] >= unit and result >= unit
    data = normal(1, 4, 8, 8, seed=3)
    numbers = half_even(data, steps["x"])
    sums = sums_of(numbers, weight) + bias.reshape(1, 4, 1, 1)
    sums = np.maximum(sums + numbers.astype(np.int64) * 2 ** (steps["x"] - unit), 0)
    expected = half_even(sums, result - unit) * 2.0**result
    np.testing.assert_array_equal(run(quantized, {"x": data})["y"], expected.astype(np.float32))
    assert expected.any()


def test_results_are_no_finer_than_the_sums_and_biases_fit() -> None:
    """Weights near nothing beside a bias of a thousand: both are integers all the same."""
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"y = Conv{CONV}(x, w, b)",
        w=normal(4, 4, 3, 3, by=1e-9),
        b=np.array([1e3, 0, 1e-9, -1e3], np.float32),
    )
    quantized = power_of_two(made)
    (conv,) = nodes(quantized, "Conv")
    bias, unit = integers(conv, 2)
    assert abs(bias.astype(np.int64)).max() > 1 << 20
    assert 0 <= log2(rounded(quantized)["y"]) - unit <= SHIFT
    found = run(quantized, {"x": normal(1, 4, 8, 8)})["y"]
    np.testing.assert_allclose(found[0, :, 0, 0], [1e3, 0, 0, -1e3], atol=8)


@pytest.mark.parametrize("wished", [-30, 30])
def test_exponents_are_raised_until_shifts_are_possible(wished: int) -> None:
    """A result or residual that is finer than the sums, or far coarser."""
    made = network(
        "float[1, 4, 8, 8] x, float[1, 4, 8, 8] r",
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w) y = Add(c, r)",
        w=normal(4, 4, 3, 3),
    )
    plan = made_plan(made)
    for name in ("r", "y"):
        found = solved(plan, {"x": -5, "r": -4, "y": -4} | {name: wished})
        unit = found.data["x"] + found.weights["c"]
        assert all(0 <= found.data[n] - unit <= SHIFT for n in ("r", "y")), found
        assert found.data["x"] == -5


def test_biases_fit_whatever_is_wished() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"y = Conv{CONV}(x, w, b)",
        w=normal(4, 4, 3, 3, by=1e-9),
        b=np.array([1e3, 0, 0, 0], np.float32),
    )
    found = solved(made_plan(made), {"x": -5, "y": -20})
    unit = found.data["x"] + found.weights["y"]
    assert 1 << 28 < 1e3 / 2.0**unit < 1 << 31 and found.data["y"] >= unit


def test_a_product_of_two_tensors_is_no_finer_than_its_factors() -> None:
    made = network(
        X, "float[1, 4, 8, 8] y", f"c = Conv{CONV}(x, w) y = Mul(c, x)", w=normal(4, 4, 3, 3)
    )
    wishes = {"x": -5, "c": -2, "y": -10}
    assert solved(made_plan(made), wishes).data == {"x": -5, "c": -2, "y": -7}


def test_dead_tensors_and_weights_have_scales() -> None:
    made = network(
        X,
        "float[1, 4, 8, 8] y",
        f"c = Conv{CONV}(x, w) r = Relu(c) y = Conv{CONV}(r, w)",
        w=np.zeros((4, 4, 3, 3), np.float32),
    )
    assert not run(power_of_two(made), {"x": normal(1, 4, 8, 8)})["y"].any()


def test_the_exponent_of_least_error() -> None:
    assert [covering(value) for value in (0.0, 127.0, 127.5, 254.0, 0.5)] == [-7, 0, 1, 1, -7]
    (node,) = nodes(network(X, "float[1, 4, 8, 8] y", "y = Relu(x)"), "Relu")
    values = normal(100_000, by=30.0)
    assert best(node, values) == 0 < covering(float(abs(values).max()))
    assert best(node, np.array([127.0, 3.0])) == 0


# Refused ------------------------------------------------------------------------------------------
def test_sums_beyond_int32_are_refused_by_name() -> None:
    made = network("float[1, 131072] x", "float[1, 1] y", "y = Gemm(x, w)", w=normal(131072, 1))
    with pytest.raises(NetworkError, match=r"^Gemm y: its sums have 131072 products, .* exclude"):
        power_of_two(made)
    assert not rounded(power_of_two(made, exclude=["y"]))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_numbers_beyond_all_scales_are_refused_by_name(value: float) -> None:
    weights = normal(4, 4, 3, 3)
    weights[0, 0, 0, 0] = value
    made = network(X, "float[1, 4, 8, 8] y", f"y = Conv{CONV}(x, w)", w=weights)
    with pytest.raises(NetworkError, match=r"(value y reaches|Conv y: a constant has) .*2\^60"):
        power_of_two(made)


def test_scales_that_grow_without_end_are_refused() -> None:
    """The result shares a scale with the data, but its weights are larger than 1 a step."""
    made = network(
        X,
        "float[1, 8, 8, 8] y",
        f"c = Conv{CONV}(x, w) y = Concat<axis = 1>(x, c)",
        w=normal(4, 4, 3, 3, by=1e4),
    )
    with pytest.raises(NetworkError, match="do not settle"):
        power_of_two(made)
