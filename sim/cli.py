"""The `vta` command: one subcommand a module of `vta.sim.commands`.

`vta.sim.exit` says what the exit status means. An error of the user is one message on standard
error; any exception that is not a `VtaError` is a bug of this package and shows as one.
"""

import argparse
import contextlib
import io
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from vta.hw.errors import VtaError
from vta.hw.packages import package_version
from vta.hw.registers import VERSION
from vta.sim.exit import Exit
from vta.sw.bundle import FORMAT_VERSION

__all__ = ["main"]

COMMANDS = {  # name: module of vta.sim.commands
    "run": "run",
    "asm": "asm",
    "disasm": "disasm",
    "check": "check",
    "compile": "compile",
    "inspect": "inspect",
    "import": "import_",
    "verilog": "verilog",
    "synth": "synth",
    "bench": "bench",
    "demo": "demo",
    "formal": "formal",
}
EXAMPLES = (
    "vta compile matmul rows=16 -o matmul.npz",
    "vta run matmul.npz",
    "vta COMMAND --help   # options and examples of each command",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's own) ask for; its exit status."""
    for stream in (sys.stdout, sys.stderr):  # a name from a file never stops the output
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if arguments is None else arguments
    modules = {name: import_module(f"vta.sim.commands.{file}") for name, file in COMMANDS.items()}
    parser = _parser(modules)
    if not arguments:
        parser.print_help(sys.stderr)
        return Exit.REFUSED
    args, rest = parser.parse_known_args(arguments)
    if rest and hasattr(args, "parameters") and not any(text.startswith("-") for text in rest):
        args.parameters += rest  # argparse takes positional arguments before options only
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with _ended_by_signals():
            return modules[args.command].run(args)
    except Ended as end:
        print(f"vta: ended by {end.signal.name}", file=sys.stderr)
        return 128 + end.signal
    except KeyboardInterrupt:
        print("vta: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return Exit.OK
    except VtaError as error:
        return _refuse(str(error))
    except OSError as error:  # the machine: no space, no permission, no such file
        named = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{named}{error.strerror or error}")
    except MemoryError:
        return _refuse("this machine has too little memory for that")
    except Exception:
        return _bug(arguments)


class Ended(KeyboardInterrupt):
    """A signal that asks this process to end: everything is left as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise `Ended` where SIGTERM or SIGHUP comes."""

    def end(number: int, frame: object) -> None:
        raise Ended(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread takes signals
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser(modules: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vta",
        description="Compile, check, replay and inspect VTA instruction streams.",
        epilog=_examples(EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in modules.items():
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=_examples(module.EXAMPLES),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
    return parser


def _version() -> str:
    """The package's version, then those of what it shares with other tools."""
    return (
        f"vta {package_version()} (stream bundles: format {FORMAT_VERSION}; "
        f"core: register map {VERSION})"
    )


def _examples(lines: tuple[str, ...]) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def _refuse(message: str) -> int:
    print(f"vta: {message}", file=sys.stderr)
    return Exit.REFUSED


def _bug(arguments: list[str]) -> int:
    """Show the exception that is being handled, and what a report of it needs."""
    traceback.print_exc()
    print(
        f"vta: this is a bug in vta, not in what you gave it: please report the lines above with "
        f"the command, vta {' '.join(arguments)} ({_version()}, Python "
        f"{platform.python_version()})",
        file=sys.stderr,
    )
    return Exit.BUG
