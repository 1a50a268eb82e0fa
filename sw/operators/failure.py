"""An exception from a schedule file as a message: what, at which line, and what to do."""

import linecache
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from vta.hw.errors import VtaError
from vta.sw.compiler.frontend.hints import hint
from vta.sw.compiler.frontend.reasons import reason

__all__ = ["ScheduleFileError", "failure"]

LONGEST = 300  # characters of a reason's line
LAST = 8  # lines of a reason
SHORTENED = " [...] "


class ScheduleFileError(VtaError, ValueError):
    """A schedule file that cannot be run, or that does not say what it should.

    The first line says where and what; further ones, indented, give TVM's reason and a hint.
    `details` is the whole text of an error that the message shortens, with the traceback; or "".
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class _Place:
    """A line of the schedule file, or of a module beside it, and its frame where there is one."""

    file: str = ""
    line: int = 0
    frame: FrameType | None = None

    @property
    def source(self) -> str:
        linecache.checkcache(self.file)
        return linecache.getline(self.file, self.line).strip() if self.file else ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def failure(path: Path, error: BaseException) -> ScheduleFileError:
    """The message for `error`, which the code of the file at `path` has raised.

    It begins with the path, and the line where there is one.
    """
    place = _place(path, error)
    start = str(place) if place.file else str(path)
    if isinstance(error, VtaError):
        return ScheduleFileError(f"{start}: {error}")
    if isinstance(error, SystemExit):
        return ScheduleFileError(
            f"{start}: it ends the process ({place.source}): build(config) must return a schedule"
        )
    text = _said(error)
    found = reason(text)
    if found.primitive:
        whole = found.primitive in place.source and place.source.endswith(")")
        called = place.source if whole else found.primitive
        lines = [f"{called} fails", *(f"TVM: {_short(line)}" for line in found.lines[-LAST:])]
    else:
        source = f" (in: {place.source})" if place.source else ""
        lines = [f"{type(error).__name__}: {_short(' '.join(found.lines))}{source}"]
    if advice := _loops(place, text) or hint(found):
        lines.append(f"hint: {advice}")
    shortened = found.primitive or any(SHORTENED in line for line in lines)
    details = "".join(traceback.format_exception(error)) if shortened else ""
    return ScheduleFileError("\n  ".join([f"{start}: {lines[0]}", *lines[1:]]), details)


def _short(line: str) -> str:
    """Beginning and end of what is longer than one can read."""
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST // 2]}{SHORTENED}{line[-LONGEST // 2 :]}"


def _said(error: BaseException) -> str:
    """The error's own words, where it has any that can be read without the code."""
    if isinstance(error, SyntaxError):
        return str(error.msg)
    if isinstance(error, KeyError) and error.args:
        return f"there is no {error.args[0]!r}"
    if isinstance(error, AssertionError) and not str(error):
        return "it does not hold"
    if type(error).__name__ == "DiagnosticError":  # of TVM's parser: says where by itself
        said = str(error).partition("error: ")[2].partition("\n -->")[0]
        return said.rpartition("Traceback: ")[2] or str(error)
    return str(error) or "no message"


def _place(path: Path, error: BaseException) -> _Place:
    """The innermost line of the file, or of a module beside it, that led to `error`."""
    if isinstance(error, SyntaxError):
        return _Place(error.filename or str(path), error.lineno or 1)
    match = re.search(r"--> (.*):(\d+):\d+", str(error))
    if match is not None and Path(match[1]) == path:
        return _Place(match[1], int(match[2]))
    place = _Place()
    for frame, line in traceback.walk_tb(error.__traceback__):
        if Path(frame.f_code.co_filename).parent == path.parent:
            place = _Place(frame.f_code.co_filename, line, frame)
    return place


def _loops(place: _Place, text: str) -> str:
    """For ``i, j = sch.get_loops(block)`` with a wrong number of names: the loops there are."""
    match = re.fullmatch(r"(.*?)=\s*(\w+)\.get_loops\((\w+)\)\s*(?:#.*)?", place.source)
    if "to unpack" not in text or match is None or place.frame is None:
        return ""
    scope: dict[str, Any] = place.frame.f_globals | place.frame.f_locals
    schedule, block = scope.get(match[2]), scope.get(match[3])
    if schedule is None or block is None:
        return ""
    names = [schedule.get(loop).loop_var.name for loop in schedule.get_loops(block)]
    wanted = len([name for name in match[1].split(",") if name.strip()])
    return f"expected {wanted} loops, got {len(names)}: {', '.join(names)}"
