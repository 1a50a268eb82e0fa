"""The twelve reference streams: cycles at both latencies, over a sweep, and with random stalls."""

from collections.abc import Iterator, Sequence

from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import Runs, cycles_of
from vta.sim.bench.targets import LATENCIES, STALL_OVERHEAD, STREAMS, SWEEP, StreamTarget
from vta.sim.build import ROOT
from vta.sim.options import RunOptions
from vta.sw.program import Program

__all__ = ["cycles", "load", "stalls", "sweep"]

DIRECTORY = ROOT / "tests" / "streams"
QUICK_SWEEP = (1, 16, 64, 256)
STALL_SEEDS = (1, 2, 3)


def load(name: str) -> Program:
    """A reference stream by name."""
    return Program.load(DIRECTORY / f"{name}.npz")


def cycles(runs: Runs) -> Iterator[Figure]:
    """Cycles of each stream at both latencies of the anchor."""
    for target in STREAMS:
        program = load(target.name)
        for n, latency in enumerate(LATENCIES):
            note = f"ideal {target.ideal}" if n == 0 else ""
            if target.anchor[n] is None:
                note = "the anchor's result is wrong"
            result = runs.run(program, RunOptions(latency=latency))
            yield Figure(
                group=f"streams, latency {latency}",
                name=target.name,
                ours=cycles_of(result),
                anchor=target.anchor[n],
                must=target.must[n],
                aims=target.aims if n == 0 else (),
                fixed=True,
                note=note,
                detail={"counters": result.counters},
            )


def sweep(runs: Runs, *, quick: bool) -> Iterator[Figure]:
    """For each stream the latency that comes closest to the line through its musts, or beyond."""
    latencies = QUICK_SWEEP if quick else SWEEP
    for target in STREAMS:
        program = load(target.name)
        found = {latency: runs.cycles(program, latency) for latency in latencies}
        yield worst_latency(target, found)


def worst_latency(target: StreamTarget, found: dict[int, int]) -> Figure:
    """The figure of the latency with the least room; `found` has the cycles by latency."""
    worst = max(found, key=lambda latency: found[latency] / target.limit(latency))
    missed = [str(n) for n, cycles in found.items() if cycles > target.limit(n)]
    return Figure(
        group="latencies, the one with the least room",
        name=target.name,
        ours=found[worst],
        must=target.limit(worst),
        note=f"latency {worst}, of {_span(list(found))}"
        + (f"; missed at {', '.join(missed)}" if missed else ""),
        detail={"cycles": found},
    )


def _span(latencies: Sequence[int]) -> str:
    return f"{len(latencies)} from {min(latencies)} to {max(latencies)}"


def stalls(runs: Runs, *, quick: bool) -> Iterator[Figure]:
    """For each stream the seed with the least room, at latency 16."""
    for target in STREAMS:
        program = load(target.name)
        plain = runs.cycles(program)
        yield min(
            (_stalled(runs, program, plain, seed) for seed in STALL_SEEDS[: 1 if quick else None]),
            key=lambda figure: figure.must - figure.ours if figure.must else 0,
        )


def _stalled(runs: Runs, program: Program, plain: int, seed: int) -> Figure:
    result = runs.run(program, RunOptions(stall_seed=seed))
    held = sum(result.stalled.values())
    return Figure(
        group="random stalls",
        name=program.name,
        ours=cycles_of(result),
        must=int((1 + STALL_OVERHEAD) * plain) + held,
        note=f"{plain} without; channels held for {held}; seed {seed}",
        detail={"stalled": result.stalled},
    )
