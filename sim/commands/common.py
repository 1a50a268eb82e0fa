"""Arguments that several subcommands share."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from vta.hw.config import PRESETS, Config
from vta.hw.errors import OptionError, quoted
from vta.sim.output import STANDARD_OUTPUT, output_path

__all__ = [
    "add_clock_argument",
    "add_config_arguments",
    "add_json_argument",
    "add_shape_argument",
    "check_clock",
    "chosen_config",
    "chosen_shapes",
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


def add_shape_argument(parser: argparse._ActionsContainer) -> None:
    """--shape NAME=1x3x160x160, which may be repeated."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=1x3x160x160",
        help="the shape of an input that the file leaves open; may be repeated",
    )


def chosen_shapes(args: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """The shapes that the arguments of `add_shape_argument` name, by input."""
    found: dict[str, tuple[int, ...]] = {}
    for text in args.shape:
        name, equals, sizes = text.rpartition("=")
        each = sizes.split("x")
        good = all(size.isascii() and size.isdigit() and len(size) < 10 for size in each)
        if not (name and equals and good and all(int(size) for size in each)):
            raise OptionError(f"--shape is {quoted(text)}; it must be like NAME=1x3x160x160")
        if name in found:
            raise OptionError(f"--shape names {quoted(name)} twice")
        found[name] = tuple(int(size) for size in each)
    return found


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
