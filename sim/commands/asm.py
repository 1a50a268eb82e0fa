"""`vta asm`: assembly text to a stream bundle."""

import argparse
from pathlib import Path

from vta.hw.errors import OptionError
from vta.sim.exit import Exit
from vta.sim.output import check_output
from vta.sw.assembler import AssemblerError, assemble_program

HELP = "assemble a text into a stream bundle"
EXAMPLES = ("vta asm add.s", "vta asm add.s -o /tmp/add.npz", "vta disasm add.npz > add.s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="assembly text")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the bundle to write (default: FILE with suffix .npz)",
    )


def run(args: argparse.Namespace) -> int:
    try:
        text = args.file.read_text(encoding="utf-8")
        output = args.output or args.file.with_suffix(".npz")
        if output == args.file:
            raise OptionError("the bundle would overwrite the text: name another with --output")
        check_output("--output", output)
        program = assemble_program(text, name=args.file.stem)
    except UnicodeDecodeError as error:
        raise AssemblerError(f"{args.file}: this is not UTF-8 text: {error.reason}") from error
    except AssemblerError as error:
        raise AssemblerError(f"{args.file}: {error}") from error
    program.save(output)
    print(f"{output}: {program.registers.insn_count} instructions")
    return Exit.OK
