"""Cycles of a tiling: a lower bound, and a small model of the core.

The model has one read channel, one compute stage and one write channel, buffers in rotation,
resets at a row of zero flags a cycle and an epilogue that folds into one pass. That pass runs
beside the next tile's GEMM where this leaves it cycles of ACC's ports (`run_length`). A residual is
one more GEMM step for each vector, with a load of its own. How close it comes to the RTL on
ResNet's layers stands in docs/operators.md, which a test keeps true.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from vta.hw.config import Config
from vta.hw.isa import INSTRUCTION_BYTES
from vta.sw.bound import bound
from vta.sw.compiler.ir import Dim
from vta.sw.compiler.passes.nest import limits, plan
from vta.sw.operators.shape import Counts, GemmShape, Tiling

__all__ = ["demand", "estimate", "lower_bound", "run_length"]

ISSUE = 1  # cycles an instruction of the compute stage costs beyond its uops
STEP = 4  # cycles between dependent instructions of different stages (a token round trip)
LATENCY = 16  # cycles of a first read


@dataclass(frozen=True)
class _Costs:
    """Beats of one step's loads and its GEMM cycles; reset, ALU pass, beats of the residual, of the
    epilogue's tensors and of the store of a tile, and its vectors.
    """

    inputs: int
    weights: int
    gemm: int
    alu: int
    reset: int
    residual: int
    operands: int
    store: int
    vectors: int


def _beats(nbytes: int, config: Config) -> int:
    return -(-nbytes // config.beat_bytes)


def _costs(shape: GemmShape, tiling: Tiling, config: Config, pitch: Tiling) -> _Costs:
    """Of a tile whose sizes are `tiling`'s in a slot for those of `pitch`."""
    acc = tiling.outputs * tiling.height * tiling.width
    rows, columns = shape.copied(tiling)
    rows *= tiling.inputs * shape.copies(tiling)
    row = 1 if shape.sparse(tiling) else columns
    bursts = rows * (columns if shape.sparse(tiling) else 1)
    full_rows = tiling.width == pitch.width or tiling.outputs * tiling.height == 1
    dense = full_rows and (tiling.height == pitch.height or tiling.outputs == 1)
    return _Costs(
        inputs=bursts * _beats(row * config.inp_bytes, config),
        weights=_beats(tiling.outputs * tiling.inputs * shape.taps * config.wgt_bytes, config),
        gemm=acc * tiling.inputs * shape.taps,
        alu=acc * shape.alu,
        reset=-(-acc // config.zero_row) if dense else acc,
        residual=_beats(acc * config.inp_bytes, config) if shape.residual else 0,
        operands=_beats(tiling.outputs * shape.bias * config.acc_bytes, config),
        store=shape.planes * _beats(acc * config.out_bytes, config),
        vectors=acc,
    )


@lru_cache(maxsize=1 << 14)
def run_length(shape: GemmShape, tiling: Tiling, limits: tuple[int, int]) -> int:
    """GEMM steps in a row that add to one entry: only the first reads ACC, only the last writes.

    The planner's answer (`vta.sw.compiler.passes.nest`) for the nest of one step of a tile.
    """
    (rows, columns), (kernel_height, kernel_width) = shape.copied(tiling), shape.kernel
    (down, right), steps = shape.dilation, shape.steps(tiling.by_tap)
    down, plane = down * columns, rows * columns
    if tiling.by_tap[1]:
        right, plane = plane, plane * kernel_width
    if tiling.by_tap[0]:
        down, plane = plane, plane * kernel_height
    dims = [
        Dim.of(tiling.outputs, tiling.height * tiling.width, 0, tiling.inputs * shape.taps),
        Dim.of(shape.terms, 0, 0, kernel_height * kernel_width),
        Dim.of(kernel_height, 0, down, kernel_width),
        Dim.of(kernel_width, 0, right, 1),
        Dim.of(tiling.inputs, 0, plane, shape.taps),
        Dim.of(tiling.height, tiling.width, steps[0] * columns, 0),
        Dim.of(tiling.width, 1, steps[1], 0),
    ]
    max_iter, max_uops = limits
    pieces = plan(dims, (0, 0, 0), max_iter=max_iter, max_uops=max_uops, adds=True)
    return next(pieces).run


def _start(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles before the first data: latency, and the beats of uops and bias.

    The uops repeat with the slots: those of ACC times two of what is loaded in every step, or times
    the steps and slots of what is kept.
    """
    counts = Counts.of(shape, tiling)
    slots = min(2, counts.channels if tiling.keep == "weights" else counts.planes)
    repeats = tiling.slots * (slots * counts.steps if tiling.keep else 2)
    in_uops = min(tiling.outputs, tiling.height, tiling.width)
    uops = min(repeats, counts.tiles * counts.steps) * in_uops * shape.taps * tiling.inputs
    bias = shape.outputs * shape.bias * config.acc_bytes if tiling.held else 0
    return LATENCY + _beats(min(uops, config.uop_depth) * 4, config) + _beats(bias, config)


def _fetch(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Beats of a step's instructions."""
    loads = tiling.inputs * shape.copies(tiling)
    loads = loads * (shape.copied(tiling)[0] if shape.sparse(tiling) else 1) + 1
    return _beats((loads + 1) * INSTRUCTION_BYTES, config)


def lower_bound(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles that `estimate` does not go below.

    From the first step's loads on compute never stops, or the reads do not; then the last tile
    still leaves.
    """
    cost, counts = _costs(shape, tiling, config, tiling), Counts.of(shape, tiling)
    outputs, height, width = (
        _edges(getattr(shape, name), getattr(tiling, name))[-1]
        for name in ("outputs", "height", "width")
    )
    last = _costs(shape, tiling.part(outputs, height, width), config, tiling)
    fetch, steps = _fetch(shape, tiling, config), counts.tiles * counts.steps
    vectors, alone = shape.vectors, shape.alu and tiling.inputs * shape.taps <= 2
    compute = fetch + cost.inputs + cost.weights + steps * ISSUE
    compute += shape.gemm + (vectors * shape.alu if alone else 0)
    reads = 0
    if vectors == counts.tiles * tiling.outputs * tiling.height * tiling.width:
        inputs = counts.planes if tiling.keep == "inputs" else counts.tiles
        weights = counts.channels if tiling.keep == "weights" else counts.tiles
        reads = counts.steps * (inputs * cost.inputs + weights * cost.weights) + steps * fetch
        reads += counts.tiles * cost.residual
    leaves = (0 if alone else last.alu) + STEP + last.store + LATENCY
    return _start(shape, tiling, config) + STEP + max(compute, reads) + leaves


def estimate(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles of the tiling in the model."""
    read = _start(shape, tiling, config)
    compute = write = 0
    alu = taken = 0  # when the last ALU pass ends, and what it takes from the GEMM beside it
    fetch = _fetch(shape, tiling, config)
    loaded = [0, 0]  # when the slots loaded in every step are free again, the older one first
    kept = [0, 0]  # the same for the slots of what is kept
    added = [0, 0]  # the same for the slots of residuals
    stored = [0] * tiling.slots  # the same for the ACC slots
    steps = Counts.of(shape, tiling).steps
    for fresh, cost, run in _tiles(shape, tiling, config):
        if fresh and tiling.keep:
            kept = [kept[1], compute]
            read = max(read, kept[0])
        kept_beats = {"inputs": cost.inputs, "weights": cost.weights}.get(tiling.keep, 0)
        beats = fetch + cost.inputs + cost.weights - kept_beats
        compute = max(compute, stored[0]) + taken + cost.reset + ISSUE
        if not tiling.held and (fresh or tiling.keep == "inputs"):  # the compute stage loads them
            read = max(read, compute) + cost.operands
            compute = read + LATENCY
        for _ in range(steps):
            read = max(read + (kept_beats if fresh else 0), loaded[0]) + beats
            compute = max(compute, read + STEP) + cost.gemm + ISSUE
            loaded = [loaded[1], compute]
        if shape.residual:
            read = max(read, added[0]) + cost.residual
            compute = max(compute, read + STEP) + cost.vectors + ISSUE
            added = [added[1], compute]
        taken = 0
        if cost.alu:
            taken, beside = _turns(cost.alu, run, shape.alu if shape.eager else 1)
            alu = max(alu, compute) + beside + STEP
        write = max(write, max(compute, alu) + STEP) + cost.store
        stored = [*stored[1:], write]
    return write + LATENCY


def _turns(alu: int, run: int, passes: int) -> tuple[int, int]:
    """Cycles that an ALU pass takes from the GEMM beside it, and cycles that the pass takes.

    An ALU step with a tensor operand needs a cycle in which GEMM does not read ACC, and one of the
    write port: in a run of n GEMM steps there are n - 1, of which the last delays GEMM's write,
    unless the next run has room for it: about every second time.
    A GEMM that reads and writes in every step waits; so does, in all, one with runs of two.
    Several passes stand between pieces of GEMM, and have no room but its runs: one and a half
    cycles of each they do not get.
    """
    if run == 1:
        return alu + STEP, alu
    if passes > 1 and run > 2:
        return -(-alu // (run - 1)) + 8 * passes, -(-2 * alu * run // (2 * run - 3)) + 8 * passes
    taken = alu if run == 2 else -(-alu // (2 * (run - 1)))
    return taken + STEP, alu + taken


def _edges(extent: int, tile: int) -> list[int]:
    return [min(tile, extent - start) for start in range(0, extent, tile)]


def _tiles(shape: GemmShape, tiling: Tiling, config: Config) -> Iterator[tuple[bool, _Costs, int]]:
    """Every tile in order: is it the first that needs what is kept, its costs, its run length."""
    channels = _edges(shape.outputs, tiling.outputs)
    planes = [
        (height, width)
        for _, height, width in product(
            range(shape.images),
            _edges(shape.height, tiling.height),
            _edges(shape.width, tiling.width),
        )
    ]
    known: dict[tuple[int, int, int], tuple[_Costs, int]] = {}

    def costs(outputs: int, plane: tuple[int, int]) -> tuple[_Costs, int]:
        key = (outputs, *plane)
        if key not in known:
            tile = tiling.part(*key)
            run = run_length(shape, tile, limits(config))
            known[key] = _costs(shape, tile, config, tiling), run
        return known[key]

    if tiling.keep == "inputs":
        for plane in planes:
            for n, outputs in enumerate(channels):
                yield n == 0, *costs(outputs, plane)
    else:
        for outputs in channels:
            for n, plane in enumerate(planes):
                yield n == 0, *costs(outputs, plane)


def demand(shapes: Sequence[GemmShape], config: Config, *, input_elements: int) -> dict[str, int]:
    """What the shape itself asks for, in cycles, and its bound; every tensor is moved once, whole.

    Arguments
    ---------
    shapes: of the parts of the result.
    input_elements: INP elements of the whole input tensor.

    Returns
    -------
    Cycles by cause (gemm, alu, reads, writes), their `vta.sw.bound` ("bound"), and "with_alu": the
    same where the ALU passes and the loads of the compute stage do not hide beside GEMM.
    """
    shape = shapes[0]
    vectors, gemm = (sum(getattr(each, name) for each in shapes) for name in ("vectors", "gemm"))
    alu = vectors * shape.alu
    bias = shape.outputs * shape.bias * config.acc_bytes
    weights = sum(each.outputs * each.inputs * each.taps for each in shapes) * config.wgt_bytes
    residual = vectors * config.inp_bytes + config.wgt_bytes if shape.residual else 0
    reads = _beats(input_elements * config.inp_bytes + weights + bias + residual, config)
    writes = _beats(shape.planes * vectors * config.out_bytes, config)
    return {
        "gemm": gemm,
        "alu": alu,
        "reads": reads,
        "writes": writes,
        "bound": bound(gemm=gemm, passes=alu, reads=reads, writes=writes),
        "with_alu": max(gemm + alu + _beats(bias, config), reads, writes),
    }
