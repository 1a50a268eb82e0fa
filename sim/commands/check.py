"""`vta check`: what is wrong with a program, found without running it."""

import argparse
from pathlib import Path

from sim.diagnosis import describe_instruction
from sw.check import check
from sw.program import Program

HELP = "check stream bundles without running them: errors, races, reads before writes"
EXAMPLES = ("vta check conv.npz", "vta check --strict tests/streams/*.npz   # warnings fail too")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="stream bundle (.npz)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 on warnings too")


def run(args: argparse.Namespace) -> int:
    failed = False
    for path in args.files:
        program = Program.load(path)
        report = check(program)
        instructions = program.instructions()
        for error in report.errors:
            where = describe_instruction(program, error.index, instructions)
            print(f"{path}: error {error.error_class.name}: {error.reason}\n    {where}")
        for warning in report.warnings:
            print(f"{path}: warning {warning.kind}: {warning.text}")
            if warning.index is not None:
                print(f"    {describe_instruction(program, warning.index, instructions)}")
        counts = f"{len(report.errors)} errors, {len(report.warnings)} warnings"
        print(f"{path}: {len(instructions)} instructions, {counts}")
        failed |= bool(report.errors) or (args.strict and bool(report.warnings))
    return int(failed)
