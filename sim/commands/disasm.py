"""`vta disasm`: a stream bundle as assembly text."""

import argparse
from pathlib import Path

from sim.commands.common import write_text
from sw.assembler import disassemble, disassemble_program
from sw.program import Program

HELP = "show a stream bundle as assembly text, which vta asm reads again"
EXAMPLES = (
    "vta disasm conv.npz | less",
    "vta disasm --code conv.npz",
    "vta disasm conv.npz -o c.s",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="stream bundle (.npz)")
    parser.add_argument("--code", action="store_true", help="the instructions alone")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: the terminal")


def run(args: argparse.Namespace) -> int:
    program = Program.load(args.file)
    if args.code:
        text = disassemble(program.instructions(), program.config)
    else:
        text = disassemble_program(program)
    write_text(args.output, text)
    return 0
