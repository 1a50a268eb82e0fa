"""A program that fills every scratchpad with bytes from a seed.

Loads alone do it, so that it needs nothing of the core's insides: UOP, INP, WGT and ACC from
random memory, and OUT with ACC, which writes both (isa.md section 4). No token is needed: FINISH
waits until every queue is empty.
"""

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Finish, Load, MemoryType
from vta.sw.codec import encode_all
from vta.sw.program import Program, Registers

__all__ = ["poison_program"]

ALIGNMENT = 4096
LONGEST_ROW = 0x8000  # elements: x_size has 16 bits
MEMORY_BASE = 0x10000


def poison_program(config: Config, seed: int) -> Program:
    """LOADs of random bytes over all of UOP, INP, WGT and ACC (and OUT), then FINISH."""
    rng = np.random.default_rng(seed)
    image = bytearray()
    bases: dict[str, int] = {}
    loads: list[Load] = []
    for kind in (MemoryType.UOP, MemoryType.ACC, MemoryType.INP, MemoryType.WGT):
        memory = MEMORIES[kind]
        image += bytes(-len(image) % ALIGNMENT)
        bases[memory.base] = MEMORY_BASE + len(image)
        depth = memory.depth(config)
        image += rng.bytes(depth * memory.element_bytes(config))
        for start in range(0, depth, LONGEST_ROW):
            nelements = min(LONGEST_ROW, depth - start)
            loads.append(_load(kind, start, nelements))
    instructions = [*loads, Finish()]
    image += bytes(-len(image) % ALIGNMENT)
    bases["insn"] = MEMORY_BASE + len(image)
    image += encode_all(config, instructions).tobytes()
    return Program(
        name=f"poison_{seed}",
        config=config,
        registers=Registers(insn_count=len(instructions), **bases),
        memory=np.frombuffer(bytes(image), np.uint8),
        memory_base=MEMORY_BASE,
        memory_size=len(image) + -len(image) % ALIGNMENT,
    )


def _load(kind: MemoryType, start: int, nelements: int) -> Load:
    return Load(
        memory_type=kind,
        sram_base=start,
        dram_base=start,
        y_size=1,
        x_size=nelements,
        x_stride=nelements,
    )
