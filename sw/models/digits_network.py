"""The handwritten-digit network in NumPy alone: shapes, weights, float and int8 inference.

Images are 8 x 8, values 0 to 16, from scikit-learn's bundled digits. Three 3 x 3 convolutions with
padding 1 and ReLU, then a dense layer over the 128 values (channel, row, column) that remain.

Quantised tensors are int8 with a power-of-two scale: ``value * 2^exponent``, rounded half up. A
layer's accumulator has exponent input + weight, its result the output's, so the requantisation is a
shift by ``input + weight - output``, with half of the last place folded into the bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from vta.hw.errors import VtaError

__all__ = [
    "CONVOLUTIONS",
    "DENSE",
    "LAYERS",
    "DigitsError",
    "Layer",
    "QuantizedLayer",
    "accuracy",
    "check_images",
    "float_activations",
    "float_logits",
    "float_parameters",
    "golden_activations",
    "golden_logits",
    "quantize_layer",
    "quantized_layers",
    "test_images",
]

DATA = Path(__file__).resolve().parent / "data"
INPUT_EXPONENT = 6  # pixels 0..16 mean 0..1; times 4 they are exact as int8
PIXEL_MAX = 16
PIXEL_SCALE = (1 << INPUT_EXPONENT) // PIXEL_MAX
LOW, HIGH = -128, 127


class DigitsError(VtaError, ValueError):
    """Images that are none, or a run on a device that went wrong."""


@dataclass(frozen=True)
class Layer:
    """A layer's shape. `size`: rows and columns of its input; `stride` 0 marks the dense layer."""

    name: str
    inputs: int
    outputs: int
    size: int = 1
    stride: int = 0

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.outputs, self.inputs, 3, 3) if self.stride else (self.outputs, self.inputs)

    @property
    def low(self) -> int:
        """Where its result is clipped from below: ReLU after a convolution."""
        return 0 if self.stride else LOW

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one image, those with padding included."""
        places = (self.size // self.stride) ** 2 if self.stride else 1
        return places * int(np.prod(self.weight_shape))


CONVOLUTIONS = (
    Layer("conv1", 1, 16, size=8, stride=1),
    Layer("conv2", 16, 32, size=8, stride=2),
    Layer("conv3", 32, 32, size=4, stride=2),
)
DENSE = Layer("dense", 128, 10)
LAYERS = (*CONVOLUTIONS, DENSE)


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer in integers.

    Members
    -------
    weight: int8, logical shape.
    bias: int32 (outputs,), with 2^(shift-1) folded in.
    exponents: of input, weight, output.
    """

    layer: Layer
    weight: np.ndarray
    bias: np.ndarray
    exponents: tuple[int, int, int]

    @property
    def shift(self) -> int:
        return self.exponents[0] + self.exponents[1] - self.exponents[2]


