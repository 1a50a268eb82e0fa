"""Stages in place: an accumulator buffer that takes over the entries of the one it is made from.

A schedule may give each step of an epilogue a buffer of its own: ``shifted[i] = acc[i] >> 8``, then
``clipped[i] = min(shifted[i], 127)``. Where a step reads its operand for the last time, entry by
entry, both buffers may stand in the same place, and the step is one instruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vta.sw.compiler.ir import Nest, Operation, Stream
from vta.sw.compiler.passes.liveness import alike, dead_operands
from vta.sw.compiler.values import in_place

__all__ = ["coalesce"]

Facts = Sequence[tuple[Operation, frozenset[int]]]


def coalesce(stream: Stream) -> Stream:
    """The stream with as few accumulator buffers as may be, every value as before."""
    while (pair := _pair(stream)) is not None:
        stream = _merged(stream, *pair)
    return stream


def _pair(stream: Stream) -> tuple[str, str] | None:
    """A buffer, and one whose entries it may take over."""
    facts = list(zip(stream.operations, dead_operands(stream), strict=True))
    tried = set()
    for operation, dead in facts:
        source = _source(operation, dead)
        if source is None:
            continue
        pair = (operation.operands[0].name, source)
        if pair not in tried and _fits(stream, facts, *pair) and _takes_over(stream, facts, *pair):
            return pair
        tried.add(pair)
    return None


def _source(operation: Operation, dead: frozenset[int]) -> str | None:
    """The accumulator buffer that this execution's destination could take over, or None."""
    nest, target = operation.nest, operation.operands[0]
    if nest.kind != "alu" or 0 in nest.reads:
        return None
    if any(operand.name == target.name for operand in operation.operands[1:]):
        return None
    for n in sorted(dead - {0}):
        if alike(operation, 0, n):
            return operation.operands[n].name
    return None


def _fits(stream: Stream, facts: Facts, target: str, source: str) -> bool:
    """Do both take the same room, at the same places in turn?"""
    one, other = stream.buffers[target], stream.buffers[source]
    last = dict.fromkeys((target, source), 0)
    for operation, _ in facts:
        for operand in operation.operands:
            if operand.name in last:
                last[operand.name] = max(last[operand.name], operand.instance)
    return one == other and last[target] == last[source]


@dataclass
class _Slot:
    """One SRAM slot: the instance that stands in it, and the entries the target has taken."""

    taken: np.ndarray
    instance: int = -1

    def enter(self, instance: int) -> bool:
        """Look at `instance`; False where a later one stands here already."""
        if instance < self.instance:
            return False
        if instance > self.instance:
            self.taken[:] = False
            self.instance = instance
        return True


def _takes_over(stream: Stream, facts: Facts, target: str, source: str) -> bool:
    """Does every entry hold the source's value first, and the target's only afterwards?"""
    slots: dict[int, _Slot] = {}
    buffer = stream.buffers[target]
    for operation, dead in facts:
        mine = {n: operation.operands[n] for n in operation.nest.used}
        mine = {n: operand for n, operand in mine.items() if operand.name in (target, source)}
        moves = operation.operands[0].name == target and _source(operation, dead) == source
        for n, operand in mine.items():
            number = operand.instance % buffer.slots
            slot = slots.setdefault(number, _Slot(np.zeros(buffer.size, bool)))
            touched = operation.touched(n)
            if not slot.enter(operand.instance):
                return False
            if operand.name == source and slot.taken[touched].any():
                return False
            if operand.name == target and not (moves or slot.taken[touched].all()):
                return False
        if moves:
            if len({operand.instance for operand in mine.values()}) > 1:
                return False
            slots[operation.operands[0].instance % buffer.slots].taken[operation.touched(0)] = True
    return True


def _merged(stream: Stream, target: str, source: str) -> Stream:
    """The stream with `target` in the place of `source`."""
    made: dict[tuple[Nest, tuple[int, ...]], Nest] = {}
    operations = []
    for operation in stream.operations:
        names = [operand.name for operand in operation.operands]
        if target in names:
            operands = tuple(
                replace(operand, name=source) if operand.name == target else operand
                for operand in operation.operands
            )
            operation = replace(operation, operands=operands)
            nest = operation.nest
            same = tuple(
                n
                for n in nest.reads
                if n
                and nest.value is not None
                and operands[n].name == operands[0].name
                and operands[n].instance == operands[0].instance
                and alike(operation, 0, n)
            )
            if same and (nest, same) not in made:
                value = in_place(nest.value, same)
                made[nest, same] = replace(nest, value=value, _touches={})
            if same:
                operation = replace(operation, form=made[nest, same])
        operations.append(operation)
    buffers = {name: buffer for name, buffer in stream.buffers.items() if name != target}
    return stream.of(operations=tuple(operations), buffers=buffers)
