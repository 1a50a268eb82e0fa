"""The RTL as a Device: programs run on the Verilated core, in a simulator process of its own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vta.hw.config import KEYS, Config
from vta.hw.errors import OptionError, check_range
from vta.hw.isa import MEMORIES, ErrorClass, MemoryType
from vta.hw.registers import COUNTERS, address_of
from vta.sim.build import build_simulator
from vta.sim.cache import Progress
from vta.sim.diagnosis import diagnose, explain_early_finish, explain_error
from vta.sim.divergence.trace import UNITS, VARIANT, Trace, read_trace
from vta.sim.limits import cycle_limit
from vta.sim.monitors import Wake
from vta.sim.options import RunOptions, messages
from vta.sim.poison import poison_program
from vta.sim.process import SimulationError, SimulatorProcess
from vta.sim.timeline.events import ends, read_events
from vta.sim.violations import describe
from vta.sw.program import MAX_CYCLES, BundleError, DeviceError, Program, Result

__all__ = ["Hang", "ProtocolViolation", "RtlDevice", "RtlResult"]

BASES = ("insn_count", "insn", "uop", "inp", "wgt", "acc", "out")
STATUS = (
    "control",
    "cycles",
    "acc_writes",
    "status",
    "error_class",
    "error_index",
    "error_address",
    "fetch_index",
    "load_index",
    "compute_index",
    "store_index",
    "stage_states",
    "tokens_0",
    "tokens_1",
)
READS = (*STATUS, *(counter.name for counter in COUNTERS))
POLL_SECONDS = 0.2


class Hang(SimulationError):
    """The core came to no end; the message says what each stage does and who should act."""


class ProtocolViolation(SimulationError):
    """The core (or the memory model) broke a rule of AXI, or finished before all was done; the
    message lists the first cases.
    """


@dataclass(kw_only=True)
class RtlResult(Result):
    """A Result with what only a simulation knows.

    `stalled` counts, for each AXI channel, the cycles in which a stall held it back; `accepted`
    its transfers. `events` is the array of `timeline.EVENT`, with cycles from the launch, where
    it was asked for; `launched` is the simulator's cycle of the launch. `details` explains an error
    further, line by line.
    """

    stalled: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)
    events: np.ndarray | None = None
    launched: int | None = None
    trace: Trace | None = None
    details: list[str] = field(default_factory=list)


class RtlDevice:
    """The core of one configuration, built and started on first use; then it serves many runs.

    Arguments
    ---------
    config
        of the core; a program must have the same architecture.
    options
        of every run that is not given its own.
    variant, verilog
        as for `build_simulator`.
    progress
        called with a line of text before steps that take long.

    Any thread may call it; runs happen one at a time. It is a context manager.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        options: RunOptions | None = None,
        variant: str = "fast",
        verilog: Path | None = None,
        progress: Progress | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.config = config or Config()
        self.options = options or RunOptions()
        self._variant = variant
        self._verilog = verilog
        self._progress = progress
        self._arguments = arguments
        self._process: SimulatorProcess | None = None
        self._clean = False  # the core is in a state that a launch may follow
        self._lock = threading.RLock()

    def __enter__(self) -> "RtlDevice":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> SimulatorProcess:
        """Build and start the simulator, unless it runs already."""
        with self._lock:
            if self._process is None:
                simulator = build_simulator(
                    self.config,
                    variant=self._variant,
                    verilog=self._verilog,
                    progress=self._progress,
                )
                self._process = SimulatorProcess(simulator, arguments=self._arguments)
                self._clean = False
            return self._process

    def close(self, *, keep: bool = False) -> None:
        """End the simulator process, if there is one; `keep` its directory (waves, log)."""
        with self._lock:
            if self._process is not None:
                self._process.close(keep=keep)
                self._process = None

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
        options: RunOptions | None = None,
    ) -> RtlResult:
        """Run to FINISH or to an error that the core reports.

        `max_cycles` (None: far more than the program can need) ends a run that does not;
        `progress` is called a few times a second with the cycles so far.

        Raises
        ------
        BundleError
            where the program was made for another architecture.
        OptionError
            where `max_cycles` is below 1, or `trace` is asked for that this device has not.
        Hang, ProtocolViolation, SimulatorCrash
            see there. The next run works again.
        """
        self._check_architecture(program)
        if max_cycles is not None:
            check_range("max_cycles", max_cycles, 1, MAX_CYCLES)
        options = options or self.options
        if options.trace and self._variant != VARIANT:
            raise OptionError(
                f"trace is {options.trace}: it takes a device of the variant {VARIANT}"
            )
        with self._lock:
            if options.poison_seed is not None:
                poison = poison_program(self.config, options.poison_seed)
                self._run(poison, None, None, RunOptions(check_protocol=False))
                options = replace(options, clear_scratchpads=False)
            return self._run(program, max_cycles, progress, options)

    def access(self, *accesses: tuple[str, int] | tuple[str]) -> list[int]:
        """Write (name, value) and read (name,) registers, in order; the values read."""
        with self._lock:
            process = self.start()
            if not self._clean:
                process.ask("reset")
                self._clean = True
            listed = [[address_of(access[0]), *access[1:]] for access in accesses]
            try:
                return process.ask("registers", accesses=listed)["values"]
            except KeyboardInterrupt:  # its answer would be taken for the next one
                self.close()
                raise

    # A run ----------------------------------------------------------------------------------
    def _run(
        self,
        program: Program,
        max_cycles: int | None,
        progress: Callable[[int], None] | None,
        options: RunOptions,
    ) -> RtlResult:
        process = self.start()
        events = process.directory / "events" if options.events else None
        request = {
            "reset": options.reset or not self._clean,
            "clear": options.clear_scratchpads,
            "options": {
                **options.to_message(),
                "insn": program.registers.insn,
                "base": program.memory_base,
                "size": program.memory_size,
                "max_cycles": cycle_limit(program, options) if max_cycles is None else max_cycles,
            },
            "faults": messages(options.faults),
            "writes": [
                *([address_of(name), getattr(program.registers, name)] for name in BASES),
                [address_of("control"), 1],
            ],
            "actions": [[c, address_of(name), value] for c, name, value in options.actions],
            "reads": [address_of(name) for name in READS],
            "events": None if events is None else str(events),
            "trace": {
                "prefix": str(process.directory / "trace"),
                "units": len(UNITS),
                "wanted": options.trace_values,
            }
            if options.trace
            else None,
        }
        self._clean = False
        try:
            load(process, program)
            reply = _ask_with_progress(process, request, progress)
        except SimulationError:
            self.close(keep=True)
            raise
        except BaseException:  # KeyboardInterrupt: the simulator is in the middle of a run
            self.close()
            raise
        recorded = None if events is None else read_events(events, reply["launched"])
        trace = None
        if options.trace:
            trace = read_trace(process.directory / "trace", reply["launched"])
        try:
            result = self._result(program, options, process, reply)
        except SimulationError as error:
            error.events, error.launched = recorded, reply["launched"]
            error.trace = trace
            raise
        result.events, result.launched = recorded, reply["launched"]
        if recorded is not None:
            result.ends = ends(recorded, program.registers.insn_count)
        if trace is not None:
            result.trace = replace(trace, ended=result.error is None)
        return result

    def _result(
        self, program: Program, options: RunOptions, process: SimulatorProcess, reply: dict
    ) -> RtlResult:
        values = dict(zip(READS, reply["values"], strict=True))
        self._clean = reply["wake"] == Wake.FINISHED
        if reply["violations"]:
            raise ProtocolViolation(_violations(program, reply))
        if reply["wake"] != Wake.FINISHED:
            raise Hang(_hang(program, options, reply, values))
        result = RtlResult(
            memory=process.dram[: program.memory_size].copy(),
            cycles=values["cycles"],
            counters={c.name: values[c.name] for c in COUNTERS}
            | {"acc_writes": values["acc_writes"]},
            stalled=reply["stalled"],
            accepted=reply["accepted"],
            registers={name: values[name] for name in STATUS},
        )
        if reply["cleared"] not in (None, _scratchpad_bytes(self.config)):
            result.warnings.append(
                f"{reply['cleared']} of {_scratchpad_bytes(self.config)} bytes of the scratchpads "
                "were filled with zeros: the rest is what the run before left"
            )
        if reply["cycles"] != result.cycles:
            result.warnings.append(
                f"register cycles is {result.cycles}, but the testbench counted {reply['cycles']}"
            )
        error_class = ErrorClass(values["error_class"])
        if error_class == ErrorClass.NONE:
            if early := explain_early_finish(program, result.counters):
                raise ProtocolViolation(f"{program.name}: {early}")
        else:
            bus = error_class == ErrorClass.BUS_ERROR
            result.details = explain_error(program, error_class, values)
            result.error = DeviceError(
                error_class,
                values["error_index"],
                "; ".join(result.details[:1]),
                values["error_address"] if bus else None,
            )
        return result

    def _check_architecture(self, program: Program) -> None:
        ours, theirs = self.config.to_dict(), program.config.to_dict()
        if self.config.architecture_hash() == program.config.architecture_hash():
            return
        hashed = [
            f"{key.name} is {theirs[key.name]}, the core's is {ours[key.name]}"
            for key in KEYS
            if key.architectural and theirs[key.name] != ours[key.name]
        ]
        raise BundleError(f"{program.name} was made for another core: {'; '.join(hashed)}")


