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

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", self.depth or self.inputs)
        object.__setattr__(self, "shared", self.shared or self.outputs)

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
        """Where the kernel is one row high or one column wide, only each of so many is copied."""
        pairs = zip(self.kernel, self.stride, strict=True)
        return tuple(stride if taps == 1 else 1 for taps, stride in pairs)

    @property
    def steps(self) -> tuple[int, ...]:
        """Distance of neighbouring windows in what is copied."""
        pairs = zip(self.kernel, self.stride, strict=True)
        return tuple(1 if taps == 1 else stride for taps, stride in pairs)

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
        """Of what is copied, the spatial axes."""
        sizes = zip(self.out, self.steps, self.spans, strict=True)
        return tuple((out - 1) * step + span for out, step, span in sizes)

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

    def place(self, index: Sequence[Any]) -> list[Any]:
        """Where in the result, of an index of images, channels, spatial axes and element."""
        images, channels, *at = index
        at, element = at[:-2], at[-2:]
        sizes = zip(at, self.stride, self.offset, strict=True)
        return [images, channels, *(n * step + first for n, step, first in sizes), *element]
