"""Choice of tiles for convolution and matrix multiplication: an exhaustive, deterministic search.

Every tiling that fits the scratchpads is bounded from below; the promising ones run through the
cost model. Equal costs go to the first tiling in order of enumeration (large tiles first).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from math import inf
from typing import Any

from tvm import s_tir

from vta.hw.config import Config
from vta.sw.compiler import CompileError
from vta.sw.operators.cost import Counts, GemmShape, Tiling, estimate, lower_bound

__all__ = ["KEEP", "GemmShape", "Tiling", "by_step", "choose", "estimate", "fits", "split_copy"]

KEEP = ("", "weights", "inputs")
NARROW_BEYOND = 1.05  # times the compute cycles: narrow tiles are tried only beyond it
NARROW_GAIN = 1.01  # a tile of full width leaves in longer bursts: narrower ones must earn it


def fits(shape: GemmShape, tiling: Tiling, config: Config) -> bool:
    """Do its buffers, in two slots where they are used more than once, fit the scratchpads?"""
    counts = Counts.of(shape, tiling)
    steps = counts.tiles * counts.steps
    inputs, input_slots = tiling.inputs, min(2, steps)
    weights, weight_slots = tiling.inputs, min(2, steps)
    if tiling.keep == "inputs":
        inputs, input_slots = shape.inputs, min(2, counts.planes)
    if tiling.keep == "weights":
        weights, weight_slots = shape.inputs, min(2, counts.channels)
    inp = inputs * shape.rows(tiling.height) * shape.columns(tiling.width)
    wgt = tiling.outputs * shape.taps * weights
    acc = tiling.outputs * tiling.height * tiling.width
    return (
        inp * input_slots <= config.inp_depth
        and wgt * weight_slots <= config.wgt_depth
        and acc * min(2, counts.tiles) + (shape.outputs if shape.bias else 0) <= config.acc_depth
    )


def by_step(inputs: int) -> Callable[..., tuple[Any, ...]]:
    """Layout of a copy (outputs or rows, input channels, ...) with the steps outermost.

    In SRAM the part of each step is then compact, so one LOAD fills it.
    """

    def layout(first: Any, channel: Any, *rest: Any) -> tuple[Any, ...]:
        return (channel // inputs, first, channel % inputs, *rest)

    return layout


def split_copy(sch: s_tir.Schedule, copy: Any, axes: int, inputs: int) -> None:
    """Cut the copy of a kept operand into the input channels of each step.

    So each part can be loaded just before the step that needs it first.

    Arguments
    ---------
    copy: the block; the second of its innermost `axes` loops runs over input-channel blocks.
    inputs: how many of these a step takes.
    """
    first, channels = sch.get_loops(copy)[-axes : 2 - axes]
    outer, inner = sch.split(channels, [None, inputs])
    sch.reorder(outer, first, inner)
    sch.unroll(outer)


def _sizes(extent: int) -> list[int]:
    """Every tile size, largest first: one that does not divide leaves a small last tile."""
    return list(range(extent, 0, -1))


def _splits(extent: int) -> list[int]:
    """Smallest tile for each number of tiles, largest first: -(-extent // n)."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)


def _divisors(extent: int) -> list[int]:
    return [n for n in range(extent, 0, -1) if extent % n == 0]


def candidates(shape: GemmShape, widths: Sequence[int], config: Config) -> Iterator[Tiling]:
    """Every tiling of these widths that fits."""
    for width, outputs, height, inputs, keep in product(
        widths, _sizes(shape.outputs), _sizes(shape.height), _divisors(shape.inputs), KEEP
    ):
        tiling = Tiling(outputs, height, width, inputs, keep)
        if fits(shape, tiling, config):
            yield tiling


def _best(
    shape: GemmShape, widths: Sequence[int], limit: float, config: Config
) -> tuple[float, Tiling | None]:
    """The tiling of these widths with the fewest cycles, if it has fewer than `limit`."""
    some = candidates(shape, widths, config)
    ranked = sorted(
        ((lower_bound(shape, tiling, config), n, tiling) for n, tiling in enumerate(some)),
        key=lambda row: row[:2],
    )
    best: Tiling | None = None
    for bound_cycles, _, tiling in ranked:
        if bound_cycles >= limit:
            break
        cycles = estimate(shape, tiling, config)
        if cycles < limit:
            limit, best = cycles, tiling
    return limit, best


@cache
def choose(shape: GemmShape, config: Config) -> Tiling:
    """The tiling with the fewest cycles in the model; narrow tiles only where they gain 1%.

    Raises
    ------
    CompileError
        where not even the smallest tiles fit the scratchpads.
    """
    widths = _splits(shape.width)
    cycles, best = _best(shape, widths[:1], inf, config)
    floor = shape.vectors * shape.inputs * shape.taps
    if cycles > floor * NARROW_BEYOND:
        _, narrow = _best(shape, widths[1:4], cycles / NARROW_GAIN, config)
        best = narrow or best or _best(shape, widths[4:], inf, config)[1]
    if best is None:
        raise CompileError(
            f"no tile of {shape} fits INP {config.inp_depth}, WGT {config.wgt_depth}, ACC "
            f"{config.acc_depth} entries: enlarge LOG_*_BUFF_SIZE or shrink the kernel"
        )
    return best
