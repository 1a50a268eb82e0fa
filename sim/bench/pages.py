"""What docs/seed.md and docs/digits.md state: programs of the operators, and their cycles."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import CONFIG, BenchError, Runs

if TYPE_CHECKING:
    from vta.sw.models.digits import GroupRun

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
    """The digit network on all its test images, by layer."""
    from vta.sw.models.digits import LAYERS, classify, test_images

    found: list[GroupRun] = []
    runs.progress.note("digits: compiling")
    device = runs.device(CONFIG)
    options, device.options = device.options, replace(device.options, events=True)
    try:
        classify(device, test_images()[0], on_group=found.append)
    finally:
        device.options = options
    yield _figure(DIGITS, "programs", len(found), "programs")
    for layer in LAYERS:
        if not all(run.match(layer) for run in found):
            raise BenchError(f"digits: {layer.name} is not what NumPy computes")
        own = [run.costs[layer.name] for run in found]
        yield _figure(DIGITS, layer.name, sum(cost.cycles or 0 for cost in own))
        yield _figure(DIGITS, layer.name, sum(cost.instructions for cost in own), "instructions")
        yield _figure(DIGITS, layer.name, sum(cost.gemm for cost in own), "GEMM uops")


def _figure(group: str, name: str, value: int, unit: str = "cycles") -> Figure:
    full = name if unit == "cycles" else f"{name}, {unit}"
    return Figure(group=group, name=full, ours=value, unit=unit, fixed=True)
