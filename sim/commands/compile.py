"""`vta compile`: an operator by name, or a Python file that builds a schedule, to a bundle."""

import argparse
from pathlib import Path
from typing import Any

from hw.errors import OptionError, check_range, integer
from sim.commands.common import add_config_arguments, chosen_config
from sim.exit import Exit
from sim.options import SEED_LIMIT
from sim.output import check_output, file_names

HELP = "compile an operator by name, or a schedule in a Python file, to a stream bundle"
EXAMPLES = (
    "vta compile --list",
    "vta compile conv2d height=56 width=56 -o c2.npz",
    "vta compile my_schedule.py --preset 1x8",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", metavar="OPERATOR|FILE.py",
                        help="an operator's name, or a file with build(config)")  # fmt: skip
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE",
                        help="the operator's parameters")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list operators and parameters")
    parser.add_argument("--seed", type=int, default=0, help="of the random tensors (default 0)")
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
    if args.what.endswith(".py"):
        from sw.operators import compile_file

        if args.parameters:
            raise OptionError(
                f"{args.what}: a file takes no parameters, but {args.parameters[0]!r} is given"
            )
        program = compile_file(args.what, config, seed=args.seed)
    else:
        from sw.operators import operator

        chosen = operator(args.what)
        values = dict(_parameter(chosen, text) for text in args.parameters)
        program = chosen.kernel(config, **values).program(seed=args.seed)
    output = args.output or Path(f"{file_names([program.name])[0]}.npz")
    program.save(output)
    print(f"{output}: {program.registers.insn_count} instructions")
    return Exit.OK


def _list() -> int:
    from sw.operators import OPERATORS

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
