"""`vta inspect`: what is in a model file, before anything is compiled."""

import argparse
from pathlib import Path

from vta.hw.config import Config
from vta.sim.commands.common import (
    add_json_argument,
    add_shape_argument,
    chosen_shapes,
    result_console,
)
from vta.sim.exit import Exit
from vta.sim.output import check_output, write_json

HELP = "show what is in an ONNX, TFLite or Relax file: operators, shapes, scales, multiplications"
EXAMPLES = (
    "vta inspect model.onnx",
    "vta inspect model.tflite --json -",
    "vta inspect my_network.py",
    "vta inspect model.onnx --shape input=1x3x160x160   # of an input that the file leaves open",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="an ONNX or a TFLite file, or a Python file that builds a Relax module",
    )
    add_shape_argument(parser)
    add_json_argument(parser, "all that is shown, and every scale,")


def run(args: argparse.Namespace) -> int:
    check_output("--json", args.json)
    from vta.sim.network.inspection import print_inspection
    from vta.sw.relax.given import given
    from vta.sw.relax.inspect import inspect

    source = given(args.model, Config(), shapes=chosen_shapes(args))
    found = inspect(source.read(), args.model)
    print_inspection(result_console(args.json), found)
    if args.json is not None:
        write_json(args.json, found.to_dict())
    return Exit.OK if found.refused is None else Exit.WRONG
