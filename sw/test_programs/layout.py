"""Where a random program keeps its data: areas of DRAM, in random order, at odd places."""

from dataclasses import dataclass

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import INSTRUCTION_BYTES, MEMORIES, MemoryType
from vta.sw.program import Registers

__all__ = ["Area", "Layout"]

AREA_TYPES = {
    "uop": MemoryType.UOP,
    "inp": MemoryType.INP,
    "wgt": MemoryType.WGT,
    "acc": MemoryType.ACC,
    "out": MemoryType.OUT,
}
ELEMENTS = {"uop": 1024, "inp": 48, "wgt": 8, "acc": 64, "out": 512}
PAGE = 4096


@dataclass(frozen=True)
class Area:
    """A range of DRAM: byte address and bytes."""

    addr: int
    nbytes: int


class Layout:
    """Random areas for instructions and each memory type, and base registers that reach them.

    `registers` has everything but the instruction count; `image` is uint8, random.
    """

    def __init__(self, config: Config, rng: np.random.Generator, instructions: int):
        self.config = config
        sizes = {"insn": INSTRUCTION_BYTES * instructions}
        align = {"insn": INSTRUCTION_BYTES}
        for name, type in AREA_TYPES.items():
            align[name] = MEMORIES[type].element_bytes(config)
            sizes[name] = ELEMENTS[name] * align[name]
        self.areas: dict[str, Area] = {}
        offset = 0
        for name in rng.permutation(sorted(sizes)).tolist():
            offset += int(rng.integers(0, 160)) if rng.random() < 0.7 else 0
            offset = -(-offset // align[name]) * align[name]
            self.areas[name] = Area(offset, sizes[name])
            offset += sizes[name]
        self.memory_size = -(-offset // PAGE) * PAGE
        top = (1 << 32) - self.memory_size
        choices = (0, 0x10000, PAGE * int(rng.integers(top // PAGE)), top)
        self.memory_base = choices[int(rng.choice(4, p=(0.3, 0.4, 0.2, 0.1)))]
        self.areas = {
            name: Area(area.addr + self.memory_base, area.nbytes)
            for name, area in self.areas.items()
        }
        self.bases = {name: self._base(name, align[name], rng) for name in AREA_TYPES}
        self.image = rng.integers(256, size=self.memory_size, dtype=np.uint8)
        self._place_small_values(rng)

    def _place_small_values(self, rng: np.random.Generator) -> None:
        """Half of the ACC elements hold small numbers: amounts to shift by, values to clamp."""
        area = self.areas["acc"]
        count = area.nbytes // self.config.acc_bytes
        start = area.addr - self.memory_base
        values = self.image[start : start + area.nbytes].view("<i4").reshape(count, -1)
        small = rng.random(count) < 0.5
        values[small] = rng.integers(-40, 40, size=values[small].shape)

    def _base(self, name: str, align: int, rng: np.random.Generator) -> int:
        """0, the area's address, or something before it."""
        addr = self.areas[name].addr
        return int(rng.choice((0, addr, align * int(rng.integers(addr // align + 1)))))

    def registers(self, insn_count: int) -> Registers:
        return Registers(insn_count=insn_count, insn=self.areas["insn"].addr, **self.bases)

    def dram_base(self, type: MemoryType, address: int) -> int:
        """The element of `type` at a byte address, counted from its base register."""
        memory = MEMORIES[type]
        return (address - self.bases[memory.base]) // memory.element_bytes(self.config)

    def elements(self, type: MemoryType, area: str | None = None) -> tuple[int, int]:
        """(first element, elements) of `type` that lie whole in an area; its own where None."""
        memory = MEMORIES[type]
        nbytes = memory.element_bytes(self.config)
        base = self.bases[memory.base]
        where = self.areas[area or memory.base]
        first = max(-(-(where.addr - base) // nbytes), 0)
        last = (where.addr + where.nbytes - base) // nbytes
        return first, max(last - first, 0)

    def put(self, address: int, data: np.ndarray) -> None:
        """Place the bytes of `data` in the image."""
        raw = data.reshape(-1).view(np.uint8)
        start = address - self.memory_base
        self.image[start : start + len(raw)] = raw
