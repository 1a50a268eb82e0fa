"""Trains and quantises the handwritten-digit network; writes sw/models/data/digits_*.npz.

    make environment-train
    .venv/bin/python -m vta.sw.models.train_digits [DIRECTORY]

Plain NumPy: Adam on the cross entropy, 25 epochs, fixed seeds. scikit-learn only brings the
images, and threadpoolctl with it. The scales are chosen on the training images alone. Another
NumPy or BLAS may sum in another order, and so give slightly different weights.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vta.sw.models.digits_network import (
    CONVOLUTIONS,
    DATA,
    DENSE,
    HIGH,
    INPUT_EXPONENT,
    LAYERS,
    LOW,
    PIXEL_MAX,
    QuantizedLayer,
    accuracy,
    float_activations,
    golden_activations,
    quantize,
    quantize_layer,
    windows,
)

SEED = 0
TEST_IMAGES = 450
EPOCHS = 25
BATCH = 32
RATE = 3e-3  # Adam's, falling linearly to 0
BETAS = 0.9, 0.999  # Kingma and Ba, "Adam", arXiv:1412.6980, with its epsilon
EPSILON = 1e-8
EXPONENTS = range(-8, 16)  # candidates for a scale

Parameters = dict[str, np.ndarray]


def split_images() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(training images, labels, test images, labels), uint8, in a seeded order."""
    from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]

    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.images))
    images, labels = digits.images.astype(np.uint8)[order], digits.target.astype(np.uint8)[order]
    test, train = slice(None, TEST_IMAGES), slice(TEST_IMAGES, None)
    return images[train], labels[train], images[test], labels[test]


# Training -----------------------------------------------------------------------------------------
def initial(rng: np.random.Generator) -> Parameters:
    """Weights normal with variance 2 / fan-in (He et al., arXiv:1502.01852), biases 0; float32."""
    parameters = {}
    for layer in LAYERS:
        fan_in = np.prod(layer.weight_shape[1:])
        weight = rng.normal(0, np.sqrt(2 / fan_in), layer.weight_shape)
        parameters[f"{layer.name}_weight"] = weight.astype(np.float32)
        parameters[f"{layer.name}_bias"] = np.zeros(layer.outputs, np.float32)
    return parameters


def gradients(images: np.ndarray, labels: np.ndarray, parameters: Parameters) -> Parameters:
    """Gradients of the mean cross entropy; images uint8 (n, 8, 8), labels (n,)."""
    results = float_activations(images, parameters)
    logits = results[-1]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = exponentials / exponentials.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    last = results[-2]
    found = {
        f"{DENSE.name}_weight": error.T @ last.reshape(len(last), -1),
        f"{DENSE.name}_bias": error.sum(axis=0),
    }
    error = (error @ parameters[f"{DENSE.name}_weight"]).reshape(last.shape)
    inputs = [images[:, np.newaxis].astype(np.float32) / PIXEL_MAX, *results]
    for n in reversed(range(len(CONVOLUTIONS))):
        layer = CONVOLUTIONS[n]
        error = np.where(results[n] > 0, error, 0)
        weight = parameters[f"{layer.name}_weight"]
        rows = error.transpose(0, 2, 3, 1).reshape(-1, layer.outputs)
        columns = windows(inputs[n], layer.stride).reshape(len(rows), -1)
        found[f"{layer.name}_weight"] = (rows.T @ columns).reshape(weight.shape)
        found[f"{layer.name}_bias"] = rows.sum(axis=0)
        error = _spread(error, weight, layer.stride, inputs[n].shape)
    return found


