"""`vta import`: a directory of the TVM-free compiler standalone-vta to a stream bundle."""

import argparse
from pathlib import Path

from hw.config import Config
from sw.standalone import import_directory

HELP = "import a directory of standalone-vta (instructions.bin, uop.bin, ...) as a stream bundle"
EXAMPLES = (
    "vta import compiler_output/ -o lenet.npz",
    "vta import compiler_output/ --config vta_config.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument("--config", type=Path, metavar="FILE",
                        help="a vta_config.json (default: the directory's)")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help="the bundle to write (default: DIRECTORY.npz)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    config = None if args.config is None else Config.from_json(args.config)
    program = import_directory(args.directory, config)
    output = args.output or Path(f"{args.directory.resolve().name}.npz")
    program.save(output)
    print(f"{output}: {program.registers.insn_count} instructions")
    return 0
