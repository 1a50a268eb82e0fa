"""`vta asm`: assembly text to a stream bundle."""

import argparse
from pathlib import Path

from sw.assembler import assemble_program

HELP = "assemble a text into a stream bundle"
EXAMPLES = ("vta asm add.s", "vta asm add.s -o /tmp/add.npz", "vta disasm add.npz > add.s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="assembly text")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help="the bundle to write (default: FILE with suffix .npz)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    try:
        program = assemble_program(args.file.read_text(encoding="utf-8"), name=args.file.stem)
    except UnicodeDecodeError as error:
        raise ValueError(f"{args.file}: not UTF-8 text: {error.reason}") from error
    except ValueError as error:
        raise ValueError(f"{args.file}: {error}") from error
    output = args.output or args.file.with_suffix(".npz")
    program.save(output)
    print(f"{output}: {program.registers.insn_count} instructions")
    return 0
