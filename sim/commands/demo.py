"""`vta demo`: what `make sim` runs."""

import argparse

HELP = "run TVM-scheduled operators, reference streams and a network on the core"
EXAMPLES = ("vta demo                           # a minute, the first time with a build",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(args: argparse.Namespace) -> int:
    del args
    from vta.sim.demo import run_demo

    return run_demo()
