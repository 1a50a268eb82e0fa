"""A load that needs what a store of the same stream wrote: the token between them.

Load and store stage have no tokens for each other. An instruction of the compute stage that does
nothing (LOAD UOP of no uops) waits for the store and lets the load go. Compute works in order, so
where it stands decides what it costs: too early, and compute waits for a store that is under way;
too late, and the load begins late. It stands where the store should just have ended, by the work
that compute has until then; before the load at the latest.
"""

from bisect import bisect_left
from dataclasses import replace
from itertools import accumulate

from vta.hw.isa import MEMORIES, Alu, Gemm, Load, MemoryType, Stage, Store
from vta.sw.compiler.ir import Code, Operation, Stream
from vta.sw.compiler.passes.hazards import Hazards
from vta.sw.compiler.passes.tokens import Links

__all__ = ["relay"]

LATENCY = 32  # cycles from the last write beat to the response, and through the token queues
ISSUE = 2  # cycles of an instruction beyond its work
NOP = Load(memory_type=MemoryType.UOP)


def relay(stream: Stream) -> Stream:
    """The stream with a relay wherever load and store have to wait for each other."""
    early = _insert(stream, _early(stream))
    links = Links(early)
    operations: list[Operation] = []
    for operation in early.operations:
        own = operation.code.stage
        for stage, until in links.hazards.latest(operation).items():
            if own is Stage.COMPUTE or stage is Stage.COMPUTE or links.knows(own, stage, until):
                continue
            if links.relay(stage, until) is None:
                operations.append(_relay(operation))
                links.enter(operations[-1])
        operations.append(operation)
        links.enter(operation)
    return early.of(operations=tuple(operations))


def _relay(operation: Operation) -> Operation:
    """What does nothing, but waits for what `operation` waits for in DRAM."""
    code = operation.code
    outside = code.places[1]
    touches = tuple(touch for touch in code.touches if touch.place == outside)
    return replace(operation, form=Code(NOP, (None, None), touches, dram=code.dram))


def _early(stream: Stream) -> dict[int, list[Operation]]:
    """Relays for loads, by the position of the operation that they stand before."""
    operations = stream.operations
    compute = [n for n, o in enumerate(operations) if o.code.stage is Stage.COMPUTE]
    times = list(accumulate((_work(operations[n]) for n in compute), initial=0))
    hazards, ends = Hazards(stream), dict[int, int]()
    busy = relayed = 0
    found: dict[int, list[Operation]] = {}
    for index, operation in enumerate(operations):
        stage = operation.code.stage
        if stage is Stage.STORE:
            busy = max(busy, times[bisect_left(compute, index)]) + _beats(stream, operation)
            ends[index] = busy + LATENCY
        elif stage is Stage.LOAD:
            store = hazards.latest(operation)[Stage.STORE]
            if store >= 0 and store > relayed:
                first = max(bisect_left(times, ends[store]), bisect_left(compute, store))
                place = compute[first] if first < len(compute) else index
                place = min(place, index)
                found.setdefault(place, []).append(_relay(operation))
                relayed = store
        hazards.record(index, operation)
    return found


def _insert(stream: Stream, relays: dict[int, list[Operation]]) -> Stream:
    operations: list[Operation] = []
    for index, operation in enumerate(stream.operations):
        operations += [*relays.get(index, []), operation]
    return stream.of(operations=tuple(operations))


def _work(operation: Operation) -> int:
    """Cycles of an operation of the compute stage, about; a chain's ALU instructions are one."""
    instruction = operation.code.instruction
    if isinstance(instruction, Alu):
        return ISSUE
    if isinstance(instruction, Gemm):
        return ISSUE if instruction.reset_reg else operation.code.steps + ISSUE
    return LATENCY


def _beats(stream: Stream, operation: Operation) -> int:
    store = operation.code.instruction
    assert isinstance(store, Store)
    element = MEMORIES[MemoryType.OUT].element_bytes(stream.config)
    return -(-store.x_size * element // stream.config.beat_bytes) * store.y_size
