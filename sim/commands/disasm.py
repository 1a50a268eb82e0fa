"""`vta disasm`: a stream bundle as assembly text."""

import argparse
from pathlib import Path

from vta.sim.exit import Exit
from vta.sim.output import check_output, output_path, write_text
from vta.sw.assembler import disassemble, disassemble_program
from vta.sw.program import Program

HELP = "show a stream bundle as assembly text, which vta asm reads again"
EXAMPLES = (
    "vta disasm conv.npz | less",
    "vta disasm --code conv.npz",
    "vta disasm conv.npz -o c.s",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="stream bundle (.npz)")
    parser.add_argument("--code", action="store_true", help="the instructions alone")
    parser.add_argument(
        "-o", "--output", type=output_path, metavar="FILE", help="default: the terminal"
    )


def run(args: argparse.Namespace) -> int:
    check_output("--output", args.output)
    program = Program.load(args.file)
    if args.code:
        text = disassemble(program.instructions(), program.config, numbered=True)
    else:
        text = disassemble_program(program)
    write_text(args.output, text)
    return Exit.OK
