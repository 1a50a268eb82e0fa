"""The build cache: a directory for each key, with a stamp once it is complete."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vta.hw.places import build_places

__all__ = ["Progress", "building", "content_key", "find"]

STAMP, LOCK = "complete", "lock"

Progress = Callable[[str], None]


def content_key(parts: Iterable[bytes]) -> str:
    """16 hex digits over `parts`, which are kept apart from each other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


def find(kind: str, pattern: str) -> Path | None:
    """A complete directory of this kind whose name matches `pattern`, the newest; or None."""
    for place in build_places():
        stamps = sorted(
            (place / kind).glob(f"{pattern}/{STAMP}"), key=lambda stamp: stamp.stat().st_mtime
        )
        if stamps:
            return stamps[-1].parent
    return None


@contextmanager
def building(directory: Path, progress: Progress | None = None) -> Iterator[bool]:
    """Hold the lock of a build; yields whether it is still to be done. Failures leave no stamp.

    `progress` is told where another process holds the lock. Steps started with ``close_fds=False``
    hold it too, so that nobody builds beside what an interrupted build left running.
    """
    stamp = directory / STAMP
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is not None:
                progress(f"waiting for another process, which builds {directory.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not stamp.exists()
        if needed:
            for path in directory.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield needed
        if needed:
            stamp.touch()
