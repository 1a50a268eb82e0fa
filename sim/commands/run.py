"""`vta run`: programs on a device, compared with what they expect.

A directory is a compiled network: `vta.sim.commands.run_network`.
"""

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from vta.hw.config import Config
from vta.hw.errors import OptionError, check_range
from vta.sim.commands import run_network
from vta.sim.commands.common import add_json_argument, result_console
from vta.sim.device import RtlDevice
from vta.sim.divergence.finder import Finder
from vta.sim.execution import run_one, run_waves, say_how_to_open
from vta.sim.exit import Exit
from vta.sim.findings import warnings_of
from vta.sim.options import RunOptions
from vta.sim.output import check_output, file_names
from vta.sim.progress import Progress
from vta.sim.report import Outcome, print_explanation, print_outcomes, print_split, write_json
from vta.sim.views import write_run_views
from vta.sim.waves import waves_path
from vta.sw.golden import GoldenDevice
from vta.sw.program import MAX_CYCLES, Device, Program

HELP = "run stream bundles, or a compiled network, and compare every expected byte"
CONTROL, ALL = "control", "all"
CYCLES_BEFORE, CYCLES_AFTER = 300, 100  # of the waves around a first divergence
EXAMPLES = (
    "vta run tests/streams/*.npz",
    "vta run conv.npz --latency 64 --stall 7 --split",
    "vta run conv.npz --device golden --json result.json",
    "vta run conv.npz --first-divergence",
    "vta run conv.npz --timeline conv.json   # open it at ui.perfetto.dev",
    "vta run conv.npz --explain-cycles",
    "vta run conv.npz --html conv.html       # the same as a page by itself",
    "vta run conv.npz --waves --from-cycle 2000 --to-cycle 2500",
    *run_network.EXAMPLES,
)
DEVICE_HELP = "rtl: the core in its simulator (default); golden: the NumPy model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE|DIR", help="stream bundle (.npz)")
    add("--device", choices=("rtl", "golden"), default="rtl", help=DEVICE_HELP)
    add(
        "--latency",
        type=int,
        default=16,
        metavar="N",
        help="latency of the memory, 1 to 4096 cycles (default 16)",
    )
    add("--bus-bits", type=int, metavar="N", help="AXI data width (default: the bundle's)")
    add("--stall", type=int, metavar="SEED", help="let the bus's channels stall at random")
    add(
        "--stall-rate", type=float, metavar="P", help=f"how often (default {RunOptions.stall_rate})"
    )
    add(
        "--stall-length",
        type=int,
        metavar="N",
        help=f"how long (default {RunOptions.stall_length})",
    )
    add("--poison", type=int, metavar="SEED", help="random bytes in the scratchpads, not zeros")
    add(
        "--allow-unchecked",
        action="store_true",
        help=f"exit with 0, not {Exit.UNCHECKED}, where a bundle expects nothing",
    )
    add("--max-cycles", type=int, metavar="N", help="stop a run after N cycles")
    add("--split", action="store_true", help="show what each stage did in the cycles")
    add(
        "--first-divergence",
        action="store_true",
        help="name the first instruction that wrote something else than the golden model (done by "
        "itself after a mismatch where the device is wrong)",
    )
    add(
        "--explain-cycles",
        action="store_true",
        help="say where the cycles went: by stage and cause, and which instructions cost most",
    )
    add_json_argument(parser, "the results")
    add("--timeline", type=Path, metavar="FILE", help="write when each instruction ran (Perfetto)")
    add("--html", type=Path, metavar="FILE", help="write the same as a page for any browser")
    add(
        "--waves",
        action="store_const",
        const=CONTROL,
        help="write waves of each run: FST, or VCD (make check)",
    )
    add(f"--waves={ALL}", action="store_const", const=ALL, dest="waves", help="... and of its data")
    for name, what in (("from", "first"), ("to", "last")):
        add(f"--{name}-cycle", type=int, metavar="N", help=f"{what} cycle to write to the waves")

    run_network.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    network = run_network.is_network(args.files)
    if not network:
        run_network.check_not_given(args)
    rtl_only = {
        "--timeline": args.timeline,
        "--html": args.html,
        "--explain-cycles": args.explain_cycles,
        "--waves": args.waves,
        "--stall": args.stall,
        "--poison": args.poison,
        "--first-divergence": args.first_divergence,
    }
    for name, value in rtl_only.items():
        if args.device == "golden" and value is not None and value is not False:
            raise OptionError(f"{name} needs --device rtl: the golden model has no cycles")
    for option, path in (("--timeline", args.timeline), ("--html", args.html)):
        if path and len(args.files) > 1:
            raise OptionError(f"{option} takes one bundle; {len(args.files)} are given")
        check_output(option, path)
    if args.max_cycles is not None:
        check_range("--max-cycles", args.max_cycles, 1, MAX_CYCLES)
    check_output("--json", args.json)
    seen = args.timeline or args.html or args.waves or args.explain_cycles
    options = RunOptions(
        latency=args.latency,
        stall_seed=args.stall,
        **_stalls(args),
        poison_seed=args.poison,
        events=bool(seen) or (network and args.device == "rtl"),  # cycles of layers come of them
        window=_window(args),
    )
    if network:
        return run_network.run(args, options)
    programs = [_load(path, args.bus_bits) for path in args.files]
    with Progress() as progress, contextlib.ExitStack() as stack:
        devices: dict[Config, Device] = {}
        finder = stack.enter_context(Finder(progress.step))
        outcomes = []
        for program, name in zip(programs, file_names([p.name for p in programs]), strict=True):
            waves, chosen = None, options
            if args.waves:
                whole = args.waves == ALL
                waves = waves_path(name, program.config, whole=whole)
                if args.first_divergence:
                    chosen = _around_divergence(finder, program, options, args.max_cycles)
                outcome = run_waves(program, waves, chosen, args.max_cycles, progress, whole)
            else:
                if program.config not in devices:
                    devices[program.config] = _device(args.device, program, stack, progress)
                device = devices[program.config]
                outcome = run_one(device, args.device, program, options, args.max_cycles, progress)
            if args.device == "rtl":
                finder.look(outcome, options, args.max_cycles, always=args.first_divergence)
            outcomes.append(outcome)
            if options.events:
                written = write_run_views(
                    outcome,
                    timeline=args.timeline,
                    html=args.html,
                    waves=waves,
                    window=chosen.window,
                    explain=args.explain_cycles,
                )
                say_how_to_open(progress, written)
    console = result_console(args.json)
    print_outcomes(console, outcomes)
    for outcome in outcomes if args.split else ():
        print_split(console, outcome)
    for outcome in outcomes:
        print_explanation(console, outcome)
    if args.json:
        write_json(args.json, outcomes)
    return _exit_status(outcomes, args.allow_unchecked)


