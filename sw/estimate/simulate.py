"""An event simulation of a stream: when each instruction starts and ends, without its data.

Every unit works out as much as is known. What then is known of nobody's doing happens at the
earliest cycle that is left: a burst goes out on the read bus, or the ALU operation in flight meets
nothing more beside it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Instruction, MemoryType, Stage
from vta.sw.estimate.compute import ComputeStage
from vta.sw.estimate.errors import EstimateError
from vta.sw.estimate.fetch import Fetch
from vta.sw.estimate.legal import stages_of
from vta.sw.estimate.loader import Loader
from vta.sw.estimate.loads import LoadStage
from vta.sw.estimate.read_bus import ReadBus
from vta.sw.estimate.result import Estimate
from vta.sw.estimate.stage import Record
from vta.sw.estimate.stores import StoreStage
from vta.sw.estimate.tokens import Tokens
from vta.sw.estimate.uops import Uops
from vta.sw.program import Program

__all__ = ["LATENCY", "estimate", "estimate_program"]

LATENCY = 16


def estimate(
    instructions: Sequence[Instruction],
    uops: np.ndarray,
    config: Config,
    *,
    first_uop: int = 0,
    latency: int = LATENCY,
    bases: Mapping[str, int] | None = None,
) -> Estimate:
    """Cycles of a stream.

    Arguments
    ---------
    instructions: the stream, FINISH last.
    uops: uint32 (n,), what DRAM holds from uop `first_uop` of the uop base on.
    latency: of the memory, in cycles.
    bases: byte addresses of the base registers insn, uop, inp, wgt, acc and out; 0 where one is
        missing. Only their place in a burst matters.

    Raises
    ------
    EstimateError
        for an illegal stream, and for one that ends in a deadlock.
    """
    stages = stages_of(instructions, config)
    record = Record(instructions, stages)
    _run(*_units(record, Uops(config, uops, first_uop), config, latency, bases or {}))
    if -1 in record.ends:
        raise EstimateError(
            f"the stream has no estimate: instruction {record.ends.index(-1)} waits for ever; "
            "vta check says for what"
        )
    return Estimate.of(record)


def estimate_program(program: Program, *, latency: int = LATENCY) -> Estimate:
    """Cycles of a program: `estimate` with what its memory holds."""
    registers, nbytes = program.registers, program.config.uop_bytes
    first = max(0, -(-(program.memory_base - registers.uop) // nbytes))
    held = program.memory[registers.uop + first * nbytes - program.memory_base :]
    return estimate(
        program.instructions(),
        held[: len(held) // nbytes * nbytes].view("<u4"),
        program.config,
        first_uop=first,
        latency=latency,
        bases=vars(registers),
    )


Units = tuple[Fetch, LoadStage, ComputeStage, StoreStage]


def _units(
    record: Record, uops: Uops, config: Config, latency: int, bases: Mapping[str, int]
) -> tuple[Units, ReadBus]:
    """The units of the core, wired."""
    addresses = {memory.type: bases.get(memory.base, 0) for memory in MEMORIES.values()}
    of_load, of_compute = (Loader(config, addresses) for _ in range(2))
    to_compute, to_load, to_store, from_store, *none = (
        Tokens(config.token_capacity) for _ in range(6)
    )
    load = LoadStage(config, record, none, (to_load, to_compute), loader=of_load)
    compute = ComputeStage(
        config, record, (to_compute, to_load), (from_store, to_store), loader=of_compute, uops=uops
    )
    out = addresses[MemoryType.OUT]
    store = StoreStage(config, record, (to_store, from_store), none, latency=latency, base=out)
    queues = {Stage.LOAD: load, Stage.COMPUTE: compute, Stage.STORE: store}
    fetch = Fetch(config, queues, record.stages, bases.get("insn", 0))
    return (fetch, load, compute, store), ReadBus(config, latency, (of_compute, fetch, of_load))


def _run(units: Units, bus: ReadBus) -> None:
    """Until nobody can do anything more."""
    compute = units[2]
    news = True
    while True:
        while news and any(unit.advance() for unit in units):
            pass
        issue, event = bus.next_issue(), compute.next_event()
        if issue is not None and (event is None or issue[0] < event):
            bus.issue(*issue)
            news = issue[1].news
        elif event is not None:
            compute.happen()
            news = True
        else:
            return
