"""`vta bench`: cycles of the core and speed of the simulation, beside their targets."""

import argparse

from vta.sim.commands.common import add_json_argument, result_console
from vta.sim.exit import Exit
from vta.sim.output import check_output

HELP = "measure cycles and simulation speed, beside anchors and targets"
EXAMPLES = (
    "vta bench                          # all but the build from nothing: some minutes",
    "vta bench --quick                  # cycles on the default core, against the baseline",
    "vta bench --part network --json resnet18.json",
    "vta bench --update                 # accept the cycles as the new baseline",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vta.sim.bench.runner import PARTS

    add = parser.add_argument
    add("--quick", action="store_true", help="only cycles, on the default core, fewer latencies")
    add(
        "--part",
        action="append",
        choices=tuple(PARTS),
        metavar="PART",
        default=[],
        help=f"measure only this part; may be repeated: {', '.join(PARTS)}",
    )
    add("--build", action="store_true", help="also build a simulator from nothing")
    add("--update", action="store_true", help="write the committed baseline of cycles")
    add_json_argument(parser, "all figures")


def run(args: argparse.Namespace) -> int:
    check_output("--json", args.json)
    from vta.sim.bench.runner import chosen_parts, run_benchmark

    good = run_benchmark(
        result_console(args.json),
        parts=chosen_parts(args.part, quick=args.quick, build=args.build),
        quick=args.quick,
        update=args.update,
        json_path=args.json,
    )
    return Exit.OK if good else Exit.WRONG
