"""`vta compile MODEL`: a network from its file to a directory that runs without it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vta.hw.config import Config
from vta.hw.errors import OptionError, check_range
from vta.sim.commands.common import (
    add_clock_argument,
    add_shape_argument,
    check_clock,
    chosen_shapes,
    result_console,
)
from vta.sim.exit import Exit
from vta.sim.options import SEED_LIMIT
from vta.sim.output import check_directory, check_output, file_names, write_json
from vta.sim.progress import Progress
from vta.sw.estimate import LATENCY, estimate_program

if TYPE_CHECKING:
    from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["EXAMPLES", "add_arguments", "is_model", "run"]

SUFFIXES = (".onnx", ".tflite")
EXAMPLES = (
    "vta compile model.onnx -o model.vta --explain",
    "vta compile model.tflite",
    "vta compile float.onnx --calibration samples.npz --scales power-of-two",
    "vta compile my_network.py --scales power-of-two  # build(config) returns an IRModule",
    "vta compile model.onnx --shape input=1x3x160x160 --json -",
)
INDENT = 4
SHORTEST = 0.0005  # seconds of a pass that is listed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that only a model takes."""
    group = parser.add_argument_group("of a model file")
    add_shape_argument(group)
    add = group.add_argument
    add(
        "--calibration",
        type=Path,
        metavar="FILE.npz",
        help="samples of a float network's inputs, by name, by which it is quantised",
    )
    add(
        "--scales",
        choices=("multiplier", "power-of-two"),
        help="of a float network: onnxruntime's quantiser (default), or powers of two, the fastest",
    )
    add(
        "--explain",
        action="store_true",
        help="list every node of the file: where it runs, and what keeps it from VTA",
    )
    add_clock_argument(add)


def is_model(what: str) -> bool:
    """Whether an argument names a model file: by its suffix, or since there is such a file."""
    return Path(what).suffix.lower() in SUFFIXES or (
        not what.endswith(".py") and Path(what).is_file()
    )


def run(args: argparse.Namespace, config: Config, network: object = None) -> int:
    """Compile, save, and say what it will cost. network: None: the model file `what`."""
    if args.parameters:
        raise OptionError(
            f"{args.what}: a model takes no parameters, but {args.parameters[0]!r} is given"
        )
    check_range("--seed", args.seed, 0, SEED_LIMIT)
    check_clock(args.clock)
    path = Path(args.what)
    output = args.output or Path(f"{file_names([path.stem])[0]}.vta")
    if output.exists() and not output.is_dir():
        raise OptionError(f"--output {output}: is no directory; a network is written into one")
    check_output("--json", args.json)
    check_directory("--dump", args.dump)
    shapes = chosen_shapes(args)
    with Progress() as progress:
        progress.note("loading TVM")
        from vta.sw.compiler import Instruments
        from vta.sw.relax.compile import compile_model
        from vta.sw.relax.given import given
        from vta.sw.relax.saving import save

        with progress.steps(f"compile {args.what}") as step:
            instruments = Instruments(step, args.dump)
            made = compile_model(
                network or given(path, config, shapes=shapes),
                config,
                samples=args.calibration,
                scales=args.scales,
                seed=args.seed,
                instruments=instruments,
            )
            step("save")
            save(made, output)
            step("estimate cycles")
            report = _report(made, args.clock)
    _print(args, output, made, report, instruments.seconds)
    return Exit.OK


def _report(network: "CompiledNetwork", clock: float) -> Any:
    from vta.sim.network.table import Costs
    from vta.sw.relax.costs import layer_costs

    layers = {
        region.saved.name: layer_costs(region, estimate=estimate_program(region.module.template))
        for region in network.regions
    }
    return Costs(network.manifest, layers, clock)


def _print(
    args: argparse.Namespace,
    output: Path,
    network: "CompiledNetwork",
    costs: Any,
    seconds: dict[str, float],
) -> None:
    from vta.sim.network.table import explanation, print_costs, print_explanation

    manifest, console = network.manifest, result_console(args.json)
    say: Callable[[str], None] = lambda text: console.print(  # noqa: E731
        text, highlight=False, markup=False, soft_wrap=True
    )
    for warning in manifest.warnings:
        print(f"vta compile: {warning}", file=sys.stderr)
    layers = sum(bool(layer.kernels) for region in manifest.regions for layer in region.layers)
    nodes = sum(len(segment.nodes) for segment in manifest.segments)
    kept = sum(len(network.originals.content(name)) for name in network.originals.files)
    say(
        f"{output}: {_count(layers, 'layer')} on VTA in {_count(len(manifest.regions), 'region')}, "
        f"{_count(nodes, 'node')} on the CPU; cycles are estimated, at a latency of {LATENCY}; "
        f"{kept / 1e3:,.0f} kB are kept to compare runs with"
    )
    print_costs(console, costs)
    if args.explain:
        say("")
        print_explanation(console, manifest)
    if args.seconds:
        width = max(map(len, seconds))
        for name, spent in seconds.items():
            if spent >= SHORTEST:
                say(f"{'':{INDENT}}{name:{width}}  {spent:7.3f} s")
    if args.json is not None:
        document = {
            "name": manifest.name,
            "directory": str(output),
            "model": manifest.model,
            "latency": LATENCY,
            "bytes_to_compare": kept,
            **costs.to_dict(),
            "nodes": explanation(manifest),
            "warnings": list(manifest.warnings),
            "seconds": seconds,
        }
        write_json(args.json, document)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
