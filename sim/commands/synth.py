"""`vta synth`: area and timing of the core on FPGAs, compared with the baseline."""

import argparse
import re

from rich.console import Console
from rich.table import Table

from vta.hw.config import Config
from vta.hw.errors import check_range
from vta.hw.synthesis import (
    FLOWS,
    SEED,
    Check,
    Figures,
    Flow,
    check,
    read_baseline,
    synthesize,
    write_baseline,
)
from vta.sim.commands.common import (
    add_config_arguments,
    add_json_argument,
    chosen_config,
    result_console,
)
from vta.sim.exit import Exit
from vta.sim.output import check_output, write_json
from vta.sim.progress import Progress

HELP = "synthesise the core for FPGAs: area by unit, Fmax, critical path, against the baseline"
EXAMPLES = (
    "vta synth",
    "vta synth --flow ecp5 --seed 3",
    "vta synth --flow xilinx7 --preset 2x16 --json area.json",
    "vta synth --update   # the figures become the baseline",
)

MAX_SEED = (1 << 31) - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flow", choices=tuple(FLOWS), help="only this one (default: all)")
    parser.add_argument(
        "--seed",
        type=int,
        default=SEED,
        metavar="N",
        help=f"seed of the placement (default {SEED})",
    )
    parser.add_argument(
        "--update", action="store_true", help="make the figures the baseline, whatever they are"
    )
    add_json_argument(parser, "the figures")
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    check_range("--seed", args.seed, 0, MAX_SEED)
    check_output("--json", args.json)
    flows = [FLOWS[args.flow]] if args.flow else list(FLOWS.values())
    with Progress() as progress:
        all_figures = [
            synthesize(flow, _config(args, flow), seed=args.seed, progress=progress.step)
            for flow in flows
        ]
    console = result_console(args.json)
    for flow, figures in zip(flows, all_figures, strict=True):
        _print(console, flow, figures)
    if args.json:
        write_json(args.json, [f.to_dict() for f in all_figures])
    if args.update:
        write_baseline(all_figures)
        console.print("The baseline is updated.")
        return Exit.OK
    baseline = read_baseline()
    checks = [check(figures, baseline.get(figures.name)) for figures in all_figures]
    return _verdict(console, checks)


def _config(args: argparse.Namespace, flow: Flow) -> Config:
    """What the arguments say; by default the flow's own configuration."""
    if args.config is None and args.preset is None:
        bus = {} if args.bus_bits is None else {"axi_data_bits": args.bus_bits}
        return Config.preset(flow.preset, **bus)
    return chosen_config(args)


def _print(console: Console, flow: Flow, figures: Figures) -> None:
    resources = [r for r in flow.resources if r in figures.resources]
    table = Table(
        title=f"{flow.title}: {figures.config}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("unit")
    for resource in resources:
        table.add_column(resource, justify="right")
    rows = [*figures.units.items(), ("total", figures.resources)]
    for unit, amounts in rows:
        cells = (f"{amounts.get(r, 0):g}" if amounts.get(r) else "-" for r in resources)
        table.add_row(unit, *cells, style="bold" if unit == "total" else "")
    console.print(table)
    kinds: dict[str, list[str]] = {}
    for memory, kind in figures.memories.items():
        name = re.sub(r"_\d+$", "_*", memory)
        if name not in kinds.setdefault(kind, []):
            kinds[kind].append(name)
    for kind, memories in kinds.items():
        console.print(f"{kind}: {', '.join(memories)}", highlight=False)
    if figures.fmax_mhz is not None and figures.path is not None:
        path = figures.path
        console.print(
            f"{figures.fmax_mhz:.1f} MHz; critical path {path.delay_ns} ns, {path.levels} levels, "
            f"wires {path.wires_ns} ns: {' > '.join(path.units)}\n"
            f"  from {path.cells[0]}\n  to   {path.cells[-1]}",
            highlight=False,
        )
    console.print()


def _verdict(console: Console, checks: list[Check]) -> int:
    """Print what failed and what got better; exit status 1 where something failed."""
    failures = [line for result in checks for line in result.failures]
    for line in failures:
        console.print(line, style="red", highlight=False)
    for line in (line for result in checks for line in result.improvements):
        console.print(f"better than the baseline: {line}", highlight=False)
    if failures:
        console.print("vta synth --update makes these figures the baseline.")
        return Exit.WRONG
    console.print("Within limits and baseline.")
    return Exit.OK
