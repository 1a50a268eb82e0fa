"""One run of a program on a device: whatever goes wrong becomes part of its outcome."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from vta.sim.device import Hang, RtlDevice, RtlResult
from vta.sim.findings import undefined, warnings_of
from vta.sim.options import RunOptions
from vta.sim.process import SimulationError
from vta.sim.progress import Progress
from vta.sim.report import Outcome
from vta.sim.scoreboard import explain_leftovers, explain_mismatch
from vta.sim.waves import run_with_waves, why_vcd
from vta.sw.check import check
from vta.sw.estimate import EstimateError, estimate_program
from vta.sw.program import Device, DeviceError, Program

__all__ = ["explained", "failures", "run_one", "run_waves", "say", "say_how_to_open"]
__all__ += ["shown"]

CORE_WRONG = ": is the core wrong?"
WARNINGS_SHOWN = 5  # of each stream; the JSON has all


def run_one(
    device: Device,
    name: str,
    program: Program,
    options: RunOptions,
    max_cycles: int | None = None,
    progress: Progress | None = None,
    *,
    show: Callable[[int], None] | None = None,
    estimate: bool = True,
) -> Outcome:
    """Run a program; whatever goes wrong becomes part of the outcome.

    Arguments
    ---------
    show: takes the device's counts; None: `progress` shows them.
    estimate: the cycles too.
    """
    if show is None and progress is not None:
        show = progress.cycles(program.name, "cycles" if name == "rtl" else "instructions")
    with failures(program, name) as outcome:
        if isinstance(device, RtlDevice):
            result = device.run(program, max_cycles=max_cycles, progress=show, options=options)
            outcome.estimated = _estimated(program, result, options) if estimate else None
        else:
            result = device.run(program, max_cycles=max_cycles, progress=show)
        outcome.result = result
    return explained(outcome)


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
    with failures(program, "rtl") as outcome:
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
                say(progress, f"waves: {shown(path)}{why}")
    return explained(outcome)


@contextlib.contextmanager
def failures(program: Program, device: str) -> Iterator[Outcome]:
    outcome = Outcome(program, device, None, findings=warnings_of(program))
    try:
        yield outcome
    except SimulationError as error:
        first, *rest = str(error).splitlines()
        outcome.failure = first if isinstance(error, Hang) else f"{type(error).__name__}: {first}"
        outcome.events, outcome.launched = error.events, error.launched
        outcome.details = rest


def explained(outcome: Outcome) -> Outcome:
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


def say_how_to_open(progress: Progress, views: tuple[Path, ...]) -> None:
    """The commands that open waves ready: Surfer looks for names where it is started."""
    if views:
        gtkwave, surfer = views
        say(progress, f"open them: gtkwave {shown(gtkwave)}")
        place = shown(surfer.parent)
        say(progress, f"or: cd {place} && surfer --command-file {surfer.name}")


def say(progress: Progress, text: str) -> None:
    progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


def shown(path: Path) -> Path:
    """Relative to the working directory where it lies below it."""
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
