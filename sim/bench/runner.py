"""All parts of the benchmark in order, printed as they come, then the verdict.

A part that cannot run on this machine is named before anything is measured, and one that fails
when it does; the figures of the others count all the same.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from vta.hw.errors import VtaError
from vta.sim import output
from vta.sim.bench import (
    baseline,
    buses,
    compiler,
    estimates,
    marginal,
    mechanisms,
    network,
    networks,
    pages,
    speed,
    streams,
)
from vta.sim.bench.figures import Figure, print_figures
from vta.sim.bench.runs import Runs
from vta.sim.progress import Progress

__all__ = ["PARTS", "chosen_parts", "run_benchmark"]

Part = Callable[[Runs, bool], Iterator[Figure]]

PARTS: dict[str, Part] = {  # name: called with the devices, and whether to be quick
    "streams": lambda runs, quick: streams.cycles(runs),
    "marginal": lambda runs, quick: marginal.costs(runs),
    "sweep": lambda runs, quick: streams.sweep(runs, quick=quick),
    "stalls": lambda runs, quick: streams.stalls(runs, quick=quick),
    "seed": lambda runs, quick: pages.seed(runs),
    "digits": lambda runs, quick: pages.digits(runs),
    "compiler": lambda runs, quick: compiler.networks(runs, quick=quick),
    "network": lambda runs, quick: network.resnet18(runs),
    "networks": lambda runs, quick: networks.networks(runs, quick=quick),
    "buses": lambda runs, quick: buses.bus_use(runs),
    "wide": lambda runs, quick: buses.layers(runs),
    "estimate": lambda runs, quick: estimates.estimates(runs),
    "mechanisms": lambda runs, quick: mechanisms.costs(runs),
    "speed": lambda runs, quick: speed.rates(runs),
    "waves": lambda runs, quick: speed.waves(runs),
    "waiting": lambda runs, quick: speed.waiting(runs),
    "verilog": lambda runs, quick: speed.verilog(),
    "build": lambda runs, quick: speed.build(),
}
LACKS: dict[str, Callable[[], str]] = {"waves": speed.lacks_fst}
"""What a part lacks on this machine; empty where it can run."""
QUICK = ("streams", "marginal", "sweep", "stalls", "seed", "digits", "compiler", "networks")
SLOW = ("build",)  # only where it is asked for
NAMED = ("mechanisms",)  # only where it is named: it builds cores that nothing else needs
PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}


def chosen_parts(
    named: Sequence[str] = (), *, quick: bool = False, build: bool = False
) -> list[str]:
    """The parts to measure: those named; or the quick ones; or all, with the build or without."""
    if named:
        return [name for name in PARTS if name in named]
    if quick:
        return list(QUICK)
    usual = [name for name in PARTS if name not in NAMED]
    return [name for name in usual if build or name not in SLOW]


def run_benchmark(
    console: Console,
    *,
    parts: Iterable[str],
    quick: bool = False,
    update: bool = False,
    json_path: Path | None = None,
    baseline_path: Path = baseline.PATH,
) -> bool:
    """Measure the named `parts` and print them; `quick`: with fewer latencies and seeds.

    `update` writes the baseline; otherwise False is returned where a figure is worse than it. It
    is returned, too, where a part fails (a run without a result or with a wrong one, a simulator
    that cannot be built), or where nothing is measured.
    """
    parts = list(parts)
    left_out = {name: why for name in parts if name in LACKS and (why := LACKS[name]())}
    for name, why in left_out.items():
        console.print(f"left out: {name}: this machine lacks {why}", style="yellow", **PLAIN)
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    try:
        with Progress() as progress, Runs(progress) as runs:
            for name in (name for name in parts if name not in left_out):
                progress.step(f"benchmark: {name}")
                measured: list[Figure] = []
                try:
                    measured += PARTS[name](runs, quick)
                except VtaError as error:
                    failed[name] = str(error)
                progress.clear()
                _print_part(console, name, measured, failed.get(name))
                figures += measured
    finally:
        if json_path is not None:  # interrupted, too: some figures took minutes
            write_json(json_path, figures, left_out | failed)
    _print_missed(console, figures)
    for name, why in failed.items():
        console.print(f"failed: {name}: {why}", style="red", **PLAIN)
    if update:
        baseline.update(figures, baseline_path)
        console.print(f"{baseline_path}: written", highlight=False, markup=False)
        return not failed
    return _compare(console, figures, baseline_path) and not failed and bool(figures)


def _print_part(console: Console, name: str, measured: list[Figure], failure: str | None) -> None:
    for group in dict.fromkeys(figure.group for figure in measured):
        print_figures(console, group, [f for f in measured if f.group == group])
    if failure is not None:
        console.print(f"{name} failed: {failure}", style="red", **PLAIN)


def write_json(path: Path, figures: list[Figure], not_measured: dict[str, str]) -> None:
    """An object with the machine, a list of figures, and why parts have none, by their names; - is
    standard output.
    """
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    found = {
        "host": machine,
        "figures": [figure.to_dict() for figure in figures],
        "not_measured": not_measured,
    }
    output.write_json(path, found)


def _print_missed(console: Console, figures: list[Figure]) -> None:
    stated = [figure for figure in figures if figure.met is not None]
    missed = [figure for figure in stated if not figure.met]
    console.print(f"{len(stated) - len(missed)} of {len(stated)} targets met", highlight=False)
    for figure in missed:
        console.print(f"  missed: {figure.group}: {figure.name}", style="red", highlight=False)


def _compare(console: Console, figures: list[Figure], path: Path) -> bool:
    """Print how the fixed figures changed; False where one became worse."""
    if not path.exists():
        console.print(f"no baseline: {path} is not there", highlight=False, markup=False)
        return True
    changes = baseline.compare(figures, baseline.read(path))
    for change in changes:
        word, style = ("worse", "red") if change.worse else ("better", "green")
        console.print(f"  {word} than the baseline: {change}", style=style, highlight=False)
    if changes:
        console.print("vta bench --update accepts these figures as the baseline", highlight=False)
    else:
        console.print("no cycle figure differs from the baseline", highlight=False)
    return not any(change.worse for change in changes)
