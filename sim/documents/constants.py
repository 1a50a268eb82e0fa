"""Sizes of the core and limits of the simulation that pages name: constants of the code."""

from collections.abc import Iterator
from importlib.metadata import version

from vta.hw.capacities import (
    BEATS_IN_FLIGHT,
    BUFFER_BEATS,
    BURST_BEATS,
    CHUNK_BEATS,
    DESCRIPTORS,
    MOST_FOLDED,
    STEPS,
    WORTH_FLAGS,
    WORTH_WAITING,
)
from vta.hw.compute.alu import SUM_BITS
from vta.hw.config import ZERO_FLAGS, Config
from vta.hw.engine import QUIET_CYCLES
from vta.hw.synthesis.flows import SEED
from vta.sim.bench.marginal import FILLERS, MORE
from vta.sim.bench.targets import (
    ESTIMATE_CYCLES,
    ESTIMATE_SHARE,
    LATENCIES,
    OVER_BOUND,
    ROW_BEATS,
    STALL_OVERHEAD,
    SWEEP,
)
from vta.sim.documents.claim import Claim
from vta.sim.environment import OLDEST_PYTHON
from vta.sim.options import RunOptions
from vta.sw.operators.tiles import NARROW_GAIN
from vta.sw.relax.quantize.exponents import SHIFT
from vta.sw.relax.quantize.report import MOST

__all__ = ["constants"]

ARCHITECTURE, DEBUGGING = "docs/architecture.md", "docs/debugging.md"
PERFORMANCE, FPGA, NETWORKS = "docs/performance.md", "docs/fpga.md", "docs/networks.md"
OPERATORS, README, SEED_PAGE = "docs/operators.md", "README.md", "docs/seed.md"
HANG = '| `no result`, "hangs: nothing has moved for {} cycles"'


def constants() -> Iterator[Claim]:
    """A claim for each."""
    tvm = ".".join(version("apache-tvm").split(".")[:2])
    covered = BEATS_IN_FLIGHT - BURST_BEATS
    gain, stalls, over = f"{NARROW_GAIN - 1:.0%}", f"{STALL_OVERHEAD:.0%}", f"{OVER_BOUND - 1:.0%}"
    for page, text, *values in (
        (ARCHITECTURE, "up to {} beats, in bursts of up to {}", BUFFER_BEATS, CHUNK_BEATS),
        (ARCHITECTURE, "is architectural ({} by default)", Config().queue_depth),
        (ARCHITECTURE, "bursts of up to {} LOADs before", DESCRIPTORS),
        (ARCHITECTURE, "plans wait in a queue of {}.", DESCRIPTORS),
        (
            ARCHITECTURE,
            "has up to {} beats asked for: that covers a latency of {} cycles",
            BEATS_IN_FLIGHT,
            covered,
        ),
        (ARCHITECTURE, "Up to {} steps then wait", STEPS),
        (ARCHITECTURE, "at most {} instructions, so that the sum of", MOST_FOLDED),
        (ARCHITECTURE, "immediate ADDs keeps its {} bits", SUM_BITS),
        (ARCHITECTURE, "only where it has {} vectors or more", WORTH_WAITING),
        (ARCHITECTURE, "a contiguous range of more than {} entries", WORTH_FLAGS),
        (ARCHITECTURE, "a flag for each entry, a row of {} (times", ZERO_FLAGS),
        (ARCHITECTURE, "and for {} cycles none has", QUIET_CYCLES),
        (DEBUGGING, HANG, RunOptions().no_progress),
        (PERFORMANCE, "stand {} NOPs", FILLERS),
        (PERFORMANCE, "({} of a kind - 1 of a kind) / {}", MORE + 1, MORE),
        (PERFORMANCE, "in rows of {} beats that do not touch", ROW_BEATS),
        (PERFORMANCE, "at most {} more than without, plus", stalls),
        (PERFORMANCE, "at most {} over their bound where", over),
        (
            PERFORMANCE,
            "An estimate is within {} or {} cycles of the RTL",
            f"{ESTIMATE_SHARE:.0%}",
            ESTIMATE_CYCLES,
        ),
        (PERFORMANCE, "streams of `tests/streams` at latencies {} and {}", *LATENCIES),
        (PERFORMANCE, "the same at latencies from {} to {}, against", SWEEP[0], SWEEP[-1]),
        (PERFORMANCE, "the straight line through the limits at {} and {};", *LATENCIES),
        (FPGA, "another start of the placement (default {})", SEED),
        (FPGA, "That is the placement from seed {}, the default", SEED),
        (NETWORKS, "nor coarser by more than {} bits", SHIFT),
        (NETWORKS, "on up to {} samples", MOST),
        (OPERATORS, "only where that gains {})", gain),
        (README, "python3 ({} or later", ".".join(map(str, OLDEST_PYTHON))),
        (SEED_PAGE, "This page answers with apache-tvm {};", tvm),
        (SEED_PAGE, "What its names are in {}:", tvm),
    ):
        yield Claim(page, text, tuple(map(str, values)))
