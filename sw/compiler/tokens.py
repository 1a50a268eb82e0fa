"""Step 5: dependency flags, from hazards on scratchpad entries.

For every entry the last reader and the last writer of each stage are known. An operation waits, for
each neighbour stage, for the latest operation there that conflicts with it, unless a wait before it
in its own stage already covered that one. Hence pushes and pops pair up in order: an operation has
at most one of each a neighbour, and a pop always meets the push that was meant for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Stage
from vta.sw.compiler.allocate import DEPTHS, Operation
from vta.sw.compiler.errors import CompileError

__all__ = ["Flags", "assign", "outstanding"]

NEIGHBOURS = {
    Stage.LOAD: (Stage.COMPUTE,),
    Stage.COMPUTE: (Stage.LOAD, Stage.STORE),
    Stage.STORE: (Stage.COMPUTE,),
}


@dataclass
class Flags:
    """The four dependency flags of one instruction."""

    pop_prev: int = 0
    pop_next: int = 0
    push_prev: int = 0
    push_next: int = 0


class _Hazards:
    """Index of the last operation of each stage that read, and wrote, each entry (-1: none)."""

    def __init__(self, config: Config) -> None:
        self.last = {
            (memory, stage, write): np.full(getattr(config, depth), -1, np.int64)
            for memory, depth in DEPTHS.items()
            for stage in NEIGHBOURS
            for write in (False, True)
        }

    def latest(self, operation: Operation, stage: Stage) -> int:
        """The latest operation of `stage` that conflicts with `operation`, or -1."""
        found = -1
        for access in operation.accesses:
            for write in (True, False) if access.write else (True,):
                found = max(found, int(self.last[access.memory, stage, write][access.where].max()))
        return found

    def record(self, index: int, operation: Operation) -> None:
        for access in operation.accesses:
            self.last[access.memory, operation.stage, access.write][access.where] = index


def assign(operations: Sequence[Operation], config: Config) -> list[Flags]:
    """Flags of each operation, and of the FINISH after them (one more than `operations`).

    FINISH waits for the last load and the last store too: done means that everything is stored.

    Raises
    ------
    CompileError
        where more tokens than TOKEN_CAPACITY may be outstanding (the stream could deadlock).
    """
    hazards = _Hazards(config)
    flags = [Flags() for _ in range(len(operations) + 1)]
    covered = {(own, other): -1 for own, others in NEIGHBOURS.items() for other in others}
    last = dict.fromkeys(NEIGHBOURS, -1)
    pairs: dict[tuple[Stage, Stage], list[tuple[int, int]]] = {key: [] for key in covered}

    def wait(index: int, own: Stage, other: Stage, until: int) -> None:
        if until > covered[own, other]:
            covered[own, other] = until
            _link(flags[until], flags[index], own, other)
            pairs[own, other].append((until, index))

    for index, operation in enumerate(operations):
        own = operation.stage
        for other in NEIGHBOURS[own]:
            wait(index, own, other, hazards.latest(operation, other))
        hazards.record(index, operation)
        last[own] = index
    for other in NEIGHBOURS[Stage.COMPUTE]:
        wait(len(operations), Stage.COMPUTE, other, last[other])
    _check_capacity(pairs, config)
    return flags


def _link(pusher: Flags, popper: Flags, own: Stage, other: Stage) -> None:
    if other < own:
        popper.pop_prev = pusher.push_next = 1
    else:
        popper.pop_next = pusher.push_prev = 1


def outstanding(pairs: Sequence[tuple[int, int]]) -> int:
    """Most tokens in a counter at once, each held from its pusher's index to its popper's."""
    changes = sorted([(pusher, 1) for pusher, _ in pairs] + [(popper, -1) for _, popper in pairs])
    most = level = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most


def _check_capacity(
    pairs: dict[tuple[Stage, Stage], list[tuple[int, int]]], config: Config
) -> None:
    for (own, other), links in pairs.items():
        most = outstanding(links)
        if most > config.token_capacity:
            raise CompileError(
                f"{most} tokens from {other.name} to {own.name} may be outstanding; TOKEN_CAPACITY "
                f"is {config.token_capacity}: use fewer slots or larger tiles"
            )
