"""Which LOAD brought what an instruction reads: the arrows of data in a timeline."""

import numpy as np

from vta.hw.isa import Load, MemoryType
from vta.sim.timeline.history import NEVER, History
from vta.sw.check.footprint import DEPTHS, UopTable, dram_rows, footprint, uop_words
from vta.sw.rules import is_nop

__all__ = ["loads_read"]

NOBODY = -1


def loads_read(history: History) -> list[tuple[int, int]]:
    """(LOAD, reader) for every LOAD of which an instruction reads what it loaded.

    Instructions are followed in the order in which they started: tokens make sure that it is the
    order of their effects. Uops are those of the memory image.
    """
    program, config = history.program, history.program.config
    writers = {
        name: np.full(getattr(config, depth), NOBODY, np.int64) for name, depth in DEPTHS.items()
    }
    uops = UopTable(config)
    ran = [n for n, start in enumerate(history.started) if start != NEVER]
    found: list[tuple[int, int]] = []
    for index in sorted(ran, key=lambda n: history.started[n]):
        instruction = history.instructions[index]
        rows = dram_rows(config, program.registers, instruction)
        touched = footprint(config, instruction, index, rows, uops)
        if touched.error:
            continue
        sources: set[int] = set()
        for name, entries in touched.reads.items():
            sources |= set(np.unique(writers[name][entries]).tolist())
        found += [
            (source, index)
            for source in sorted(sources - {NOBODY})
            if isinstance(history.instructions[source], Load)
        ]
        for name, entries in touched.writes.items():
            writers[name][entries] = index
        if isinstance(instruction, Load) and instruction.memory_type == MemoryType.UOP:
            if not is_nop(instruction):
                words = uop_words(program, instruction)
                uops.load(instruction, words, np.ones(words.shape, bool))
    return found
