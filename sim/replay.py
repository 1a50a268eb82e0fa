"""A run that went wrong, kept for later: the bundle, the command that repeats it, what it shows."""

import shlex
from collections.abc import Callable
from pathlib import Path

from vta.hw.places import build_directory
from vta.sim.divergence.finder import Finder
from vta.sim.findings import warnings_of
from vta.sim.options import RunOptions
from vta.sim.output import file_names
from vta.sim.report import Outcome
from vta.sw.program import Program, Result

__all__ = ["command_line", "keep_failure"]

OPTIONS = {  # field: option of `vta run`
    "latency": "--latency",
    "stall_seed": "--stall",
    "stall_rate": "--stall-rate",
    "stall_length": "--stall-length",
    "poison_seed": "--poison",
}
ONLY_PYTHON = ("out_of_order", "faults", "actions")
BEFORE = ("reset", "clear_scratchpads")


def command_line(path: Path, options: RunOptions, max_cycles: int | None = None) -> str:
    """The `vta run` that repeats a run, and what of its options it cannot say."""
    default = RunOptions()
    words = ["vta", "run", str(path)]
    for field, option in OPTIONS.items():
        value = getattr(options, field)
        needless = field.startswith("stall_") and options.stall_seed is None
        if value != getattr(default, field) and not needless:
            words += [option, str(value)]
    if max_cycles is not None:
        words += ["--max-cycles", str(max_cycles)]
    text = shlex.join(words)
    missing = [name for name in ONLY_PYTHON if getattr(options, name) != getattr(default, name)]
    if missing:
        text += f"   # without {', '.join(missing)}: only RunOptions has that"
    if any(getattr(options, name) != getattr(default, name) for name in BEFORE):
        text += "   # the core was launched as the run before had left it"
    return text


def keep_failure(
    program: Program,
    options: RunOptions,
    result: Result | None,
    *,
    max_cycles: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Save the bundle of a run that went wrong in the build directory; lines that say how to repeat
    it, and name the first instruction that wrote something else than the golden model.
    """
    directory = build_directory() / "failures"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{file_names([program.name])[0]}.npz"
    program.save(path)
    outcome = Outcome(program, "rtl", result, findings=warnings_of(program))
    with Finder(progress) as finder:
        finder.look(outcome, options, max_cycles, always=True)
    return [f"to repeat it: {command_line(path, options, max_cycles)}", *outcome.details]
