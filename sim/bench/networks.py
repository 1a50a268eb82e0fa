"""Networks from their files to checked runs on the RTL: cycles, seconds, memory.

Those of other people's files are measured where the variable VTA_MODELS names a directory that has
them; what is skipped is named.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vta.hw.errors import VtaError
from vta.sim.bench.figures import Figure
from vta.sim.bench.network_targets import (
    CLOCK,
    MULTIPLIER,
    NETWORKS,
    POWER_OF_TWO,
    QUANTISED,
    WHOLE,
    Network,
)
from vta.sim.bench.runs import CONFIG, BenchError, Runs
from vta.sim.bench.targets import estimate_limit
from vta.sim.options import RunOptions
from vta.sw.estimate import estimate_program
from vta.sw.program import Program, Result

if TYPE_CHECKING:
    from vta.sw.operators import Operator
    from vta.sw.relax.costs import LayerCost
    from vta.sw.relax.inference import Run
    from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["BOUNDS", "GROUP", "networks"]

GROUP = "networks, cycles of an inference on VTA; anchor: bound"
BOUNDS = "networks, bound"
WHOLE_GROUP = "ResNet-18 from its file to a checked result on the RTL"
QUICK = {("digits", POWER_OF_TWO), ("digits", MULTIPLIER), ("mobilenet", POWER_OF_TWO)}
"""By source and form."""
WHOLE_SOURCE = ("resnet18", POWER_OF_TWO)
VARIABLE = "VTA_MODELS"
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass
class _Cost:
    """What a step took: wall time, CPU time of this process, and the most memory, in bytes."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0


@dataclass
class _Measured:
    """A network that was compiled and run.

    Members
    -------
    layers: by region; `bounds`: of each layer, without and with what its ALU cannot hide.
    """

    network: "CompiledNetwork"
    run: "Run"
    layers: list["LayerCost"]
    bounds: list[tuple[int, int]]
    costs: dict[str, _Cost] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        assert self.run.cycles is not None
        return self.run.cycles


def networks(runs: Runs, *, quick: bool) -> Iterator[Figure]:
    """Each network in each form: its cycles, its bound; of ResNet-18 seconds and memory, too.

    Raises
    ------
    BenchError
        behind all figures: networks that do not compile, whose tensors are not the reference's, or
        whose layers take other cycles than estimated.
    """
    wrong: list[str] = []
    figures: list[Figure] = []
    for network, form in _chosen(quick):
        name = f"{network.name}, {form}"
        path = _path(network)
        if path is not None and not path.is_file():
            runs.progress.step(f"skipped: {network.name}: {_missing(network)}")
            continue
        try:
            with tempfile.TemporaryDirectory() as place:
                file = path or _made(network, Path(place))
                found = _measure(runs, name, file, form, golden=not quick)
        except VtaError as error:
            wrong.append(f"{name}: {error}")
            continue
        wrong += _beyond(name, found)
        yield _cycles(network, form, name, found)
        figures += _bound(name, found)
        if (network.source, form) == WHOLE_SOURCE:
            figures += _whole(found)
    yield from sorted(figures, key=lambda figure: figure.group != BOUNDS)
    if wrong:
        raise BenchError("; ".join(wrong))


def _chosen(quick: bool) -> list[tuple[Network, str]]:
    pairs = [(network, form) for network in NETWORKS for form in network.forms]
    return [(n, form) for n, form in pairs if not quick or (n.source, form) in QUICK]


def _path(network: Network) -> Path | None:
    """Its file among the user's models; None where the project makes it."""
    return Path(os.environ.get(VARIABLE, ""), network.source) if network.is_file else None


def _missing(network: Network) -> str:
    directory = os.environ.get(VARIABLE)
    there = "has none" if directory else "names no directory of models"
    return f"{VARIABLE} {there}: {network.source}"


def _made(network: Network, place: Path) -> Path:
    from vta.sw.models.onnx import model

    path = place / f"{network.source}.onnx"
    path.write_bytes(model(network.source).SerializeToString())
    return path


# Measuring ----------------------------------------------------------------------------------------
class _Device:
    """The RTL as the network's device, at the benchmark's latency."""

    def __init__(self, runs: Runs, name: str) -> None:
        self.runs, self.name = runs, name

    def run(self, program: Program, **_: Any) -> Result:
        shown = self.runs.progress.cycles(f"{self.name}, {program.name}")
        device = self.runs.device(program.config)
        return device.run(program, options=RunOptions(), progress=shown)


def _measure(runs: Runs, name: str, file: Path, form: str, *, golden: bool) -> _Measured:
    """Compile it, and run it once for random inputs; `golden`: on the model as well.

    Raises
    ------
    BenchError
        where a tensor is not the reference's.
    """
    from vta.sw.relax.compile import compile_model  # here, because TVM takes seconds to load

    runs.device(CONFIG).start()
    costs: dict[str, _Cost] = {}
    runs.progress.note(f"{name}: compiling")
    with _cost(costs, "compile"):
        network = compile_model(file, CONFIG, scales=None if form == QUANTISED else form)
    if not network.regions:
        reasons = (n.reason for s in network.manifest.segments for n in s.nodes if n.reason)
        raise BenchError(f"nothing of it runs on VTA: {next(reasons, 'it has no layers')}")
    inputs = network.random_inputs(0)
    with _cost(costs, "run"):
        run = network(inputs, device=_Device(runs, name))
    _check(run)
    layers, bounds = _layers(run)
    if golden:
        runs.progress.note(f"{name}: golden")
        with _cost(costs, "golden"):
            _check(network(inputs))
    return _Measured(network, run, layers, bounds, costs)


