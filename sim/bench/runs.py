"""Checked runs: devices by configuration, and programs whose results must be right."""

from functools import cache

from vta.hw.config import Config
from vta.hw.errors import VtaError
from vta.sim.device import RtlDevice, RtlResult
from vta.sim.options import RunOptions
from vta.sim.progress import Progress
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program

__all__ = ["BenchError", "Runs", "with_golden"]

CONFIG = Config()


class BenchError(VtaError, RuntimeError):
    """A run whose result is wrong: its cycles count for nothing."""


class Runs:
    """Devices that stay open, one a configuration. A context manager."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._devices: dict[Config, RtlDevice] = {}

    def __enter__(self) -> "Runs":
        return self

    def __exit__(self, *_: object) -> None:
        for device in self._devices.values():
            device.close()
        self._devices.clear()

    def device(self, config: Config) -> RtlDevice:
        """The RTL of a configuration, built and started when first asked for."""
        if config not in self._devices:
            self._devices[config] = RtlDevice(config, progress=self.progress.step)
        return self._devices[config]

    def run(self, program: Program, options: RunOptions | None = None) -> RtlResult:
        """Run a program on the RTL and compare all that it expects.

        Raises
        ------
        BenchError
            where the result is wrong, or the core reports an error.
        SimulationError
            where there is no result.
        """
        options = options or RunOptions()
        what = f"{program.name}, latency {options.latency}"
        device = self.device(program.config)
        device.start()  # before the clock of the progress starts
        self.progress.note(what)
        result = device.run(program, options=options, progress=self.progress.cycles(what))
        check(program, result, what)
        return result

    def cycles(self, program: Program, latency: int = 16) -> int:
        """Cycles of a checked run."""
        return cycles_of(self.run(program, RunOptions(latency=latency)))


def cycles_of(result: RtlResult) -> int:
    """The cycles, which the RTL always has."""
    assert result.cycles is not None
    return result.cycles


def check(program: Program, result: RtlResult, what: str) -> None:
    """BenchError where a result is not what the program expects."""
    if result.error is not None:
        raise BenchError(f"{what}: {result.error.error_class.name} at {result.error.index}")
    if not program.expected:
        raise BenchError(f"{what}: the program expects nothing, so its run shows nothing")
    wrong = program.first_mismatch(result.memory)
    if wrong is not None:
        raise BenchError(
            f"{what}: {wrong.bytes_wrong} bytes are wrong, the first at {wrong.address:#x}"
        )


def with_golden(program: Program) -> Program:
    """The program, expecting the whole memory that the golden model ends with."""
    golden = _golden()
    result = golden.run(program)
    if result.error is not None or result.warnings:
        raise BenchError(f"{program.name} cannot be a benchmark: {result.error or result.warnings}")
    program.expected = [(program.memory_base, result.memory)]
    return program


@cache
def _golden() -> GoldenDevice:
    return GoldenDevice()