def _exit_status(outcomes: list[Outcome], allow_unchecked: bool) -> Exit:
    if any(outcome.match is False for outcome in outcomes):
        return Exit.WRONG
    unchecked = any(outcome.match is None for outcome in outcomes)
    return Exit.UNCHECKED if unchecked and not allow_unchecked else Exit.OK


def _stalls(args: argparse.Namespace) -> dict[str, Any]:
    """How often and how long the bus stalls, where that is said."""
    said = {"stall_rate": args.stall_rate, "stall_length": args.stall_length}
    chosen = {name: value for name, value in said.items() if value is not None}
    if chosen and args.stall is None:
        raise OptionError(
            "--stall-rate and --stall-length need --stall SEED: they say how it stalls"
        )
    return chosen


def _window(args: argparse.Namespace) -> tuple[int, int | None] | None:
    """The cycles to have in the waves; None: all."""
    if (args.from_cycle, args.to_cycle) == (None, None):
        return None
    if not args.waves:
        raise OptionError("--from-cycle and --to-cycle need --waves: they say what it writes")
    return args.from_cycle or 0, args.to_cycle


def _around_divergence(
    finder: Finder, program: Program, options: RunOptions, max_cycles: int | None
) -> RunOptions:
    """The options with a window of waves around the first divergence, unless one was chosen."""
    if options.window is not None:
        return options
    found = Outcome(program, "rtl", None, findings=warnings_of(program))
    finder.look(found, options, max_cycles, always=True)
    cycle = found.marks.get("first_divergence")
    if cycle is None:
        return options
    return replace(options, window=(max(0, cycle - CYCLES_BEFORE), cycle + CYCLES_AFTER))


def _load(path: Path, bus_bits: int | None) -> Program:
    program = Program.load(path)
    if bus_bits is not None:
        program.config = program.config.replace(axi_data_bits=bus_bits)
    return program


def _device(name: str, program: Program, stack: contextlib.ExitStack, progress: Progress) -> Device:
    if name == "golden":
        return GoldenDevice()
    return stack.enter_context(RtlDevice(program.config, progress=progress.step))
