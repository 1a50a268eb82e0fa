"""The `vta` command: one subcommand a module of `sim.commands`.

Exit status: 0 all is well, 1 something does not match or was found wrong, 2 bad usage or input
(one line on standard error), 3 nothing is wrong, but of some stream nothing was expected (`vta
run`), 130 interrupted.
"""

import argparse
import sys
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
    args, rest = parser.parse_known_args(arguments)
    if rest and hasattr(args, "parameters") and not any(text.startswith("-") for text in rest):
        args.parameters += rest  # argparse takes positional arguments before options only
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return modules[args.command].run(args)
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


def _examples(module: ModuleType) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES)


def _refuse(message: str) -> int:
    print(f"vta: {message}", file=sys.stderr)
    return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
