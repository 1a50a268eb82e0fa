"""Where an axis of a TFLite tensor is in the ONNX value: rank 4 is NHWC there and NCHW here."""

from collections.abc import Sequence
from typing import Any

__all__ = ["axis", "order", "same_order", "stored", "told"]

NCHW = (0, 3, 1, 2)


def order(rank: int) -> tuple[int, ...]:
    """For each axis of the value the tensor's axis."""
    return NCHW if rank == 4 else tuple(range(rank))


def axis(of: int, rank: int) -> int:
    """The value's axis of the tensor's axis `of`. ValueError: there is none."""
    if not -rank <= of < rank:
        raise ValueError(f"axis {of} of {rank}")
    return order(rank).index(of % rank)


def stored(shape: Sequence[Any]) -> tuple[Any, ...]:
    """A tensor's shape, or what else it has for each axis, in the value's order."""
    return tuple(shape[n] for n in order(len(shape)))


def told(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The reverse: a value's shape as the file has it."""
    return tuple(shape[order(len(shape)).index(n)] for n in range(len(shape)))


def same_order(shape: Sequence[int]) -> bool:
    """Whether the numbers of a tensor of this shape have one order here and there."""
    return len(shape) != 4 or shape[3] == 1 or shape[1] * shape[2] == 1
