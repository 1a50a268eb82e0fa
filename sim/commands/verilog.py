"""`vta verilog`: the core as Verilog."""

import argparse

from vta.hw.ip import header
from vta.hw.places import build_directory
from vta.sim.build import build_verilog
from vta.sim.commands.common import add_config_arguments, chosen_config
from vta.sim.exit import Exit
from vta.sim.output import STANDARD_OUTPUT, check_output, output_path, write_text
from vta.sim.progress import Progress
from vta.sw.bundle import FORMAT_VERSION

HELP = "write the core of a configuration as Verilog"
EXAMPLES = (
    "vta verilog -o vta.v",
    "vta verilog --preset 1x8 --bus-bits 32 -o small.v",
    "vta verilog --config vta_config.json -o vta.v",
    "vta verilog --ip -o vta_ip.v   # for a design of your own: docs/core.md",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=output_path,
        metavar="FILE",
        help="default: vta.v in build/; - for the terminal",
    )
    parser.add_argument(
        "--ip",
        action="store_true",
        help="for a design of your own: a header, attributes for IP packagers, no event_* ports",
    )
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    config = chosen_config(args)
    output = args.output or build_directory() / "vta.v"
    if args.output is None:
        output.parent.mkdir(parents=True, exist_ok=True)
    check_output("--output", output)
    with Progress() as progress:
        text = build_verilog(config, ip=args.ip, progress=progress.step).read_text()
    if args.ip:
        text = header(config, FORMAT_VERSION) + text
    write_text(output, text)
    if output != STANDARD_OUTPUT:
        print(f"{output}: {len(text.splitlines())} lines, configuration {config.name}")
    return Exit.OK
