"""Training and quantising: gradients against differences, scales, the committed files."""

from pathlib import Path

import numpy as np
import pytest

from vta.sw.models import train_digits
from vta.sw.models.digits_network import (
    DATA,
    LAYERS,
    float_activations,
    golden_activations,
    quantized_layers,
)
from vta.sw.models.digits_network import test_images as images_and_labels

SEED = 11


def doubles(rng: np.random.Generator) -> train_digits.Parameters:
    """Initial parameters in float64, with biases that are not zero."""
    return {
        name: value.astype(np.float64) + rng.normal(0, 0.05, value.shape)
        for name, value in train_digits.initial(rng).items()
    }


def loss(
    images: np.ndarray, labels: np.ndarray, parameters: train_digits.Parameters
) -> np.floating:
    logits = float_activations(images, parameters)[-1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen)


@pytest.mark.parametrize("layer", [layer.name for layer in LAYERS])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_gradients_against_differences(layer: str, part: str) -> None:
    """Along random directions of one tensor, in float64."""
    rng = np.random.default_rng(SEED)
    images, labels = (array[:6] for array in images_and_labels())
    parameters = doubles(rng)
    gradient = train_digits.gradients(images, labels, parameters)[f"{layer}_{part}"]
    name, step = f"{layer}_{part}", 1e-6
    for _ in range(3):
        direction = rng.normal(size=gradient.shape)
        ahead, behind = (
            loss(images, labels, parameters | {name: parameters[name] + sign * step * direction})
            for sign in (1, -1)
        )
        np.testing.assert_allclose(
            np.sum(gradient * direction), (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-7
        )


def test_training_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few epochs on 64 images: the loss on them falls to less than a quarter."""
    monkeypatch.setattr(train_digits, "EPOCHS", 6)
    monkeypatch.setattr(train_digits, "BATCH", 8)
    images, labels = (array[:64] for array in images_and_labels())
    before = loss(images, labels, train_digits.initial(np.random.default_rng(train_digits.SEED)))
    *_, (epoch, parameters) = train_digits.train(images, labels)
    assert epoch == 5
    assert all(value.dtype == np.float32 for value in parameters.values())
    assert loss(images, labels, parameters) < before / 4


def test_closest_exponent() -> None:
    """Whole numbers to 127 need no fraction; one far value is clipped, unless it must not be."""
    values = np.arange(-127, 128).astype(np.float64)
    assert train_digits.closest_exponent(values) == 0
    assert train_digits.closest_exponent(values / 8) == 3
    fine = np.append(np.random.default_rng(SEED).uniform(-1, 1, 100_000), 1.1)
    assert train_digits.closest_exponent(fine) == 7
    assert train_digits.closest_exponent(fine, saturate=False) == 6


def test_files_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = images_and_labels()
    rng = np.random.default_rng(SEED)
    parameters = train_digits.initial(rng)
    layers = train_digits.quantize_network(images, parameters)
    train_digits.save(tmp_path / "new", parameters, layers, images, labels)
    monkeypatch.setattr("vta.sw.models.digits_network.DATA", tmp_path / "new")
    again = quantized_layers.__wrapped__()
    for one, other in zip(layers, again, strict=True):
        assert (one.layer, one.exponents) == (other.layer, other.exponents)
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)
    np.testing.assert_array_equal(
        golden_activations(images, layers)[-1], golden_activations(images, again)[-1]
    )


@pytest.mark.regress
def test_the_committed_images_are_never_trained_on() -> None:
    """Needs `make environment-train`."""
    pytest.importorskip("sklearn")
    images, labels, unseen, truth = train_digits.split_images()
    np.testing.assert_array_equal(unseen, images_and_labels()[0])
    np.testing.assert_array_equal(truth, images_and_labels()[1])
    assert len(images) == len(labels) == 1797 - 450
    seen = {image.tobytes() for image in images}
    assert not any(image.tobytes() in seen for image in unseen), DATA
