"""Transposed convolutions of random attributes, and their sums by plain loops."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from vta.sw.operators import Conv2dTranspose


def plain_sums(conv: Conv2dTranspose, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The sums by loops over single values: each of the data is spread over the result."""
    depth, made, *kernel = conv.channels // conv.groups, *weight.shape[1:]
    (top, bottom), (left, right) = conv.pads
    spans = [(n - 1) * step + 1 for n, step in zip(kernel, conv.dilations, strict=True)]
    (down, along), (height, width) = conv.strides, data.shape[2:]
    rows = (height - 1) * down + spans[0] + conv.further[0] - top - bottom
    columns = (width - 1) * along + spans[1] + conv.further[1] - left - right
    found = np.zeros((len(data), made * conv.groups, rows, columns), int)
    for n, c, y, x in np.ndindex(data.shape):
        first = c // depth * made
        for ky, kx in np.ndindex(*kernel):
            row = y * down + ky * conv.dilations[0] - top
            column = x * along + kx * conv.dilations[1] - left
            if 0 <= row < rows and 0 <= column < columns:
                added = int(data[n, c, y, x]) * weight[c, :, ky, kx].astype(int)
                found[n, first : first + made, row, column] += added
    return found


@st.composite
def attributes(draw: st.DrawFn) -> dict[str, Any]:
    """All but the images."""
    groups = draw(st.one_of(st.just(1), st.integers(1, 36)))
    values: dict[str, Any] = {
        "height": draw(st.integers(1, 6)),
        "width": draw(st.integers(1, 6)),
        "groups": groups,
        "channels": groups * draw(st.integers(1, 36 // groups)),
        "outputs": groups * draw(st.integers(1, 36 // groups)),
        "padding": 0,
        "residual": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "shift": draw(st.integers(4, 9)),
        "low": draw(st.sampled_from((None, -128, 3))),
    }
    for axis in ("height", "width"):
        values[f"kernel_{axis}"] = draw(st.integers(1, 5))
        values[f"stride_{axis}"] = draw(st.integers(1, 3))
        values[f"dilation_{axis}"] = draw(st.integers(1, 2))
        values[f"output_padding_{axis}"] = draw(st.integers(0, 2))
        size = (values[axis] - 1) * values[f"stride_{axis}"] + values[f"output_padding_{axis}"]
        size += (values[f"kernel_{axis}"] - 1) * values[f"dilation_{axis}"] + 1
        before, behind = ("top", "bottom") if axis == "height" else ("left", "right")
        values[f"pad_{before}"] = draw(st.integers(0, min(4, size - 1)))
        left = min(4, size - 1 - values[f"pad_{before}"])
        values[f"pad_{behind}"] = draw(st.integers(0, left))
    return values
