"""An event simulation of a stream: when each instruction starts and ends, without its data."""

from collections.abc import Mapping, Sequence

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Finish, Instruction, MemoryType, Stage
from vta.sw.estimate.compute import ComputeStage
from vta.sw.estimate.errors import EstimateError
from vta.sw.estimate.fetch import Fetch
from vta.sw.estimate.loader import Loader
from vta.sw.estimate.loads import LoadStage
from vta.sw.estimate.read_bus import ReadBus
from vta.sw.estimate.result import Estimate
from vta.sw.estimate.stage import Record
from vta.sw.estimate.stores import StoreStage
from vta.sw.estimate.tokens import Tokens
from vta.sw.program import Program
from vta.sw.rules import dispatch_error, stage_of

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
    simulation = _Simulation(instructions, (uops, first_uop), config, latency, dict(bases or {}))
    return simulation.run()


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


class _Simulation:
    """All units, and the loop that lets them work until nothing is left."""

    def __init__(self, instructions, dram_uops, config: Config, latency: int, bases: dict) -> None:
        stages: list[Stage] = []
        for index, instruction in enumerate(instructions):
            error = dispatch_error(config, instruction, index)
            stage = stage_of(instruction)
            if error is not None or stage is None:
                reason = error.reason if error else "no stage takes it"
                raise EstimateError(f"instruction {index} is illegal: {reason}")
            stages.append(stage)
        if not instructions or not isinstance(instructions[-1], Finish):
            raise EstimateError("the stream has no estimate: its last instruction is not FINISH")
        self._instructions = instructions
        self._order = stages
        self.record = Record(len(instructions))
        addresses = {m.type: bases.get(m.base, 0) for m in MEMORIES.values()}
        loaders = [Loader(config, addresses) for _ in range(2)]
        to_compute, to_load, to_store, from_store = (
            Tokens(config.token_capacity) for _ in range(4)
        )
        none = Tokens(config.token_capacity), Tokens(config.token_capacity)
        common = config, instructions, self.record
        load = LoadStage(*common, none, (to_load, to_compute), loader=loaders[0])
        self.compute = ComputeStage(
            *common,
            (to_compute, to_load),
            (from_store, to_store),
            loader=loaders[1],
            uops=dram_uops,
        )
        self.store = StoreStage(
            *common, (to_store, from_store), none, latency=latency, base=addresses[MemoryType.OUT]
        )
        self._stages = {Stage.LOAD: load, Stage.COMPUTE: self.compute, Stage.STORE: self.store}
        self._fetch = Fetch(config, self._stages, stages, bases.get("insn", 0))
        self._bus = ReadBus(config, latency, (loaders[1], self._fetch, loaders[0]))

    def run(self) -> Estimate:
        units = (self._fetch, *self._stages.values())
        bus, compute = self._bus, self.compute
        while True:
            while any(unit.advance() for unit in units):
                pass
            issue, event = bus.next_issue(), compute.next_event()
            if issue is not None and (event is None or issue[0] < event):
                bus.issue(*issue)
            elif event is not None:
                compute.happen()
            else:
                break
        waiting = [n for n, end in enumerate(self.record.ends) if end < 0]
        if waiting:
            raise EstimateError(
                f"the stream has no estimate: instruction {waiting[0]} waits forever (vta check "
                "says for what)"
            )
        return Estimate.of(self.record, self._order)
