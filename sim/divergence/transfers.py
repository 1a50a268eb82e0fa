"""Which element of a LOAD or STORE was written wrong, and where its value comes from."""

import numpy as np

from vta.hw.isa import MEMORIES, Load, MemoryType, Store
from vta.sim.divergence.pattern import Axis
from vta.sim.divergence.search import Divergence
from vta.sim.divergence.words import listed
from vta.sim.scoreboard import place
from vta.sw.golden import machine_before
from vta.sw.program import Program
from vta.sw.rules import load_extent

__all__ = ["load_axes", "load_lines", "store_lines"]

MOST_SHIFT = 64


def load_lines(program: Program, divergence: Divergence) -> list[str]:
    """The element by its row and column in the padded block, and what the found value is."""
    load = program.instructions()[divergence.at.index]
    assert isinstance(load, Load)
    width, height = load_extent(load)
    y, x = divmod(divergence.number, width)
    where = f"row {y} of {height}, column {x} of {width} with padding"
    lines = [f"{where}: {_source(program, load, y, x)}"]
    return lines + _whose(program, divergence)


def _source(program: Program, load: Load, y: int, x: int) -> str:
    row, column = y - load.y_pad_0, x - load.x_pad_0
    if row < 0 or row >= load.y_size:
        return f"padding {'above' if row < 0 else 'below'} the data"
    if column < 0 or column >= load.x_size:
        return f"padding {'left' if column < 0 else 'right'} of the data"
    memory = MEMORIES[MemoryType(load.memory_type)]
    element = load.dram_base + row * load.x_stride + column
    base = getattr(program.registers, memory.base)
    address = base + element * memory.element_bytes(program.config)
    return f"data from {address:#x}, {place(program, address)}"


def load_axes(load: Load, numbers: np.ndarray) -> list[Axis]:
    """Place in its row, and row, of the elements that a LOAD writes, with padding."""
    width, _ = load_extent(load)
    return [Axis("element of a row", numbers % width), Axis("row of elements", numbers // width)]


def store_lines(program: Program, divergence: Divergence) -> list[str]:
    """The byte's address, its tensor, and the ACC entry that it is the low byte of."""
    store = program.instructions()[divergence.at.index]
    assert isinstance(store, Store)
    config = program.config
    element, lane = divmod(divergence.number, config.out_bytes)
    entry = store.sram_base + element
    y, x = divmod(element, store.x_size)
    machine, writers = machine_before(program, divergence.at.index)
    value = int(machine.pads["ACC"][entry].reshape(-1)[lane])
    writer = int(writers.of["ACC"][entry])
    where = f"row {y} of {store.y_size}, element {x} of {store.x_size}, lane {lane}"
    lines = [f"{where}: the low byte of acc[{entry}], {value}, made by instruction {writer}"]
    number = divergence.number - divergence.expected.skip
    if number < len(divergence.expected.entries):
        lines.append(place(program, int(divergence.expected.entries[number])))
    return lines + _whose(program, divergence)


def _whose(program: Program, divergence: Divergence) -> list[str]:
    """What the found values are instead: another element's, or what was there before."""
    expected, found = divergence.expected, divergence.found
    first = divergence.number - expected.skip
    if divergence.what != "value":
        return []
    if expected.memory != "OUT":
        machine, _ = machine_before(program, divergence.at.index)
        old = machine.pads[expected.memory][int(expected.entries[first])].reshape(-1)
        if np.array_equal(old.view(found.values.dtype), found.values[first]):
            return [f"it is what the entry held before, {listed(old)}: nothing was written"]
    count = min(len(expected.values), len(found.values), first + MOST_SHIFT) - first
    if not np.diff(found.values[first : first + count], axis=0).any():
        return []  # constant: it would be found anywhere
    for shift in sorted(range(-MOST_SHIFT, MOST_SHIFT + 1), key=abs):
        start = first + shift
        other = expected.values[max(start, 0) : start + count]
        here = found.values[first : first + len(other)]
        if shift and start >= 0 and len(other) > count // 2 and np.array_equal(other, here):
            what = "byte" if expected.memory == "OUT" else "element"
            many = "" if abs(shift) == 1 else "s"
            side = "behind" if shift > 0 else "before"
            return [f"from here on stands what belongs {abs(shift)} {what}{many} {side}"]
    return []
