"""Wider buses: how much of them plain transfers use, and ResNet's layers on the widest."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Load, MemoryType, Store
from vta.sim.bench.figures import Figure
from vta.sim.bench.network import compile_layer, layer_figure
from vta.sim.bench.runs import Runs, with_golden
from vta.sim.bench.targets import BUS_USE, LAYERS, OVER_BOUND, ROW_BEATS
from vta.sw.program import Program
from vta.sw.test_programs.stream import StreamBuilder

__all__ = ["WIDE", "bus_use", "layers", "transfers"]

BUSES = (64, 128, 256)
WIDE = Config.preset("2x32", axi_data_bits=256)
IMAGES = 2
TRANSFERS = 9
"""Use is measured over all but the first, so that the latency of the first does not count."""
LOADS = (MemoryType.INP, MemoryType.WGT, MemoryType.ACC, MemoryType.ACC_8BIT, MemoryType.UOP)
SEED = 7


@dataclass(frozen=True)
class Rows:
    """What one transfer moves: `count` rows of `beats` beats, contiguous or with gaps between."""

    type: MemoryType
    count: int
    beats: int
    gap: bool

    @property
    def name(self) -> str:
        word = "STORE OUT" if self.type is MemoryType.OUT else f"LOAD {self.type.name}"
        return f"{word}, {self.count} x {self.beats} beats{', gaps between' if self.gap else ''}"

    def elements(self, config: Config) -> int:
        """Elements of a row."""
        return self.beats * config.beat_bytes // MEMORIES[self.type].element_bytes(config)


def transfers(config: Config) -> list[Rows]:
    """For each memory: all of it in one row, and rows of the shortest length with gaps."""
    chosen = []
    for type in (*LOADS, MemoryType.OUT):
        memory = MEMORIES[type]
        nbytes = memory.element_bytes(config)
        beats = memory.depth(config) * nbytes // config.beat_bytes
        # A scratchpad of less than a row is filled by one that is shorter.
        row = min(max(ROW_BEATS, nbytes // config.beat_bytes), beats)
        chosen += [Rows(type, 1, beats, False), Rows(type, max(beats // row // 2, 1), row, True)]
    return chosen


def bus_use(runs: Runs) -> Iterator[Figure]:
    """The share of cycles in which a beat of data moves, for each transfer on each bus."""
    for bits in BUSES:
        config = Config(axi_data_bits=bits)
        for rows in transfers(config):
            one, many = (program(rows, count, config) for count in (1, TRANSFERS))
            cycles = runs.cycles(many) - runs.cycles(one)
            beats = (TRANSFERS - 1) * rows.count * rows.beats
            yield Figure(
                group=f"use of the bus, {bits} bits",
                name=rows.name,
                ours=round(beats / cycles, 4),
                unit="",
                must=BUS_USE,
                higher=True,
                fixed=True,
                note=f"{beats} beats in {cycles} cycles",
            )


def program(rows: Rows, count: int, config: Config) -> Program:
    """A stream of `count` equal transfers, each of new rows in DRAM, beat-aligned.

    It expects what the golden model computes.
    """
    stream = StreamBuilder(config, f"{rows.name}_x{count}")
    elements, store = rows.elements(config), rows.type is MemoryType.OUT
    stride = elements * (2 if rows.gap else 1)
    stream.align(4096)
    if store:
        _fill(stream)
        stream.align(4096)
    dram = stream.reserve(rows.type, count * rows.count * stride)
    if not store:
        nbytes = count * rows.count * stride * MEMORIES[rows.type].element_bytes(config)
        noise = np.random.default_rng(SEED).integers(0, 256, nbytes, np.uint8)
        stream.put(rows.type, dram, noise)
    for n in range(count):
        transfer = (Store if store else Load)(
            memory_type=rows.type,
            sram_base=0,
            dram_base=dram + n * rows.count * stride,
            y_size=rows.count,
            x_size=elements,
            x_stride=stride,
        )
        stream.step(transfer)
    if rows.type in (MemoryType.ACC, MemoryType.ACC_8BIT):
        _store_row(stream, rows.count * elements)
    return with_golden(stream.program())


def _fill(stream: StreamBuilder) -> None:
    """Load all of ACC, so that there is something to store."""
    config = stream.config
    rng = np.random.default_rng(SEED)
    values = rng.integers(-99, 99, (config.acc_depth, config.batch, config.block)).astype("<i4")
    stream.load_new(MemoryType.ACC, values, 0)


def _store_row(stream: StreamBuilder, elements: int) -> None:
    """Store what was loaded; the same in every stream of a pair."""
    config = stream.config
    stream.store(0, np.zeros((elements, config.batch, config.block), np.int8))


def layers(runs: Runs) -> Iterator[Figure]:
    """C2 to C11 for two images on the widest bus, beside their own bound."""
    for layer in LAYERS:
        kernel = compile_layer(runs, layer, WIDE, images=IMAGES)
        result = runs.run(kernel.program())
        figure = layer_figure(layer, kernel, result, group="2x32, 256 bits, two images")
        figure.must = int(OVER_BOUND * figure.detail["demand"]["with_alu"])
        figure.anchor = None
        yield figure
