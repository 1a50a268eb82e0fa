"""`vta check`: what is wrong with a program, found without running it."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vta.sim.commands.common import add_json_argument
from vta.sim.diagnosis import describe_instruction
from vta.sim.exit import Exit
from vta.sim.output import STANDARD_OUTPUT, check_output, write_json
from vta.sw.check import Report, check
from vta.sw.program import Program

HELP = "check stream bundles without running them: errors, races, reads before writes"
EXAMPLES = (
    "vta check conv.npz",
    "vta check --strict tests/streams/*.npz   # warnings fail too",
    "vta check conv.npz --json -",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="stream bundle (.npz)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 on warnings too")
    add_json_argument(parser, "errors and warnings")


def run(args: argparse.Namespace) -> int:
    check_output("--json", args.json)
    lines = sys.stderr if args.json == STANDARD_OUTPUT else sys.stdout
    found = []
    for path in args.files:
        program = Program.load(path)
        found.append(_result(path, program, check(program), args.strict))
        print("\n".join(_lines(found[-1])), file=lines)
    if args.json is not None:
        write_json(args.json, found)
    return Exit.OK if all(result["good"] for result in found) else Exit.WRONG


def _result(path: Path, program: Program, report: Report, strict: bool) -> dict[str, Any]:
    """What is found in one bundle: the JSON, from which the lines are printed as well."""
    instructions = program.instructions()

    def where(index: int | None) -> str | None:
        return None if index is None else describe_instruction(program, index, instructions)

    return {
        "file": str(path),
        "name": program.name,
        "instructions": len(instructions),
        "good": not report.errors and not (strict and report.warnings),
        "errors": [
            {
                "class": error.error_class.name,
                "index": error.index,
                "reason": error.reason,
                "instruction": where(error.index),
            }
            for error in report.errors
        ],
        "warnings": [
            {
                "kind": warning.kind,
                "index": warning.index,
                "text": warning.text,
                "instruction": where(warning.index),
            }
            for warning in report.warnings
        ],
    }


def _lines(result: dict[str, Any]) -> Iterator[str]:
    path, errors, warnings = result["file"], result["errors"], result["warnings"]
    for error in errors:
        yield f"{path}: error {error['class']}: {error['reason']}\n    {error['instruction']}"
    for warning in warnings:
        yield f"{path}: warning {warning['kind']}: {warning['text']}"
        if warning["instruction"] is not None:
            yield f"    {warning['instruction']}"
    counts = f"{len(errors)} errors, {len(warnings)} warnings"
    yield f"{path}: {result['instructions']} instructions, {counts}"
