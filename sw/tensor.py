"""What a tensor is, from an operator's parameter to its bytes in DRAM: one description for all.

An operator names a tensor and says its role, dtype, shape and layout; a network adds scale and zero
point; the compiler gives it a place; a stream bundle keeps all of it.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vta.hw.errors import shown
from vta.sw.bundle import BundleError, check_number, check_text
from vta.sw.layout import pack, packed_shape, padded_shape, unpack

__all__ = ["DTYPES", "Tensor"]

MEMORY_LIMIT = 1 << 32  # bytes: addresses have 32 bits
RANK_LIMIT = 32  # axes of a tensor
DTYPES = (
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "bool",
)
"""What a tensor may hold; the core itself reads int8 and int32 only."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A named range of DRAM, and what it holds.

    Members
    -------
    role: input, output, weight, bias, uop, insn, temporary or "".
    dtype, shape: of the logical tensor.
    layout: how it is packed (for example "NCHW1n16c"); "" where it lies in DRAM as it is.
    scale, zero_point: what a value v stands for: (v - zero_point) * scale. None: not known.
    addr: byte address; None until it has a place.
    nbytes: in DRAM, packed; of a tensor with dtype and shape it is known without being given.
    """

    name: str = ""
    role: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    layout: str = ""
    scale: float | None = None
    zero_point: int | None = None
    addr: int | None = None
    nbytes: int = -1

    def __post_init__(self) -> None:
        if self.addr is None and self.nbytes < 0 and self.dtype:
            size = math.prod(self.packed_shape) * np.dtype(self.dtype).itemsize
            object.__setattr__(self, "nbytes", size)

    @property
    def packed_shape(self) -> tuple[int, ...]:
        """The shape in DRAM."""
        return packed_shape(self.shape, self.layout) if self.layout else self.shape

    @property
    def filled(self) -> "Tensor":
        """The same with every axis filled up to whole blocks."""
        return replace(self, shape=padded_shape(self.shape, self.layout)) if self.layout else self

    @property
    def start(self) -> int:
        """The byte address; it must have one."""
        assert self.addr is not None, f"{self.name} has no place in DRAM"
        return self.addr

    @property
    def end(self) -> int:
        """The byte address behind the last byte."""
        return self.start + self.nbytes

    def at(self, addr: int) -> "Tensor":
        """The same tensor at a byte address."""
        return replace(self, addr=addr)

    def packed(self, array: np.ndarray) -> np.ndarray:
        """`array`, logical or packed already, as uint8 of `nbytes`.

        Raises
        ------
        ValueError
            for another dtype or shape; what is expected and found.
        """
        array = np.asarray(array)
        if str(array.dtype) != self.dtype:
            raise ValueError(f"{self.name} is {array.dtype}; it must be {self.dtype}")
        if array.shape == self.shape and self.layout:
            array = pack(array, self.layout)
        if array.shape != self.packed_shape:
            raise ValueError(
                f"{self.name} has shape {list(array.shape)}; it must be {list(self.shape)}, or "
                f"packed {list(self.packed_shape)}"
            )
        return np.ascontiguousarray(array).view(np.uint8).ravel()

    def unpacked(self, data: np.ndarray) -> np.ndarray:
        """The logical tensor in `nbytes` of uint8."""
        packed = data.view(self.dtype).reshape(self.packed_shape)
        return unpack(packed, self.layout, self.shape) if self.layout else packed

    # In a stream bundle -------------------------------------------------------------------------
    def entry(self) -> dict[str, Any]:
        """What a bundle's header keeps of it, beside its name."""
        return {key: getattr(self, key) for key in ENTRY}

    def check(self) -> None:
        """BundleError where a value is of the wrong type or out of range."""
        what = f"segment {shown(self.name)}"
        check_text("the name of a segment", self.name)
        for key in ("addr", "nbytes"):
            check_number(f"{what}: {key}", getattr(self, key), 0, MEMORY_LIMIT)
        for key in ("role", "dtype", "layout"):
            check_text(f"{what}: {key}", getattr(self, key))
        if self.dtype and self.dtype not in DTYPES:
            raise BundleError(f"{what}: dtype is {self.dtype}; it must be {', '.join(DTYPES)}")
        check_number(f"{what}: the number of axes of its shape", len(self.shape), 0, RANK_LIMIT)
        for size in self.shape:
            check_number(f"{what}: shape", size, 0, MEMORY_LIMIT)
        if self.scale is not None:
            check_number(f"{what}: scale", self.scale, -math.inf, math.inf, float)
        if self.zero_point is not None:
            check_number(f"{what}: zero_point", self.zero_point, -(1 << 31), (1 << 31) - 1)


ENTRY = ("addr", "nbytes", "role", "dtype", "shape", "layout", "scale", "zero_point")
"""Keys of a segment in a bundle's header, in order."""
