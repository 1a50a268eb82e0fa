"""Where results go: files that are checked before the work, standard output, names of files."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from vta.hw.errors import OptionError

__all__ = [
    "NAME_LENGTH",
    "STANDARD_OUTPUT",
    "check_directory",
    "check_output",
    "file_names",
    "middle_cut",
    "output_path",
    "write_json",
    "write_text",
]

STANDARD_OUTPUT = Path("-")
CUT = "..."  # for what a name is without
NAME_LENGTH = 100  # characters of a file name made from a program's


def output_path(name: str) -> Path:
    """The path that an argument names; - and /dev/stdout are `STANDARD_OUTPUT`."""
    return STANDARD_OUTPUT if name == "/dev/stdout" else Path(name)


def check_output(option: str, path: Path | None) -> None:
    """Refuse a path that cannot be written, before the work whose result it is to hold.

    Nothing is changed: a file that is there keeps its contents, one that is not is not made.
    """
    if path is None or path == STANDARD_OUTPUT:
        return
    there = path.exists()
    if there and not path.is_file() and not path.is_dir():
        return  # a pipe or a device: opening it twice would be seen at its other end
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise OptionError(f"{option} {path}: cannot be written: {error.strerror}") from error
    if not there:
        path.unlink()


def check_directory(option: str, path: Path | None) -> None:
    """Make a directory for results, before the work; refuse one that cannot be written to."""
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise OptionError(f"{option} {path}: is no directory")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OptionError(f"{option} {path}: cannot be written: {error.strerror}") from error


def write_text(path: Path | None, text: str) -> None:
    """Write to a file, or to standard output where `path` is None or -."""
    if path is None or path == STANDARD_OUTPUT:
        # Not through /dev/stdout: opening that would cut off what `>> FILE` holds already.
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    else:
        path.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Write `document` as JSON; - is standard output."""
    write_text(path, json.dumps(document, indent=1))


def middle_cut(text: str, length: int) -> str:
    """A text of at most `length` characters: where it is longer, its begin and its end."""
    half = (length - len(CUT)) // 2
    return text if len(text) <= length else f"{text[:half]}{CUT}{text[-half:]}"


def file_names(names: list[str]) -> list[str]:
    """A file name (without suffix) for each program's name: all different, none a path.

    Letters, digits and ``-_.`` stay, other characters become ``_``; equal ones get a number.
    """
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
        base = kept.lstrip(".-")[:NAME_LENGTH] or "program"
        chosen, n = base, 1
        while chosen.lower() in taken:
            n += 1
            chosen = f"{base}-{n}"
        taken.add(chosen.lower())
        found.append(chosen)
    return found
