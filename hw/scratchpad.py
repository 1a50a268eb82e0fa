"""Scratchpads in block RAM: the banks that take unaligned beats, and UOP, INP and WGT."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa import MEMORIES, MemoryType
from hw.loader import lanes_of, parts_of, write_layout

__all__ = ["Scratchpad", "bank_writes", "log2"]


def log2(power: int) -> int:
    """log2 of a power of two."""
    if power < 1 or power & power - 1:
        raise ValueError(f"{power} is not a power of two")
    return power.bit_length() - 1


def bank_writes(
    m: Module, banks: int, pos: Value, count: Value
) -> list[tuple[Value, Value, Value]]:
    """Spread elements `pos` to ``pos + count - 1`` over banks by their low index bits.

    Returns, for each bank, whether it is written, its row, and which of the elements it takes.
    """
    writes = []
    bits = log2(banks)
    for bank in range(banks):
        n = Signal(range(banks), name=f"bank_{bank}_element")
        m.d.comb += n.eq(bank - pos[:bits] if bits else 0)
        writes.append((n < count, (pos + n) >> bits, n))
    return writes


class Scratchpad(wiring.Component):
    """UOP, INP or WGT: written by a `Loader`, read an element a cycle.

    Where a beat holds several elements there is a bank for each, so that a beat is written in one
    cycle whatever its alignment; where an element takes several beats each is written by itself.

    Members
    -------
    write: a write of `write_layout`, taken whenever `write_valid`.
    read_en, read_addr: in; read_data: out, the element one cycle later, held while not enabled.
    """

    def __init__(self, config: Config, *, memory_type: MemoryType) -> None:
        self._lanes = lanes_of(config, memory_type)
        self._parts = parts_of(config, memory_type)
        self._depth = MEMORIES[memory_type].depth(config)
        self._bits = 8 * MEMORIES[memory_type].element_bytes(config)
        super().__init__({
            "write": In(write_layout(config)),
            "write_valid": In(1),
            "read_en": In(1),
            "read_addr": In(range(self._depth)),
            "read_data": Out(self._bits),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = max(1, self._depth // self._lanes)
        piece = self._bits // self._parts
        reads = []
        writes = bank_writes(m, self._lanes, self.write.pos, self.write.count)
        pieces = Array([self.write.data.word_select(n, piece) for n in range(self._lanes)])
        for bank, (hit, row, n) in enumerate(writes):
            storage = memory.Memory(shape=self._bits, depth=rows, init=[])
            m.submodules[f"bank_{bank}"] = storage
            port = storage.write_port(granularity=piece)
            read = storage.read_port()
            value = (
                pieces[(self.write.lane + n)[: log2(self._lanes)]] if self._lanes > 1 else pieces[0]
            )
            part = Cat(self.write.zero | (self.write.part == p) for p in range(self._parts))
            m.d.comb += [
                port.addr.eq(row),
                port.data.eq(Mux(self.write.zero, 0, value).replicate(self._parts)),
                port.en.eq(Mux(self.write_valid & hit, part, 0)),
                read.addr.eq(self.read_addr >> log2(self._lanes)),
                read.en.eq(self.read_en),
            ]
            reads.append(read.data)
        if self._lanes == 1:
            m.d.comb += self.read_data.eq(reads[0])
        else:
            chosen = Signal(range(self._lanes))
            with m.If(self.read_en):
                m.d.sync += chosen.eq(self.read_addr)
            m.d.comb += self.read_data.eq(Array(reads)[chosen])
        return m
