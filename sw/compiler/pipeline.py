"""Passes in a row: run, timed, and on request written down, one file each.

What goes from pass to pass prints: a schedule and its lowered form as TIR, everything after them as
the stream IR (`vta.sw.compiler.ir`), and what is encoded as assembly.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any

from vta.hw.errors import OptionError
from vta.sw.assembler import format_instruction
from vta.sw.program import Program
from vta.sw.progress import Progress, quiet

__all__ = ["Instruments", "Pass", "printed"]

Pass = tuple[str, Callable[[Any], Any]]
"""A name, and a function from a program to a program."""


@singledispatch
def printed(program: Any) -> str:
    """A program between two passes, for a reader."""
    return str(program)


@printed.register
def _(program: Program) -> str:
    lines = (format_instruction(i, program.config) for i in program.instructions())
    return "".join(f"{n:6}: {line}\n" for n, line in enumerate(lines))


@dataclass
class Instruments:
    """What looks on while passes run.

    Members
    -------
    progress: called with each pass's name as it begins.
    dump: a directory for the program after each pass, ``01-lower.txt`` and so on; None: not wanted.
    seconds: by pass, those of all its runs added up; filled as they run.
    """

    progress: Progress = quiet
    dump: Path | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    def run(self, passes: Iterable[Pass], program: Any) -> Any:
        """The program that the passes make of `program`, one after the other."""
        for name, function in passes:
            self.progress(name)
            started = time.perf_counter()
            program = function(program)
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self._write(name, program)
        return program

    def _write(self, name: str, program: Any) -> None:
        if self.dump is None:
            return
        self._count += 1
        try:
            self.dump.mkdir(parents=True, exist_ok=True)
            file = self.dump / f"{self._count:02}-{name.replace(' ', '-')}.txt"
            file.write_text(printed(program))
        except OSError as error:
            raise OptionError(f"cannot write to {self.dump}: {error.strerror or error}") from error
