"""Programs from a Python file that builds a schedule: what ``vta compile schedule.py`` does.

The file defines ``build(config)``. It returns a :class:`~sw.operators.operator.Kernel`, or a
schedule (s_tir.Schedule, PrimFunc or IRModule). With a bare schedule it may also define
``golden(inputs)``: from a dict of packed arrays to a dict of expected packed outputs; without it
the program expects nothing. Modules beside the file can be imported. docs/operators.md has an
example.
"""

import inspect
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from hw.config import Config
from sw.compiler import Compiled, CompileError, compile
from sw.operators.failure import ScheduleFileError, failure
from sw.operators.operator import Kernel, OperatorError
from sw.program import Program
from sw.progress import Progress, quiet

__all__ = ["ScheduleFileError", "compile_file"]


def compile_file(
    path: str | Path, config: Config, *, seed: int = 0, progress: Progress = quiet
) -> Program:
    """Run the Python file at `path` and compile what its ``build(config)`` returns.

    Tensors get random values of `seed`, over the whole range of int8, and up to 2^20 for int32.
    `progress` is called with the name of each step.

    Raises
    ------
    ScheduleFileError
        begins with the path, and the line where there is one; where the file is missing, raises,
        lacks ``build``, returns something else, or cannot be compiled.
    """
    path = Path(path)
    if not path.is_file():
        raise ScheduleFileError(f"{path}: there is no such file (FileNotFoundError)")
    with _neighbours(path.parent):
        progress("schedule")
        with _user_code(path):
            namespace = runpy.run_path(str(path), run_name="schedule")
        built = _call(path, namespace, "build", config)
        if built is None:
            raise ScheduleFileError(f"{path}: build(config) returned None: return the schedule")
        golden = None
        if namespace.get("golden") is not None:
            golden = lambda inputs: _call(path, namespace, "golden", inputs)  # noqa: E731
        try:
            return _program(built, golden, config, path.stem, seed, progress)
        except (CompileError, OperatorError) as error:
            raise ScheduleFileError(f"{path}: {error}") from error


@contextmanager
def _neighbours(directory: Path) -> Iterator[None]:
    """Modules in `directory` can be imported, and are forgotten afterwards: the next file may
    have others of the same names beside it.
    """
    before = set(sys.modules)
    place = str(directory.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).parent == Path(place):
                del sys.modules[name]


@contextmanager
def _user_code(path: Path) -> Iterator[None]:
    """Turns whatever the file's own code raises into a ScheduleFileError."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise failure(path, error) from error


def _call(path: Path, namespace: Mapping[str, Any], name: str, argument: Any) -> Any:
    """The file's function `name` of `argument`."""
    parameter = {"build": "config", "golden": "inputs"}[name]
    function = namespace.get(name)
    if not callable(function):
        near = get_close_matches(name, [n for n, value in namespace.items() if callable(value)], 1)
        guess = f", it defines {near[0]}" if near else ""
        raise ScheduleFileError(f"{path}: it must define {name}({parameter}){guess}")
    try:
        inspect.signature(function).bind(argument)
    except TypeError as error:
        line = inspect.unwrap(function).__code__.co_firstlineno
        raise ScheduleFileError(
            f"{path}:{line}: {name}({parameter}) is called with one argument, this one cannot be: "
            f"{error}"
        ) from error
    with _user_code(path):
        return function(argument)


def _program(
    built: Any,
    golden: Callable[[dict[str, np.ndarray]], Any] | None,
    config: Config,
    name: str,
    seed: int,
    progress: Progress,
) -> Program:
    if isinstance(built, Kernel):
        return built.program(seed=seed, progress=progress)
    compiled = built
    if not isinstance(built, Compiled):
        compiled = compile(built, config, name=name, progress=progress)
    progress("random tensors")
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor in compiled.dram:
        if tensor.role != "output":
            limit = 128 if tensor.dtype == "int8" else 1 << 20
            inputs[tensor.name] = rng.integers(-limit, limit, tensor.shape).astype(tensor.dtype)
    progress("golden")
    expected = None if golden is None else golden(inputs)
    if golden is not None and not isinstance(expected, Mapping):
        raise OperatorError(
            f"golden(inputs) returned {type(expected).__name__}; it must return a dict from each "
            "output's name to its array"
        )
    return compiled.program(inputs, expected)
