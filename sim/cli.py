"""The `vta` command: one subcommand a module of `sim.commands`.

Exit status: 0 all is well, 1 something does not match or was found wrong, 2 bad usage or input
(one line on standard error), 130 interrupted, 128 + N ended by signal N.
"""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

__all__ = ["main"]

COMMANDS = {  # name: module of sim.commands
    "run": "run",
    "asm": "asm",
    "disasm": "disasm",
    "check": "check",
    "compile": "compile",
    "import": "import_",
    "verilog": "verilog",
    "synth": "synth",
    "bench": "bench",
}
USAGE_ERROR, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's own) ask for; its exit status."""
    parser = argparse.ArgumentParser(
        prog="vta",
        description="Compile, check, replay and inspect VTA instruction streams.",
        epilog="vta COMMAND --help shows each command's options and examples.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {name: import_module(f"sim.commands.{file}") for name, file in COMMANDS.items()}
    for name, module in modules.items():
        subparser = subparsers.add_parser(
            name, help=module.HELP, description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=_examples(module), formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.add_arguments(subparser)
    args = parser.parse_args(arguments)
    try:
        with _ended_by_signals():
            return modules[args.command].run(args)
    except Ended as end:
        print(f"vta: ended by {end.signal.name}", file=sys.stderr)
        return 128 + end.signal
    except KeyboardInterrupt:
        print("vta: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return 0
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{named}{error.strerror or error}")
    except (ValueError, RuntimeError) as error:
        # BundleError, ConfigError, AssemblerError, OperatorError, BuildError and the like: all
        # messages to the user are of these two kinds, and in one line.
        return _refuse(str(error))


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


def _examples(module: ModuleType) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES)


def _refuse(message: str) -> int:
    print(f"vta: {message}", file=sys.stderr)
    return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
