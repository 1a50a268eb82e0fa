"""The digit network in NumPy: its files, its arithmetic against plain loops, its accuracy."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from vta.sw.models import digits_network as network
from vta.sw.models.digits_network import CONVOLUTIONS, DATA, DENSE, LAYERS, DigitsError


# Files --------------------------------------------------------------------------------------------
def test_the_files_are_small_and_hold_no_objects() -> None:
    sizes = {path.name: path.stat().st_size for path in DATA.glob("digits_*.npz")}
    assert sorted(sizes) == ["digits_float.npz", "digits_int8.npz", "digits_test.npz"]
    assert sum(sizes.values()) < 100_000
    for name in sizes:
        with np.load(DATA / name, allow_pickle=False) as file:
            assert all(file[key].dtype != object for key in file.files)


def test_the_test_images() -> None:
    images, labels = network.test_images()
    assert (images.shape, images.dtype) == ((450, 8, 8), np.uint8)
    assert (labels.shape, labels.dtype) == ((450,), np.uint8)
    assert (images.min(), images.max()) == (0, 16)
    assert len(np.unique(images.reshape(450, -1), axis=0)) == 450
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10 and counts.min() >= 30  # every digit, about equally often


def test_the_parameters_have_the_shapes_of_the_layers() -> None:
    parameters = network.float_parameters()
    assert sum(value.size for value in parameters.values()) == 15_338
    assert len(parameters) == 2 * len(LAYERS)
    for entry in network.quantized_layers():
        name, layer = entry.layer.name, entry.layer
        for array, dtype in ((parameters[f"{name}_weight"], "float32"), (entry.weight, "int8")):
            assert (array.shape, array.dtype) == (layer.weight_shape, dtype)
        for array, dtype in ((parameters[f"{name}_bias"], "float32"), (entry.bias, "int32")):
            assert (array.shape, array.dtype) == ((layer.outputs,), dtype)


def test_the_int8_parameters_are_the_float_ones_quantized() -> None:
    source = network.INPUT_EXPONENT
    for entry in network.quantized_layers():
        weight, bias = (
            network.float_parameters()[f"{entry.layer.name}_{part}"] for part in ("weight", "bias")
        )
        again = network.quantize_layer(entry.layer, weight, bias, entry.exponents)
        np.testing.assert_array_equal(entry.weight, again.weight)
        np.testing.assert_array_equal(entry.bias, again.bias)
        assert entry.exponents[0] == source
        source = entry.exponents[2]


# Accuracy -----------------------------------------------------------------------------------------
def test_accuracies() -> None:
    images, labels = network.test_images()
    floating = network.accuracy(network.float_logits(images), labels)
    integer = network.accuracy(network.golden_logits(images), labels)
    assert floating >= 0.97
    assert abs(floating - integer) <= 0.01


def test_accuracy_takes_the_first_of_equal_logits() -> None:
    assert network.accuracy(np.array([[1, 1, 0], [0, 2, 1]]), np.array([0, 1])) == 1.0
    assert network.accuracy(np.array([[1, 1, 0], [0, 2, 1]]), np.array([1, 1])) == 0.5


# Arithmetic ---------------------------------------------------------------------------------------
def plain_layer(entry: network.QuantizedLayer, data: np.ndarray) -> np.ndarray:
    """One image's layer in Python integers: exact sum and bias, rounded half up, clipped."""
    layer, shift = entry.layer, entry.shift
    half = (1 << shift) >> 1

    def finish(products: int, output: int) -> int:
        exact = Fraction(products + int(entry.bias[output]) - half, 1 << shift)
        return min(max(floor(exact + Fraction(1, 2)), layer.low), 127)

    if layer is DENSE:
        flat = [int(n) for n in data.ravel()]
        sums = [sum(a * int(b) for a, b in zip(flat, row, strict=True)) for row in entry.weight]
        return np.array([finish(total, n) for n, total in enumerate(sums)])
    side = layer.size // layer.stride
    out = np.zeros((layer.outputs, side, side), np.int64)
    for o, y, x in np.ndindex(*out.shape):
        total = 0
        for c, ky, kx in np.ndindex(layer.inputs, 3, 3):
            row, column = y * layer.stride + ky - 1, x * layer.stride + kx - 1
            if 0 <= row < layer.size and 0 <= column < layer.size:
                total += int(data[c, row, column]) * int(entry.weight[o, c, ky, kx])
        out[o, y, x] = finish(total, o)
    return out