def _spread(
    error: np.ndarray, weight: np.ndarray, stride: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Gradient of a convolution's input, (n, c, h, w), from that of its sums (n, o, h', w')."""
    padded = np.zeros((*shape[:2], shape[2] + 2, shape[3] + 2), error.dtype)
    for y in range(3):
        for x in range(3):
            taps = np.tensordot(weight[:, :, y, x], error, axes=(0, 1)).transpose(1, 0, 2, 3)
            rows = slice(y, y + shape[2], stride)
            columns = slice(x, x + shape[3], stride)
            padded[:, :, rows, columns] += taps
    return padded[:, :, 1:-1, 1:-1]


def train(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, Parameters]]:
    """(epoch, parameters after it) for each epoch, by Adam."""
    rng = np.random.default_rng(SEED)
    parameters = initial(rng)
    means = {name: np.zeros_like(value) for name, value in parameters.items()}
    squares = {name: np.zeros_like(value) for name, value in parameters.items()}
    steps = EPOCHS * -(-len(images) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            found = gradients(images[chosen], labels[chosen], parameters)
            rate = RATE * (1 - step / steps)
            step += 1
            for name, gradient in found.items():
                means[name] += (1 - BETAS[0]) * (gradient - means[name])
                squares[name] += (1 - BETAS[1]) * (gradient**2 - squares[name])
                mean = means[name] / (1 - BETAS[0] ** step)
                square = squares[name] / (1 - BETAS[1] ** step)
                parameters[name] -= rate * mean / (np.sqrt(square) + EPSILON)
        yield epoch, parameters


# Quantisation -------------------------------------------------------------------------------------
def closest_exponent(values: np.ndarray, *, saturate: bool = True) -> int:
    """Exponent with the least mean-square error of int8 `values`; without `saturate` the largest
    with which nothing clips.
    """
    if not saturate:
        return max(e for e in EXPONENTS if np.abs(quantize(values, e)).max() <= HIGH)

    def error(exponent: int) -> float:
        clipped = np.clip(quantize(values, exponent), LOW, HIGH)
        return float(np.mean((np.ldexp(clipped.astype(np.float64), -exponent) - values) ** 2))

    return min(EXPONENTS, key=error)


def quantize_network(images: np.ndarray, parameters: Parameters) -> tuple[QuantizedLayer, ...]:
    """The network in integers, its scales from the results of uint8 `images`."""
    layers = []
    source = INPUT_EXPONENT
    for layer, result in zip(LAYERS, float_activations(images, parameters), strict=True):
        weight, bias = parameters[f"{layer.name}_weight"], parameters[f"{layer.name}_bias"]
        target = closest_exponent(result, saturate=layer is not DENSE)
        exponents = source, closest_exponent(weight), target
        layers.append(quantize_layer(layer, weight, bias, exponents))
        source = target
    return tuple(layers)


# Files --------------------------------------------------------------------------------------------
def save(
    directory: Path,
    parameters: Parameters,
    layers: tuple[QuantizedLayer, ...],
    images: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Write float and int8 weights and the test images, three files without pickles."""
    integers: dict[str, np.ndarray] = {}
    for entry in layers:
        integers[f"{entry.layer.name}_weight"] = entry.weight
        integers[f"{entry.layer.name}_bias"] = entry.bias
        integers[f"{entry.layer.name}_exponents"] = np.array(entry.exponents, np.int32)
    directory.mkdir(parents=True, exist_ok=True)
    for name, arrays in (
        ("float", parameters),
        ("int8", integers),
        ("test", {"images": images, "labels": labels}),
    ):
        np.savez_compressed(directory / f"digits_{name}.npz", allow_pickle=False, **arrays)


def _train_with_progress(images: np.ndarray, labels: np.ndarray) -> Parameters:
    """The trained parameters. One BLAS thread: the products are small, and sums keep an order."""
    from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingImports]

    parameters: Parameters = {}
    with threadpool_limits(1):
        for epoch, parameters in train(images, labels):
            share = accuracy(float_activations(images, parameters)[-1], labels)
            print(f"epoch {epoch + 1:2} of {EPOCHS}: training accuracy {share:.2%}", flush=True)
    return parameters


def main() -> None:
    """Train, quantise, save, and print the accuracies."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    images, labels, unseen, truth = split_images()
    print(f"seed {SEED}: {len(images)} training images, {len(unseen)} test images")
    started = time.monotonic()
    parameters = _train_with_progress(images, labels)
    layers = quantize_network(images, parameters)
    save(directory, parameters, layers, unseen, truth)
    count = sum(value.size for value in parameters.values())
    print(f"{count} parameters, {time.monotonic() - started:.1f} s")
    for entry in layers:
        print(f"{entry.layer.name}: exponents {entry.exponents}, shift {entry.shift}")
    for name, found in (
        ("float", float_activations(unseen, parameters)[-1]),
        ("int8", golden_activations(unseen, layers)[-1]),
    ):
        print(f"test accuracy, {name}: {accuracy(found, truth):.2%}")


if __name__ == "__main__":
    main()
