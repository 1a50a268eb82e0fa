"""Arguments that several subcommands share."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from vta.hw.config import PRESETS, Config
from vta.hw.errors import OptionError
from vta.sim.output import STANDARD_OUTPUT, output_path

__all__ = [
    "add_clock_argument",
    "add_config_arguments",
    "add_json_argument",
    "check_clock",
    "chosen_config",
    "result_console",
]

OUTPUT_WIDTH = 140  # columns, into a file
CLOCK = 100.0  # MHz


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, --preset and --bus-bits."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--config", type=Path, metavar="FILE", help="a vta_config.json")
    group.add_argument("--preset", choices=sorted(PRESETS), help="BATCH x BLOCK (default 1x16)")
    parser.add_argument("--bus-bits", type=int, metavar="N", help="AXI data width: 32 to 256")


def add_json_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """--json, whose argument - is standard output."""
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=output_path,
        help=f"write {what} as JSON; -: to standard output, and the tables to standard error",
    )


def add_clock_argument(add: Any) -> None:
    """--clock."""
    add(
        "--clock",
        type=float,
        default=CLOCK,
        metavar="MHZ",
        help=f"of the core, for the inferences a second (default {CLOCK:g})",
    )


def check_clock(clock: float) -> None:
    """OptionError unless it is one."""
    if not 0 < clock < float("inf"):
        raise OptionError(f"--clock is {clock}; it must be more than 0 MHz")


def result_console(json_path: Path | None = None) -> Console:
    """Where tables go, wide enough for them where it is not a terminal; not where the JSON goes."""
    stderr = json_path == STANDARD_OUTPUT
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(width=OUTPUT_WIDTH, stderr=stderr)


def chosen_config(args: argparse.Namespace) -> Config:
    """The configuration that the arguments of `add_config_arguments` name."""
    if args.config is not None:
        config = Config.from_json(args.config)
    else:
        config = Config.preset(args.preset or "1x16")
    return config if args.bus_bits is None else config.replace(axi_data_bits=args.bus_bits)
