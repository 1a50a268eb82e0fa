"""Adds the first divergence, and the pattern of all wrong bytes, to what is reported of a run."""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from vta.hw.config import Config
from vta.sim.build import BuildError
from vta.sim.device import RtlDevice
from vta.sim.divergence.bytes import wrong_bytes
from vta.sim.divergence.explain import explain, to_dict
from vta.sim.divergence.search import first_divergence
from vta.sim.divergence.trace import VARIANT
from vta.sim.findings import undefined
from vta.sim.options import RunOptions
from vta.sim.process import SimulationError
from vta.sim.report import Outcome
from vta.sim.scoreboard import device_is_wrong

__all__ = ["Finder"]

NOTHING = "no divergence: every instruction that ended wrote what the golden model writes"


class Finder:
    """Has the simulators that trace, one for each configuration, built on first use.

    It is a context manager; `progress` as for `RtlDevice`.
    """

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        self._progress = progress
        self._devices: dict[Config, RtlDevice] = {}

    def __enter__(self) -> "Finder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for device in self._devices.values():
            device.close()

    def look(
        self,
        outcome: Outcome,
        options: RunOptions,
        max_cycles: int | None = None,
        *,
        always: bool = False,
    ) -> None:
        """Where the device is wrong, or `always`, run again and add to `outcome` what is found."""
        program, result = outcome.program, outcome.result
        ended = result is not None and result.error is None
        memory = result.memory if ended and result is not None else None
        wrong = memory is not None and device_is_wrong(program, memory, outcome.findings)
        if not wrong and not always:
            return
        if doubt := undefined(outcome.findings):
            outcome.details.append(f"no first divergence is looked for: {doubt}")
            return
        try:
            lines = self._lines(outcome, options, max_cycles)
        except (BuildError, SimulationError) as error:
            lines = [f"no first divergence was found: {str(error).splitlines()[0]}"]
        if wrong and memory is not None:
            lines += wrong_bytes(program, memory)
        outcome.details += lines

    def _lines(self, outcome: Outcome, options: RunOptions, max_cycles: int | None) -> list[str]:
        program = outcome.program
        device = self.device(program.config)
        options = replace(options, events=False, window=None, reset=True)
        found = first_divergence(program, device, options, max_cycles=max_cycles)
        if found is None:
            return [NOTHING]
        outcome.divergence = to_dict(program, found)
        outcome.marks["first_divergence"] = found.cycle
        return explain(program, found)

    def device(self, config: Config) -> RtlDevice:
        """The one of a configuration."""
        if config not in self._devices:
            self._devices[config] = RtlDevice(config, variant=VARIANT, progress=self._progress)
        return self._devices[config]
