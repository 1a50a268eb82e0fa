"""Layouts of tensors in DRAM: packing, unpacking, and the way back from a byte to an index.

A layout is written as TVM writes it: upper-case letters are the tensor's axes, in order of
appearance in the logical shape or not; a number with a lower-case letter is an inner part of
that axis. ``NCHW1n16c`` packs (N, C, H, W) to (N/1, C/16, H, W, 1, 16); a part whose axis the
tensor lacks (the n of a bias, ``C1n16c``) repeats the data. Axes that their parts do not divide
are filled up with zeros.

Before the axes there may stand an arrangement and a colon (`vta.sw.arrange`): the tensor becomes
that first, and then blocks. Of five axes the third, such as the terms of weights, stays as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from vta.hw.errors import VtaError
from vta.sw.arrange import ARRANGEMENTS, Arrangement, ArrangementError

__all__ = [
    "LayoutError",
    "index_arrays",
    "index_at",
    "pack",
    "packed_shape",
    "padded_shape",
    "same_places",
    "unpack",
]


ARRANGED = 4  # axes of a tensor that is arranged
KEPT = 2  # the place of a fifth axis, which is not


class LayoutError(VtaError, ValueError):
    """A layout that cannot be read, or that does not fit the tensor."""


@dataclass(frozen=True)
class _Layout:
    """`axes`: letters of the outer axes; `parts`: (letter in upper case, size) of the inner
    ones.
    """

    axes: tuple[str, ...]
    parts: tuple[tuple[str, int], ...]
    arrangement: Arrangement | None = None

    def arranged(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape that is cut in blocks."""
        if self.arrangement is None or len(shape) != len(self.axes):
            return tuple(shape)
        behind = KEPT + len(shape) - ARRANGED
        try:
            found = self.arrangement.shape((*shape[:KEPT], *shape[behind:]))
            return (*found[:KEPT], *shape[KEPT:behind], *found[KEPT:])
        except ArrangementError as error:
            raise LayoutError(str(error)) from None

    def apply(self, array: np.ndarray) -> np.ndarray:
        """The array arranged; it must be."""
        assert self.arrangement is not None
        if array.ndim == ARRANGED:
            return self.arrangement.apply(array)
        each = [self.arrangement.apply(part) for part in np.moveaxis(array, KEPT, 0)]
        return np.stack(each, axis=KEPT)

    def factor(self, axis: str) -> int:
        size = 1
        for letter, part in self.parts:
            size *= part if letter == axis else 1
        return size


@cache
def _parse(layout: str) -> _Layout:
    named, colon, blocks = layout.rpartition(":")
    arrangement = _arrangement(named) if colon else None
    match = re.fullmatch(r"([A-Z]+)((?:[1-9][0-9]*[a-z])*)", blocks)
    if match is None or len(set(match[1])) != len(match[1]):
        raise LayoutError(
            f"layout {layout!r}: write distinct upper-case axes, then parts such as 1n16c"
        )
    if arrangement is not None and len(match[1]) not in (ARRANGED, ARRANGED + 1):
        raise LayoutError(
            f"layout {layout!r}: {named} is of tensors of {ARRANGED} or {ARRANGED + 1} axes"
        )
    parts = tuple((name.upper(), int(n)) for n, name in re.findall(r"([0-9]+)([a-z])", match[2]))
    return _Layout(tuple(match[1]), parts, arrangement)


def _arrangement(text: str) -> Arrangement:
    match = re.fullmatch(r"([a-z]+)\(((?:[0-9]{1,9}(?:,[0-9]{1,9})*)?)\)", text)
    if match is None or match[1] not in ARRANGEMENTS:
        raise LayoutError(
            f"arrangement {text!r}: write {', '.join(ARRANGEMENTS)}, with numbers in brackets"
        )
    try:
        return ARRANGEMENTS[match[1]](*map(int, filter(None, match[2].split(","))))
    except TypeError:
        raise LayoutError(f"arrangement {text!r}: not as many numbers as it takes") from None
    except ArrangementError as error:
        raise LayoutError(str(error)) from None


def _checked(layout: str, shape: Sequence[int]) -> _Layout:
    parsed = _parse(layout)
    if len(parsed.axes) != len(shape):
        raise LayoutError(
            f"layout {layout!r} has {len(parsed.axes)} axes, the tensor {len(shape)}: {list(shape)}"
        )
    return parsed


