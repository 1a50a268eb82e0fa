"""The main job, `make sim`: TVM-scheduled operators and reference streams on the core.

Every program runs on the RTL with its memory model, and every expected byte is compared: with
NumPy's result for the operators compiled here, with the recorded one for the reference streams.
The end is the handwritten-digit network on real images.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rich.console import Console

from vta.hw.config import Config
from vta.sim.build import ROOT
from vta.sim.commands.common import result_console
from vta.sim.device import RtlDevice
from vta.sim.execution import run_one
from vta.sim.options import RunOptions
from vta.sim.progress import Progress
from vta.sim.report import Outcome, print_outcomes
from vta.sw.program import Program

__all__ = ["OPERATORS", "run_demo"]

STREAMS = ROOT / "tests" / "streams"
REQUANTIZE = {"shift": 8, "low": 0, "high": 127}
RESNET = {"bias": True, **REQUANTIZE}
SQUARE = {"kernel_height": 3, "kernel_width": 3, "stride": 1, "padding": 1}

OPERATORS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # name in the table, operator, its parameters
    ("vector_add", "add", {"columns": 1024}),
    ("add_int8", "add", {"columns": 1024, "dtype": "int8"}),
    ("add_constant", "add", {"columns": 1024, "constant": 42}),
    ("multiply", "multiply", {"columns": 1024}),
    ("minimum", "minimum", {"columns": 1024}),
    ("maximum_constant", "maximum", {"columns": 1024, "constant": -3}),
    ("shift_right", "shift_right", {"columns": 1024, "constant": 4}),
    ("relu", "relu", {"columns": 1024}),
    ("clip", "clip", {"columns": 1024, "low": -20, "high": 100}),
    ("simple_matmul_unit_loop", "simple_matmul", {"form": "unit_loop"}),
    ("simple_matmul_fused", "simple_matmul", {"form": "fused"}),
    ("matmul_1x1024x1024", "matmul", {"rows": 1, "inner": 1024, "columns": 1024, **REQUANTIZE}),
    (
        "conv2d_14x14x256",
        "conv2d",
        {"height": 14, "width": 14, "channels": 256, "outputs": 256, **SQUARE, **RESNET},
    ),
    (
        "resnet18_c2",
        "conv2d",
        {"height": 56, "width": 56, "channels": 64, "outputs": 64, **SQUARE, **RESNET},
    ),
    (
        "resnet18_c4",
        "conv2d",
        {
            "height": 56,
            "width": 56,
            "channels": 64,
            "outputs": 128,
            "kernel_height": 1,
            "kernel_width": 1,
            "stride": 2,
            "padding": 0,
            **RESNET,
        },
    ),
)


def run_demo() -> int:
    """Run everything; 0 if all of it matches."""
    console, started = result_console(), time.monotonic()
    config = Config()
    options = RunOptions(events=True)  # the digits' layers share a program: when each ends
    with (
        Progress() as progress,
        RtlDevice(config, options=options, progress=progress.step) as device,
    ):
        device.start()
        outcomes = list(_outcomes(device, config, progress))
        progress.clear()
        print_outcomes(console, outcomes)
        console.print()
        digits = _digits(device, console, progress)
    matched = sum(outcome.match is True for outcome in outcomes)
    console.print(
        f"{matched} of {len(outcomes)} programs match; {time.monotonic() - started:.0f} s",
        highlight=False,
    )
    return 0 if digits and matched == len(outcomes) else 1


def _outcomes(device: RtlDevice, config: Config, progress: Progress) -> Iterator[Outcome]:
    for program in _programs(config, progress):
        progress.note(f"{program.name} on the core")
        yield run_one(device, "rtl", program, RunOptions(), progress=progress)


def _programs(config: Config, progress: Progress) -> Iterator[Program]:
    """The compiled operators with random tensors, then the reference streams."""
    progress.step("loading TVM")
    from vta.sw.operators import operator

    for name, chosen, parameters in OPERATORS:
        progress.note(f"{name}: compiling")
        kernel = operator(chosen).kernel(config, **parameters)
        yield replace(kernel.program(seed=0), name=name)
    for path in sorted(STREAMS.glob("*.npz")):
        yield Program.load(path)


def _digits(device: RtlDevice, console: Console, progress: Progress) -> bool:
    """The digits network on its test images; True if it does as well as it should."""
    progress.note("the digits network: compiling")
    from vta.sw.models.digits import demo

    progress.clear()
    return demo(device, console)
