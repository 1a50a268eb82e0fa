"""What may be overwritten: accumulators that nothing reads any more, and gaps that hold nothing."""

from collections import Counter

import numpy as np

from vta.hw.isa import MemoryType
from vta.sw.compiler.ir import Operation, Stream

__all__ = ["Elements", "alike", "dead_operands", "sole_writers"]


class Elements:
    """A flag for each element of every instance of every buffer; all false at first."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._flags: dict[tuple[str, int], np.ndarray] = {}

    def of(self, operation: Operation, place: int) -> np.ndarray | None:
        """The flags of the instance that is operand `place`; None for a tensor in DRAM."""
        operand = operation.operands[place]
        buffer = self.stream.buffers.get(operand.name)
        if buffer is None:
            return None
        key = (operand.name, operand.instance)
        if key not in self._flags:
            self._flags[key] = np.zeros(buffer.size, bool)
        return self._flags[key]


def sole_writers(stream: Stream) -> list[bool]:
    """For each nest: does nothing else write its instance of its destination?

    A LOAD may then fill gaps between clipped rows with zeros: they hold nothing.
    """
    keys = [(o.operands[0].name, o.operands[0].instance) for o in stream.operations]
    counts = Counter(keys)
    return [counts[key] == 1 for key in keys]


def dead_operands(stream: Stream) -> list[frozenset[int]]:
    """For each nest, the ACC operands that nothing reads afterwards.

    An operand also has to be alone: every entry touched once, and no other operand of the nest
    in the same buffer. The destination of an update (``acc[i] = f(acc[i])``) counts as dead.
    """
    live = Elements(stream)
    found = [_dead(operation, live) for operation in reversed(stream.operations)]
    return found[::-1]


def _dead(operation: Operation, live: Elements) -> frozenset[int]:
    nest = operation.nest
    touched = []
    for n in nest.used:
        state = live.of(operation, n)
        if state is not None and nest.memories[n] in (MemoryType.ACC, MemoryType.ACC_8BIT):
            touched.append((n, state, operation.touched(n)))
    if touched and touched[0][0] == 0:  # the destination: what it held before is not needed
        _, state, where = touched[0]
        state[where] = False
    names = [operation.operands[n].name for n, _, _ in touched]
    dead = set()
    for n, state, where in touched:
        alone = names.count(operation.operands[n].name) == 1
        if alone and not state[where].any() and len(where) == nest.volume:
            dead.add(n)
    for n, state, where in touched:
        if n in nest.reads:
            state[where] = True
    return frozenset(dead)


def alike(operation: Operation, one: int, other: int) -> bool:
    """Do two operands step through the same elements of their instances, in the same order?"""
    nest, operands = operation.nest, operation.operands
    first = [operands[n].offset + nest.base[n] for n in (one, other)]
    steps = [[d.strides[n] for d in nest.dims if d.extent > 1] for n in (one, other)]
    return first[0] == first[1] and steps[0] == steps[1]
