"""Directories of running simulators, and what is left of those whose owner was killed."""

import fcntl
import shutil
import tempfile
from pathlib import Path
from typing import IO

from vta.hw.places import build_directory

__all__ = ["RunDirectory"]

OWNER = "owner"


class RunDirectory:
    """A new directory for a run, which lives as long as this process at most.

    This process holds a lock on a file in it, so that the next one to make a run directory can tell
    that nobody needs it any more, however this one ended.

    Members
    -------
    path
        of the directory.
    """

    def __init__(self, prefix: str) -> None:
        runs = build_directory() / "run"
        runs.mkdir(parents=True, exist_ok=True)
        _remove_deserted(runs)
        self.path = Path(tempfile.mkdtemp(prefix=f"{prefix}_", dir=runs))
        # Locked before it has its name, so that nobody finds it without an owner.
        half = self.path / f"{OWNER}.half"
        self._owner: IO[str] = half.open("w")
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        half.rename(self.path / OWNER)

    def close(self, *, keep: bool = False) -> None:
        """Remove it; with `keep`, it stays until somebody removes it by hand."""
        if keep:
            (self.path / OWNER).unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        self._owner.close()


def _remove_deserted(runs: Path) -> None:
    for owner in runs.glob(f"*/{OWNER}"):
        try:
            with owner.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(owner.parent, ignore_errors=True)
        except OSError:  # it has an owner, or has just gone
            continue
