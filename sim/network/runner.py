"""The device that a network's regions run on: the golden model or the RTL, with a record of all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vta.hw.errors import VtaError
from vta.hw.isa import Stage
from vta.sim.execution import run_one, run_waves
from vta.sim.network.table import short
from vta.sim.options import RunOptions
from vta.sim.output import file_names
from vta.sim.progress import Progress
from vta.sim.report import Outcome
from vta.sim.waves import waves_path
from vta.sw.estimate import Estimate, EstimateError, estimate_program
from vta.sw.program import Device, Program, Result
from vta.sw.rules import stage_of

__all__ = ["NoResult", "Runner"]


class NoResult(VtaError):
    """A region came to no end: the network cannot go on. Its outcome says why."""


class Runner:
    """A `Device` for `CompiledNetwork`; keeps the outcome of each region's run.

    Arguments
    ---------
    device, name: what runs the programs, "rtl" or "golden".
    waves: None, or "control" or "all": what waves to write of each region.

    Members
    -------
    outcomes, estimates: in order; `waves`: of each, where its waves are.
    """

    def __init__(
        self,
        device: Device,
        name: str,
        options: RunOptions,
        progress: Progress,
        *,
        bus_bits: int | None = None,
        max_cycles: int | None = None,
        waves: str | None = None,
    ) -> None:
        self.device, self.name, self.options, self.progress = device, name, options, progress
        self.bus_bits, self.max_cycles, self.kind = bus_bits, max_cycles, waves
        self.outcomes: list[Outcome] = []
        self.estimates: list[Estimate | None] = []
        self.waves: list[Path | None] = []

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Run a region's program and record the outcome.

        Raises
        ------
        NoResult
            where it gives no result.
        """
        if self.bus_bits is not None:
            program.config = program.config.replace(axi_data_bits=self.bus_bits)
        estimate = _estimate(program, self.options)
        self.estimates.append(estimate)
        path = None
        if self.kind is not None:
            path = waves_path(
                file_names([program.name])[0], program.config, whole=self.kind == "all"
            )
        self.waves.append(path)
        outcome = self._run(program, estimate, path)
        if outcome.result is not None and outcome.result.error is None and estimate is not None:
            outcome.estimated = estimate.cycles if self.name == "rtl" else None
        self.outcomes.append(outcome)
        if outcome.result is None:
            raise NoResult(outcome.failure)
        return outcome.result

    def _run(self, program: Program, estimate: Estimate | None, waves: Path | None) -> Outcome:
        if waves is not None:
            return run_waves(
                program, waves, self.options, self.max_cycles, self.progress, self.kind == "all"
            )
        return run_one(
            self.device,
            self.name,
            program,
            self.options,
            self.max_cycles,
            show=self._by_layer(program, estimate),
            estimate=False,
        )

    def _by_layer(self, program: Program, estimate: Estimate | None) -> Callable[[int], None]:
        """Shows a device's count with the layer that it is at."""
        rtl, total = self.name == "rtl", program.registers.insn_count
        unit = "cycles" if rtl else "instructions"
        if rtl and estimate is None:
            return self.progress.cycles(program.name, unit)
        ends = np.arange(total)
        if rtl and estimate is not None:
            ends, total = estimate.ends, estimate.cycles
        names, limits = _limits(program, ends)

        def at(count: int) -> str:
            n = min(int(np.searchsorted(limits, count)), len(names) - 1)
            layer = f" {short(names[n])}, layer {n + 1} of {len(names)}," if names else ""
            return f"{program.name}:{layer} of about {total:,} {unit}"

        return self.progress.cycles(at, unit)


def _estimate(program: Program, options: RunOptions) -> Estimate | None:
    """Of a program on a memory that does not stall."""
    if options.stall_seed is not None:
        return None
    try:
        return estimate_program(program, latency=options.latency)
    except EstimateError:  # what it refuses, the core may accept
        return None


def _limits(program: Program, ends: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The program's layers, and the count up to which each is at work."""
    last: dict[str, int] = {}
    instructions = program.instructions()
    for index, entry in enumerate(program.source_map):
        if entry.get("node") and stage_of(instructions[index]) is Stage.COMPUTE:
            last[entry["node"]] = max(last.get(entry["node"], 0), int(ends[index]))
    ordered = sorted(last, key=lambda name: last[name])
    return ordered, np.array([last[name] for name in ordered])
