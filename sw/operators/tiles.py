"""Choice of tiles for convolution and matrix multiplication: a cost model and a search.

Every legal tiling that fits the scratchpads is bounded from below; the promising ones run through
a small model of the core (one read channel, one compute stage, one write channel, buffers in
rotation). The search is exhaustive and deterministic: equal costs go to the first tiling.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from hw.config import Config
from hw.isa import INSTRUCTION_BYTES
from sw.compiler import CompileError

__all__ = ["GemmShape", "Tiling", "bound", "choose", "estimate"]

RESET_LANES = 32  # entries a cycle of a contiguous reset
ISSUE = 1  # cycles an instruction of the compute stage costs beyond its uops
STEP = 4  # cycles between dependent instructions of different stages (a token round trip)
LATENCY = 16  # cycles of a first read


@dataclass(frozen=True)
class GemmShape:
    """A convolution in elements: channels in blocks, images in groups of BATCH.

    A matrix product is one with a 1 x 1 kernel, height 1 and width = groups of rows.
    """

    images: int
    inputs: int
    outputs: int
    height: int
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    bias: bool = False
    alu: bool = True

    def rows(self, height: int) -> int:
        """Input rows that `height` output rows need (only the used ones where the kernel is 1)."""
        step = 1 if self.kernel[0] == 1 else self.stride[0]
        return (height - 1) * step + self.kernel[0]

    def columns(self, width: int) -> int:
        return (width - 1) * self.stride[1] + self.kernel[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Tiling:
    """Blocks of output channels, rows and columns of an output tile; input blocks of a step.

    With `resident` the weights of an output-channel tile are loaded once, for all its steps.
    """

    outputs: int
    height: int
    width: int
    inputs: int
    resident: bool = False


def _sizes(extent: int) -> list[int]:
    """Every tile size, largest first: one that does not divide leaves a small last tile."""
    return list(range(extent, 0, -1))


def _splits(extent: int) -> list[int]:
    """Smallest tile for each number of tiles, largest first: -(-extent // n)."""
    return sorted({-(-extent // n) for n in range(1, extent + 1)}, reverse=True)


def _divisors(extent: int) -> list[int]:
    return [n for n in range(extent, 0, -1) if extent % n == 0]


def _count(extent: int, tile: int) -> int:
    return -(-extent // tile)


def _steps(shape: GemmShape, tiling: Tiling) -> tuple[int, int, int]:
    """(output-channel tiles, tiles in all, steps in a tile)."""
    channel_tiles = _count(shape.outputs, tiling.outputs)
    planes = _count(shape.height, tiling.height) * _count(shape.width, tiling.width)
    return (
        channel_tiles,
        channel_tiles * planes * shape.images,
        shape.inputs // tiling.inputs,
    )


def fits(shape: GemmShape, tiling: Tiling, config: Config) -> bool:
    """Do its buffers, in two slots where they are used more than once, fit the scratchpads?"""
    channel_tiles, tiles, steps = _steps(shape, tiling)
    slots = min(2, tiles * steps)
    inp = tiling.inputs * shape.rows(tiling.height) * shape.columns(tiling.width)
    wgt = tiling.outputs * shape.taps * (shape.inputs if tiling.resident else tiling.inputs)
    acc = tiling.outputs * tiling.height * tiling.width
    return (
        inp * slots <= config.inp_depth
        and wgt * (min(2, channel_tiles) if tiling.resident else slots) <= config.wgt_depth
        and acc * min(2, tiles) + (shape.outputs if shape.bias else 0) <= config.acc_depth
    )


def _beats(nbytes: int, config: Config) -> int:
    return -(-nbytes // config.beat_bytes)


@dataclass(frozen=True)
class _Costs:
    """Cycles of a whole tile's parts: one step's loads and GEMM; a tile's ALU pass and store."""

    input_beats: int
    weight_beats: int
    gemm: int
    alu: int
    reset: int
    store: int


def _costs(shape: GemmShape, tiling: Tiling, config: Config) -> _Costs:
    acc = tiling.outputs * tiling.height * tiling.width
    rows = tiling.inputs * shape.rows(tiling.height)
    return _Costs(
        input_beats=rows * _beats(shape.columns(tiling.width) * config.inp_bytes, config),
        weight_beats=_beats(tiling.outputs * tiling.inputs * shape.taps * config.wgt_bytes, config),
        gemm=acc * tiling.inputs * shape.taps,
        alu=acc if shape.alu else 0,
        reset=-(-acc // RESET_LANES),
        store=_beats(acc * config.out_bytes, config),
    )


def _start(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Read beats before the first data: uops (two slots of ACC times two of INP and WGT), bias."""
    loops = sorted((tiling.outputs, tiling.height, tiling.width))[0]
    _, tiles, steps = _steps(shape, tiling)
    combinations = min(4, tiles * steps) if not tiling.resident else 2 * steps
    uops = combinations * loops * shape.taps * tiling.inputs
    bias = shape.outputs * config.acc_bytes if shape.bias else 0
    return LATENCY + _beats(min(uops, config.uop_depth) * 4, config) + _beats(bias, config)


def lower_bound(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles that no schedule with these tiles goes below, in the model."""
    cost = _costs(shape, tiling, config)
    channel_tiles, tiles, steps = _steps(shape, tiling)
    whole = shape.outputs * shape.height * shape.width * shape.images
    compute = whole * (shape.inputs * shape.taps + (1 if shape.alu else 0))
    weights = channel_tiles if tiling.resident else tiles
    reads = steps * (tiles * cost.input_beats + weights * cost.weight_beats)
    if whole < tiles * tiling.outputs * tiling.height * tiling.width:
        reads = 0  # tiles at the edge load less
    start = _start(shape, tiling, config) + cost.input_beats + cost.weight_beats
    return max(start + compute, reads)


def estimate(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles of the tiling in the model: loads, compute and stores with two slots each."""
    read = _start(shape, tiling, config)
    compute = write = 0
    fetch = _beats((tiling.inputs + 2) * INSTRUCTION_BYTES, config)
    gemm_done = [0, 0]  # of the last two steps: the INP and WGT slots
    stored = [0, 0]  # of the last two tiles: the ACC slots
    for fresh, cost, steps in _sequence(shape, tiling, config):
        compute = max(compute, stored[0]) + cost.reset
        for step in range(steps):
            beats = cost.input_beats + fetch
            if tiling.resident:
                beats += cost.weight_beats * steps if fresh and step == 0 else 0
            else:
                beats += cost.weight_beats
            read = max(read, gemm_done[0]) + beats
            compute = max(compute, read + STEP) + cost.gemm + ISSUE
            gemm_done = [gemm_done[1], compute]
        compute += cost.alu + (STEP if cost.alu else 0)
        write = max(write, compute + STEP) + cost.store
        stored = [stored[1], write]
    return write + LATENCY


def _sequence(
    shape: GemmShape, tiling: Tiling, config: Config
) -> Iterator[tuple[bool, _Costs, int]]:
    """(first of its output channels, costs, steps) of every tile, in order."""
    steps = shape.inputs // tiling.inputs
    known: dict[tuple[int, int, int], _Costs] = {}
    edges = [
        [min(tile, extent - start) for start in range(0, extent, tile)]
        for extent, tile in (
            (shape.outputs, tiling.outputs),
            (shape.height, tiling.height),
            (shape.width, tiling.width),
        )
    ]
    for outputs in edges[0]:
        fresh = True
        for _, height, width in product(range(shape.images), edges[1], edges[2]):
            key = outputs, height, width
            if key not in known:
                part = Tiling(*key, tiling.inputs, tiling.resident)
                known[key] = _costs(shape, part, config)
            yield fresh, known[key], steps
            fresh = False


def candidates(shape: GemmShape, config: Config) -> Iterator[Tiling]:
    """Every tiling that fits. Narrow tiles only where no tile of full width fits."""
    for widths in ([shape.width], _splits(shape.width)[1:]):
        found = False
        for outputs, height, width, inputs, resident in product(
            _sizes(shape.outputs), _sizes(shape.height), widths, _divisors(shape.inputs),
            (False, True),
        ):  # fmt: skip
            tiling = Tiling(outputs, height, width, inputs, resident)
            if fits(shape, tiling, config):
                found = True
                yield tiling
        if found:
            return


@cache
def choose(shape: GemmShape, config: Config) -> Tiling:
    """The tiling with the fewest cycles in the model.

    Raises
    ------
    CompileError
        where not even the smallest tiles fit the scratchpads.
    """
    ranked = sorted(
        ((lower_bound(shape, t, config), n, t) for n, t in enumerate(candidates(shape, config))),
        key=lambda row: row[:2],
    )
    best: tuple[int, Tiling] | None = None
    for limit, _, tiling in ranked:
        if best is not None and limit >= best[0]:
            break
        cycles = estimate(shape, tiling, config)
        if best is None or cycles < best[0]:
            best = (cycles, tiling)
    if best is None:
        raise CompileError(
            f"no tile of {shape} fits INP {config.inp_depth}, WGT {config.wgt_depth}, ACC "
            f"{config.acc_depth} entries: enlarge LOG_*_BUFF_SIZE or shrink the kernel"
        )
    return best[1]


def bound(shape: GemmShape, config: Config, *, input_elements: int) -> dict[str, int]:
    """Cycles that the shape itself asks for: each tensor moved once (mappings.md's bound).

    Arguments
    ---------
    input_elements: INP elements of the input tensor.
    """
    vectors = shape.images * shape.outputs * shape.height * shape.width
    gemm = vectors * shape.inputs * shape.taps
    alu = vectors if shape.alu else 0
    bias = shape.outputs * config.acc_bytes if shape.bias else 0
    weights = shape.outputs * shape.inputs * shape.taps * config.wgt_bytes
    reads = _beats(input_elements * config.inp_bytes + weights + bias, config)
    writes = _beats(vectors * config.out_bytes, config)
    compute = gemm + alu + _beats(bias, config)
    return {
        "gemm": gemm, "alu": alu, "reads": reads, "writes": writes,
        "bound": max(compute, reads, writes),
    }  # fmt: skip
