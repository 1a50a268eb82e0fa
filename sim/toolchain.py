"""What a build needs of the machine: compiler, packages, Python's own library."""

import os
import shutil
import subprocess
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from vta.hw.errors import VtaError
from vta.sim import environment

__all__ = [
    "BuildError",
    "check_machine",
    "cocotb_libraries",
    "compiler",
    "has_vectors",
    "libpython",
    "package",
    "vector_flags",
]


class BuildError(VtaError, RuntimeError):
    """The Verilog or the simulator cannot be built; says why in one line, and where the log is."""


def check_machine(*, fst: bool) -> None:
    """BuildError where a program is missing, or a header of FST waves where it is for `fst`; it
    names each with its package.
    """
    lacks = environment.missing(waves=fst)
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
    done = subprocess.run(
        [program, "-dumpfullversion", "-dumpmachine"], capture_output=True, text=True, check=False
    )
    return done.stdout


@cache
def has_vectors() -> bool:
    """Whether this machine has AVX2 and its companions."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return {"avx2", "bmi1", "bmi2", "fma", "movbe", "abm", "f16c"} <= flags


@cache
def vector_flags() -> str:
    """What makes the compiler use AVX2, where it and the machine have that: a fifth faster.

    (Not -march=native: with AVX-512, g++ 12 makes slower code of this.)
    """
    if not has_vectors() or not compiler():
        return ""
    wanted = "-march=x86-64-v3"
    command = ["g++", wanted, "-fsyntax-only", "-x", "c++", os.devnull]
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
