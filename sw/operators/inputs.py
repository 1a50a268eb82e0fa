"""Random tensors to try a schedule with, scaled so that its outputs are not mostly clipped.

An output that is clipped almost everywhere compares equal whatever happened before the clip.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["CLIPPED", "clipped_share", "unclipped_inputs"]

CLIPPED = 0.5
"""Share of an output's values that may be at its ends: more says little of what came before."""
FEW = 64  # values of an output, of which the ends alone are a good part
LIMITS = (
    (128, 1 << 20),
    (128, 1 << 16),
    (128, 1 << 12),
    (64, 1 << 12),
    (32, 1 << 10),
    (16, 1 << 8),
    (8, 1 << 7),
    (4, 1 << 6),
    (2, 1 << 5),
)
"""Ranges of random int8 and int32 values to try, widest first: from -limit to below it."""

Tensors = Mapping[str, np.ndarray]


def clipped_share(outputs: Tensors) -> float:
    """The largest share, over the outputs, of values at the output's smallest or largest value.

    Outputs of few values do not count.
    """
    shares = [0.0]
    for array in outputs.values():
        if array.size >= FEW:
            shares.append(float(np.mean((array == array.min()) | (array == array.max()))))
    return max(shares)


def unclipped_inputs(
    tensors: Mapping[str, tuple[tuple[int, ...], str]],
    golden: Callable[[dict[str, np.ndarray]], Any],
    seed: int,
) -> tuple[dict[str, np.ndarray], Any]:
    """Random tensors (by name: shape and dtype) of `seed`, and what `golden` makes of them.

    Of the ranges in LIMITS the first whose outputs are not mostly clipped; the widest if there is
    none, or if `golden` returns None.
    """
    best, fewest = None, 2.0
    for limits in LIMITS:
        rng = np.random.default_rng(seed)
        inputs = {
            name: rng.integers(-limit, limit, shape).astype(dtype)
            for name, (shape, dtype) in tensors.items()
            for limit in limits[dtype != "int8" :][:1]
        }
        outputs = golden(inputs)
        share = 0.0 if outputs is None else clipped_share(outputs)
        if share < fewest:
            best, fewest = (inputs, outputs), share
        if share <= CLIPPED:
            break
    assert best is not None
    return best
