"""The estimate of cycles beside the RTL's: streams, operators, ResNet's layers, several cores."""

from collections.abc import Iterator
from typing import Any

from vta.hw.config import Config
from vta.sim.bench import streams
from vta.sim.bench.figures import Figure
from vta.sim.bench.network import compile_layer
from vta.sim.bench.runs import CONFIG, BenchError, Runs
from vta.sim.bench.targets import LATENCIES, LAYERS, STREAMS, estimate_limit
from vta.sw.estimate import estimate_program
from vta.sw.program import Program

__all__ = ["ESTIMATED", "estimates"]

ESTIMATED = "estimated"
"""What the names of the groups begin with."""

CORES = (
    (CONFIG, (1, *LATENCIES)),
    (Config.preset("1x8"), LATENCIES[:1]),
    (Config.preset("2x16", axi_data_bits=128), LATENCIES[:1]),
    (Config(axi_data_bits=256), LATENCIES[:1]),
)
"""Configurations, and the latencies at which the operators run on them."""
MULTIPLIED = {"steps": "min high, max low, mul multiplier, add addend, shr 22"}
REQUANTISE = {"bias": True, "shift": 8, "low": 0, "high": 127}


def _conv(size: int, channels: int, outputs: int, kernel: int, stride: int = 1) -> dict[str, Any]:
    return {
        "height": size,
        "width": size,
        "channels": channels,
        "outputs": outputs,
        "kernel_height": kernel,
        "kernel_width": kernel,
        "padding": kernel // 2,
        "stride": stride,
    }


OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "matmul 16x64x64": ("matmul", {"rows": 16, "inner": 64, "columns": 64}),
    "dense 1024x1024": ("matmul", {"inner": 1024, "columns": 1024, **REQUANTISE}),
    "matmul 64x256x256": ("matmul", {"rows": 64, "inner": 256, "columns": 256, **REQUANTISE}),
    "matmul 128x64x128": ("matmul", {"rows": 128, "inner": 64, "columns": 128, **REQUANTISE}),
    "1x1, 24x24x64": ("conv2d", _conv(24, 64, 64, 1) | REQUANTISE),
    "1x1, 24x24x64, multipliers": ("conv2d", _conv(24, 64, 64, 1) | MULTIPLIED),
    "1x1, 24x24x32": ("conv2d", _conv(24, 32, 64, 1) | REQUANTISE),
    "1x1, 24x24x16": ("conv2d", _conv(24, 16, 64, 1) | REQUANTISE),
    "1x1, 24x24x64, stride 2": ("conv2d", _conv(24, 64, 64, 1, 2) | REQUANTISE),
    "3x3, 14x14x64": ("conv2d", _conv(14, 64, 64, 3) | REQUANTISE),
    "3x3, 28x28x16": ("conv2d", _conv(28, 16, 16, 3)),
    "3x3, 14x14x32, stride 2": ("conv2d", _conv(14, 32, 64, 3, 2) | REQUANTISE),
    "add, int32": ("add", {"rows": 16}),
    "add, int8": ("add", {"rows": 16, "dtype": "int8"}),
    "relu, int8": ("relu", {"rows": 64, "dtype": "int8"}),
    "clip, int32": ("clip", {"rows": 3, "low": -5, "high": 7}),
}


def estimates(runs: Runs) -> Iterator[Figure]:
    """For each run the estimated cycles, beside those of the RTL.

    Raises
    ------
    BenchError
        behind all figures, where one is off by more than its limit.
    """
    beyond = []
    for name, program, latency in _programs(runs):
        cycles = runs.cycles(program, latency)
        estimated = estimate_program(program, latency=latency).cycles
        share = f"{estimated / cycles - 1:+.2%}"
        yield Figure(
            group=f"{ESTIMATED}, {program.config.name}, latency {latency}; anchor: measured",
            name=name,
            ours=estimated,
            anchor=cycles,
            fixed=True,
            note=share,
        )
        if abs(estimated - cycles) > estimate_limit(cycles):
            beyond.append(f"{name}: estimated {estimated}, measured {cycles} ({share})")
    if beyond:
        raise BenchError("estimates beyond their limit: " + "; ".join(beyond))


def _programs(runs: Runs) -> Iterator[tuple[str, Program, int]]:
    """(name, program, latency) of each run."""
    from vta.sw.operators import operator  # here, because TVM takes seconds to load

    for target in STREAMS:
        for latency in (1, *LATENCIES):
            yield target.name, streams.load(target.name), latency
    for config, latencies in CORES:
        for name, (chosen, parameters) in OPERATORS.items():
            runs.progress.note(f"{name} for {config.name}: compiling")
            program = operator(chosen).kernel(config, **parameters).program()
            for latency in latencies:
                yield name, program, latency
    for layer in LAYERS:
        yield layer.name, compile_layer(runs, layer, CONFIG).program(), LATENCIES[0]
