"""`vta compile`: an operator by name, or a Python file that builds a schedule, to a bundle.

A model file, or a Python file that builds an IRModule of Relax, is a network:
`vta.sim.commands.compile_network`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vta.hw.config import Config
from vta.hw.errors import OptionError, check_range, integer
from vta.sim.commands import compile_network
from vta.sim.commands.common import (
    add_config_arguments,
    add_json_argument,
    chosen_config,
    chosen_shapes,
)
from vta.sim.exit import Exit
from vta.sim.options import SEED_LIMIT
from vta.sim.output import STANDARD_OUTPUT, check_directory, check_output, file_names, write_json
from vta.sim.progress import Progress
from vta.sw.estimate import LATENCY, estimate_program
from vta.sw.program import Program

if TYPE_CHECKING:
    from vta.sw.compiler import Instruments

HELP = "compile an operator, a schedule in a Python file, or a network from its model file"
EXAMPLES = (
    "vta compile --list",
    "vta compile conv2d height=56 width=56 -o c2.npz",
    "vta compile conv2d height=14 width=14 residual=true bias=true shift=8 --json -",
    "vta compile my_schedule.py --preset 1x8",
    "vta compile my_schedule.py --dump passes --seconds",
    *compile_network.EXAMPLES,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        metavar="OPERATOR|FILE.py|MODEL",
        help="an operator's name, a file with build(config) of a schedule or an IRModule of Relax, "
        "or an ONNX or TFLite file",
    )
    parser.add_argument(
        "parameters", nargs="*", metavar="NAME=VALUE", help="the operator's parameters"
    )
    parser.add_argument("--list", action="store_true", help="list operators and parameters")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random tensors (default 0)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE|DIR", help="default: NAME.npz, NAME.vta"
    )
    parser.add_argument(
        "--dump",
        type=Path,
        metavar="DIR",
        help="write the program after each pass into DIR: 01-descriptions.txt, ...",
    )
    parser.add_argument("--seconds", action="store_true", help="print the seconds of each pass")
    add_json_argument(parser, "name, file, instructions, cycles, seconds, tiling and bytes")
    add_config_arguments(parser)
    compile_network.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.list:
        return _list()
    if args.what is None:
        raise OptionError(
            "give an operator's name, a Python file or a model; vta compile --list lists operators"
        )
    if compile_network.is_model(args.what):
        return compile_network.run(args, chosen_config(args))
    if args.what.endswith(".py"):
        return _run_file(args, chosen_config(args))
    _check_arguments(args)
    return _run(args, chosen_config(args))


def _run_file(args: argparse.Namespace, config: Config) -> int:
    """A Python file: of a network, or of a schedule."""
    if args.parameters:
        raise OptionError(
            f"{args.what}: a file takes no parameters, but {args.parameters[0]!r} is given"
        )
    _check_outputs(args)
    with _kept(args), ExitStack() as stack:
        with Progress() as progress:
            progress.note("loading TVM")
            import_module("vta.sw.operators")
            from vta.sw.operators.file import opened

            with progress.steps(f"run {args.what}"):
                built = stack.enter_context(opened(Path(args.what), config))
            from vta.sw.relax.given import is_network, of_python_file
        if is_network(built[0]):
            shapes = chosen_shapes(args)
            found = of_python_file(Path(args.what), built[0], shapes=shapes)
            return compile_network.run(args, config, found)
        _check_arguments(args)
        return _run(args, config, built)


def _run(args: argparse.Namespace, config: Config, built: Any = None) -> int:
    """Compile one operator, or what a file has built; save and print."""
    _check_outputs(args)
    check_output("--output", args.output or Path("NAME.npz"))
    with Progress() as progress:
        progress.note("loading TVM")
        import_module("vta.sw.operators")
        with progress.steps(f"compile {args.what}") as step:
            result = _compiled(args, config, step, built)
    lines = sys.stderr if args.json == STANDARD_OUTPUT else sys.stdout
    print("\n".join(_lines(result, seconds=args.seconds)), file=lines)
    if args.json is not None:
        write_json(args.json, result)
    return Exit.OK


def _check_outputs(args: argparse.Namespace) -> None:
    check_range("--seed", args.seed, 0, SEED_LIMIT)
    check_output("--json", args.json)
    check_directory("--dump", args.dump)


def _check_arguments(args: argparse.Namespace) -> None:
    """Refuse what only a model takes."""
    given = {"--shape": args.shape, "--calibration": args.calibration, "--scales": args.scales}
    for name, value in (given | {"--explain": args.explain}).items():
        if value:
            raise OptionError(f"{name} is of a model file, which {args.what} is not")


def _compiled(
    args: argparse.Namespace, config: Config, step: Callable[[str], None], built: Any
) -> dict[str, Any]:
    """Compile and save: the JSON, from which the lines are printed as well."""
    from vta.sw.compiler import Instruments

    instruments = Instruments(step, args.dump)
    tiling = model = None
    if built is not None:
        program = _file(args, config, built, instruments)
    else:
        program, tiling, model = _operator(args, config, instruments)
    output = args.output or Path(f"{file_names([program.name])[0]}.npz")
    step("estimate cycles")
    cycles = estimate_program(program).cycles
    step("save")
    program.save(output)
    return {
        "name": program.name,
        "file": str(output),
        "instructions": program.registers.insn_count,
        "estimated_cycles": cycles,
        "model_cycles": model,
        "latency": LATENCY,
        "seconds": instruments.seconds,
        "tiling": tiling,
        "bytes": {name: segment.nbytes for name, segment in program.segments.items()},
    }


def _lines(result: dict[str, Any], *, seconds: bool) -> Iterator[str]:
    model = f" ({result['model_cycles']} by the tilings' model)" if result["model_cycles"] else ""
    yield (
        f"{result['file']}: {result['instructions']} instructions, estimated "
        f"{result['estimated_cycles']} cycles at a latency of {result['latency']}{model}"
    )
    if seconds:
        width = max(map(len, result["seconds"]))
        for name, spent in result["seconds"].items():
            yield f"    {name:{width}}  {spent:7.3f} s"


def _operator(
    args: argparse.Namespace, config: Config, instruments: "Instruments"
) -> tuple[Program, dict[str, Any] | None, int | None]:
    """The program, its tiling's members, and cycles by the model that ranked the tiling."""
    from vta.sw.operators import operator

    chosen = operator(args.what)
    values: dict[str, Any] = {}
    for text in args.parameters:
        name, value = _parameter(chosen, text)
        if name in values:
            raise OptionError(f"{name} is given twice")
        values[name] = value
    step = "choose tiles, schedule"
    instruments.progress(step)
    started = time.perf_counter()
    kernel = chosen.kernel(config, **values)
    instruments.seconds[step] = time.perf_counter() - started
    program = kernel.program(seed=args.seed, instruments=instruments)
    tiling = None if kernel.tiling is None else asdict(kernel.tiling)
    return program, tiling, kernel.model_cycles


