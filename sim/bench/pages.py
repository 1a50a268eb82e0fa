"""What docs/seed.md and docs/digits.md state: programs of the operators, and their cycles."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import CONFIG, BenchError, Runs

if TYPE_CHECKING:
    from vta.sw.models.digits import LayerRun

__all__ = ["DIGITS", "SEED", "SEED_FORMS", "digits", "seed"]

SEED = "the seed's product"
SEED_FORMS = {
    "unit loop": ("simple_matmul", {"form": "unit_loop"}),
    "fused": ("simple_matmul", {"form": "fused"}),
    "tiled": ("matmul", {"inner": 256, "columns": 256}),
}
DIGITS = "digits"


def seed(runs: Runs) -> Iterator[Figure]:
    """Cycles and instructions of the seed thread's product in each form."""
    from vta.sw.operators import operator  # here, because TVM takes seconds to load

    for name, (chosen, parameters) in SEED_FORMS.items():
        runs.progress.note(f"{SEED}, {name}: compiling")
        program = operator(chosen).kernel(CONFIG, **parameters).program()
        yield _figure(SEED, name, runs.cycles(program))
        yield _figure(SEED, name, program.registers.insn_count, "instructions")


def digits(runs: Runs) -> Iterator[Figure]:
    """The digit network on all its test images, a layer at a time."""
    from vta.sw.models.digits import LAYERS, classify, test_images

    found: list[LayerRun] = []
    runs.progress.note("digits: compiling")
    classify(runs.device(CONFIG), test_images()[0], on_layer=found.append)
    for layer in LAYERS:
        own = [run for run in found if run.layer is layer]
        if not all(run.match for run in own):
            raise BenchError(f"digits: {layer.name} is not what NumPy computes")
        yield _figure(DIGITS, layer.name, sum(run.result.cycles or 0 for run in own))
        yield _figure(DIGITS, layer.name, len(own), "programs")
        counts = (run.program.registers.insn_count for run in own)
        yield _figure(DIGITS, layer.name, sum(counts), "instructions")
        uops = (run.result.counters["gemm_uops"] for run in own)
        yield _figure(DIGITS, layer.name, sum(uops), "GEMM uops")


def _figure(group: str, name: str, value: int, unit: str = "cycles") -> Figure:
    full = name if unit == "cycles" else f"{name}, {unit}"
    return Figure(group=group, name=full, ours=value, unit=unit, fixed=True)