def _check(run: "Run") -> None:
    from vta.sim.network.results import first_wrong

    if not run.equal:
        raise BenchError("; ".join(first_wrong(run)) or "it came to no end")


def _layers(run: "Run") -> tuple[list["LayerCost"], list[tuple[int, int]]]:
    from vta.sw.relax.costs import layer_costs

    costs, bounds = [], []
    for region in run.regions:
        kernels = {node.name: node.kernel for node in region.region.network.nodes}
        estimate = estimate_program(region.program)
        ends = region.result.ends
        for cost in layer_costs(region.region, region.program, ends=ends, estimate=estimate):
            costs.append(cost)
            each = [_least(kernels[kernel].operator) for kernel in cost.layer.kernels]
            bounds.append((sum(a for a, _ in each), sum(b for _, b in each)))
    return costs, bounds


def _least(operator: "Operator | None") -> tuple[int, int]:
    """The bound of an operator where its ALU hides; and with the pass that does not hide where a
    vector has two GEMM uops or fewer.
    """
    assert operator is not None
    asked = operator.demand(CONFIG)
    bound = max(asked["gemm"], asked["reads"], asked["writes"])
    vectors = asked["writes"] * CONFIG.beat_bytes // CONFIG.out_bytes
    few = 0 < asked["gemm"] <= 2 * vectors
    return bound, max(bound, asked["gemm"] + vectors) if few else bound


@contextmanager
def _cost(costs: dict[str, _Cost], name: str) -> Iterator[None]:
    _forget_peak()
    wall, cpu = time.monotonic(), time.process_time()
    yield
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    costs[name] = _Cost(wall, cpu, _peak())


def _forget_peak() -> None:
    """The most memory counts from now on, where the kernel can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    found = PEAK.search(Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


# Figures ------------------------------------------------------------------------------------------
def _beyond(name: str, found: _Measured) -> Iterator[str]:
    """Layers whose estimate is off by more than its limit."""
    for cost in found.layers:
        if cost.measured is None or cost.estimated is None:
            continue
        if abs(cost.estimated - cost.measured) > estimate_limit(cost.measured):
            yield f"{name}: {cost.layer.name}: estimated {cost.estimated}, took {cost.measured}"


def _cycles(network: Network, form: str, name: str, found: _Measured) -> Figure:
    bound, with_pass = (sum(each) for each in zip(*found.bounds, strict=True))
    must, aim = (network.limit(what, form, with_pass) for what in ("must", "aim"))
    rate = CLOCK / found.cycles
    return Figure(
        group=GROUP,
        name=name,
        ours=found.cycles,
        anchor=bound,
        must=must,
        aims=() if aim is None else (aim,),
        fixed=True,
        note=f"{rate:,.0f} a second at 100 MHz{_published(network)}; {_seconds(found)}",
        detail={
            "bound": bound,
            "bound_by_hand": network.bound,
            "bound_with_pass": with_pass,
            "inferences_per_second": rate,
            "published": dict(network.published),
            "seconds": {key: vars(cost) for key, cost in found.costs.items()},
            "simulation_seconds": _simulation(found),
            "layers": [_layer(*each) for each in zip(found.layers, found.bounds, strict=True)],
            "cpu_nodes": [
                {"node": node.source, "operator": node.operator, "reason": node.reason}
                for segment in found.network.manifest.segments
                for node in segment.nodes
            ],
        },
    )


def _published(network: Network) -> str:
    others = ", ".join(f"{who} {rate:g}" for who, rate in network.published)
    return f" ({others})" if others else ""


def _simulation(found: _Measured) -> float:
    return sum(region.seconds for region in found.run.regions)


def _seconds(found: _Measured) -> str:
    golden = found.costs.get("golden")
    more = "" if golden is None else f", golden {golden.wall:.1f} s"
    compiled = found.costs["compile"]
    return f"compile {compiled.wall:.1f} s, RTL {_simulation(found):.1f} s{more}"


def _layer(cost: "LayerCost", bounds: tuple[int, int]) -> dict[str, Any]:
    return {
        "name": cost.layer.name,
        "operator": cost.layer.operator,
        "region": cost.region,
        "macs": cost.layer.macs,
        "cycles": cost.measured,
        "estimated": cost.estimated,
        "bound": bounds[0],
        "bound_with_pass": bounds[1],
        "bound_of_all_ports": cost.bound,
        "bytes_read": cost.read,
        "bytes_written": cost.written,
    }


def _bound(name: str, found: _Measured) -> Iterator[Figure]:
    bound, with_pass = (sum(each) for each in zip(*found.bounds, strict=True))
    ports = sum(cost.bound for cost in found.layers)
    note = f"{with_pass} with the pass of vectors of two uops, {ports} with all ALU passes"
    yield Figure(group=BOUNDS, name=name, ours=bound, fixed=True, note=note)


def _whole(found: _Measured) -> Iterator[Figure]:
    """Of one inference: nothing is built for it, and TVM is loaded."""
    compiled, run = found.costs["compile"], found.costs["run"]
    figures: tuple[tuple[str, float, str, float, str], ...] = (
        (
            "compile and run",
            compiled.wall + run.wall,
            "s",
            WHOLE.seconds,
            f"{compiled.cpu + run.cpu:.1f} s of this process's CPU time",
        ),
        ("of it simulation", _simulation(found), "s", WHOLE.simulation, ""),
        ("peak memory", max(compiled.peak, run.peak) / 1e9, "GB", WHOLE.gigabytes, ""),
    )
    for name, ours, unit, must, note in figures:
        yield Figure(
            group=WHOLE_GROUP, name=name, ours=round(ours, 2), unit=unit, must=must, note=note
        )
