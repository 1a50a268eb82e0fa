"""Every load just before its first use.

A schedule that loads a large tensor once (weights of a whole layer) would have everything else wait
for it: the load stage works in order. Putting each load just before the first operation that needs
it interleaves such loads with the others, in the order in which the compute stage will ask; the
load stage still runs ahead, as far as tokens and queues let it. Of loads that are needed at the
same time those come last that wait for a store of this stream: weights before what the layer
before computes.
"""

import numpy as np

from vta.hw.isa import MemoryType, Stage
from vta.sw.compiler.ir import DEPTHS, Stream

__all__ = ["just_in_time"]


def just_in_time(stream: Stream) -> Stream:
    """The stream with the load stage's operations moved down to their first use.

    A load never moves past an access to the entries it writes, nor past a store to its tensor, nor
    another load of the same entries past it, so the result is the same. Loads that nothing uses
    stay where they are.
    """
    operations = stream.operations
    never = len(operations)
    following = {  # for each entry, the next operation that accesses it
        memory: np.full(getattr(stream.config, depth), never, np.int64)
        for memory, depth in DEPTHS.items()
        if memory is not MemoryType.ACC
    }
    stored = {o.operands[0].name for o in operations if o.code.stage is Stage.STORE}
    stores: dict[str, int] = {}  # for each tensor, the next store to it
    position = np.arange(never + 1)
    rank = np.full(never + 1, 2)  # at the same position: 0 and 1 for loads, the latter wait
    for index in range(never - 1, -1, -1):
        operation = operations[index]
        accesses = [a for a in stream.on_chip(operation) if a.memory in following]
        if operation.code.stage is Stage.LOAD:
            users = np.unique(np.concatenate([following[a.memory][a.where] for a in accesses]))
            source = operation.operands[-1].name
            nearest = min(int(position[users].min()), stores.get(source, never))
            if nearest != never:
                position[index] = nearest
                together = rank[users[position[users] == nearest]]
                rank[index] = min(1 if source in stored else 0, *together, 1)
        elif operation.code.stage is Stage.STORE:
            stores[operation.operands[0].name] = index
        for access in accesses:
            following[access.memory][access.where] = index
    order = np.lexsort((np.arange(never), rank[:never], position[:never]))
    return stream.of(operations=tuple(operations[n] for n in order))
