"""Cycles of a tiling: a lower bound, and a small model of the core.

The model has one read channel, one compute stage and one write channel, buffers in rotation,
resets at 32 entries a cycle and an epilogue that folds into one pass. Against the RTL it is within
1% on ResNet's 3 x 3 layers and within 5% on the 1 x 1 ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from hw.config import Config
from hw.isa import INSTRUCTION_BYTES

__all__ = ["GemmShape", "Tiling", "bound", "estimate", "lower_bound"]

RESET_LANES = 32  # entries a cycle of a contiguous reset
ISSUE = 1  # cycles an instruction of the compute stage costs beyond its uops
STEP = 4  # cycles between dependent instructions of different stages (a token round trip)
LATENCY = 16  # cycles of a first read


@dataclass(frozen=True)
class GemmShape:
    """A convolution in elements: channels in blocks, images in groups of BATCH.

    A matrix product is one with a 1 x 1 kernel, height 1 and width = groups of rows. Where the
    kernel is 1 high (or wide), only the rows (or columns) that the stride hits are copied.
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

    @property
    def vectors(self) -> int:
        """Elements of the result."""
        return self.images * self.outputs * self.height * self.width

    @property
    def steps(self) -> tuple[int, int]:
        """Distance of neighbouring windows in the copied rows, and columns."""
        pairs = zip(self.kernel, self.stride, strict=True)
        height, width = (1 if kernel == 1 else stride for kernel, stride in pairs)
        return height, width

    def rows(self, height: int) -> int:
        """Rows of a copy that `height` output rows need."""
        return (height - 1) * self.steps[0] + self.kernel[0]

    def columns(self, width: int) -> int:
        return (width - 1) * self.steps[1] + self.kernel[1]

    @property
    def sparse(self) -> bool:
        """Single columns are copied: each is a burst of its own, each row a LOAD."""
        return self.kernel[1] == 1 and self.stride[1] > 1

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Tiling:
    """Blocks of output channels, rows and columns of an output tile; input blocks of a step.

    `keep` is "weights" (those of an output-channel tile stay for all its planes), "inputs" (those
    of a plane stay for all its output channels), or "" (both are loaded for every tile).
    """

    outputs: int
    height: int
    width: int
    inputs: int
    keep: str = ""


