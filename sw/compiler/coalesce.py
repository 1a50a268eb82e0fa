"""Stages in place: an accumulator buffer that takes over the entries of the one it is made from.

A schedule may give each step of an epilogue a buffer of its own: ``shifted[i] = acc[i] >> 8``, then
``clipped[i] = min(shifted[i], 127)``. Where a step reads its operand for the last time, entry by
entry, both buffers may stand in the same place, and the step is one instruction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm_ffi import structural_equal

from vta.sw.compiler.fold import Instance
from vta.sw.compiler.liveness import dead_operands, touched_entries
from vta.sw.compiler.walk import Walk

__all__ = ["coalesce"]


def coalesce(walk: Walk, instances: Sequence[Instance]) -> bool:
    """Make one buffer of `walk` an alias of another where that changes no value.

    False where there is nothing (more) to do; otherwise the leaves are to be folded again.
    """
    facts = list(zip(instances, dead_operands(instances), strict=True))
    tried = set()
    for instance, dead in facts:
        source = _source(instance, dead)
        if source is None:
            continue
        pair = (instance.folder.operands[0].buffer, source)
        if pair not in tried and _fits(walk, *pair) and _takes_over(facts, *pair):
            walk.aliases[pair[0]] = source
            del walk.allocations[pair[0]]
            return True
        tried.add(pair)
    return False


def _source(instance: Instance, dead: frozenset[int]) -> Any:
    """The accumulator buffer that this execution's destination could take over, or None."""
    folder = instance.folder
    if folder.kind != "alu" or instance.folded is None or 0 in instance.places:
        return None
    target = folder.operands[0]
    if any(o.buffer.same_as(target.buffer) for o in folder.operands[1:]):
        return None
    for n in sorted(dead - {0}):
        operand = folder.operands[n]
        if structural_equal(operand.index.expr, target.index.expr):
            return operand.buffer
    return None


def _fits(walk: Walk, target: Any, source: Any) -> bool:
    """Do both take the same room, at the same places in turn?"""
    one, other = walk.allocations[target], walk.allocations[source]
    sizes = [(a.size, a.slots, a.instances) for a in (one, other)]
    return sizes[0] == sizes[1]


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


def _takes_over(facts: Sequence[tuple[Instance, frozenset[int]]], target: Any, source: Any) -> bool:
    """Does every entry hold the source's value first, and the target's only afterwards?"""
    slots: dict[int, _Slot] = {}
    for instance, dead in facts:
        folder = instance.folder
        if instance.folded is None:
            continue
        moves = folder.operands[0].buffer.same_as(target) and _source(instance, dead) is not None
        moves = moves and _source(instance, dead).same_as(source)
        now = instance.step.instances
        for n in instance.used:
            operand = folder.operands[n]
            if not (operand.buffer.same_as(target) or operand.buffer.same_as(source)):
                continue
            number = now[operand.buffer]
            allocation = folder.walk.allocations[operand.buffer]
            size = allocation.elements(operand.element)
            slot = slots.setdefault(number % allocation.slots, _Slot(np.zeros(size, bool)))
            entries = touched_entries(instance, n)
            if not slot.enter(number):
                return False
            if operand.buffer.same_as(source) and slot.taken[entries].any():
                return False
            if operand.buffer.same_as(target):
                if now[source] != number or not (moves or slot.taken[entries].all()):
                    return False
        if moves:
            slot = slots[now[target] % folder.walk.allocations[target].slots]
            slot.taken[touched_entries(instance, 0)] = True
    return True
