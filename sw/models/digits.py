"""The handwritten-digit network on VTA: images in, int8 logits out, layer by layer as programs.

Every layer is compiled by this project's own operators for a group of images. One program a layer
and group runs on any device; the bytes it leaves in its output segment are the next one's input,
as they are. The operators' layout does that: channels in blocks of BLOCK (the single input channel
is filled up with zeros), and the dense layer's weights take their 128 inputs in the order in which
the last convolution stores them.

>>> classify(GoldenDevice(), test_images()[0][:3]).argmax(axis=1)    # doctest: +SKIP
array([2, 8, 2])
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from vta.hw.config import Config
from vta.sw.layout import pack, unpack
from vta.sw.models.digits_network import (
    CONVOLUTIONS,
    DENSE,
    HIGH,
    LAYERS,
    DigitsError,
    Layer,
    QuantizedLayer,
    accuracy,
    check_images,
    float_logits,
    golden_activations,
    golden_logits,
    quantized_images,
    quantized_layers,
    test_images,
)
from vta.sw.operators import Kernel, operator
from vta.sw.program import Device, Program, Result

__all__ = [
    "DigitsError",
    "LayerRun",
    "classify",
    "demo",
    "float_logits",
    "golden_logits",
    "group_size",
    "kernels",
    "test_images",
]

GROUP = 150  # images of a program, at most
FLOAT_LEAST = 0.97  # test accuracy that float32 must reach
INT8_WITHIN = 0.01  # distance of int8's test accuracy from float32's, at most


@dataclass(frozen=True)
class LayerRun:
    """One layer of one group of images on a device.

    `program` expects NumPy's result of the layer; `images` counts the images of the group, those
    included that only fill it up.
    """

    layer: Layer
    images: int
    program: Program
    result: Result

    @property
    def match(self) -> bool:
        """Every byte of the layer's result equals NumPy's."""
        return self.program.first_mismatch(self.result.memory) is None

    @property
    def output(self) -> np.ndarray:
        """The bytes of the layer's result in DRAM, int8."""
        segment = self.program.segments["out"]
        first = segment.start - self.program.memory_base
        return self.result.memory[first : first + segment.nbytes].view(np.int8)


