"""Linked networks of the compiler: each layer beside its bound, and where other cycles went."""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vta.hw.isa import MemoryType
from vta.hw.registers import STAGE_STATES, StageState
from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import CONFIG, BenchError, Runs, cycles_of
from vta.sim.bench.targets import COMPILE, MOBILENET, RESNET18, LinkedTarget, estimate_limit
from vta.sim.device import RtlResult
from vta.sim.options import RunOptions
from vta.sim.timeline.events import state_runs
from vta.sw.check import check as checked
from vta.sw.estimate import Estimate, estimate_program
from vta.sw.layers import Layer, layers
from vta.sw.program import Program

if TYPE_CHECKING:
    from vta.sw.operators.network import Network, Node

__all__ = ["GROUP", "QUICK_GROUP", "networks"]

GROUP = "ResNet-18, linked"
QUICK_GROUP = "ResNet-18, stage 2, linked"
MOBILENET_GROUP = "MobileNet v1 0.25, 96 x 96, linked"
INPUTS = {
    "data": MemoryType.INP,
    "residual": MemoryType.INP,
    "weight": MemoryType.WGT,
    "identity": MemoryType.WGT,
    "bias": MemoryType.ACC,
}
"""The memory that each tensor of a convolution is loaded into."""
LOADED = {MemoryType.INP: "inp", MemoryType.WGT: "wgt", MemoryType.ACC: "acc"}
WORK = (StageState.BUSY,)
"""What compute does while it multiplies; everything else are other cycles."""


def networks(runs: Runs, *, quick: bool) -> Iterator[Figure]:
    """ResNet-18's 19 convolutions and 8 residuals, and MobileNet v1's 27 convolutions; quick: the
    second stage of the first alone.
    """
    from vta.sw.models.mobilenet import mobilenet  # here, because TVM takes seconds to load
    from vta.sw.models.resnet18 import resnet18

    if quick:
        yield from _network(runs, QUICK_GROUP, lambda: resnet18(CONFIG, stages=(2,)), None)
        return
    yield from _network(runs, GROUP, lambda: resnet18(CONFIG), RESNET18, compiling=True)
    yield from _network(runs, MOBILENET_GROUP, lambda: mobilenet(CONFIG), MOBILENET)


def _network(
    runs: Runs,
    group: str,
    make: "Callable[[], Network]",
    target: LinkedTarget | None,
    *,
    compiling: bool = False,
) -> Iterator[Figure]:
    """The layers of a network and their sum; `compiling`: what compiling took, too."""
    from vta.sw.models.random_weights import random_tensors

    runs.device(CONFIG).start()
    runs.progress.note(f"{group}: compiling")
    started = time.monotonic()
    network = make()
    module = network.module()
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    runs.progress.note(f"{group}: golden")
    program = network.program(random_tensors(network, 1), module)
    if warnings := checked(program).warnings:
        raise BenchError(f"{group}: the checker warns: {warnings[0]}")
    result = runs.run(program, RunOptions(events=True))
    estimate = estimate_program(program)
    yield from _layers(group, network, program, result, estimate)
    yield from _totals(group, network, result, estimate, target)
    if compiling:
        yield _measured(group, "compile and link", seconds, "s", COMPILE.seconds)
        yield _measured(group, "peak memory", peak / 1e9, "GB", COMPILE.gigabytes)


def _layers(
    group: str, network: "Network", program: Program, result: RtlResult, estimate: Estimate
) -> Iterator[Figure]:
    measured = layers(program, result.ends)
    estimated = {layer.node: layer.cycles for layer in layers(program, estimate.ends)}
    windows = _windows(measured)
    nodes = {node.name: node for node in network.nodes}
    for layer, window in zip(measured, windows, strict=True):
        cycles, guess = layer.cycles or 0, estimated[layer.node] or 0
        _check_estimate(layer.node, cycles, guess)
        node = nodes[layer.node]
        demand = _demand(node)
        loaded = _loaded(layer, node, network)
        other = _others(result, window)
        yield Figure(
            group=group,
            name=layer.node,
            ours=cycles,
            fixed=True,
            note=f"bound {demand['bound']} ({cycles / demand['bound']:.3f}), estimated {guess}, "
            f"MAC use {layer.gemm / cycles:.1%}; loaded {_text(loaded)}; {_text_of(other)}",
            detail={
                "bound": demand["bound"],
                "estimated": guess,
                "mac_use": layer.gemm / cycles,
                "loaded": loaded,
                "other_cycles": other,
                "tiling": vars(node.kernel.tiling),
            },
        )