def _scratchpad_bytes(config: Config) -> int:
    kinds = (MemoryType.UOP, MemoryType.INP, MemoryType.WGT, MemoryType.ACC, MemoryType.OUT)
    memories = [MEMORIES[kind] for kind in kinds]
    return sum(memory.depth(config) * memory.element_bytes(config) for memory in memories)


def load(process: SimulatorProcess, program: Program) -> None:
    """Put the program's memory image into DRAM, zeros behind it."""
    process.map(program.memory_size)
    image = len(program.memory)
    process.dram[:image] = program.memory
    process.dram[image : program.memory_size] = 0


def _ask_with_progress(
    process: SimulatorProcess, request: dict, progress: Callable[[int], None] | None
) -> dict:
    """`process.ask("run")`, calling `progress` from here while the simulator works."""
    if progress is None:
        return process.ask("run", **request)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            progress(process.cycles)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        return process.ask("run", **request)
    finally:
        done.set()
        watcher.join()


def _violations(program: Program, reply: dict) -> str:
    count = reply["violation_count"]
    lines = [f"{program.name}: {count} AXI protocol violations; the first:"]
    for violation in reply["violations"]:
        lines += [f"  {text}" for text in describe(program, violation, reply["launched"])]
    return "\n".join(lines)


def _hang(program: Program, options: RunOptions, reply: dict, values: dict[str, int]) -> str:
    wake = Wake(reply["wake"])
    why = {
        Wake.MAX_CYCLES: "did not finish within the limit of cycles",
        Wake.NO_PROGRESS: f"hangs: nothing has moved for {options.no_progress} cycles",
        Wake.STOPPED: "was stopped",
    }[wake]
    return "\n".join([f"{program.name} {why}", *diagnose(program, values)])
