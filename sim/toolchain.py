"""What a build needs of the machine: compiler, packages, Python's own library."""

import os
import shutil
import subprocess
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from hw.errors import VtaError
from sim import environment

__all__ = [
    "BuildError", "check_machine", "cocotb_libraries", "compiler", "libpython", "package",
    "vector_flags",
]  # fmt: skip


class BuildError(VtaError, RuntimeError):
    """The Verilog or the simulator cannot be built; says why in one line, and where the log is."""


def check_machine(*, waves: bool) -> None:
    """BuildError where a program or header is missing; it names each with its package."""
    lacks = environment.missing(waves=waves)
    if lacks:
        named = "; ".join(
            lack.what + (f": install {lack.package}" if lack.package else "") for lack in lacks
        )
        raise BuildError(f"this machine lacks {named}")


@cache
def compiler() -> str:
    """Version and target of g++; empty where there is none."""
    program = shutil.which("g++")
    if program is None:
        return ""
    done = subprocess.run([program, "-dumpfullversion", "-dumpmachine"], capture_output=True,
                          text=True, check=False)  # fmt: skip
    return done.stdout


@cache
def vector_flags() -> str:
    """AVX2 and its companions where this machine and its compiler have them: a fifth faster.

    (Not -march=native: with AVX-512, g++ 12 makes slower code of this.)
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return ""
    wanted = "-march=x86-64-v3"
    command = ["g++", wanted, "-fsyntax-only", "-x", "c++", os.devnull]
    if not {"avx2", "bmi1", "bmi2", "fma", "movbe", "abm", "f16c"} <= flags or not compiler():
        return ""
    done = subprocess.run(command, capture_output=True, check=False)
    return wanted if done.returncode == 0 else ""


def package(name: str) -> Path:
    """Directory of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise BuildError(f"package {name} is not installed: run make env")
    return Path(spec.origin).parent


def cocotb_libraries() -> Path:
    """The directory of the installed cocotb's libraries."""
    return package("cocotb") / "libs"


def libpython() -> Path:
    """The shared library of this Python, which the simulator loads.

    Raises
    ------
    BuildError
        where this Python was built without one.
    """
    from find_libpython import find_libpython

    found = find_libpython()
    if found is None:
        name = f"libpython{sysconfig.get_config_var('LDVERSION')}"
        raise BuildError(f"this Python has no shared library: install {name}")
    return Path(found)
