"""Affine loop nests over scratchpad entries, and how they become instructions' two loops + uops.

A macro operation accesses several operands; each :class:`Dim` of its nest has one stride an
operand. `plan` merges dims, picks two for ``iter_out`` and ``iter_in``, and leaves the rest to
uops; a nest that exceeds a field or the uop buffer is cut in pieces.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from vta.sw.compiler.ir import Dim

__all__ = ["LoopNest", "forward", "loop_dims", "merge", "plan"]


@dataclass(frozen=True)
class LoopNest:
    """Loop fields of one GEMM or ALU instruction.

    `factors[o]` is (factor_out, factor_in) of operand o; `uops` has a row for each uop and a
    column for each operand: indices relative to the operand's base.
    """

    iter_out: int
    iter_in: int
    factors: tuple[tuple[int, int], ...]
    uops: np.ndarray


def merge(dims: list[Dim]) -> list[Dim]:
    """Equivalent dims, fewer: drops extents of 1, and joins two that step like one."""
    dims = [dim for dim in dims if dim.extent != 1]
    found = True
    while found:
        found = False
        for outer, inner in permutations(range(len(dims)), 2):
            a, b = dims[outer], dims[inner]
            if all(s == t * b.extent for s, t in zip(a.strides, b.strides, strict=True)):
                joined = Dim.of(a.extent * b.extent, *b.strides)
                dims[outer] = joined
                del dims[inner]
                found = True
                break
    return dims


def forward(dims: list[Dim], base: tuple[int, ...]) -> tuple[list[Dim], tuple[int, ...]]:
    """The nest with every loop turned round whose first operand that moves moves backward.

    The order of iterations is free by now (`vta.sw.compiler.frontend.nests` saw to it).
    """
    turned = []
    for dim in dims:
        if next((s for s in dim.strides if s), 0) < 0:
            last = dim.extent - 1
            base = tuple(b + last * s for b, s in zip(base, dim.strides, strict=True))
            dim = dim.backward()
        turned.append(dim)
    return turned, base


def loop_dims(dims: list[Dim], max_iter: int) -> list[int]:
    """Positions of the dims that become iter_out and iter_in: the two longest that can.

    A factor is unsigned, so a dim along which an operand runs backward is left to uops.
    """
    fitting = [n for n, d in enumerate(dims) if d.extent <= max_iter and min(d.strides) >= 0]
    return sorted(sorted(fitting, key=lambda n: -dims[n].extent)[:2])


def plan(
    dims: list[Dim], base: tuple[int, ...], *, max_iter: int, max_uops: int
) -> Iterator[LoopNest]:
    """The instructions that together run the nest, each over at most `max_uops` uops.

    Arguments
    ---------
    dims: the nest, outermost first; `base[o]` is operand o's entry at its origin.
    max_iter: largest iter_out and iter_in.
    """
    dims, base = forward(merge(dims), base)
    yield from _plan(dims, base, max_iter, max_uops)


def _plan(
    dims: list[Dim], base: tuple[int, ...], max_iter: int, max_uops: int
) -> Iterator[LoopNest]:
    loops = loop_dims(dims, max_iter)
    others = [n for n in range(len(dims)) if n not in loops]
    count = int(np.prod([dims[n].extent for n in others]))
    if count > max_uops:
        longest = max(others, key=lambda n: dims[n].extent)
        half = dims[longest].extent // 2
        for start, stop in ((0, half), (half, dims[longest].extent)):
            pieces = list(dims)
            pieces[longest] = dims[longest].part(start, stop)
            moved = tuple(b + start * s for b, s in zip(base, dims[longest].strides, strict=True))
            yield from _plan([d for d in pieces if d.extent != 1], moved, max_iter, max_uops)
        return
    uops = np.array([base], np.int64)
    for n in others:
        steps = np.outer(np.arange(dims[n].extent), dims[n].strides)
        uops = (uops[:, None, :] + steps).reshape(-1, len(base))
    chosen = [dims[n] for n in loops]
    if len(chosen) == 2 and chosen[0].strides[0] < chosen[1].strides[0]:
        chosen.reverse()  # the outer loop takes the larger step through the destination
    chosen = [Dim.of(1, *(0 for _ in base))] * (2 - len(chosen)) + chosen
    factors = tuple(zip(chosen[0].strides, chosen[1].strides, strict=True))
    yield LoopNest(chosen[0].extent, chosen[1].extent, factors, uops)
