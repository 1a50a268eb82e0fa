"""A schedule must not read what it has not written since the buffer was allocated.

Such a value is undefined: on LLVM it is whatever memory holds, on VTA what an earlier tile left in
the same slot. No user means that; TVM itself makes such a program, without a word, where
`tensorize` (blockize) meets a producer computed at a loop of its reader: it changes the rows of one
that computes overlapping rows, and drops the guard of a split that does not divide.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vta.sw.compiler.fold import Instance
from vta.sw.compiler.liveness import touched_entries

__all__ = ["check_initialized"]


def check_initialized(instances: Sequence[Instance]) -> None:
    """Follow what is written in every instance of every scratchpad buffer.

    Raises
    ------
    CompileError
        for the first statement that reads an element nothing has written.
    """
    written: dict[tuple[Any, int], np.ndarray] = {}
    for instance in instances:
        if instance.folded is None:
            continue
        for n in (*_read(instance), 0):
            operand = instance.folder.operands[n]
            allocation = instance.folder.walk.allocations.get(operand.buffer)
            if allocation is None:
                continue
            key = operand.buffer, instance.step.instances[operand.buffer]
            if key not in written:
                written[key] = np.zeros(allocation.elements(operand.element), bool)
            entries = touched_entries(instance, n)
            if n in _read(instance) and not written[key][entries].all():
                missing = entries[~written[key][entries]]
                raise instance.folder.error(
                    f"it reads element {missing[0]} of {operand.buffer.name} "
                    f"({instance.where()}), which nothing has written since the buffer was "
                    "allocated. If what writes it is tensorized inside a loop of its reader "
                    "(compute_at), TVM may have changed its rows or dropped a guard: compute it "
                    "at a loop further out, and split by factors that divide"
                )
            if n == 0:
                written[key][entries] = True


def _read(instance: Instance) -> list[int]:
    """The operands whose values an execution reads."""
    if instance.folder.kind == "gemm":
        return [0, 1, 2]
    return sorted(set(instance.places))
