"""`vta formal`: proofs of units of the core."""

import argparse
import sys
import time
from pathlib import Path

from vta.hw.errors import OptionError
from vta.hw.packages import first_missing
from vta.hw.places import build_directory
from vta.sim.exit import Exit

HELP = "prove properties of units of the core"
EXAMPLES = (
    "make formal                        # installs what it needs, then: vta formal",
    "vta formal chain lane              # only these",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="of a proof; all where none is given"
    )
    parser.add_argument("--directory", type=Path, help="default: formal/ in the build directory")


def run(args: argparse.Namespace) -> int:
    from vta.hw.formal.proofs import PROOFS, run
    from vta.hw.formal.prove import PACKAGES, FormalError

    for name in args.names:
        if name not in PROOFS:
            raise OptionError(f"{name} is not a proof: there are {', '.join(PROOFS)}")
    if package := first_missing(PACKAGES):
        raise OptionError(
            f"package {package} is missing: `make formal` installs the extra `formal`"
        )
    directory = args.directory or build_directory() / "formal"
    failed = 0
    for name in args.names or PROOFS:
        start = time.monotonic()
        try:
            run(name, directory)
            verdict = "proved"
        except FormalError as error:
            print(error, file=sys.stderr)
            verdict, failed = "FAILED", failed + 1
        print(f"{name:32} {verdict:8} {time.monotonic() - start:6.1f} s", flush=True)
    return Exit.WRONG if failed else Exit.OK
