"""Programs from a Python file that builds a schedule: what ``vta compile schedule.py`` does.

The file defines ``build(config)``. It returns a :class:`~sw.operators.operator.Kernel`, or a
schedule (s_tir.Schedule, PrimFunc or IRModule). With a bare schedule it may also define
``golden(inputs)``: from a dict of packed arrays to a dict of expected packed outputs; without it
the program expects nothing. docs/operators.md has an example.
"""

import runpy
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hw.config import Config
from hw.errors import VtaError
from sw.compiler import Compiled, CompileError, compile
from sw.operators.operator import Kernel, OperatorError
from sw.program import Program

__all__ = ["ScheduleFileError", "compile_file"]


class ScheduleFileError(VtaError, ValueError):
    """A schedule file that cannot be run, or that does not say what it should; one line."""


def compile_file(path: str | Path, config: Config, *, seed: int = 0) -> Program:
    """Run the Python file at `path` and compile what its ``build(config)`` returns.

    Tensors get random values of `seed`, over the whole range of int8, and up to 2^20 for int32.

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
        return _program(build(config), namespace.get("golden"), config, path.stem, seed)
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


def _program(built: Any, golden: Any, config: Config, name: str, seed: int) -> Program:
    if isinstance(built, Kernel):
        return built.program(seed=seed)
    compiled = built if isinstance(built, Compiled) else compile(built, config, name=name)
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor in compiled.dram:
        if tensor.role != "output":
            limit = 128 if tensor.dtype == "int8" else 1 << 20
            inputs[tensor.name] = rng.integers(-limit, limit, tensor.shape).astype(tensor.dtype)
    return compiled.program(inputs, golden(inputs) if callable(golden) else None)
