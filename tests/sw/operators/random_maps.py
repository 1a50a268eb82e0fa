"""Random operators on maps, and what they compute, value by value, in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler import CompileError
from vta.sw.operators import (
    AveragePool,
    Concat,
    MaxPool,
    Operator,
    OperatorError,
    Pad,
    Slice,
    Upsample,
    operator,
)
from vta.sw.operators.pool import Pool

CONFIGS = (
    Config(),
    Config.preset("2x16"),
    Config.preset("4x8"),
    Config.preset("1x4"),
    Config.preset("2x32"),
    Config.preset("1x8"),
    Config(log_inp_buff_size=9, log_acc_buff_size=11),
)


def random_map(seed: int) -> tuple[Operator, Config]:
    """A legal operator and a configuration whose buffers hold a tile of it."""
    rng = np.random.default_rng([seed, 11])
    while True:
        try:
            made = MAKERS[seed % len(MAKERS)](rng)
            config = CONFIGS[int(rng.integers(len(CONFIGS)))]
            next(iter(made.space(config)))
        except (OperatorError, CompileError):
            continue
        return made, config


def _sizes(rng: np.random.Generator) -> dict[str, Any]:
    height, width = rng.integers(1, 13, 2)
    images = [None, 1, 3][rng.integers(3)]
    return {"height": int(height), "width": int(width), "images": images}


def _pool(kind: str) -> Callable[[np.random.Generator], Operator]:
    def make(rng: np.random.Generator) -> Operator:
        found = _sizes(rng) | {"channels": int(rng.integers(1, 40))}
        for side in ("height", "width"):
            found |= {f"kernel_{side}": int(rng.integers(1, 5))}
            found |= {f"stride_{side}": int(rng.integers(1, 4))}
            found |= {f"dilation_{side}": int(rng.choice((1, 1, 2, 3)))}
        for side in ("top", "bottom", "left", "right"):
            found[f"pad_{side}"] = int(rng.integers(0, 3))
        found["ceil_mode"] = bool(rng.integers(2))
        if kind == "average_pool":
            found["count_include_pad"] = bool(rng.integers(2))
        return operator(kind).of(**found)

    return make


def _global(rng: np.random.Generator) -> Operator:
    kind = ("global_average_pool", "global_max_pool")[rng.integers(2)]
    found = _sizes(rng) | {"channels": int(rng.integers(1, 40))}
    if rng.integers(3) == 0:  # of more values than one floor divides by
        found |= {"height": int(rng.integers(13, 33)), "width": int(rng.integers(13, 33))}
    return operator(kind).of(**found)


def _upsample(rng: np.random.Generator) -> Operator:
    height, width = (int(n) for n in rng.integers(1, 4, 2))
    channels = int(rng.integers(1, 40))
    return Upsample(channels=channels, factor_height=height, factor_width=width, **_sizes(rng))


def _concat(rng: np.random.Generator) -> Operator:
    parts = rng.integers(1, 40, int(rng.integers(2, 5)))
    return Concat(parts=",".join(map(str, parts)), **_sizes(rng))


def _slice(rng: np.random.Generator) -> Operator:
    found = _sizes(rng) | {"channels": int(rng.integers(1, 60))}
    for size, first, count in (
        ("channels", "first_channel", "out_channels"),
        ("height", "first_row", "out_height"),
        ("width", "first_column", "out_width"),
    ):
        found[first] = int(rng.integers(0, found[size]))
        if rng.integers(3):
            found[count] = int(rng.integers(1, found[size] - found[first] + 1))
    return Slice(**found)


def _pad(rng: np.random.Generator) -> Operator:
    found = _sizes(rng) | {"channels": int(rng.integers(1, 40))}
    for side in ("top", "bottom", "left", "right"):
        found[f"pad_{side}"] = int(rng.integers(0, 20) * rng.integers(2))
    if rng.integers(2):
        found["channels_before"], found["channels_after"] = (int(n) for n in rng.integers(0, 40, 2))
    else:
        found["value"] = int(rng.integers(-128, 128))
    return Pad(**found)


MAKERS = (
    _pool("max_pool"),
    _pool("average_pool"),
    _global,
    _upsample,
    _concat,
    _pool("max_pool"),
    _pool("average_pool"),
    _slice,
    _pad,
)


# What they compute --------------------------------------------------------------------------------
def wanted(made: Operator, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The logical result, by the definition of the operator and nothing of its code."""
    if isinstance(made, Concat):
        return np.concatenate([inputs[f"data{n}"] for n in range(len(inputs))], axis=1)
    data = inputs["data"]
    if isinstance(made, Upsample):
        rows = [y // made.factor_height for y in range(made.height * made.factor_height)]
        columns = [x // made.factor_width for x in range(made.width * made.factor_width)]
        return data[:, :, rows][:, :, :, columns]
    if isinstance(made, Slice):
        firsts = made.first_channel, made.first_row, made.first_column
        counts = made.out_channels, made.out_height, made.out_width
        sides = zip(firsts, counts, strict=True)
        c, y, x = (slice(a, None if n is None else a + n) for a, n in sides)
        return data[:, c, y, x]
    if isinstance(made, Pad):
        pads = ((0, 0), (made.channels_before, made.channels_after))
        pads += ((made.pad_top, made.pad_bottom), (made.pad_left, made.pad_right))
        return np.pad(data, pads, constant_values=made.value)
    if isinstance(made, Pool):
        return pooled(made, data)
    function = np.max if "max" in made.name else mean
    return function(data.astype(int), axis=(2, 3), keepdims=True).astype(np.int8)


def mean(values: np.ndarray, axis: tuple[int, int], keepdims: bool) -> np.ndarray:
    count = values.shape[2] * values.shape[3]
    return np.floor(values.sum(axis=axis, keepdims=keepdims) / count + 0.5)


def pooled(pool: Pool, data: np.ndarray) -> np.ndarray:
    """Window by window, as PyTorch and ONNX define it."""
    rows = _places(
        pool.height,
        pool.kernel_height,
        pool.stride_height,
        (pool.pad_top, pool.pad_bottom),
        pool.dilation_height,
        pool.ceil_mode,
    )
    columns = _places(
        pool.width,
        pool.kernel_width,
        pool.stride_width,
        (pool.pad_left, pool.pad_right),
        pool.dilation_width,
        pool.ceil_mode,
    )
    out = np.zeros((*data.shape[:2], len(rows), len(columns)), np.int8)
    for y, (ys, in_height) in enumerate(rows):
        for x, (xs, in_width) in enumerate(columns):
            window = data[:, :, ys][:, :, :, xs].astype(int)
            if isinstance(pool, AveragePool):
                count = in_height * in_width if pool.count_include_pad else len(ys) * len(xs)
                total = window.sum(axis=(2, 3))
                out[:, :, y, x] = np.floor(total / count + 0.5)
            else:
                assert isinstance(pool, MaxPool)
                out[:, :, y, x] = window.max(axis=(2, 3))
    return out


def _places(
    size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int, ceil: bool
) -> list[tuple[list[int], int]]:
    """For each window, the taps on the data, and how many lie on data or padding."""
    found = []
    start, end = -pads[0], size + pads[1]
    reach = (kernel - 1) * dilation + 1
    while start < size and start + reach < end + stride if ceil else start + reach <= end:
        taps = [start + n * dilation for n in range(kernel)]
        found.append(([n for n in taps if 0 <= n < size], sum(n < end for n in taps)))
        start += stride
    return found
