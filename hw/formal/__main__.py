"""All proofs: ``python -m hw.formal [NAME...]``, or ``make formal``."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hw.config import Config
from hw.formal.bursts import BurstProperties
from hw.formal.chain import ChainProperties, LaneProperties
from hw.formal.channels import CHANNELS, HeldProperties
from hw.formal.pipelines import AluPipelineProperties, GemmPipelineProperties
from hw.formal.ports import PortProperties
from hw.formal.prove import PACKAGES, FormalError, Properties, prove
from hw.formal.tokens import TokenProperties
from hw.packages import first_missing
from hw.places import build_directory

__all__ = ["PROOFS", "run"]

PROOFS: dict[str, tuple[Callable[[], Properties], int, str]] = {
    **{f"tokens-{n}": (lambda n=n: TokenProperties(capacity=n), 1, "prove") for n in (1, 2, 255)},
    **{f"bursts-{bits}": (lambda bits=bits: BurstProperties(Config(axi_data_bits=bits)), 1, "prove")
       for bits in (32, 64, 128, 256)},
    "chain": (ChainProperties, 1, "bmc"),  # without state: one cycle is all there is
    "lane": (LaneProperties, 3, "prove"),
    "gemm-pipeline": (GemmPipelineProperties, 15, "bmc"),
    "alu-pipeline": (AluPipelineProperties, 15, "bmc"),
    "ports": (PortProperties, 8, "prove"),
    "load-write": (lambda: PortProperties(patience=12), 21, "bmc"),
    **{f"held-{name.replace(' ', '-')}": (lambda name=name: HeldProperties(name), 4, "prove")
       for name in CHANNELS},
}  # fmt: skip
"""By name: the properties, and depth and mode of `prove`."""


def run(name: str, directory: Path) -> None:
    """Prove one of `PROOFS`; FormalError where it does not hold."""
    make, depth, mode = PROOFS[name]
    prove(make(), name=name, depth=depth, mode=mode, directory=directory)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}")
    parser.add_argument("--directory", type=Path, help="default: formal/ in the build directory")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in PROOFS]
    if unknown:
        parser.error(f"unknown proof {unknown[0]}: choose of {', '.join(PROOFS)}")
    if package := first_missing(PACKAGES):
        parser.error(f"package {package} is missing: `make formal` installs the extra `formal`")
    directory = options.directory or build_directory() / "formal"
    failed = 0
    for name in options.names or PROOFS:
        start = time.monotonic()
        try:
            run(name, directory)
            verdict = "proved"
        except FormalError as error:
            print(error, file=sys.stderr)
            verdict, failed = "FAILED", failed + 1
        print(f"{name:32} {verdict:8} {time.monotonic() - start:6.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
