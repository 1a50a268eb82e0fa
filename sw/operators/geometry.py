"""The logical shapes of a convolution or matrix product, the same in elements, and its phases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.operators.border import Classes, Edge

__all__ = ["Geometry", "Phase"]


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Shapes of a convolution: `size` and `kernel` have an entry for each spatial axis.

    Without spatial axes it is a matrix product. The last three have an entry an axis, too: `pads`
    one before and one behind.

    Arguments
    ---------
    inputs: channels of the data.
    depth: those that a sum goes over, all by default.
    shared: channels of the result whose sums go over the same ones, one after the other.
    by_tap: along which axes each place of the kernel has a copy of its own of what it meets; none
        by default.
    """

    images: int
    inputs: int
    outputs: int
    depth: int = 0
    shared: int = 0
    size: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()
    by_tap: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", self.depth or self.inputs)
        object.__setattr__(self, "shared", self.shared or self.outputs)
        object.__setattr__(self, "by_tap", self.by_tap or tuple(False for _ in self.size))

    @property
    def padded(self) -> tuple[int, ...]:
        """Of the data with its pads, the spatial axes."""
        return tuple(n + sum(pads) for n, pads in zip(self.size, self.pads, strict=True))

    @property
    def spans(self) -> tuple[int, ...]:
        """From the first place of the kernel to the last one, both included."""
        pairs = zip(self.kernel, self.dilation, strict=True)
        return tuple((taps - 1) * dilation + 1 for taps, dilation in pairs)

    @property
    def out(self) -> tuple[int, ...]:
        """Of the result, the spatial axes."""
        sizes = zip(self.padded, self.spans, self.stride, strict=True)
        return tuple((size - span) // stride + 1 for size, span, stride in sizes)

    @property
    def skips(self) -> tuple[int, ...]:
        """Distance of neighbouring rows (and columns) in what is copied, in the data.

        Where the kernel is one row high or one column wide, or each of its places has a copy, only
        those that the stride meets are copied.
        """
        return tuple(
            n if single else 1 for n, single in zip(self.stride, self._single, strict=True)
        )

    @property
    def steps(self) -> tuple[int, ...]:
        """Distance of neighbouring windows in what is copied."""
        return tuple(
            1 if single else n for n, single in zip(self.stride, self._single, strict=True)
        )

    @property
    def _single(self) -> tuple[bool, ...]:
        """Along which axes a copy has a row (or column) for each window and no others."""
        pairs = zip(self.kernel, self.by_tap, strict=True)
        return tuple(taps == 1 or by_tap for taps, by_tap in pairs)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Of the result, along each spatial axis."""
        axes = zip(
            *(self.size, self.kernel, self.out, self.stride, self.dilation, self.pads), strict=True
        )
        return tuple(
            Edge.of(
                size=size, starts=np.arange(out) * stride - before, taps=np.arange(taps) * dilation
            )
            for size, taps, out, stride, dilation, (before, _) in axes
        )

    @property
    def copied(self) -> tuple[int, ...]:
        """Of what is copied: the places of the kernel that have copies, and the spatial axes."""
        axes = zip(self.out, self.steps, self.spans, self.by_tap, strict=True)
        sizes = ((out - 1) * step + (1 if by_tap else span) for out, step, span, by_tap in axes)
        taps = (n for n, by_tap in zip(self.kernel, self.by_tap, strict=True) if by_tap)
        return (*taps, *sizes)

    def blocked(self, config: Config) -> "Geometry":
        """The same in elements: images in groups of BATCH, channels in blocks.

        Groups are merged (`merged`) until they are whole blocks.
        """
        block, merged = config.block, self.merged(config)
        return replace(
            self,
            images=-(-self.images // config.batch),
            inputs=-(-self.inputs // block),
            outputs=-(-self.outputs // block),
            depth=-(-self.depth * merged // block),
            shared=-(-self.shared * merged // block),
        )

    def merged(self, config: Config) -> int:
        """Groups that are computed together, by block-diagonal weights.

        As many as fill blocks of both inputs and outputs. All, where the last ones would go beyond
        the data.
        """
        block, groups = config.block, self.outputs // self.shared
        merged = lcm(block // gcd(block, self.depth), block // gcd(block, self.shared))
        if merged >= groups:
            return groups
        blocks = -(-groups // merged) * (self.depth * merged // block)
        return merged if blocks == -(-self.inputs // block) else groups


@dataclass(frozen=True)
class Phase:
    """A part of the result: each `stride`-th row and column, from `offset` on.

    `first`: where its kernel begins in the rows and columns of the weights. `classes`: along each
    spatial axis, those of the border.
    """

    geometry: Geometry
    stride: tuple[int, ...]
    offset: tuple[int, ...]
    first: tuple[int, ...]
    classes: tuple[Classes, ...]

    @classmethod
    def whole(cls, geometry: Geometry, edges: Sequence[Edge]) -> "Phase":
        none = tuple(0 for _ in geometry.size)
        classes = tuple(edge.phases[0] for edge in edges)
        return cls(geometry, tuple(1 for _ in none), none, none, classes)

    def by_tap(self, axes: Sequence[bool]) -> "Phase":
        """The same with copies for each place of the kernel along some of the axes."""
        own = tuple(axes[: len(self.geometry.size)])
        return replace(self, geometry=replace(self.geometry, by_tap=own))

    def place(self, index: Sequence[Any]) -> list[Any]:
        """Where in the result, of an index of images, channels, spatial axes and element."""
        images, channels, *at = index
        at, element = at[:-2], at[-2:]
        sizes = zip(at, self.stride, self.offset, strict=True)
        return [images, channels, *(n * step + first for n, step, first in sizes), *element]