def _demand(node: "Node") -> dict[str, int]:
    operator: Any = node.kernel.operator
    return operator.demand(node.kernel.config)


def _check_estimate(node: str, cycles: int, guess: int) -> None:
    if abs(cycles - guess) > estimate_limit(cycles):
        raise BenchError(f"{node}: {guess} cycles are estimated, {cycles} measured")


def _windows(measured: Sequence[Layer]) -> list[tuple[int, int]]:
    """First and last cycle of each layer."""
    ends = np.cumsum([layer.cycles or 0 for layer in measured]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _loaded(layer: Layer, node: "Node", network: "Network") -> dict[str, dict[str, float]]:
    """By memory, bytes loaded over bytes of the tensors; and the same as the tiling means it, where
    windows do not overlap and nothing is skipped.
    """
    times = _planned(node)
    found = {}
    for memory, name in LOADED.items():
        sizes = {
            own: network.tensors[node.tensors[own]].nbytes
            for own, kind in INPUTS.items()
            if kind is memory and own in node.tensors
        }
        total = sum(sizes.values())
        if total:
            planned = sum(times.get(own, 1) * size for own, size in sizes.items()) / total
            found[name] = {"factor": layer.read.get(memory, 0) / total, "planned": planned}
    return found


def _planned(node: "Node") -> dict[str, int]:
    """How often the tiling loads the whole of a tensor; those left out once."""
    from vta.sw.operators.cost import Counts

    operator: Any = node.kernel.operator
    tiling = node.kernel.tiling
    counts = Counts.of(operator.shape(node.kernel.config), tiling)
    return {
        "data": 1 if tiling.keep == "inputs" else counts.channels,
        "weight": 1 if tiling.keep == "weights" else counts.planes,
    }


def _others(result: RtlResult, window: tuple[int, int]) -> dict[str, int]:
    """Cycles of a layer in which compute does not multiply, by what it does instead."""
    assert result.events is not None
    found: dict[str, int] = {}
    for begin, end, state in state_runs(result.events, "compute").tolist():
        cycles = min(end, window[1]) - max(begin, window[0])
        if cycles > 0 and state not in WORK:
            name = STAGE_STATES["compute"][StageState(state)][0]
            found[name] = found.get(name, 0) + cycles
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _text(loaded: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{name} {f['factor']:.2f} ({f['planned']:.2f})" for name, f in loaded.items())


def _text_of(other: dict[str, int]) -> str:
    return "other cycles: " + (", ".join(f"{k} {v}" for k, v in list(other.items())[:3]) or "none")


def _totals(
    group: str,
    network: "Network",
    result: RtlResult,
    estimate: Estimate,
    target: LinkedTarget | None,
) -> Iterator[Figure]:
    """The sum, with what it is measured against, and what was expected."""
    cycles, bounds = cycles_of(result), [_demand(node) for node in network.nodes]
    least = sum(_with_alu(demand) for demand in bounds)
    yield Figure(
        group=group,
        name="sum",
        ours=cycles,
        anchor=target and target.anchor,
        must=target and target.of(least, "must"),
        aims=(target.of(least, "aim"),) if target else (),
        fixed=True,
        note=f"{cycles / least:.3f} of the bound",
        detail={"counters": result.counters},
    )
    yield Figure(
        group=group, name="bound", ours=sum(demand["bound"] for demand in bounds), fixed=True
    )
    yield Figure(
        group=group,
        name="GEMM uops",
        ours=sum(demand["gemm"] for demand in bounds),
        unit="uops",
        fixed=True,
    )
    yield Figure(group=group, name="estimated", ours=estimate.cycles, fixed=True)


def _with_alu(demand: dict[str, int]) -> int:
    """The bound of a layer; where a vector has two uops or fewer its ALU pass cannot hide."""
    if demand["gemm"] > 2 * demand["alu"]:
        return demand["bound"]
    return max(demand["bound"], demand["gemm"] + demand["alu"])


def _measured(group: str, name: str, value: float, unit: str, must: float) -> Figure:
    return Figure(group=group, name=name, ours=round(value, 2), unit=unit, must=must)