@dataclass(frozen=True)
class Counts:
    """How often what happens: tiles of output channels, of planes, in all; steps in a tile."""

    channels: int
    planes: int
    steps: int

    @property
    def tiles(self) -> int:
        return self.channels * self.planes

    @classmethod
    def of(cls, shape: GemmShape, tiling: Tiling) -> "Counts":
        planes = -(-shape.height // tiling.height) * -(-shape.width // tiling.width)
        channels = -(-shape.outputs // tiling.outputs)
        return cls(channels, planes * shape.images, -(-shape.inputs // tiling.inputs))


@dataclass(frozen=True)
class _Costs:
    """Beats of one step's loads and its GEMM cycles; reset, ALU pass and store beats of a tile."""

    inputs: int
    weights: int
    gemm: int
    alu: int
    reset: int
    store: int


def _beats(nbytes: int, config: Config) -> int:
    return -(-nbytes // config.beat_bytes)


def _costs(shape: GemmShape, tiling: Tiling, config: Config) -> _Costs:
    acc = tiling.outputs * tiling.height * tiling.width
    rows = tiling.inputs * shape.rows(tiling.height)
    row = 1 if shape.sparse else shape.columns(tiling.width)
    bursts = rows * (shape.columns(tiling.width) if shape.sparse else 1)
    return _Costs(
        inputs=bursts * _beats(row * config.inp_bytes, config),
        weights=_beats(tiling.outputs * tiling.inputs * shape.taps * config.wgt_bytes, config),
        gemm=acc * tiling.inputs * shape.taps,
        alu=acc if shape.alu else 0,
        reset=-(-acc // RESET_LANES),
        store=_beats(acc * config.out_bytes, config),
    )


def _start(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles before the first data: latency, and the beats of uops and bias.

    The uops repeat with the slots: two of ACC times two of what is loaded in every step, or times
    the steps and slots of what is kept.
    """
    counts = Counts.of(shape, tiling)
    slots = min(2, counts.channels if tiling.keep == "weights" else counts.planes)
    repeats = 2 * (slots * counts.steps if tiling.keep else 2)
    in_uops = min(tiling.outputs, tiling.height, tiling.width)
    uops = min(repeats, counts.tiles * counts.steps) * in_uops * shape.taps * tiling.inputs
    bias = shape.outputs * config.acc_bytes if shape.bias else 0
    return LATENCY + _beats(min(uops, config.uop_depth) * 4, config) + _beats(bias, config)


def lower_bound(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles that `estimate` does not go below."""
    cost, counts = _costs(shape, tiling, config), Counts.of(shape, tiling)
    vectors = shape.vectors
    compute = vectors * (shape.inputs * shape.taps + (1 if shape.alu else 0))
    reads = 0
    if vectors == counts.tiles * tiling.outputs * tiling.height * tiling.width:
        inputs = counts.planes if tiling.keep == "inputs" else counts.tiles
        weights = counts.channels if tiling.keep == "weights" else counts.tiles
        reads = counts.steps * (inputs * cost.inputs + weights * cost.weights)
    return _start(shape, tiling, config) + max(compute, reads)


def estimate(shape: GemmShape, tiling: Tiling, config: Config) -> int:
    """Cycles of the tiling in the model."""
    read = _start(shape, tiling, config)
    compute = write = 0
    loads = tiling.inputs * (shape.rows(tiling.height) if shape.sparse else 1) + 1
    fetch = _beats((loads + 1) * INSTRUCTION_BYTES, config)
    loaded = [0, 0]  # when the slots loaded in every step are free again, the older one first
    kept = [0, 0]  # the same for the slots of what is kept
    stored = [0, 0]  # the same for the ACC slots
    steps = Counts.of(shape, tiling).steps
    for fresh, cost in _tiles(shape, tiling, config):
        if fresh and tiling.keep:
            kept = [kept[1], compute]
            read = max(read, kept[0])
        beats = fetch
        beats += cost.inputs if fresh or tiling.keep != "inputs" else 0
        beats += cost.weights if fresh or tiling.keep != "weights" else 0
        compute = max(compute, stored[0]) + cost.reset
        for _ in range(steps):
            read = max(read, loaded[0]) + beats
            compute = max(compute, read + STEP) + cost.gemm + ISSUE
            loaded = [loaded[1], compute]
        compute += cost.alu + (STEP if cost.alu else 0)
        write = max(write, compute + STEP) + cost.store
        stored = [stored[1], write]
    return write + LATENCY


def _edges(extent: int, tile: int) -> list[int]:
    return [min(tile, extent - start) for start in range(0, extent, tile)]


def _tiles(shape: GemmShape, tiling: Tiling, config: Config) -> Iterator[tuple[bool, _Costs]]:
    """Every tile in order: is it the first that needs what is kept, and its costs."""
    channels = _edges(shape.outputs, tiling.outputs)
    planes = [
        (height, width)
        for _, height, width in product(
            range(shape.images),
            _edges(shape.height, tiling.height),
            _edges(shape.width, tiling.width),
        )
    ]
    known: dict[tuple[int, int, int], _Costs] = {}

    def costs(outputs: int, plane: tuple[int, int]) -> _Costs:
        key = (outputs, *plane)
        if key not in known:
            known[key] = _costs(shape, Tiling(*key, tiling.inputs), config)
        return known[key]

    if tiling.keep == "inputs":
        for plane in planes:
            for n, outputs in enumerate(channels):
                yield n == 0, costs(outputs, plane)
    else:
        for outputs in channels:
            for n, plane in enumerate(planes):
                yield n == 0, costs(outputs, plane)


def bound(shape: GemmShape, config: Config, *, input_elements: int) -> dict[str, int]:
    """Cycles that the shape itself asks for: each tensor moved once (mappings.md's bound).

    Arguments
    ---------
    input_elements: INP elements of the whole input tensor.

    Returns
    -------
    Cycles by cause (gemm, alu, reads, writes), and their "bound".
    """
    vectors = shape.vectors
    gemm = vectors * shape.inputs * shape.taps
    alu = vectors if shape.alu else 0
    bias = shape.outputs * config.acc_bytes if shape.bias else 0
    weights = shape.outputs * shape.inputs * shape.taps * config.wgt_bytes
    reads = _beats(input_elements * config.inp_bytes + weights + bias, config)
    writes = _beats(vectors * config.out_bytes, config)
    compute = gemm + alu + _beats(bias, config)
    return {
        "gemm": gemm,
        "alu": alu,
        "reads": reads,
        "writes": writes,
        "bound": max(compute, reads, writes),
    }