# Compiling ----------------------------------------------------------------------------------------
def dense_order(weight: np.ndarray, block: int) -> np.ndarray:
    """The dense layer's weights (10, 128) with their inputs as convolutions store them:
    (channel block, row, column, channel in the block) instead of (channel, row, column).
    """
    last = CONVOLUTIONS[-1]
    side = last.size // last.stride
    filled = -(-last.outputs // block) * block
    taps = weight.reshape(len(weight), last.outputs, side, side)
    taps = np.pad(taps, ((0, 0), (0, filled - last.outputs), (0, 0), (0, 0)))
    blocks = taps.reshape(len(weight), -1, block, side, side)
    return np.ascontiguousarray(blocks.transpose(0, 1, 3, 4, 2).reshape(len(weight), -1))


def _kernel(config: Config, entry: QuantizedLayer, images: int) -> Kernel:
    layer = entry.layer
    common = {"bias": True, "shift": entry.shift, "low": layer.low, "high": HIGH}
    if layer is DENSE:
        inner = dense_order(entry.weight, config.block).shape[1]
        return operator("matmul").kernel(
            config, rows=images, inner=inner, columns=layer.outputs, **common
        )
    return operator("conv2d").kernel(
        config,
        images=images,
        height=layer.size,
        width=layer.size,
        channels=layer.inputs,
        outputs=layer.outputs,
        stride=layer.stride,
        padding=1,
        **common,
    )


@lru_cache(maxsize=4)
def kernels(config: Config, images: int) -> tuple[Kernel, ...]:
    """The layers' kernels for `images` images at a time."""
    return tuple(_kernel(config, entry, images) for entry in quantized_layers())


def group_size(images: int, batch: int) -> int:
    """Images of a program: as few programs as GROUP allows, equal in size, whole batches."""
    groups = -(-images // GROUP)
    return -(-images // (groups * batch)) * batch


def _program(
    kernel: Kernel, entry: QuantizedLayer, data: np.ndarray, golden: np.ndarray
) -> Program:
    """The layer's program: `data` as it lies in DRAM, `golden` NumPy's result."""
    data = data.reshape(kernel.tensors["data"].packed_shape)
    weight = entry.weight
    if entry.layer is DENSE:
        weight = dense_order(weight, kernel.config.block)
    out = kernel.tensors["out"]
    inputs = {"data": data, "weight": weight, "bias": entry.bias}
    return kernel.compiled.bind(inputs, {"out": pack(golden, out.layout)})


# Running ------------------------------------------------------------------------------------------
def classify(
    device: Device,
    images: np.ndarray,
    *,
    config: Config | None = None,
    on_layer: Callable[[LayerRun], None] | None = None,
    on_progress: Callable[[str, int], None] | None = None,
) -> np.ndarray:
    """int8 logits (n, 10) that `device` computes for uint8 images (n, 8, 8) of 0..16.

    Arguments
    ---------
    config: of the device; None is the default configuration.
    on_layer: called after each program with what it was and how it ran.
    on_progress: called during a run with the layer's name and the device's own count (cycles,
        or instructions on the golden model).

    Raises
    ------
    DigitsError
        for images of another type, shape or range, or where a run ends with an error.
    """
    check_images(images)
    config = config or Config()
    size = group_size(len(images), config.batch)
    logits = []
    for start in range(0, len(images), size):
        group = images[start : start + size]
        filled = np.pad(group, ((0, size - len(group)), (0, 0), (0, 0)))
        found = _classify_group(device, config, filled, on_layer, on_progress or _quiet)
        logits.append(found[: len(group)])
    return np.concatenate(logits)


def _quiet(layer: str, count: int) -> None:
    """No progress."""


def _classify_group(
    device: Device,
    config: Config,
    images: np.ndarray,
    on_layer: Callable[[LayerRun], None] | None,
    report: Callable[[str, int], None],
) -> np.ndarray:
    """Logits of one group: every layer's program, each fed with the one before's output bytes."""
    group = kernels(config, len(images))
    golden = golden_activations(images)
    data = pack(quantized_images(images), group[0].tensors["data"].layout)
    for kernel, entry, expected in zip(group, quantized_layers(), golden, strict=True):
        run = _run_layer(device, _program(kernel, entry, data, expected), entry, images, report)
        data = run.output
        if on_layer is not None:
            on_layer(run)
    logits = group[-1].tensors["out"]
    return unpack(data, logits.layout, logits.shape)


def _run_layer(
    device: Device,
    program: Program,
    entry: QuantizedLayer,
    images: np.ndarray,
    report: Callable[[str, int], None],
) -> LayerRun:
    name = entry.layer.name
    result = device.run(program, progress=lambda count: report(name, count))
    if result.error is not None:
        raise DigitsError(
            f"{name} of {len(images)} images ended with {result.error.error_class.name} at "
            f"instruction {result.error.index}: {result.error.reason}"
        )
    return LayerRun(entry.layer, len(images), program, result)


# The demonstration --------------------------------------------------------------------------------
def demo(
    device: Device,
    console: Console,
    *,
    config: Config | None = None,
    on_layer: Callable[[LayerRun], None] | None = None,
) -> bool:
    """Classify all test images on `device`; print each layer's cost and the accuracies.

    `config` and `on_layer` are as for `classify`. True where all logits equal NumPy's, float32
    reaches FLOAT_LEAST, and int8 is within INT8_WITHIN of float32.
    """
    images, labels = test_images()
    console.print(f"Handwritten digits: {len(images)} test images, {len(LAYERS)} layers on VTA")
    runs: list[LayerRun] = []
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("compiling", total=len(images) * len(LAYERS))

        def show(layer: str, count: int) -> None:
            progress.update(task, description=f"{layer}, {count:,}")

        def finished(run: LayerRun) -> None:
            runs.append(run)
            if on_layer is not None:
                on_layer(run)
            progress.update(task, advance=run.images, description=run.layer.name)

        logits = classify(device, images, config=config, on_layer=finished, on_progress=show)
    console.print(_table(runs))
    return _verdict(console, images, labels, logits)


def _table(runs: list[LayerRun]) -> Table:
    """A line a layer, summed over the groups. MAC use: GEMM uops a cycle; of these products the
    useful ones leave out what only fills up channels.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "programs", "instructions", "cycles", "MAC use", "useful", "match"):
        table.add_column(name, justify="left" if name in ("layer", "match") else "right")
    for layer in LAYERS:
        own = [run for run in runs if run.layer is layer]
        cycles = sum(run.result.cycles or 0 for run in own)
        uops = sum(run.result.counters.get("gemm_uops", 0) for run in own)
        images = sum(run.images for run in own)
        config = own[0].program.config
        peak = cycles * config.batch * config.block**2
        match = all(run.match for run in own)
        table.add_row(
            layer.name,
            str(len(own)),
            f"{sum(run.program.registers.insn_count for run in own):,}",
            f"{cycles:,}" if cycles else "-",
            f"{uops / cycles:.1%}" if cycles else "-",
            f"{layer.macs * images / peak:.1%}" if cycles else "-",
            "yes" if match else "no",
            style="" if match else "red",
        )
    return table


def _verdict(console: Console, images: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> bool:
    """Print what was found out about the logits; True where all of it is as it must be."""
    count = len(images)
    equal = int(np.sum(np.all(logits == golden_logits(images), axis=1)))
    floating, integer = accuracy(float_logits(images), labels), accuracy(logits, labels)
    near = abs(floating - integer) <= INT8_WITHIN
    for text, good in (
        (f"int8 logits equal to NumPy's: {equal} of {count} images", equal == count),
        (f"test accuracy, float32 in NumPy: {floating:.2%}", floating >= FLOAT_LEAST),
        (f"test accuracy, int8 on the device: {integer:.2%}", near),
    ):
        console.print(text, style="" if good else "red", highlight=False)
    return equal == count and floating >= FLOAT_LEAST and near
