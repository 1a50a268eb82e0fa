"""The handwritten-digit network on VTA: images in, int8 logits out, as one linked program.

The layers are this project's own operators, linked for a group of images: each finds its input
where the one before leaves it, as it is. The layouts do that: channels in blocks of BLOCK (the
single input channel is filled up with zeros), and the dense layer's weights take their 128 inputs
in the order in which the last convolution stores them.

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
from vta.sw.compiler import VTAModule
from vta.sw.layers import Layer as Cost
from vta.sw.layers import layers as costs_of
from vta.sw.layout import pack
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
from vta.sw.operators.network import Network
from vta.sw.program import Device, Program, Result

__all__ = [
    "DigitsError",
    "GroupRun",
    "classify",
    "demo",
    "float_logits",
    "golden_logits",
    "group_size",
    "module",
    "test_images",
]

GROUP = 150  # images of a program, at most
FLOAT_LEAST = 0.97  # test accuracy that float32 must reach
INT8_WITHIN = 0.01  # distance of int8's test accuracy from float32's, at most


@dataclass(frozen=True)
class GroupRun:
    """The network's program for one group of images, on a device.

    The program expects NumPy's result of every layer; `images` counts the images of the group,
    those included that only fill it up.
    """

    images: int
    program: Program
    result: Result

    @property
    def costs(self) -> dict[str, Cost]:
        """What each layer took, by its name."""
        return {cost.node: cost for cost in costs_of(self.program, self.result.ends)}

    def match(self, layer: Layer) -> bool:
        """Every byte of the layer's result equals NumPy's."""
        tensor = self.program.segments[layer.name]
        first = tensor.start - self.program.memory_base
        found = self.result.memory[first : first + tensor.nbytes]
        expected = dict(self.program.expected)
        return bool(np.array_equal(found, expected[tensor.start]))


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
def module(config: Config, images: int) -> VTAModule:
    """The network for `images` images at a time, weights and biases in their places.

    The result of each layer has the layer's name, and a place of its own.
    """
    network = Network(f"digits_{images}", config, outputs=None)
    constants, source = {}, "images"
    for entry in quantized_layers():
        name, kernel = entry.layer.name, _kernel(config, entry, images)
        if entry.layer is DENSE:
            data = kernel.tensors["data"]
            network.view("flat", source, data.shape, data.layout)
            source = "flat"
        network.add(name, kernel, data=source, out=name)
        dense = entry.layer is DENSE
        constants[f"{name}.weight"] = (
            dense_order(entry.weight, config.block) if dense else entry.weight
        )
        constants[f"{name}.bias"] = entry.bias
        source = name
    return network.module().with_constants(constants)


def group_size(images: int, batch: int) -> int:
    """Images of a program: as few programs as GROUP allows, equal in size, whole batches."""
    groups = -(-images // GROUP)
    return -(-images // (groups * batch)) * batch


def _program(config: Config, images: np.ndarray) -> Program:
    """The network's program for `images`; it expects NumPy's result of every layer."""
    compiled = module(config, len(images))
    golden = {
        entry.layer.name: pack(array, compiled.tensors[entry.layer.name].layout)
        for entry, array in zip(quantized_layers(), golden_activations(images), strict=True)
    }
    return compiled.bind({"images": quantized_images(images)}, golden)


# Running ------------------------------------------------------------------------------------------
def classify(
    device: Device,
    images: np.ndarray,
    *,
    config: Config | None = None,
    on_group: Callable[[GroupRun], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """int8 logits (n, 10) that `device` computes for uint8 images (n, 8, 8) of 0..16.

    Arguments
    ---------
    config: of the device; None is the default configuration.
    on_group: called after each program with what it was and how it ran.
    on_progress: called during a run with the device's own count (cycles, or instructions on the
        golden model).

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
        run = _run(device, _program(config, filled), len(filled), on_progress)
        found = module(config, size).output(DENSE.name, run.result.memory)
        logits.append(found[: len(group)])
        if on_group is not None:
            on_group(run)
    return np.concatenate(logits)


def _run(
    device: Device, program: Program, images: int, on_progress: Callable[[int], None] | None
) -> GroupRun:
    result = device.run(program, progress=on_progress)
    if result.error is not None:
        node = program.source_map[result.error.index].get("node", "the network")
        raise DigitsError(
            f"{node} of {images} images ended with {result.error.error_class.name} at "
            f"instruction {result.error.index}: {result.error.reason}"
        )
    return GroupRun(images, program, result)


# The demonstration --------------------------------------------------------------------------------
def demo(
    device: Device,
    console: Console,
    *,
    config: Config | None = None,
    on_group: Callable[[GroupRun], None] | None = None,
) -> bool:
    """Classify all test images on `device`; print each layer's cost and the accuracies.

    `config` and `on_group` are as for `classify`. True where all logits equal NumPy's, float32
    reaches FLOAT_LEAST, and int8 is within INT8_WITHIN of float32.
    """
    images, labels = test_images()
    console.print(f"Handwritten digits: {len(images)} test images, {len(LAYERS)} layers on VTA")
    runs: list[GroupRun] = []
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("compiling", total=len(images))

        def finished(run: GroupRun) -> None:
            runs.append(run)
            if on_group is not None:
                on_group(run)
            progress.update(task, advance=run.images)

        def show(count: int) -> None:
            progress.update(task, description=f"{count:,}")

        logits = classify(device, images, config=config, on_group=finished, on_progress=show)
    console.print(_table(runs))
    return _verdict(console, images, labels, logits)


def _table(runs: list[GroupRun]) -> Table:
    """A line a layer, summed over the groups. MAC use: GEMM uops a cycle; of these products the
    useful ones leave out what only fills up channels.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "instructions", "cycles", "MAC use", "useful", "match"):
        table.add_column(name, justify="left" if name in ("layer", "match") else "right")
    for layer in LAYERS:
        own = [run.costs[layer.name] for run in runs]
        cycles, uops = sum(c.cycles or 0 for c in own), sum(c.gemm for c in own)
        config = runs[0].program.config
        peak = cycles * config.batch * config.block**2
        match = all(run.match(layer) for run in runs)
        table.add_row(
            layer.name,
            f"{sum(cost.instructions for cost in own):,}",
            f"{cycles:,}" if cycles else "-",
            f"{uops / cycles:.1%}" if cycles else "-",
            f"{layer.macs * sum(run.images for run in runs) / peak:.1%}" if cycles else "-",
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
