"""What TFLite's reference kernels compute on quantised tensors, an operator at a time, in NumPy.

For `vta.sw.relax.tflite.rounding`. All tensors are as the file has them (NHWC).
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vta.sw.relax.tflite.arithmetic import divided, factor_of, scaled, scaled_once
from vta.sw.relax.tflite.convolution import same_padding
from vta.sw.relax.tflite.schema import Operator, TensorInfo

__all__ = ["KERNELS", "Call"]

LEFT = 20  # bits by which operands of a sum are shifted before they are scaled


class Call:
    """An operator with its tensors, and the arrays of its inputs (None: left out)."""

    def __init__(
        self, op: Operator, tensors: Sequence[TensorInfo], arrays: Sequence[np.ndarray | None]
    ) -> None:
        self.op, self.arrays = op, arrays
        self.infos = [tensors[n] if n >= 0 else None for n in op.inputs]
        self.out = tensors[op.outputs[0]]

    def array(self, k: int) -> np.ndarray:
        """The numbers of an input, without their zero point."""
        array, info = self.arrays[k], self.infos[k]
        assert array is not None and info is not None
        zero = 0 if info.quantization is None else int(info.quantization.zero_point[0])
        return array.astype(np.int64) - (0 if info.type == "INT32" else zero)

    def scale(self, k: int) -> np.ndarray:
        """The scales of an input: float32."""
        info = self.infos[k]
        assert info is not None and info.quantization is not None
        return info.quantization.scale

    @property
    def unit(self) -> float:
        """The scale of the result."""
        assert self.out.quantization is not None
        return float(self.out.quantization.scale[0])

    def bias(self, k: int) -> np.ndarray | int:
        """Of an accumulator; 0 where it has none."""
        left_out = k >= len(self.arrays) or self.arrays[k] is None
        return 0 if left_out else self.array(k)

    def result(self, values: np.ndarray) -> np.ndarray:
        """Numbers without a zero point in the result's type, within the fused activation."""
        assert self.out.quantization is not None
        zero, bounds = int(self.out.quantization.zero_point[0]), np.iinfo(self.out.dtype)
        low, high = RANGES[self.op.options.get("FusedActivationFunction", 0)]
        least = bounds.min if low is None else max(bounds.min, zero + _round(low / self.unit))
        most = bounds.max if high is None else min(bounds.max, zero + _round(high / self.unit))
        return np.clip(values + zero, least, most).astype(self.out.dtype)


RANGES: dict[int, tuple[float | None, float | None]] = {
    0: (None, None),
    1: (0.0, None),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}


def _round(value: float) -> int:
    return int(np.copysign(np.floor(abs(value) + 0.5), value))


def _product(
    call: Call, sums: np.ndarray, data: int = 0, scaled: Callable[..., np.ndarray] = scaled
) -> np.ndarray:
    """Accumulators, scaled for each channel or all."""
    x, w = call.scale(data), call.scale(1)
    if len(w) == 1:  # one scale: TFLite multiplies both in float32
        factors = [float(x[0] * w[0]) / call.unit]
    else:
        factors = [float(x[0]) * float(scale) / call.unit for scale in w]
    return call.result(scaled(sums, [factor_of(factor) for factor in factors]))


def _windows(call: Call, data: np.ndarray, kernel: Sequence[int]) -> np.ndarray:
    """N, H, W, C, kernel height, kernel width; outside of the data is 0."""
    options, pads, steps, spread = call.op.options, [], [], []
    for size, window, axis in zip(data.shape[1:3], kernel, "HW", strict=True):
        dilation = options.get(f"Dilation{axis}Factor", 1)
        reach, stride = (window - 1) * dilation + 1, options[f"Stride{axis}"]
        pads.append((0, 0) if options["Padding"] else same_padding(size, reach, stride))
        steps.append(stride)
        spread.append((reach, dilation))
    padded = np.pad(data, [(0, 0), *pads, (0, 0)])
    (rows, down), (columns, across) = spread
    found = sliding_window_view(padded, (rows, columns), (1, 2))
    return found[:, :: steps[0], :: steps[1], :, ::down, ::across].astype(np.float64)


def conv2d(call: Call) -> np.ndarray:
    """CONV_2D, with groups."""
    data, weights = call.array(0), call.array(1)
    groups = data.shape[3] // weights.shape[3]
    sums = [
        np.tensordot(_windows(call, part, weights.shape[1:3]), kernel, ([3, 4, 5], [3, 1, 2]))
        for part, kernel in zip(
            np.split(data, groups, 3), np.split(weights.astype(np.float64), groups), strict=True
        )
    ]
    return _product(call, np.concatenate(sums, 3).astype(np.int64) + call.bias(2))


