"""All batches of a network's inputs on a device, one run each, compared as they come."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from vta.sim.network.runner import NoResult, Runner
from vta.sim.progress import Progress
from vta.sw.relax.accuracy import Accuracy
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.inference import Run
from vta.sw.relax.meaning import LayerDifference, added
from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["Batches", "run_batches"]


@dataclass
class Batches:
    """What the runs found.

    Members
    -------
    runner, run: of the first batch, or of the one that is wrong: nothing runs after that.
    number: which one that is, from 0 on; `count`: how many ran.
    tensors: how many were compared in all runs.
    differences: of each layer, by the value that it makes, over all batches.
    accuracy: of the outputs, over all batches.
    notes: what could not be compared, and why.
    """

    runner: Runner
    run: Run
    accuracy: Accuracy
    number: int = 0
    count: int = 0
    tensors: int = 0
    differences: dict[str, LayerDifference] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run_batches(
    network: CompiledNetwork,
    inputs: Mapping[str, np.ndarray],
    runner: Callable[[], Runner],
    progress: Progress,
    labels: np.ndarray | None = None,
) -> Batches:
    """Run all, unless one is wrong.

    Arguments
    ---------
    runner: makes a device for a batch.

    Raises
    ------
    NetworkError
        for inputs that do not fit.
    """
    batches = list(network.split(inputs))
    found: Batches | None = None
    for number, given in enumerate(batches):
        if len(batches) > 1:
            progress.note(f"batch {number + 1} of {len(batches)}")
        device, run = runner(), Run()
        with suppress(NoResult):  # its outcome says it
            run = network(given, device=device)
        if found is None:
            accuracy = Accuracy(network.manifest, network.originals, labels)
            found = Batches(device, run, accuracy)
        found.count += 1
        found.tensors += sum(len(region.checks) for region in run.regions)
        _compare(found, run, given)
        if not run.equal:
            found.runner, found.run, found.number = device, run, number
            break
    assert found is not None
    return found


def _compare(found: Batches, run: Run, inputs: Mapping[str, np.ndarray]) -> None:
    """With what the file means; what cannot be computed on this machine is noted."""
    try:
        differences = found.accuracy.meaning.differences(run, inputs)
        for value, one in differences.items():
            old = found.differences.get(value)
            found.differences[value] = one if old is None else added(old, one)
        found.accuracy.add(run, inputs)
    except NetworkError as error:
        note = f"not compared with what the file means: {error}"
        if note not in found.notes:
            found.notes.append(note)
