"""Waves: an FST of a run, with the stages' states and instructions as readable names.

The simulator for waves is a build of its own, with the names that decoder.py generates; Verilator
stores them in the file. The MAC array and the ALU lanes are left out: they are most of the
signals, and slow.
"""

from collections.abc import Callable
from pathlib import Path

from hw.places import build_directory
from sim.device import RtlDevice, RtlResult
from sim.options import RunOptions
from sw.program import Program

__all__ = ["run_with_waves", "waves_path"]


def waves_path(program: Program) -> Path:
    """Where the waves of a program go by default."""
    return build_directory() / "waves" / f"{program.name}.fst"


def run_with_waves(
    program: Program,
    path: Path,
    *,
    options: RunOptions | None = None,
    max_cycles: int | None = None,
    step: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> RtlResult:
    """Run a program in a simulator of its own and write its waves to `path` (FST).

    Raises what `RtlDevice.run` raises; the waves up to there are written all the same. `step` and
    `progress` as for `RtlDevice` and its `run`.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = ("--trace", "--trace-file", str(path))
    device = RtlDevice(
        program.config, options=options, variant="waves", progress=step, arguments=arguments
    )
    with device:
        return device.run(program, max_cycles=max_cycles, progress=progress)
