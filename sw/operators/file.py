"""Programs from a Python file that builds a schedule: what ``vta compile schedule.py`` does.

The file defines ``build(config)``. It returns a :class:`~vta.sw.operators.operator.Kernel`, or a
schedule (s_tir.Schedule, PrimFunc or IRModule). With a bare schedule it may also define
``golden(inputs)``: from a dict of packed arrays to a dict of expected packed outputs; without it
LLVM computes them from the schedule. Modules beside the file can be imported. docs/operators.md has
an example.
"""

import inspect
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sw.compiler import CompileError, Instruments, VTAModule, compile
from vta.sw.operators.attribute import OperatorError
from vta.sw.operators.failure import ScheduleFileError, failure
from vta.sw.operators.inputs import unclipped_inputs
from vta.sw.operators.kernel import Kernel
from vta.sw.operators.reference import NoReference, reference
from vta.sw.program import Program
from vta.sw.progress import quiet

__all__ = ["ScheduleFileError", "compile_built", "compile_file", "opened"]

Golden = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def compile_file(
    path: str | Path,
    config: Config,
    *,
    seed: int = 0,
    note: Callable[[str], None] = quiet,
    instruments: Instruments | None = None,
) -> Program:
    """Run the Python file at `path` and compile what its ``build(config)`` returns.

    Tensors get random values of `seed`, from ranges that do not clip most of the outputs. `note` is
    called with a line of text where the program expects nothing, for LLVM cannot compute it; the
    passes run under `instruments`.

    Raises
    ------
    ScheduleFileError
        begins with the path, and the line where there is one; where the file is missing, raises,
        lacks ``build``, returns something else, or cannot be compiled.
    """
    path, instruments = Path(path), instruments or Instruments()
    with opened(path, config, instruments) as (built, golden):
        return compile_built(path, built, golden, config, seed, note, instruments)


def compile_built(
    path: Path,
    built: Any,
    golden: Golden | None,
    config: Config,
    seed: int,
    note: Callable[[str], None],
    instruments: Instruments,
) -> Program:
    """The same of what `opened` gives."""
    try:
        return _program(built, golden, config, path.stem, seed, note, instruments)
    except (CompileError, OperatorError) as error:
        raise ScheduleFileError(f"{path}: {error}") from error


@contextmanager
def opened(
    path: Path, config: Config, instruments: Instruments | None = None
) -> Iterator[tuple[Any, Golden | None]]:
    """What the file's ``build(config)`` returns, and its golden, or None where it has none.

    Modules beside the file can be imported for as long as the context lasts.

    Raises
    ------
    ScheduleFileError
        as `compile_file` for what is wrong with the file itself.
    """
    if not path.is_file():
        raise ScheduleFileError(f"{path}: there is no such file (FileNotFoundError)")
    with _neighbours(path.parent):
        (instruments or Instruments()).progress("schedule")
        with _user_code(path):
            namespace = runpy.run_path(str(path), run_name="schedule")
        built = _call(path, namespace, "build", config)
        if built is None:
            raise ScheduleFileError(f"{path}: build(config) returned None: return the schedule")
        golden = None
        if namespace.get("golden") is not None:
            golden = partial(_golden, path, namespace)
        yield built, golden


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


def _golden(
    path: Path, namespace: Mapping[str, Any], inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the file's golden expects."""
    outputs = _call(path, namespace, "golden", inputs)
    if not isinstance(outputs, Mapping):
        raise ScheduleFileError(
            f"{path}: golden(inputs) returned {type(outputs).__name__}; it must return a dict from "
            "each output's name to its array"
        )
    return {str(name): np.asarray(array) for name, array in outputs.items()}


def _program(
    built: Any,
    golden: Golden | None,
    config: Config,
    name: str,
    seed: int,
    note: Callable[[str], None],
    instruments: Instruments,
) -> Program:
    if isinstance(built, Kernel):
        return built.program(seed=seed, instruments=instruments)
    compiled = built
    if not isinstance(built, VTAModule):
        compiled = compile(built, config, name=name, instruments=instruments)
    instruments.progress("golden")
    given = {
        t.name: (t.packed_shape, t.dtype) for t in compiled.tensors.values() if t.role != "output"
    }
    try:
        return compiled.bind(*unclipped_inputs(given, golden or _by_llvm(built), seed))
    except NoReference as error:
        note(f"{name} expects nothing, since {error}: define golden(inputs)")
    return compiled.bind(unclipped_inputs(given, lambda _: None, seed)[0])


def _by_llvm(built: Any) -> Golden:
    if isinstance(built, VTAModule):
        raise NoReference("build returned a compiled schedule, not the schedule")
    return reference(built)
