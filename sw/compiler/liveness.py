"""What may be overwritten: accumulators that nothing reads any more, and gaps that hold nothing."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vta.hw.isa import MemoryType
from vta.sw.compiler.fold import Folded, Instance

__all__ = ["dead_operands", "sole_writers", "touched_entries"]


def sole_writers(instances: Sequence[Instance]) -> list[bool]:
    """For each execution: does nothing else write its instance of its destination?

    A LOAD may then fill gaps between clipped rows with zeros: they hold nothing.
    """
    keys = []
    for instance in instances:
        buffer = instance.folder.operands[0].buffer
        keys.append((buffer, instance.step.instances.get(buffer)))
    counts = Counter(keys)
    return [counts[key] == 1 for key in keys]


def dead_operands(instances: Sequence[Instance]) -> list[frozenset[int]]:
    """For each execution, the ACC operands that nothing reads afterwards.

    An operand also has to be alone: every entry touched once, and no other operand of the leaf
    in the same buffer. The destination of an update (``acc[i] = f(acc[i])``) counts as dead.
    """
    live: dict[tuple[object, int], np.ndarray] = {}
    result: list[frozenset[int]] = []
    for instance in reversed(instances):
        folded = instance.folded
        result.append(frozenset() if folded is None else _dead(instance, folded, live))
    return result[::-1]


def _dead(
    instance: Instance, folded: Folded, live: dict[tuple[object, int], np.ndarray]
) -> frozenset[int]:
    folder = instance.folder
    touched = []
    for n in instance.used:
        operand = folder.operands[n]
        allocation = folder.walk.allocations.get(operand.buffer)
        if allocation is None or operand.memory not in (MemoryType.ACC, MemoryType.ACC_8BIT):
            continue
        key = (operand.buffer, instance.step.instances[operand.buffer])
        state = live.setdefault(key, np.zeros(allocation.elements(operand.element), bool))
        touched.append((n, state, touched_entries(instance, n)))
    if touched and touched[0][0] == 0:  # the destination: what it held before is not needed
        _, state, where = touched[0]
        state[where] = False
    updates = folder.kind == "gemm" or 0 in instance.places
    buffers = [folder.operands[n].buffer for n, _, _ in touched]
    dead = set()
    for n, state, where in touched:
        alone = sum(buffer.same_as(folder.operands[n].buffer) for buffer in buffers) == 1
        if alone and not state[where].any() and len(where) == folded.volume:
            dead.add(n)
    for n, state, where in touched:
        if n or updates:
            state[where] = True
    return frozenset(dead)


def touched_entries(instance: Instance, operand: int) -> np.ndarray:
    """Sorted unique elements of an operand's buffer that an execution touches."""
    assert instance.folded is not None
    return instance.folded.entries(operand) + instance.offsets[operand]
