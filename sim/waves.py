"""Waves of a run, with the stages' states and instructions as readable names.

The simulator for waves is a build of its own. It writes FST, with the names that decoder.py
generates; or VCD, which is larger and has their numbers, where the machine lacks the headers that
FST needs. The MAC array and the ALU lanes are left out unless they are asked for: they are most of
the signals, and slow.
"""

from collections.abc import Callable
from pathlib import Path

from vta.hw.config import Config
from vta.hw.errors import OptionError
from vta.hw.places import build_directory
from vta.sim import environment
from vta.sim.build import built_simulator
from vta.sim.device import RtlDevice, RtlResult
from vta.sim.options import RunOptions
from vta.sim.toolchain import compiler
from vta.sw.program import Program

__all__ = ["VARIANTS", "run_with_waves", "wave_format", "waves_path", "why_vcd"]

VARIANTS = {"fst": "waves", "vcd": "waves_vcd"}
WHOLE = {"fst": "waves_all", "vcd": "waves_all_vcd"}
"""With the data path."""


def wave_format(config: Config, *, whole: bool = False) -> str:
    """What waves are written as: a key of `VARIANTS`, "fst" where that is possible."""
    if not environment.missing_headers():
        return "fst"
    variant = (WHOLE if whole else VARIANTS)["fst"]
    built = not compiler() and built_simulator(config, variant)
    return "fst" if built else "vcd"


def why_vcd() -> str:
    """What FST lacks here, in one line with what to install."""
    packages = [lack.package for lack in environment.missing_headers()]
    return f"as VCD; for FST, smaller and with names of states, install {' '.join(packages)}"


def waves_path(name: str, config: Config, *, whole: bool = False) -> Path:
    """Where waves go by default: the file called `name`."""
    return build_directory() / "waves" / f"{name}.{wave_format(config, whole=whole)}"


def run_with_waves(
    program: Program,
    path: Path,
    *,
    options: RunOptions | None = None,
    max_cycles: int | None = None,
    step: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
    whole: bool = False,
) -> RtlResult:
    """Run a program in a simulator of its own and write its waves to `path`, FST or VCD by its
    suffix; `options.window` says of which cycles, `whole` whether the data path is in them.

    `step` and `progress` as for `RtlDevice` and its `run`.

    Raises
    ------
    OptionError
        where the suffix is another.
    What `RtlDevice.run` raises; the waves up to there are written all the same.
    """
    path = path.resolve()
    variant = (WHOLE if whole else VARIANTS).get(path.suffix.removeprefix("."))
    if variant is None:
        raise OptionError(f"{path}: waves are .fst or .vcd")
    arguments = ["--trace", "--trace-file", str(path)]
    window = options.window if options is not None else None
    if window is not None:
        arguments.append("--trace-window")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of another run: whatever happens now, it is not of this one
    device = RtlDevice(
        program.config, options=options, variant=variant, progress=step, arguments=tuple(arguments)
    )
    with device:
        result = device.run(program, max_cycles=max_cycles, progress=progress)
    if window is not None and window[0] > (result.cycles or 0):
        result.warnings.append(
            f"no waves: the window begins at cycle {window[0]}, the run has {result.cycles}"
        )
    return result