def depthwise_conv2d(call: Call) -> np.ndarray:
    """DEPTHWISE_CONV_2D."""
    data, weights = call.array(0), call.array(1)[0].astype(np.float64)
    windows = _windows(call, data, weights.shape[:2])
    parts = weights.reshape(*weights.shape[:2], data.shape[3], -1)
    sums = np.einsum("nhwcij,ijcm->nhwcm", windows, parts)
    return _product(call, sums.reshape(*sums.shape[:3], -1).astype(np.int64) + call.bias(2))


def fully_connected(call: Call) -> np.ndarray:
    """FULLY_CONNECTED."""
    weights = call.array(1).astype(np.float64)
    data = call.array(0).reshape(-1, weights.shape[1])
    made = _product(call, (data @ weights.T).astype(np.int64) + call.bias(2), scaled=scaled_once)
    keep = call.op.options.get("KeepNumDims") and call.arrays[0] is not None
    return made.reshape(*call.array(0).shape[:-1], -1) if keep else made


def transpose_conv(call: Call) -> np.ndarray:
    """TRANSPOSE_CONV: every number of the data adds a window of weights to the result."""
    data, weights = call.array(2), call.array(1).astype(np.float64)
    assert call.arrays[0] is not None
    _, height, width, _ = (int(n) for n in call.arrays[0])
    options = call.op.options
    steps, kernel = (options["StrideH"], options["StrideW"]), weights.shape[1:3]
    reach = [(n - 1) * s + k for n, s, k in zip(data.shape[1:3], steps, kernel, strict=True)]
    sizes = [
        max(n, made) + 2 * k for n, made, k in zip(reach, (height, width), kernel, strict=True)
    ]
    full = np.zeros((len(data), *sizes, len(weights)))
    for y, x in np.ndindex(*kernel):
        rows = slice(y, y + (data.shape[1] - 1) * steps[0] + 1, steps[0])
        columns = slice(x, x + (data.shape[2] - 1) * steps[1] + 1, steps[1])
        full[:, rows, columns] += data @ weights[:, y, x].T
    first = [
        0 if options["Padding"] else same_padding(made, k, s)[0]
        for made, k, s in zip((height, width), kernel, steps, strict=True)
    ]
    sums = full[:, first[0] : first[0] + height, first[1] : first[1] + width]
    return _product(call, sums.astype(np.int64) + call.bias(3), 2)


def add(call: Call) -> np.ndarray:
    """ADD and SUB: both operands are brought to twice the larger scale, with 20 bits more."""
    scales = [float(call.scale(k)[0]) for k in (0, 1)]
    twice = 2 * max(scales)
    terms = [scaled(call.array(k) << LEFT, [factor_of(scales[k] / twice)]) for k in (0, 1)]
    total = terms[0] - terms[1] if call.op.kind == "SUB" else terms[0] + terms[1]
    return call.result(scaled(total, [factor_of(twice / ((1 << LEFT) * call.unit))]))


def multiply(call: Call) -> np.ndarray:
    """MUL."""
    real = call.scale(0)[0] * call.scale(1)[0] / np.float32(call.unit)
    return call.result(scaled(call.array(0) * call.array(1), [factor_of(float(real))]))


def average_pool(call: Call) -> np.ndarray:
    """AVERAGE_POOL_2D: the mean of the numbers with their zero point; padding does not count."""
    kernel = (call.op.options["FilterHeight"], call.op.options["FilterWidth"])
    info, (data, *_) = call.infos[0], call.arrays
    assert info is not None and info.quantization is not None and data is not None
    sums = _windows(call, data.astype(np.int64), kernel).sum((4, 5)).astype(np.int64)
    counts = _windows(call, np.ones_like(data, np.int64), kernel).sum((4, 5)).astype(np.int64)
    assert call.out.quantization is not None
    return call.result(divided(sums, counts) - int(call.out.quantization.zero_point[0]))


def mean(call: Call) -> np.ndarray:
    """MEAN: the sum times a factor that divides by the count, too."""
    data, places = call.array(0), call.arrays[1]
    assert places is not None
    over = tuple({int(n) % data.ndim for n in places.reshape(-1)})
    count = prod(data.shape[n] for n in over)
    keep = bool(call.op.options.get("KeepDims"))
    factor, shift = factor_of(float(call.scale(0)[0]) / call.unit)
    # The count goes into the multiplier, as far as 32 bits allow.
    more = min(63 - _leading_zeros(count), 32, 31 + shift)
    factor, shift = ((factor << more) // count), shift - more
    return call.result(scaled(data.sum(over, keepdims=keep), [(factor, shift)]))


def _leading_zeros(count: int) -> int:
    return 64 - count.bit_length()


KERNELS: dict[str, Callable[[Any], np.ndarray]] = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool,
    "CONV_2D": conv2d,
    "DEPTHWISE_CONV_2D": depthwise_conv2d,
    "FULLY_CONNECTED": fully_connected,
    "MEAN": mean,
    "MUL": multiply,
    "SUB": add,
    "TRANSPOSE_CONV": transpose_conv,
}