def _file(
    args: argparse.Namespace, config: Config, built: Any, instruments: "Instruments"
) -> Program:
    from vta.sw.operators.file import compile_built

    path = Path(args.what)
    return compile_built(path, built[0], built[1], config, args.seed, _note, instruments)


@contextmanager
def _kept(args: argparse.Namespace) -> Iterator[None]:
    """Write down what a message about the file leaves out."""
    try:
        yield
    except Exception as error:
        from vta.sw.operators import ScheduleFileError

        if not isinstance(error, ScheduleFileError) or not error.details:
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
        for attribute in operator.attributes():
            print(f"    {attribute}")
    return Exit.OK


def _parameter(operator: Any, text: str) -> tuple[str, Any]:
    """One NAME=VALUE, the value converted to the parameter's kind."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(
            f"{text!r} is not a parameter: write its name and value as NAME=VALUE, such as "
            f"{operator.attributes()[0].name}=16"
        )
    kinds = {attribute.name: attribute.kind for attribute in operator.attributes()}
    kind = kinds.get(name, str)
    if value == "none":
        return name, None
    if kind is bool:
        if value not in ("true", "false"):
            raise OptionError(f"{name} is {value!r}; it must be true or false")
        return name, value == "true"
    return name, integer(name, value) if kind is int else value
