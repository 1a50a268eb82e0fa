"""`vta run`: programs on a device, compared with what they expect."""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vta.hw.config import Config
from vta.hw.errors import OptionError, check_range
from vta.sim.commands.common import add_json_argument, result_console
from vta.sim.device import Hang, RtlDevice, RtlResult
from vta.sim.divergence.finder import Finder
from vta.sim.exit import Exit
from vta.sim.findings import undefined, warnings_of
from vta.sim.options import RunOptions
from vta.sim.output import check_output, file_names
from vta.sim.process import SimulationError
from vta.sim.progress import Progress
from vta.sim.report import Outcome, print_explanation, print_outcomes, print_split, write_json
from vta.sim.scoreboard import explain_leftovers, explain_mismatch
from vta.sim.views import write_run_views
from vta.sim.waves import run_with_waves, waves_path, why_vcd
from vta.sw.check import check
from vta.sw.estimate import EstimateError, estimate_program
from vta.sw.golden import GoldenDevice
from vta.sw.program import MAX_CYCLES, Device, DeviceError, Program

HELP = "run stream bundles and compare every expected byte"
CONTROL, ALL = "control", "all"
CYCLES_BEFORE, CYCLES_AFTER = 300, 100  # of the waves around a first divergence
CORE_WRONG = ": is the core wrong?"
WARNINGS_SHOWN = 5  # of each stream; the JSON has all
EXAMPLES = (
    "vta run tests/streams/*.npz",
    "vta run conv.npz --latency 64 --stall 7 --split",
    "vta run conv.npz --device golden --json result.json",
    "vta run conv.npz --first-divergence",
    "vta run conv.npz --timeline conv.json   # open it at ui.perfetto.dev",
    "vta run conv.npz --explain-cycles",
    "vta run conv.npz --html conv.html       # the same as a page by itself",
    "vta run conv.npz --waves --from-cycle 2000 --to-cycle 2500",
)
DEVICE_HELP = "rtl: the core in its simulator (default); golden: the NumPy model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="stream bundle (.npz)")
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


def run(args: argparse.Namespace) -> int:
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
    options = RunOptions(
        latency=args.latency,
        stall_seed=args.stall,
        **_stalls(args),
        poison_seed=args.poison,
        events=bool(args.timeline or args.html or args.waves or args.explain_cycles),
        window=_window(args),
    )
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
                _say_how_to_open(progress, written)
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


def run_one(
    device: Device,
    name: str,
    program: Program,
    options: RunOptions,
    max_cycles: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run a program; whatever goes wrong becomes part of the outcome."""
    unit = "cycles" if name == "rtl" else "instructions"
    show = progress.cycles(program.name, unit) if progress else None
    with _failures(program, name) as outcome:
        if isinstance(device, RtlDevice):
            result = device.run(program, max_cycles=max_cycles, progress=show, options=options)
            outcome.estimated = _estimated(program, result, options)
        else:
            result = device.run(program, max_cycles=max_cycles, progress=show)
        outcome.result = result
    return _explained(outcome)


def _estimated(program: Program, result: RtlResult, options: RunOptions) -> int | None:
    """Estimated cycles of what ran to its end, on a memory that does not stall."""
    if result.error is not None or options.stall_seed is not None:
        return None
    try:
        return estimate_program(program, latency=options.latency).cycles
    except EstimateError:  # what it refuses, the core may accept
        return None


def run_waves(
    program: Program,
    path: Path,
    options: RunOptions,
    max_cycles: int | None,
    progress: Progress,
    whole: bool,
) -> Outcome:
    """The same with waves, in a simulator of its own; says where they are, whatever happens."""
    with _failures(program, "rtl") as outcome:
        try:
            outcome.result = result = run_with_waves(
                program,
                path,
                options=options,
                max_cycles=max_cycles,
                step=progress.step,
                progress=progress.cycles(program.name),
                whole=whole,
            )
            outcome.estimated = _estimated(program, result, options)
        finally:
            if path.exists():
                why = f" ({why_vcd()})" if path.suffix == ".vcd" else ""
                _say(progress, f"waves: {_shown(path)}{why}")
    return _explained(outcome)


def _say_how_to_open(progress: Progress, views: tuple[Path, ...]) -> None:
    """The commands that open waves ready: Surfer looks for names where it is started."""
    if views:
        gtkwave, surfer = views
        _say(progress, f"open them: gtkwave {_shown(gtkwave)}")
        place = _shown(surfer.parent)
        _say(progress, f"or: cd {place} && surfer --command-file {surfer.name}")


def _say(progress: Progress, text: str) -> None:
    progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _failures(program: Program, device: str) -> Iterator[Outcome]:
    outcome = Outcome(program, device, None, findings=warnings_of(program))
    try:
        yield outcome
    except SimulationError as error:
        first, *rest = str(error).splitlines()
        outcome.failure = first if isinstance(error, Hang) else f"{type(error).__name__}: {first}"
        outcome.events, outcome.launched = error.events, error.launched
        outcome.details = rest


def _explained(outcome: Outcome) -> Outcome:
    """Add the lines that say where a run went wrong."""
    result = outcome.result
    if isinstance(result, RtlResult):
        outcome.events, outcome.launched = result.events, result.launched
    if result is None:
        pass
    elif result.error is None:
        outcome.details = explain_mismatch(outcome.program, result.memory, outcome.findings)
    else:
        details = getattr(result, "details", []) or [result.error.reason]
        outcome.details = [f"error {outcome.verdict}: {details[0]}", *details[1:]]
        outcome.details += _second_opinion(outcome, result.error)
        outcome.details += explain_leftovers(outcome.program, result.memory, outcome.findings)
    outcome.details += [f"warning: {text}" for text in outcome.warnings[:WARNINGS_SHOWN]]
    more = len(outcome.warnings) - WARNINGS_SHOWN
    if more > 0:
        outcome.details.append(f"and {more} more warnings: vta check lists them")
    return outcome


def _second_opinion(outcome: Outcome, error: DeviceError) -> list[str]:
    """What the static checker says about an error that the core reported by a number."""
    if outcome.device != "rtl":
        return []
    found = check(outcome.program).errors
    if not found:
        doubt = undefined(outcome.findings)
        return ["the static checker finds no error" + (f", but {doubt}" if doubt else CORE_WRONG)]
    agrees = (found[0].error_class, found[0].index) == (error.error_class, error.index)
    where = "" if agrees else f" {found[0].error_class.name} at instruction {found[0].index}:"
    return [f"the static checker says:{where} {found[0].reason}"]


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


def _shown(path: Path) -> Path:
    """Relative to the working directory where it lies below it."""
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