# Data ---------------------------------------------------------------------------------------------
def _load(name: str) -> dict[str, np.ndarray]:
    with np.load(DATA / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@cache
def test_images() -> tuple[np.ndarray, np.ndarray]:
    """The 450 images that training never saw: uint8 (450, 8, 8) of 0..16, and labels uint8."""
    arrays = _load("digits_test.npz")
    return arrays["images"], arrays["labels"]


@cache
def float_parameters() -> dict[str, np.ndarray]:
    """The trained float32 parameters: `<layer>_weight` and `<layer>_bias`."""
    return _load("digits_float.npz")


@cache
def quantized_layers() -> tuple[QuantizedLayer, ...]:
    """The layers in integers, in order."""
    arrays = _load("digits_int8.npz")
    layers = []
    for layer in LAYERS:
        weight, bias, exponents = (
            arrays[f"{layer.name}_{part}"] for part in ("weight", "bias", "exponents")
        )
        source, own, target = (int(n) for n in exponents)
        layers.append(QuantizedLayer(layer, weight, bias, (source, own, target)))
    return tuple(layers)


def check_images(images: np.ndarray) -> None:
    """DigitsError unless `images` are uint8 (n, 8, 8) of 0..16, n at least 1."""
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (8, 8):
        raise DigitsError(
            f"images are {images.dtype}{list(images.shape)}; they must be uint8, (n, 8, 8)"
        )
    if not len(images):
        raise DigitsError("there are 0 images: give 1 or more")
    if images.max() > PIXEL_MAX:
        raise DigitsError(f"a pixel is {images.max()}; pixels are 0 to {PIXEL_MAX}")


# Inference ----------------------------------------------------------------------------------------
def windows(data: np.ndarray, stride: int) -> np.ndarray:
    """The 3 x 3 surroundings, zeros outside: (n, c, h, w) to (n, h', w', c, 3, 3), a view."""
    padded = np.pad(data, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return view[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)


def accumulate(layer: Layer, data: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Sums of products plus bias, in the operands' type; data (n, c, h, w), or anything for the
    dense layer, which flattens it.
    """
    if not layer.stride:
        return data.reshape(len(data), -1) @ weight.T + bias
    taken = windows(data, layer.stride)
    kernels = weight.reshape(layer.outputs, -1)
    sums = taken.reshape(-1, kernels.shape[1]) @ kernels.T + bias
    return sums.reshape(*taken.shape[:3], layer.outputs).transpose(0, 3, 1, 2)


def float_activations(
    images: np.ndarray, parameters: Mapping[str, np.ndarray] | None = None
) -> list[np.ndarray]:
    """float32 results of every layer, the logits (n, 10) last, for uint8 images (n, 8, 8)."""
    check_images(images)
    parameters = float_parameters() if parameters is None else parameters
    data = images[:, np.newaxis].astype(np.float32) / PIXEL_MAX
    results = []
    for layer in LAYERS:
        weight, bias = parameters[f"{layer.name}_weight"], parameters[f"{layer.name}_bias"]
        data = accumulate(layer, data, weight, bias)
        if layer.stride:
            data = np.maximum(data, 0)
        results.append(data)
    return results


def float_logits(images: np.ndarray) -> np.ndarray:
    """float32 logits (n, 10) of uint8 images (n, 8, 8)."""
    return float_activations(images)[-1]


def quantized_images(images: np.ndarray) -> np.ndarray:
    """int8 (n, 1, 8, 8), the first layer's input, from uint8 images (n, 8, 8)."""
    check_images(images)
    return (images[:, np.newaxis] * PIXEL_SCALE).astype(np.int8)


def golden_activations(
    images: np.ndarray, layers: tuple[QuantizedLayer, ...] | None = None
) -> list[np.ndarray]:
    """int8 results of every layer, the logits (n, 10) last, for uint8 images (n, 8, 8).

    In int32, as the core has it: a sum has at most 288 products, less than 2^23.
    """
    data = quantized_images(images)
    results = []
    for entry in quantized_layers() if layers is None else layers:
        sums = accumulate(
            entry.layer, data.astype(np.int32), entry.weight.astype(np.int32), entry.bias
        )
        data = np.clip(sums >> entry.shift, entry.layer.low, HIGH).astype(np.int8)
        results.append(data)
    return results


def golden_logits(images: np.ndarray) -> np.ndarray:
    """int8 logits (n, 10) of uint8 images (n, 8, 8): what a device must give, bit for bit."""
    return golden_activations(images)[-1]


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose largest logit (of equal ones the first) is the label's."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


# Quantisation -------------------------------------------------------------------------------------
def quantize(values: np.ndarray, exponent: int) -> np.ndarray:
    """int64 ``values * 2^exponent``, rounded half up, not clipped."""
    return np.floor(np.ldexp(values.astype(np.float64), exponent) + 0.5).astype(np.int64)


def quantize_layer(
    layer: Layer, weight: np.ndarray, bias: np.ndarray, exponents: tuple[int, int, int]
) -> QuantizedLayer:
    """The integers of a float layer; weights clip at the int8 range, the bias takes the rounding.

    Raises
    ------
    DigitsError
        where the exponents ask for a shift to the left, or the accumulator overflows int32.
    """
    source, own, target = exponents
    shift = source + own - target
    if shift < 0:
        raise DigitsError(f"{layer.name}: exponents {exponents} need a shift of {shift}; 0 or more")
    rounding = (1 << shift) >> 1
    folded = quantize(bias, source + own) + rounding
    products = int(np.prod(layer.weight_shape[1:]))
    largest = int(np.abs(folded).max()) + products * (1 << 14)
    if largest >= 1 << 31:
        raise DigitsError(f"{layer.name}: sums reach {largest}; they must stay below 2^31")
    clipped = np.clip(quantize(weight, own), LOW, HIGH).astype(np.int8)
    return QuantizedLayer(layer, clipped, folded.astype(np.int32), exponents)
