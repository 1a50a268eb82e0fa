"""`vta import`: a directory of the TVM-free compiler standalone-vta to a stream bundle."""

import argparse
from pathlib import Path

from vta.hw.config import Config
from vta.sim.exit import Exit
from vta.sim.output import check_output, file_names
from vta.sw.standalone import find_layer, import_directory, notes

HELP = "import a directory of standalone-vta (instructions.bin, uop.bin, ...) as a stream bundle"
EXAMPLES = (
    "vta import compiler_output/ -o lenet.npz",
    "vta import compiler_output/ --layer L1   # of instructions_L1.bin, instructions_L2.bin, ...",
    "vta import compiler_output/ --config vta_config.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument(
        "--layer", metavar="NAME", help="the layer to take (default: the only one there)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a vta_config.json (default: the directory's)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the bundle to write (default: DIRECTORY_LAYER.npz)",
    )


def run(args: argparse.Namespace) -> int:
    check_output("--output", args.output)
    config = None if args.config is None else Config.from_json(args.config)
    layer = find_layer(args.directory, args.layer)
    program = import_directory(args.directory, config, layer=layer)
    if layer and args.layer is None:
        print(f"{args.directory}: layer {layer} is the only one there")
    for note in notes(program):
        print(f"{args.directory}: {note}")
    output = args.output or Path(f"{file_names([program.name])[0]}.npz")
    program.save(output)
    print(f"{output}: {program.registers.insn_count} instructions")
    return Exit.OK
