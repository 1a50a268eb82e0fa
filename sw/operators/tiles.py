"""The tilings of convolution and matrix multiplication, the cheapest first, deterministically.

Each tiling that may fit is bounded from below, and runs through the cost model when no other with
a lower bound is left. Equal costs go to the one with the lower bound, then to the larger tiles.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import product
from math import prod
from typing import NamedTuple

from vta.hw.config import Config
from vta.sw.compiler import CompileError
from vta.sw.operators.cost import estimate, lower_bound
from vta.sw.operators.shape import Counts, GemmShape, Tiling
from vta.sw.operators.space import Candidate, Remembered

__all__ = ["KEEP", "NARROW_GAIN", "may_fit", "needs", "tilings"]

KEEP = ("", "weights", "inputs")
NARROW_BEYOND = 1.05  # times the compute cycles: narrow tiles are tried only beyond it
NARROW_GAIN = 1.01  # a tile of full width leaves in longer bursts: narrower ones must earn it
BY_TAP = ((False, False), (True, False), (True, True))
"""Along rows and columns; each is tried where no tile fits with the ones before, and where the rows
between the taps of a dilated kernel leave small tiles only.
"""
NARROW = 4  # widths that are tried, the full one included, as long as one of them fits


class Entry(NamedTuple):
    """A tiling with its `rank`, which is cost times `factor`, or a bound of it; then by `bound`."""

    rank: float
    bound: int
    number: int
    tiling: Tiling
    factor: float
    cycles: int | None = None


def needs(shape: GemmShape, tiling: Tiling) -> tuple[int, int, int]:
    """Entries of INP, WGT and ACC that a schedule with this tiling needs at least.

    A buffer that is used more than once has two slots. In a single tile the residual may take the
    entries of what the product has read; it is added up where the product is.
    """
    counts = Counts.of(shape, tiling)
    steps = counts.tiles * counts.steps
    inputs, input_slots = tiling.inputs, min(2, steps)
    weights, weight_slots = tiling.inputs, min(2, steps)
    if tiling.keep == "inputs":
        inputs, input_slots = shape.inputs, min(2, counts.planes)
    if tiling.keep == "weights":
        weights, weight_slots = shape.inputs, min(2, counts.channels)
    inp = inputs * prod(shape.copied(tiling)) * shape.copies(tiling) * input_slots
    wgt = tiling.outputs * shape.taps * weights * weight_slots
    tile = tiling.outputs * tiling.height * tiling.width
    acc = tile * min(tiling.slots, counts.tiles)
    if shape.residual:
        inp, wgt = (max(inp, acc) if counts.tiles == 1 else inp + acc), wgt + 1
    if shape.apart:
        acc *= 2
    operands = shape.outputs
    if not tiling.held:
        slots = tiling.slots if tiling.keep == "inputs" else 2
        operands = tiling.outputs * min(slots, counts.channels)
    return inp, wgt, acc + operands * shape.bias + shape.held


def may_fit(shape: GemmShape, tiling: Tiling, config: Config) -> bool:
    """False where it surely does not fit the scratchpads."""
    depths = (config.inp_depth, config.wgt_depth, config.acc_depth)
    return all(n <= depth for n, depth in zip(needs(shape, tiling), depths, strict=True))


def _sizes(extent: int) -> list[int]:
    """Every tile size, largest first: one that does not divide leaves a small last tile."""
    return list(range(extent, 0, -1))


def _splits(extent: int) -> list[int]:
    """Smallest tile for each number of tiles, largest first: -(-extent // n)."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)


def _divisors(extent: int) -> list[int]:
    return [n for n in range(extent, 0, -1) if extent % n == 0]


def _every(
    shape: GemmShape, widths: Sequence[int], config: Config, by_tap: tuple[bool, bool]
) -> Iterator[Tiling]:
    """Every tiling of these widths that may fit."""
    outputs, kept = _sizes(shape.outputs), KEEP
    if shape.grouped:  # a tile has outputs that need the same inputs; none other does
        outputs, kept = _divisors(shape.shared), KEEP[:2]
    few = 2 * shape.outputs * shape.bias <= config.acc_depth  # all of the epilogue's tensors
    sizes = outputs, _sizes(shape.height), _divisors(shape.inputs), kept
    held = (True,) if few else (True, False)
    for width, outputs, height, inputs, keep, hold in product(widths, *sizes, held):
        for slots in (3, 2) if shape.eager else (2,):
            tiling = Tiling(outputs, height, width, inputs, keep, slots, hold, by_tap)
            if may_fit(shape, tiling, config):
                yield tiling
                break


def _bounded(
    shape: GemmShape,
    widths: Sequence[int],
    config: Config,
    by_tap: tuple[bool, bool],
    factor: float = 1,
) -> list[Entry]:
    """The tilings of these widths, their costs times `factor` bounded from below."""
    bounds = ((lower_bound(shape, t, config), t) for t in _every(shape, widths, config, by_tap))
    return [Entry(bound * factor, bound, n, t, factor) for n, (bound, t) in enumerate(bounds)]


def _cheapest(heap: list[Entry], shape: GemmShape, config: Config) -> Iterator[Entry]:
    """The entries of `heap` with their costs, the cheapest first; it is used up."""
    heapify(heap)
    while heap:
        entry = heappop(heap)
        if entry.cycles is not None:
            yield entry
        else:
            cycles = estimate(shape, entry.tiling, config)
            heappush(heap, entry._replace(rank=cycles * entry.factor, cycles=cycles))


def _all(shape: GemmShape, config: Config, by_tap: tuple[bool, bool]) -> Iterator[Entry]:
    """The tilings by cost; narrow ones where they gain 1%, the narrowest at the end."""
    widths = _splits(shape.width)
    heap = _bounded(shape, widths[:1], config, by_tap)
    wide = _cheapest(heap, shape, config)
    first = next(wide, None)
    if first is not None and first.rank <= shape.gemm * NARROW_BEYOND:
        yield first
        yield from wide
        first = None
    known = [] if first is None else [first]
    narrow = _bounded(shape, widths[1:NARROW], config, by_tap, NARROW_GAIN)
    yield from _cheapest([*known, *heap, *narrow], shape, config)
    yield from _cheapest(_bounded(shape, widths[NARROW:], config, by_tap), shape, config)


@lru_cache(maxsize=32)
def tilings(shape: GemmShape, config: Config) -> Remembered:
    """The tilings, the cheapest first; narrow tiles only where they gain 1%.

    Raises
    ------
    CompileError
        where not even the smallest tiles can fit the scratchpads.
    """
    found: list[tuple[float, Remembered]] = []
    for by_tap in BY_TAP:
        entries = _all(shape, config, by_tap)
        these = Remembered(
            Candidate(e.tiling, e.cycles or 0, needs(shape, e.tiling)) for e in entries
        )
        best = next(iter(these), None)
        found += [] if best is None else [(best.cost, these)]
        close = found and found[0][0] <= shape.gemm * NARROW_BEYOND
        if close or (found and not shape.dilated):
            break
    if not found:
        raise CompileError(
            f"no tile of {shape} fits INP {config.inp_depth}, WGT {config.wgt_depth}, ACC "
            f"{config.acc_depth} entries: enlarge LOG_*_BUFF_SIZE or shrink the kernel"
        )
    return min(found, key=lambda each: each[0])[1]
