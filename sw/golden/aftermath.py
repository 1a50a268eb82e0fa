"""After an error DRAM holds at most what STOREs before the stop wrote (isa.md section 6)."""

import numpy as np

from vta.hw.isa import MEMORIES, ErrorClass, MemoryType, Stage, Store
from vta.sw.golden.machine import Machine
from vta.sw.program import Program
from vta.sw.rules import is_nop
from vta.sw.stages import StageNetwork, Stop

__all__ = ["stray_bytes"]

MOST_EXECUTIONS = 1 << 26  # of uops, some 20 seconds: a device may have stopped long before


def stray_bytes(program: Program, memory: np.ndarray) -> np.ndarray:
    """Offsets of the bytes of `memory` that are neither as they were at launch nor what some STORE
    wrote there that may have run before the stop: int64, ascending.

    `memory` is what a device left, uint8 (memory_size,). A STORE may have run unless tokens order
    it behind the instruction in error, or that one was refused at dispatch before it. Where a
    STORE ended in a bus error anything may be there (the static checker does not look for races of
    an instruction in error), and what the STOREs behind it wrote, which do not wait for its
    responses; but none of them pushes a token. Only of a program without races, and without reads
    before any write, is the answer worth something. Of one with very many uops there is none: it is
    empty.
    """
    machine = Machine(program, max_executions=MOST_EXECUTIONS)
    explained = memory == program.image()

    def execute(index: int, pushers: list[int]) -> None:
        instruction = machine.instructions[index]
        if not isinstance(instruction, Store) or is_nop(instruction):
            return machine.execute(index)
        offsets, values = _writes(machine, instruction)
        try:
            machine.execute(index)
        except Stop as stop:
            if stop.error.error_class != ErrorClass.BUS_ERROR:
                raise
            network.silent.add(Stage.STORE)
            explained[offsets] = True
        else:
            explained[offsets[memory[offsets] == values]] = True

    network = StageNetwork(program.config, machine.instructions, execute)
    network.run(drain=True)
    if machine.counters["acc_writes"] > MOST_EXECUTIONS:
        return np.zeros(0, np.int64)
    return np.flatnonzero(~explained)


def _writes(machine: Machine, store: Store) -> tuple[np.ndarray, np.ndarray]:
    """What a STORE would write inside the memory: offsets into it, and bytes."""
    config, program = machine.config, machine.program
    nbytes = MEMORIES[MemoryType.OUT].element_bytes(config)
    entries = machine.pads["ACC"][store.sram_base :][: store.x_size * store.y_size]
    row = store.dram_base + np.arange(store.y_size, dtype=np.int64)[:, None] * store.x_stride
    start = program.registers.out - program.memory_base
    offsets = (start + row * nbytes + np.arange(store.x_size * nbytes)).ravel()
    values = entries.astype(np.int8).view(np.uint8).ravel()
    offsets = offsets[: len(values)]  # where the range passes the end of ACC nothing is written
    inside = (offsets >= 0) & (offsets < len(machine.memory))
    return offsets[inside], values[inside]
