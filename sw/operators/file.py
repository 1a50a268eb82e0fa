"""Programs from a Python file that builds a schedule: what ``vta compile schedule.py`` does.

The file defines ``build(config)``. It returns a :class:`~sw.operators.operator.Kernel`, or a
schedule (s_tir.Schedule, PrimFunc or IRModule). With a bare schedule it may also define
``golden(inputs)``: from a dict of packed arrays to a dict of expected packed outputs; without it
LLVM computes them from the schedule. docs/operators.md has an example.
"""

import runpy
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hw.config import Config
from sw.compiler import Compiled, CompileError, compile
from sw.operators.inputs import unclipped_inputs
from sw.operators.operator import Kernel, OperatorError
from sw.operators.reference import NoReference, reference
from sw.program import Program

__all__ = ["ScheduleFileError", "compile_file"]


class ScheduleFileError(ValueError):
    """A schedule file that cannot be run, or that does not say what it should; one line."""


def compile_file(
    path: str | Path, config: Config, *, seed: int = 0, note: Callable[[str], None] | None = None
) -> Program:
    """Run the Python file at `path` and compile what its ``build(config)`` returns.

    Tensors get random values of `seed`, from ranges that do not clip most of the outputs. `note` is
    called with a line of text where the program expects nothing, for LLVM cannot compute it.

    Raises
    ------
    ScheduleFileError
        begins with the path; where the file is missing, raises, lacks ``build``, returns something
        else, or cannot be compiled.
    """
    path = Path(path)
    try:
        namespace = runpy.run_path(str(path), run_name="schedule")
        build = namespace.get("build")
        if not callable(build):
            raise ScheduleFileError("it must define build(config)")
        golden = namespace.get("golden")
        return _program(build(config), golden, config, path.stem, seed, note or (lambda _: None))
    except (ScheduleFileError, CompileError, OperatorError) as error:
        raise ScheduleFileError(f"{path}: {error}") from error
    except Exception as error:  # the file's own code may raise anything
        where = _line_in(path, error.__traceback__)
        what = " ".join(str(error).split())[:300]
        raise ScheduleFileError(f"{path}{where}: {type(error).__name__}: {what}") from error


def _line_in(path: Path, trace: TracebackType | None) -> str:
    """``:line`` of the innermost frame inside the file, or nothing."""
    line = ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _program(
    built: Any, golden: Any, config: Config, name: str, seed: int, note: Callable[[str], None]
) -> Program:
    if isinstance(built, Kernel):
        return built.program(seed=seed)
    compiled = built if isinstance(built, Compiled) else compile(built, config, name=name)
    given = {t.name: (t.shape, t.dtype) for t in compiled.dram if t.role != "output"}
    if callable(golden):
        return compiled.program(*unclipped_inputs(given, golden, seed))
    try:
        return compiled.program(*unclipped_inputs(given, _by_llvm(built), seed))
    except NoReference as error:
        note(f"{name} expects nothing, since {error}: define golden(inputs)")
    return compiled.program(unclipped_inputs(given, lambda _: None, seed)[0])


def _by_llvm(built: Any) -> Callable[[Any], dict[str, np.ndarray]]:
    if isinstance(built, Compiled):
        raise NoReference("build returned a compiled schedule, not the schedule")
    return reference(built)
