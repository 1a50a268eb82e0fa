"""Which operations have to wait for which: the last accesses to every entry and unit of DRAM.

Of each stage the last reader and the last writer of every place are known. What an operation knows
to have ended when it begins is a vector clock, one position a stage: all that its own stage did
before, and, after a token, all that the operation which pushed it knew.
"""

from collections.abc import Sequence

import numpy as np

from vta.hw.isa import Stage
from vta.sw.compiler.ir import DEPTHS, Access, Operation, Stream

__all__ = ["NEIGHBOURS", "Clock", "Hazards"]

NEIGHBOURS = {
    Stage.LOAD: (Stage.COMPUTE,),
    Stage.COMPUTE: (Stage.LOAD, Stage.STORE),
    Stage.STORE: (Stage.COMPUTE,),
}
"""The stages that tokens go to and come from."""

Clock = dict[Stage, int]
"""For each stage the last operation that is known to have ended; -1: none."""


class Hazards:
    """Index of the last operation of each stage that read, and wrote, each place (-1: none).

    Of DRAM only tensors are followed that an operation of the stream writes.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        stores = [o for o in stream.operations if o.code.stage is Stage.STORE]
        self._stored = {operation.operands[0].name for operation in stores}
        ends = [stream.tensors[name].end // stream.unit for name in self._stored]
        sizes = {memory: getattr(stream.config, depth) for memory, depth in DEPTHS.items()}
        self._last = {
            (memory, stage, write): np.full(size, -1, np.int64)
            for memory, size in (*sizes.items(), (None, max(ends, default=0) + 1))
            for stage in NEIGHBOURS
            for write in (False, True)
        }

    def _accesses(self, operation: Operation) -> list[Access]:
        found = list(self.stream.on_chip(operation))
        if any(operand.name in self._stored for operand in operation.operands):
            found += [a for name, a in self.stream.in_dram(operation) if name in self._stored]
        return found

    def latest(self, operation: Operation) -> Clock:
        """For each other stage the latest operation that conflicts with `operation`."""
        accesses, found = self._accesses(operation), {}
        for stage in NEIGHBOURS:
            if stage is operation.code.stage:
                continue
            latest = -1
            for access in accesses:
                for write in (True, False) if access.write else (True,):
                    last = self._last[access.memory, stage, write][access.where]
                    latest = max(latest, int(last.max(initial=-1)))
            found[stage] = latest
        return found

    def record(self, index: int, operation: Operation) -> None:
        """`operation`, at position `index`, is the last one at all that it accesses."""
        for access in self._accesses(operation):
            self._last[access.memory, operation.code.stage, access.write][access.where] = index


def joined(clocks: Sequence[Clock]) -> Clock:
    """What is known to who knows all of `clocks`."""
    return {stage: max(clock[stage] for clock in clocks) for stage in NEIGHBOURS}
