"""Where everything generated goes: Verilog, simulators, runs, waves, synthesis."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vta.hw.errors import VtaError

__all__ = ["PlaceError", "build_directory", "build_places"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout; for an installed package, its site-packages."""


class PlaceError(VtaError, RuntimeError):
    """No directory can be written to; says which were tried, and what to do."""


def build_directory() -> Path:
    """The directory for generated files, made if it is not there.

    It is VTA_BUILD where that variable is set; else the first that can be written to of build/ in
    a checkout, vta/ in the user's cache directory (XDG_CACHE_HOME, ~/.cache), and a directory of
    the user's own for temporary files.

    Raises
    ------
    PlaceError
        where VTA_BUILD, or none of the others, can be written to.
    """
    chosen = os.environ.get("VTA_BUILD")
    if chosen:
        path = Path(chosen).absolute()
        if not _writable(path):
            raise PlaceError(f"VTA_BUILD is {path}, where nothing can be written: choose another")
        return path
    tried = []
    for path in _candidates():
        if _writable(path):
            return path
        tried.append(str(path))
    raise PlaceError(f"nothing can be written to {', '.join(tried)}: set VTA_BUILD to a directory")


def build_places() -> list[Path]:
    """Where something may be built already: the build directory first, and build/ of a checkout
    that can only be read.
    """
    places = [build_directory()]
    if not os.environ.get("VTA_BUILD"):
        places += [path for path in _checkout() if path not in places]
    return places


def _candidates() -> Iterator[Path]:
    yield from _checkout()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    yield (cache if cache.is_absolute() else Path(os.path.expanduser("~/.cache"))) / "vta"
    yield from _temporary()


def _checkout() -> list[Path]:
    """build/ of a checkout; nothing for an installed package, which must stay as it is."""
    return [ROOT / "build"] if (ROOT / "pyproject.toml").is_file() else []


def _temporary() -> list[Path]:
    """A directory that nobody else can write to: programs are built and started there."""
    path = Path(tempfile.gettempdir()) / f"vta-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return []
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return [path] if ours and not found.st_mode & 0o022 else []


def _writable(path: Path) -> bool:
    """Try it: permissions do not say it for root, nor of a file system that can only be read."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError:
        return False