def packed_shape(shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """Shape of a tensor of logical `shape` (axes in the layout's order) once packed."""
    parsed = _checked(layout, shape)
    shape = parsed.arranged(shape)
    outer = (-(-n // parsed.factor(axis)) for n, axis in zip(shape, parsed.axes, strict=True))
    return (*outer, *(size for _, size in parsed.parts))


def padded_shape(shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """`shape` with every axis filled up to a multiple of its parts.

    Of what is arranged only the axis that it says (`Arrangement.filled_up`).
    """
    parsed = _checked(layout, shape)
    if parsed.arrangement is not None:
        return parsed.arrangement.filled_up(tuple(shape), parsed.factor(parsed.axes[0]))
    factors = [parsed.factor(axis) for axis in parsed.axes]
    return tuple(-(-n // factor) * factor for n, factor in zip(shape, factors, strict=True))


def pack(array: np.ndarray, layout: str) -> np.ndarray:
    """`array` (logical) as it lies in DRAM, C order, zeros where an axis had to be filled up."""
    parsed = _checked(layout, array.shape)
    if parsed.arrangement is not None:
        parsed.arranged(array.shape)
        return pack(parsed.apply(array), layout.rpartition(":")[2])
    full = padded_shape(array.shape, layout)
    array = np.pad(array, [(0, n - m) for n, m in zip(full, array.shape, strict=True)])
    split: list[int] = []
    position: dict[Any, int] = {}
    for axis, size in zip(parsed.axes, full, strict=True):
        position[axis] = len(split)
        split.append(size // parsed.factor(axis))
        for n, (letter, part) in enumerate(parsed.parts):
            if letter == axis:
                position[n] = len(split)
                split.append(part)
    order = [position[axis] for axis in parsed.axes]
    order += [position[n] for n in range(len(parsed.parts)) if n in position]
    packed = array.reshape(split).transpose(order)
    for n in range(len(parsed.parts)):
        if n not in position:  # repeated: the tensor has no such axis
            packed = np.expand_dims(packed, len(parsed.axes) + n)
    return np.ascontiguousarray(np.broadcast_to(packed, packed_shape(full, layout)))


def unpack(packed: np.ndarray, layout: str, shape: Sequence[int]) -> np.ndarray:
    """The tensor of logical `shape` from `packed` (any shape of the right size): undoes `pack`."""
    where = _numbers(layout, shape)
    values = np.asarray(packed).ravel()
    if len(values) != len(where):
        raise LayoutError(
            f"{len(values)} packed values; {list(shape)} in layout {layout!r} has {len(where)}"
        )
    array = np.zeros(int(np.prod(shape)) + 1, values.dtype)
    array[where] = values
    return array[1:].reshape(shape)


def _numbers(layout: str, shape: Sequence[int]) -> np.ndarray:
    """Which value lies where: the values' numbers, from 1 on, packed; 0 is filling."""
    arrangement = _parse(layout).arrangement
    if arrangement is not None:
        layout = f"{arrangement.places}:{layout.rpartition(':')[2]}"
    return pack(np.arange(1, int(np.prod(shape)) + 1).reshape(shape), layout).ravel()


@cache
def same_places(
    shape: tuple[int, ...], layout: str, other: tuple[int, ...], other_layout: str
) -> bool:
    """Whether two descriptions put the same numbers, in row-major order, at the same places."""
    one, two = _numbers(layout, shape), _numbers(other_layout, other)
    return np.array_equal(one, two)


def index_at(position: int, layout: str, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Logical index of the packed value number `position`; None where it is filling."""
    parsed = _checked(layout, shape)
    if parsed.arrangement is not None:
        first = int(_numbers(layout, shape)[position])
        return tuple(int(n) for n in np.unravel_index(first - 1, shape)) if first else None
    packed = packed_shape(shape, layout)
    where = [int(n) for n in np.unravel_index(position, packed)]
    index = dict(zip(parsed.axes, where, strict=False))
    for (letter, part), n in zip(parsed.parts, where[len(parsed.axes) :], strict=True):
        if letter in index:
            index[letter] = index[letter] * part + n
    result = tuple(index[axis] for axis in parsed.axes)
    return result if all(n < size for n, size in zip(result, shape, strict=True)) else None


def index_arrays(layout: str, shape: Sequence[int]) -> np.ndarray:
    """Logical indices of all packed values, in their order: int64 (axes, n), -1 for filling. An
    empty layout is that of `shape` itself.
    """
    packed = (_numbers(layout, shape) if layout else np.arange(1, int(np.prod(shape)) + 1)) - 1
    indices = np.array(np.unravel_index(np.maximum(packed, 0), tuple(shape)))
    return np.where(packed >= 0, indices, -1)
