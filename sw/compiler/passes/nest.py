"""Affine loop nests over scratchpad entries, and how they become instructions' two loops + uops.

A macro operation accesses several operands; each :class:`Dim` of its nest has one stride an
operand. `plan` merges dims, picks two for ``iter_out`` and ``iter_in``, and leaves the rest to
uops; a nest that exceeds a field or the uop buffer is cut in pieces.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler.ir import Dim

__all__ = ["LoopNest", "forward", "limits", "loop_dims", "merge", "plan"]

RUN = 4
"""GEMM steps in a row on one ACC entry, of which the ALU has all but one: enough for its passes."""


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

    @property
    def run(self) -> int:
        """Steps in a row, from the first on, with the same entry of the first operand."""
        entries = self.uops[:, 0]
        other = np.flatnonzero(entries != entries[0])
        if len(other):
            return int(other[0])
        steps, (factor_out, factor_in) = len(entries), self.factors[0]
        for extent, factor in ((self.iter_in, factor_in), (self.iter_out, factor_out)):
            if factor and extent > 1:
                break
            steps *= extent
        return steps


def limits(config: Config) -> tuple[int, int]:
    """(max_iter, max_uops) of `plan` for a configuration."""
    return (1 << config.log_uop_depth + 1) - 1, config.uop_depth


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


def product_dims(dims: list[Dim], max_iter: int, max_uops: int) -> list[int]:
    """As `loop_dims` for GEMM, whose first operand is what it adds to.

    Of the pairs that leave ALU cycles of ACC's ports (`RUN` steps in a row that add to one entry,
    or as many as there are), the one with the fewest uops.
    """
    fitting = [n for n, d in enumerate(dims) if d.extent <= max_iter and min(d.strides) >= 0]
    most = prod(d.extent for d in dims if not d.strides[0])
    best = loop_dims(dims, max_iter)
    for pair in combinations(fitting, min(2, len(fitting))):
        loops = sorted(pair)
        if _count(dims, loops) <= max_uops:
            ranks = [
                (min(_run(dims, these), most, RUN), -_count(dims, these)) for these in (loops, best)
            ]
            best = loops if ranks[0] > ranks[1] else best
    return best


def _count(dims: list[Dim], loops: list[int]) -> int:
    """Uops of a nest with these loops."""
    return prod(dim.extent for n, dim in enumerate(dims) if n not in loops)


def _run(dims: list[Dim], loops: list[int]) -> int:
    """Steps in a row that add to one entry, with these loops and uops that add innermost."""
    uops = [dim for n, dim in enumerate(dims) if n not in loops]
    run = prod(dim.extent for dim in uops if not dim.strides[0])
    if any(dim.strides[0] for dim in uops):
        return run
    adding = [dims[n] for n in loops if not dims[n].strides[0]]
    return run * prod(dim.extent for dim in adding)


def plan(
    dims: list[Dim], base: tuple[int, ...], *, max_iter: int, max_uops: int, adds: bool = False
) -> Iterator[LoopNest]:
    """The instructions that together run the nest, each over at most `max_uops` uops.

    Arguments
    ---------
    dims: the nest, outermost first; `base[o]` is operand o's entry at its origin.
    max_iter: largest iter_out and iter_in.
    adds: it is a GEMM, which adds to its first operand: loops that leave this where it is go
        innermost.
    """
    dims, base = forward(merge(dims), base)
    yield from _plan(dims, base, max_iter, max_uops, adds)


def _plan(
    dims: list[Dim], base: tuple[int, ...], max_iter: int, max_uops: int, adds: bool
) -> Iterator[LoopNest]:
    loops = product_dims(dims, max_iter, max_uops) if adds else loop_dims(dims, max_iter)
    others = [n for n in range(len(dims)) if n not in loops]
    if adds:
        others.sort(key=lambda n: not dims[n].strides[0])
    count = int(np.prod([dims[n].extent for n in others]))
    if count > max_uops:
        longest = max(others, key=lambda n: dims[n].extent)
        half = dims[longest].extent // 2
        for start, stop in ((0, half), (half, dims[longest].extent)):
            pieces = list(dims)
            pieces[longest] = dims[longest].part(start, stop)
            moved = tuple(b + start * s for b, s in zip(base, dims[longest].strides, strict=True))
            kept = [d for d in pieces if d.extent != 1]
            yield from _plan(kept, moved, max_iter, max_uops, adds)
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
