"""Arrangements: what a tensor becomes before it is cut in blocks, as a layout names it.

``windows(...):NCHW1n16c`` is a convolution's data by windows (im2col), ``flat():OIHW16o16i`` its
weights with all places of the kernel along the input channels, ``diagonal(1,16):OIHW16o16i`` the
weights of a group convolution as block-diagonal matrices, ``transposed(...):OIHW16o16i`` those of
a transposed convolution by phases. The first axis comes from one axis as it is.
"""

from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass, fields, replace
from itertools import chain
from typing import ClassVar

import numpy as np

from vta.hw.errors import VtaError

__all__ = [
    "ARRANGEMENTS",
    "ArrangementError",
    "Arrangement",
    "Diagonal",
    "Flat",
    "Transposed",
    "Windows",
    "phase_taps",
    "turned",
]

Shape = tuple[int, ...]


LARGEST = 1 << 16  # number in the brackets


class ArrangementError(VtaError, ValueError):
    """An arrangement that is unknown, or that does not fit the tensor."""


@dataclass(frozen=True)
class Arrangement(ABC):
    """One of them; its fields are the numbers in the brackets, in order.

    `filled`: the axis that becomes the first; it may be filled up to whole blocks.
    """

    filled: ClassVar[int] = 0

    def __post_init__(self) -> None:
        for field, value in zip(fields(self), astuple(self), strict=True):
            least = 0 if field.default == 0 else 1
            if not least <= value <= LARGEST:
                raise ArrangementError(f"{self}: {field.name} must be {least} to {LARGEST}")

    @abstractmethod
    def shape(self, shape: Shape) -> Shape:
        """Of what `apply` makes of an array of this shape, of four axes."""

    def filled_up(self, shape: Shape, factor: int) -> Shape:
        """A shape with which the first axis of what `apply` makes is a multiple of `factor`."""
        sizes = list(shape)
        sizes[self.filled] += -sizes[self.filled] % factor
        return tuple(sizes)

    @property
    def places(self) -> "Arrangement":
        """The same with zeros for all that is no value: what it does to the values' numbers."""
        return self

    @abstractmethod
    def apply(self, array: np.ndarray) -> np.ndarray:
        """The array arranged; values may be there more than once, or zeros in addition."""

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()}({','.join(map(str, astuple(self)))})"