@pytest.mark.parametrize("index", [0, 449])
def test_every_layer_against_plain_loops(index: int) -> None:
    image = network.test_images()[0][index : index + 1]
    results = network.golden_activations(image)
    data = image.astype(np.int64) * 4
    for entry, result in zip(network.quantized_layers(), results, strict=True):
        assert result.dtype == np.int8
        data = plain_layer(entry, data)
        np.testing.assert_array_equal(result[0], data)


def test_random_weights_saturate_and_round_as_plain_loops_do() -> None:
    rng = np.random.default_rng(5)
    layers = []
    for layer in LAYERS:
        weight = rng.integers(-128, 128, layer.weight_shape).astype(np.int8)
        bias = rng.integers(-5000, 5000, layer.outputs).astype(np.int32)
        layers.append(network.QuantizedLayer(layer, weight, bias, (6, 3, 3)))
    image = rng.integers(0, 17, (1, 8, 8)).astype(np.uint8)
    results = network.golden_activations(image, tuple(layers))
    assert {127, 0} <= set(results[0].ravel().tolist())  # both limits are reached
    data = image.astype(np.int64) * 4
    for entry, result in zip(layers, results, strict=True):
        data = plain_layer(entry, data)
        np.testing.assert_array_equal(result[0], data)


def test_random_weights_that_clip_little_round_as_plain_loops_do() -> None:
    """Weights from the depth of each sum, a bias that lifts it: most results lie between."""
    rng = np.random.default_rng(6)
    layers = []
    for layer in LAYERS:
        limit = round(100 / np.prod(layer.weight_shape[1:]) ** 0.5)
        weight = rng.integers(-limit, limit + 1, layer.weight_shape).astype(np.int8)
        bias = rng.integers(2000, 6000, layer.outputs).astype(np.int32)
        layers.append(network.QuantizedLayer(layer, weight, bias, (6, 3, 3)))
    image = rng.integers(0, 17, (1, 8, 8)).astype(np.uint8)
    results = network.golden_activations(image, tuple(layers))
    data = image.astype(np.int64) * 4
    for entry, result in zip(layers, results, strict=True):
        clipped = np.mean((result == 127) | (result == 0))
        assert clipped < 0.5, f"{entry.layer.name}: {clipped:.0%} are clipped"
        data = plain_layer(entry, data)
        np.testing.assert_array_equal(result[0], data)


def test_int8_results_are_near_the_float_ones() -> None:
    images = network.test_images()[0]
    floating, integer = network.float_activations(images), network.golden_activations(images)
    for entry, exact, found in zip(network.quantized_layers(), floating, integer, strict=True):
        error = np.ldexp(found.astype(np.float64), -entry.exponents[2]) - exact
        assert np.sqrt(np.mean(error**2)) < 0.1 * np.sqrt(np.mean(exact.astype(np.float64) ** 2))


def test_quantize_rounds_half_up() -> None:
    values = np.array([-0.75, -0.5, -0.25, 0.25, 0.5, 0.75])
    np.testing.assert_array_equal(network.quantize(values, 1), [-1, -1, 0, 1, 1, 2])


# Errors -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8)), r"images are float64\[2, 8, 8\]; they must be uint8, \(n, 8, 8\)"),
        (np.zeros((8, 8), np.uint8), r"images are uint8\[8, 8\]"),
        (np.zeros((0, 8, 8), np.uint8), "there are 0 images: give 1 or more"),
        (np.full((1, 8, 8), 17, np.uint8), "a pixel is 17; pixels are 0 to 16"),
    ],
)
def test_what_is_no_image_is_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(DigitsError, match=message):
        network.golden_logits(images)
    with pytest.raises(DigitsError, match=message):
        network.float_logits(images)


def test_impossible_scales_are_refused() -> None:
    layer = CONVOLUTIONS[0]
    weight, bias = np.ones(layer.weight_shape, np.float32), np.ones(16, np.float32)
    with pytest.raises(DigitsError, match=r"conv1: .* need a shift of -1; 0 or more"):
        network.quantize_layer(layer, weight, bias, (0, 0, 1))
    with pytest.raises(DigitsError, match=r"conv1: sums reach \d+; they must stay below 2\^31"):
        network.quantize_layer(layer, weight, bias, (20, 20, 5))
