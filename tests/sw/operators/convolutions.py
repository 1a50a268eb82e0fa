"""Convolutions of random attributes, and their sums by plain loops."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from vta.hw.config import Config
from vta.sw.operators import Conv2d, Kernel
from vta.sw.operators.shape import Tiling
from vta.sw.operators.tiles import BY_TAP, KEEP, may_fit

PRESETS = ("1x16", "2x16", "4x8", "1x4", "2x32", "1x8")


def plain_sums(conv: Conv2d, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The sums by loops over single values."""
    (top, bottom), (left, right) = conv.pads
    padded = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right))).astype(int)
    down, along = conv.dilations
    outputs, depth, kernel_height, kernel_width = weight.shape
    rows = range(0, padded.shape[2] - (kernel_height - 1) * down, conv.strides[0])
    columns = range(0, padded.shape[3] - (kernel_width - 1) * along, conv.strides[1])
    found = np.zeros((len(data), outputs, len(rows), len(columns)), int)
    for n, o, y, x in np.ndindex(found.shape):
        first = o // (outputs // conv.groups) * depth
        for c, ky, kx in np.ndindex(depth, kernel_height, kernel_width):
            value = padded[n, first + c, rows[y] + ky * down, columns[x] + kx * along]
            found[n, o, y, x] += value * int(weight[o, c, ky, kx])
    return found


@st.composite
def attributes(draw: st.DrawFn, config: Config, *, most: int = 36) -> dict[str, Any]:
    """Of a convolution with at most about `most` channels."""
    kernel = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    dilation = [draw(st.integers(1, 3 if taps > 1 else 1)) for taps in kernel]
    least = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilation, strict=True)]
    groups = draw(st.one_of(st.just(1), st.integers(1, most)))
    values: dict[str, Any] = {
        "images": draw(st.integers(1, 2 * config.batch)),
        "height": draw(st.integers(least[0], max(least[0], 12))),
        "width": draw(st.integers(least[1], max(least[1], 12))),
        "channels": groups * draw(st.integers(1, max(1, most // groups))),
        "outputs": groups * draw(st.integers(1, max(1, most // groups))),
        "groups": groups,
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_height": draw(st.integers(1, 3)),
        "stride_width": draw(st.integers(1, 3)),
        "dilation_height": dilation[0],
        "dilation_width": dilation[1],
        "padding": draw(st.integers(0, 3)),
        "im2col": groups == 1 and draw(st.integers(0, 3)) == 0,
    }
    for side in draw(st.sets(st.sampled_from(("top", "left", "bottom", "right")))):
        values[f"pad_{side}"] = draw(st.integers(0, 4))
    values["bias"] = draw(st.booleans())
    values["shift"] = draw(st.integers(0, 9))
    values["low"] = draw(st.sampled_from((None, -128, 0)))
    values["high"] = draw(st.sampled_from((None, 127)))
    return values


@st.composite
def cases(draw: st.DrawFn) -> tuple[Kernel, int]:
    """A kernel, of any tiling that fits, and a seed."""
    config = Config.preset(draw(st.sampled_from(PRESETS)))
    conv = Conv2d(**draw(attributes(config)))
    shape = conv.shape(config)
    outputs, kept = shape.outputs, KEEP
    if shape.grouped:
        outputs, kept = shape.shared, KEEP[:2]
    divisors = {n: [m for m in range(1, n + 1) if n % m == 0] for n in (outputs, shape.inputs)}
    tiling = Tiling(
        draw(st.sampled_from(divisors[outputs]) if shape.grouped else st.integers(1, outputs)),
        *(draw(st.integers(1, n)) for n in (shape.height, shape.width)),
        draw(st.sampled_from(divisors[shape.inputs])),
        draw(st.sampled_from(kept)),
        held=draw(st.booleans()),
        by_tap=draw(st.sampled_from(BY_TAP)),
    )
    kernel = conv.bind(config, tiling if may_fit(shape, tiling, config) else None)
    return kernel, draw(st.integers(0, 99))
