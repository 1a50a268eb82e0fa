"""Scratchpads in block RAM: the banks that take unaligned beats, and UOP, INP and WGT."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, MemoryType
from vta.hw.library.bits import log2
from vta.hw.transfers.loader import lanes_of, parts_of, write_layout

__all__ = ["Scratchpad", "bank_writes"]


def bank_writes(
    m: Module, banks: int, pos: Value, count: Value | int
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
        super().__init__(
            {
                "write": In(write_layout(config)),
                "write_valid": In(1),
                "read_en": In(1),
                "read_addr": In(range(self._depth)),
                "read_data": Out(self._bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = max(1, self._depth // self._lanes)
        piece = self._bits // self._parts
        pieces = Array([self.write.data.word_select(n, piece) for n in range(self._lanes)])
        reads = []
        for bank, (hit, row, n) in enumerate(
            bank_writes(m, self._lanes, self.write.pos, self.write.count)
        ):
            lane = (self.write.lane + n)[: log2(self._lanes)] if self._lanes > 1 else 0
            value = Mux(self.write.zero, 0, pieces[lane])
            written = self.write_valid & hit
            outputs = []
            for part in range(self._parts):  # a memory of its own for each part of an element
                storage = memory.Memory(shape=piece, depth=rows, init=[])
                m.submodules[f"bank_{bank}_{part}"] = storage
                write, read = storage.write_port(), storage.read_port()
                m.d.comb += [
                    write.addr.eq(row),
                    write.data.eq(value),
                    write.en.eq(written & (self.write.zero | (self.write.part == part))),
                    read.addr.eq(self.read_addr >> log2(self._lanes)),
                    read.en.eq(self.read_en),
                ]
                outputs.append(read.data)
            reads.append(Cat(outputs))
        if self._lanes == 1:
            m.d.comb += self.read_data.eq(reads[0])
        else:
            chosen = Signal(range(self._lanes))
            with m.If(self.read_en):
                m.d.sync += chosen.eq(self.read_addr)
            m.d.comb += self.read_data.eq(Array(reads)[chosen])
        return m
