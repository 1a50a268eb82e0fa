"""The simulation's own speed: cycles per CPU second in pairs, and what a user waits for."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vta.hw.places import build_directory
from vta.sim import environment
from vta.sim.bench import marginal, streams
from vta.sim.bench.figures import Figure
from vta.sim.bench.plain_loop import run_plain_loop
from vta.sim.bench.runs import CONFIG, Runs, check, cycles_of
from vta.sim.bench.targets import SPEED
from vta.sim.build import ROOT, build_simulator
from vta.sim.device import RtlDevice, load
from vta.sim.divergence.trace import VARIANT
from vta.sim.options import RunOptions
from vta.sim.process import SimulatorProcess
from vta.sw.program import Program, Registers

__all__ = ["build", "lacks_fst", "rates", "verilog", "waiting", "waves"]

STREAM = "conv_c2_56x56x64x64_rq"
PAIRS = 5
REPEATS = 21
SHORT = ("gemm", 112)  # a program of about 1000 cycles
LOADED = 64 << 20  # bytes
STALL_SEED = 1
BUILD_STEP = """
import sys
from vta.hw.config import Config
from vta.sim.build import build_simulator, build_verilog
{"verilog": build_verilog, "simulator": build_simulator}[sys.argv[1]](Config())
"""


def cpu_seconds(process: SimulatorProcess) -> float:
    """CPU seconds of the simulator process with all its threads, and of this one."""
    # Linux's clock of another process: man 3 clock_getcpuclockid.
    return time.clock_gettime(~process.pid << 3 | 2) + time.process_time()


def measure(device: RtlDevice, program: Program, options: RunOptions) -> float:
    """Mcycle per CPU second, from loading the program to its result compared."""
    process = device.start()
    started = cpu_seconds(process)
    result = device.run(program, options=options)
    check(program, result, program.name)
    return cycles_of(result) / (cpu_seconds(process) - started) / 1e6


# Cycles per CPU second ----------------------------------------------------------------------------
def rates(runs: Runs) -> Iterator[Figure]:
    """Under cocotb, beside the plain loop, with everything on."""
    program = streams.load(STREAM)
    device = runs.device(CONFIG)
    plain = RunOptions(check_protocol=False)
    everything = RunOptions(stall_seed=STALL_SEED)
    loop = build_simulator(CONFIG, variant="bare", progress=runs.progress.step)
    ours, loops, stalled = [], [], []
    device.run(program, options=plain)  # so that all of its memory is there
    for n in range(PAIRS):
        runs.progress.note(f"simulation speed: {n + 1} of {PAIRS}")
        ours.append(measure(device, program, plain))
        cycles, seconds = run_plain_loop(loop, program, plain)
        loops.append(cycles / seconds / 1e6)
        stalled.append(measure(device, program, everything))
    ratios = [mine / bare for mine, bare in zip(ours, loops, strict=True)]
    what = f"{STREAM}, median of {PAIRS}"
    yield _rate("cocotb", ours, what)
    yield _rate(
        "cocotb over plain loop",
        ratios,
        f"pairs; the plain loop runs {statistics.median(loops):.3f}",
    )
    yield _rate("stalls and checker", stalled, what)
    yield _rate("digests over none", _digests(runs, device, program), f"pairs; {STREAM}")


def _digests(runs: Runs, device: RtlDevice, program: Program) -> list[float]:
    """Speed with digests of all writes (vta.sim.divergence) over that without, in pairs."""
    plain, traced = RunOptions(), RunOptions(trace=True)
    with RtlDevice(CONFIG, variant=VARIANT, progress=runs.progress.step) as tracing:
        tracing.run(program, options=traced)
        return [
            measure(tracing, program, traced) / measure(device, program, plain)
            for _ in range(PAIRS)
        ]


def lacks_fst() -> str:
    """Why waves cannot be measured here; empty where they can. The figure is that of FST."""
    lacks = environment.missing_headers()
    return "; ".join(f"{lack.what}: install {lack.package}" for lack in lacks)


def waves(runs: Runs) -> Iterator[Figure]:
    """With waves, as FST."""
    program = streams.load(STREAM)
    yield _rate("waves", [_with_waves(runs, program)], f"{STREAM}, default scopes")


def _with_waves(runs: Runs, program: Program) -> float:
    with tempfile.TemporaryDirectory(dir=build_directory()) as directory:
        arguments = ("--trace", "--trace-file", str(Path(directory) / "waves.fst"))
        with RtlDevice(
            CONFIG, variant="waves", arguments=arguments, progress=runs.progress.step
        ) as device:
            return measure(device, program, RunOptions())


def _rate(name: str, values: list[float], note: str) -> Figure:
    return _figure(name, statistics.median(values), note, values)


# What a user waits for: wall time -----------------------------------------------------------------
def waiting(runs: Runs) -> Iterator[Figure]:
    """Seconds of a start, milliseconds of a short run, seconds to load 64 MiB."""
    program = marginal.program(*SHORT, count=1)
    runs.device(CONFIG).start()  # built from here on

    def start() -> None:
        with RtlDevice(CONFIG) as device:
            device.access(("cycles",))

    yield _wall("device start", start, "until a register is read; built before", 3)
    device = runs.device(CONFIG)
    cycles = cycles_of(runs.run(program))
    process = device.start()
    before = cpu_seconds(process)
    trip = _wall(
        "round trip of 1000 cycles", lambda: device.run(program), f"{cycles} cycles", REPEATS, 1000
    )
    trip.note += f"; CPU {1000 * (cpu_seconds(process) - before) / REPEATS:.1f} ms"
    yield trip
    memory = np.random.default_rng(0).integers(0, 256, LOADED, np.uint8)
    big = Program(
        name="64 MiB",
        config=CONFIG,
        memory=memory,
        memory_base=0,
        memory_size=LOADED,
        registers=Registers(insn_count=0, insn=0),
    )
    with RtlDevice(CONFIG) as fresh:
        fresh.access(("cycles",))  # it serves from here on
        process = fresh.start()
        started = time.perf_counter()
        load(process, big)
        seconds = time.perf_counter() - started
    yield _figure("loading 64 MiB", seconds, "into a device that had no memory", [seconds])


def _wall(name: str, action: Callable[[], object], note: str, times: int, scale: int = 1) -> Figure:
    values = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        values.append(scale * (time.perf_counter() - started))
    return _figure(name, statistics.median(values), f"{note}; median of {times}", values)


# From nothing -------------------------------------------------------------------------------------
def verilog() -> Iterator[Figure]:
    """Seconds to generate the core's Verilog, in an empty build directory."""
    with tempfile.TemporaryDirectory(dir=build_directory()) as directory:
        yield _build_step("verilog", "Verilog", directory)


def build() -> Iterator[Figure]:
    """Seconds to build a simulator, Verilog included, in an empty build directory."""
    with tempfile.TemporaryDirectory(dir=build_directory()) as directory:
        yield _build_step("simulator", "build from nothing", directory)


def _build_step(step: str, name: str, directory: str) -> Figure:
    """One step in a process of its own, since the build directory is chosen at the start."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", BUILD_STEP, step],
        check=True,
        cwd=ROOT,
        env=os.environ | {"VTA_BUILD": directory},
    )
    seconds, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user
    cpu -= before.children_system
    return _figure(name, seconds, f"wall time; {cpu:.0f} CPU seconds", [seconds])


def _figure(name: str, value: float, note: str, values: list[float]) -> Figure:
    speed = SPEED[name]
    if speed.stated is not None:
        note += f"; the documentation says {speed.stated:g}"
    return Figure(
        group="simulation",
        name=name,
        ours=round(value, 4),
        unit=speed.unit,
        must=speed.must,
        anchor=speed.anchor,
        aims=() if speed.aim is None else (speed.aim,),
        higher=speed.higher,
        note=note,
        detail={"values": values},
    )