@dataclass(frozen=True)
class Windows(Arrangement):
    """(n, c, h, w) to (n, c * kernel places, rows of windows, columns of windows).

    What lies in no window is lost. `fill` is what stands in the padding, a byte; left out where it
    is 0.
    """

    kernel_height: int
    kernel_width: int
    down: int
    right: int
    dilation_height: int
    dilation_width: int
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0
    fill: int = 0

    @property
    def places(self) -> Arrangement:
        return replace(self, fill=0)

    def __str__(self) -> str:
        return super().__str__() if self.fill else super().__str__().removesuffix(",0)") + ")"

    def shape(self, shape: Shape) -> Shape:
        images, channels, height, width = shape
        height += self.pad_top + self.pad_bottom - (self.kernel_height - 1) * self.dilation_height
        width += self.pad_left + self.pad_right - (self.kernel_width - 1) * self.dilation_width
        if min(height, width) < 1:
            raise ArrangementError(f"{self}: {list(shape)} is smaller than a window")
        places = self.kernel_height * self.kernel_width
        return images, channels * places, -(-height // self.down), -(-width // self.right)

    def apply(self, array: np.ndarray) -> np.ndarray:
        images, windows, rows, columns = self.shape(array.shape)
        pads = ((self.pad_top, self.pad_bottom), (self.pad_left, self.pad_right))
        fill = np.array(self.fill).astype(np.int8)
        padded = np.pad(array, ((0, 0), (0, 0), *pads), constant_values=fill.astype(array.dtype))
        places = self.kernel_height * self.kernel_width
        found = np.empty((images, array.shape[1], places, rows, columns), array.dtype)
        for place, (y, x) in enumerate(np.ndindex(self.kernel_height, self.kernel_width)):
            top, left = y * self.dilation_height, x * self.dilation_width
            found[:, :, place] = padded[
                :,
                :,
                top : top + (rows - 1) * self.down + 1 : self.down,
                left : left + (columns - 1) * self.right + 1 : self.right,
            ]
        return found.reshape(images, windows, rows, columns)


@dataclass(frozen=True)
class Flat(Arrangement):
    """Weights for `Windows`: (o, c, kh, kw) to (o, c * rows * kw, taps, 1).

    Windows that have `rows` rows of the kernel leave ceil(kh / rows) taps, the last with zeros
    below the kernel. 0: windows have all rows.
    """

    rows: int = 0

    def __str__(self) -> str:
        return super().__str__() if self.rows else "flat()"

    def shape(self, shape: Shape) -> Shape:
        outputs, channels, height, width = shape
        rows = self.rows or height
        return outputs, channels * rows * width, -(-height // rows), 1

    def apply(self, array: np.ndarray) -> np.ndarray:
        outputs, channels, height, width = array.shape
        rows = self.rows or height
        taps = -(-height // rows)
        filled = np.pad(array, ((0, 0), (0, 0), (0, taps * rows - height), (0, 0)))
        split = filled.reshape(outputs, channels, taps, rows, width)
        return split.transpose(0, 1, 3, 4, 2).reshape(self.shape(array.shape))


@dataclass(frozen=True)
class Diagonal(Arrangement):
    """Weights of a group convolution, (o, c of a group, kh, kw), with zeros for other groups.

    `outputs` of a group; `groups` that are computed together, on `groups` times as many channels.
    """

    outputs: int
    groups: int

    def shape(self, shape: Shape) -> Shape:
        outputs, channels, height, width = shape
        return outputs, channels * self.groups, height, width

    def apply(self, array: np.ndarray) -> np.ndarray:
        outputs, channels, *kernel = array.shape
        found = np.zeros((outputs, self.groups, channels, *kernel), array.dtype)
        each = np.arange(outputs)
        found[each, each // self.outputs % self.groups] = array
        return found.reshape(self.shape(array.shape))


def phase_taps(places: int, stride: int, pad: int, dilation: int) -> list[list[int]]:
    """For each row of a transposed convolution's result modulo `stride`: which rows of the kernel
    meet data, in the order in which they do. [-1] where none does: zeros.
    """
    turned = range(places - 1, -1, -1)
    return [
        [tap for tap in turned if (row + pad - tap * dilation) % stride == 0] or [-1]
        for row in range(stride)
    ]


def turned(array: np.ndarray, groups: int) -> np.ndarray:
    """Weights of a transposed convolution, (i, o of a group, kh, kw), as (o, i of a group, kh, kw):
    the channels that a group makes, and those that it takes.
    """
    inputs, outputs, *kernel = array.shape
    split = array.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return split.reshape(groups * outputs, inputs // groups, *kernel)


@dataclass(frozen=True)
class Transposed(Arrangement):
    """Weights of a transposed convolution, (i, o of a group, kh, kw), to (o, i of the groups that
    are computed together, rows, columns), by phases.

    Each phase of the result, its rows and columns modulo the strides, has its part of the kernel
    in one piece (`phase_taps`). `groups`, of `outputs` each, `merged` of which are computed
    together, as `Diagonal` says; without groups the last three are left out.
    """

    filled: ClassVar[int] = 1

    down: int
    right: int
    dilation_height: int
    dilation_width: int
    pad_top: int = 0
    pad_left: int = 0
    groups: int = 1
    outputs: int = 0
    merged: int = 1

    def __str__(self) -> str:
        numbers = astuple(self) if self.groups > 1 else astuple(self)[:6]
        return f"transposed({','.join(map(str, numbers))})"

    def _taps(self, height: int, width: int) -> list[list[int]]:
        phases = (
            phase_taps(height, self.down, self.pad_top, self.dilation_height),
            phase_taps(width, self.right, self.pad_left, self.dilation_width),
        )
        return [list(chain.from_iterable(taps)) for taps in phases]

    def filled_up(self, shape: Shape, factor: int) -> Shape:
        """Outputs of one more group: those of all are whole blocks then."""
        inputs, outputs, *kernel = shape
        return inputs, outputs + -outputs * self.groups % factor, *kernel

    def shape(self, shape: Shape) -> Shape:
        inputs, outputs, height, width = shape
        beyond = 0 if self.groups == 1 else outputs - self.outputs
        if inputs % self.groups or (self.groups > 1 and not 0 < self.outputs <= outputs):
            raise ArrangementError(f"{self}: {list(shape)} has no such groups")
        rows, columns = self._taps(height, width)
        made = self.groups * (outputs - beyond) + beyond
        return made, inputs // self.groups * self.merged, len(rows), len(columns)

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Outputs beyond those of a group fill the last block up."""
        shape = self.shape(array.shape)
        zeros = np.pad(array, ((0, 0), (0, 0), (0, 1), (0, 1)))  # what -1 means
        rows, columns = self._taps(*array.shape[2:])
        phases = zeros[:, :, rows][..., columns]
        if self.groups == 1:
            return turned(phases, 1)
        found = turned(phases[:, : self.outputs], self.groups)
        found = np.pad(found, ((0, shape[0] - len(found)), (0, 0), (0, 0), (0, 0)))
        return Diagonal(self.outputs, self.merged).apply(found)


ARRANGEMENTS: dict[str, type[Arrangement]] = {
    kind.__name__.lower(): kind for kind in (Windows, Flat, Diagonal, Transposed)
}
