"""`vta compile`: an operator by name, or a Python file that builds a schedule, to a bundle."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from vta.hw.config import Config
from vta.hw.errors import OptionError, check_range, integer
from vta.sim.commands.common import add_config_arguments, chosen_config
from vta.sim.exit import Exit
from vta.sim.options import SEED_LIMIT
from vta.sim.output import check_output, file_names
from vta.sim.progress import Progress
from vta.sw.estimate import LATENCY, estimate_program
from vta.sw.program import Program

HELP = "compile an operator by name, or a schedule in a Python file, to a stream bundle"
EXAMPLES = (
    "vta compile --list",
    "vta compile conv2d height=56 width=56 -o c2.npz",
    "vta compile my_schedule.py --preset 1x8",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        metavar="OPERATOR|FILE.py",
        help="an operator's name, or a file with build(config)",
    )
    parser.add_argument(
        "parameters", nargs="*", metavar="NAME=VALUE", help="the operator's parameters"
    )
    parser.add_argument("--list", action="store_true", help="list operators and parameters")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random tensors (default 0)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: NAME.npz")
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.list:
        return _list()
    if args.what is None:
        raise OptionError("give an operator's name or a Python file; vta compile --list lists them")
    check_range("--seed", args.seed, 0, SEED_LIMIT)
    check_output("--output", args.output or Path("NAME.npz"))
    config = chosen_config(args)
    compiler = _file if args.what.endswith(".py") else _operator
    with Progress() as progress:
        progress.note("loading TVM")
        import_module("vta.sw.operators")
        with progress.steps(f"compile {args.what}") as step:
            program = compiler(args, config, step)
            output = args.output or Path(f"{file_names([program.name])[0]}.npz")
            step("estimate cycles")
            cycles = estimate_program(program).cycles
            step("save")
            program.save(output)
    count = program.registers.insn_count
    print(f"{output}: {count} instructions, estimated {cycles} cycles at a latency of {LATENCY}")
    return Exit.OK


def _operator(args: argparse.Namespace, config: Config, step: Callable[[str], None]) -> Program:
    from vta.sw.operators import operator

    chosen = operator(args.what)
    values: dict[str, Any] = {}
    for text in args.parameters:
        name, value = _parameter(chosen, text)
        if name in values:
            raise OptionError(f"{name} is given twice")
        values[name] = value
    step("choose tiles, schedule")
    return chosen.kernel(config, **values).program(seed=args.seed, progress=step)


def _file(args: argparse.Namespace, config: Config, step: Callable[[str], None]) -> Program:
    from vta.sw.operators import ScheduleFileError, compile_file

    if args.parameters:
        raise OptionError(
            f"{args.what}: a file takes no parameters, but {args.parameters[0]!r} is given"
        )
    try:
        return compile_file(args.what, config, seed=args.seed, note=_note, progress=step)
    except ScheduleFileError as error:
        if not error.details:
            raise
        output = args.output or Path(f"{Path(args.what).stem}.npz")
        kept = _keep(error.details, output.with_suffix(".error.txt"))
        raise ScheduleFileError(f"{error}\n  all that TVM says: {kept}") from error


def _keep(text: str, path: Path) -> Path:
    """Write `text` to `path`, or to a temporary file where that cannot be written."""
    try:
        path.write_text(text)
    except OSError:
        handle, name = tempfile.mkstemp(prefix="vta-", suffix=path.suffix, text=True)
        path = Path(name)
        with os.fdopen(handle, "w") as file:
            file.write(text)
    return path


def _note(text: str) -> None:
    print(f"vta compile: {text}", file=sys.stderr)


def _list() -> int:
    from vta.sw.operators import OPERATORS

    for operator in OPERATORS.values():
        print(f"{operator.name}: {operator.help}")
        for parameter in operator.parameters:
            choices = f" ({', '.join(parameter.choices)})" if parameter.choices else ""
            print(f"    {parameter.name}={parameter.default}  {parameter.help}{choices}")
    return Exit.OK


def _parameter(operator: Any, text: str) -> tuple[str, Any]:
    """One NAME=VALUE, the value converted to the parameter's kind."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(
            f"{text!r} is not a parameter: write its name and value as NAME=VALUE, such as "
            f"{operator.parameters[0].name}=16"
        )
    kinds = {parameter.name: parameter.kind for parameter in operator.parameters}
    kind = kinds.get(name, str)
    if value == "none":
        return name, None
    if kind is bool:
        if value not in ("true", "false"):
            raise OptionError(f"{name} is {value!r}; it must be true or false")
        return name, value == "true"
    return name, integer(name, value) if kind is int else value
