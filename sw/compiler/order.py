"""Between allocation and tokens: every load just before its first use.

A schedule that loads a large tensor once (weights of a whole layer) would have everything else wait
for it: the load stage works in order. Putting each load just before the first operation that needs
it interleaves such loads with the others, in the order in which the compute stage will ask; the
load stage still runs ahead, as far as tokens and queues let it.
"""

from collections.abc import Sequence

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MemoryType, Stage
from vta.sw.compiler.allocate import DEPTHS, Operation

__all__ = ["just_in_time"]


def just_in_time(operations: Sequence[Operation], config: Config) -> list[Operation]:
    """`operations` with the load stage's ones moved down to their first use.

    A load never moves past an access to the entries it writes, nor past another load of one of
    them, so the result is the same. Loads that nothing uses stay where they are.
    """
    never = len(operations)
    following = {  # for each entry, the position of the next access to it
        memory: np.full(getattr(config, depth), never, np.int64)
        for memory, depth in DEPTHS.items()
        if memory is not MemoryType.ACC
    }
    position = list(range(never))
    for index in range(never - 1, -1, -1):
        operation = operations[index]
        accesses = [access for access in operation.accesses if access.memory in following]
        if operation.stage is Stage.LOAD:
            nearest = min(int(following[a.memory][a.where].min()) for a in accesses)
            position[index] = index if nearest == never else nearest
        for access in accesses:
            following[access.memory][access.where] = position[index]
    order = sorted(range(never), key=lambda n: (position[n], n))
    return [operations[n] for n in order]
