"""Random LOADs and STOREs."""

import numpy as np

from vta.hw.isa import MEMORIES, Alu, AluOpcode, Load, MemoryType, Stage, Store
from vta.sw.test_programs.ordered import random_nop
from vta.sw.test_programs.state import State

__all__ = ["load", "load_uop_noise", "nop", "observe", "store", "store_and_load"]

SCRATCHPAD = {
    MemoryType.INP: "INP",
    MemoryType.WGT: "WGT",
    MemoryType.ACC: "ACC",
    MemoryType.ACC_8BIT: "ACC",
}
LARGEST = {MemoryType.WGT: 4}  # elements of one transfer; 24 for the others


def _shape(state: State, type: MemoryType, available: int, *, pad: bool) -> dict[str, int]:
    """y_size, x_size, x_stride and pads that read at most `available` elements."""
    largest = min(LARGEST.get(type, 24), available)
    x = 1 + state.below(min(largest, state.one_of(1, 2, 4, 24)))
    y = 1 + state.below(max(largest // x, 1))
    stride = state.one_of(x, x, x + 1 + state.below(5), state.below(x + 1))
    while (y - 1) * stride + x > available:
        y -= 1
    if y == 1 and state.chance(0.2):
        stride = state.below(1 << 16)
    shape = {"y_size": y, "x_size": x, "x_stride": stride}
    if pad and state.chance(0.4):
        for name in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"):
            shape[name] = state.one_of(0, 0, 1, 1, 2, state.below(3 if type == 1 else 16))
        if state.chance(0.1):
            shape["y_size"] = 0
    return shape


def _entries(shape: dict[str, int]) -> int:
    width = shape.get("x_pad_0", 0) + shape["x_size"] + shape.get("x_pad_1", 0)
    return width * (shape.get("y_pad_0", 0) + shape["y_size"] + shape.get("y_pad_1", 0))


def load(state: State, type: MemoryType, least: int = 0, area: str | None = None) -> None:
    """A LOAD of INP, WGT, ACC or ACC_8BIT; `least` asks for so many elements in one row.

    `area` is the area of DRAM that it reads, by default its own.
    """
    first, available = state.layout.elements(type, area)
    depth = MEMORIES[type].depth(state.config)
    if available == 0:
        return
    if least:
        n = min(least, available, depth)
        shape = {"y_size": 1, "x_size": n, "x_stride": n}
    else:
        shape = _shape(state, type, available, pad=True)
    if _entries(shape) > depth:
        shape = {"y_size": 1, "x_size": 1, "x_stride": 1}
    used = (shape["y_size"] - 1) * shape["x_stride"] + shape["x_size"] if shape["y_size"] else 0
    dram_base = first + state.below(available - used + 1)
    sram_base = _sram_base(state, SCRATCHPAD[type], _entries(shape), depth)
    state.stream.add(Load(memory_type=type, sram_base=sram_base, dram_base=dram_base, **shape))


def _sram_base(state: State, name: str, entries: int, depth: int) -> int:
    """Where a LOAD goes: the ends, anywhere, or over what is there."""
    last = min(depth - entries, 0xFFFF)  # as far as the field reaches
    written = np.flatnonzero(state.stream.written(name)[: last + 1])
    near = int(state.rng.choice(written)) if len(written) else 0
    recent = state.stream.recent[state.stream.recent <= last]
    if name == "ACC" and len(recent) and state.chance(0.5):
        near = int(state.rng.choice(recent))
    return state.one_of(near, near, near, 0, last, state.below(last + 1))


def load_uop_noise(state: State) -> None:
    """A LOAD UOP with rows and padding, over uops that may have been used before."""
    window = state.uop_window
    rows, columns = 1 + state.below(3), 1 + state.below(4)
    stride = columns + state.below(3)
    pads = {name: state.below(3) for name in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1")}
    shape = {"y_size": rows, "x_size": columns, "x_stride": stride}
    entries = _entries(shape | pads)
    if entries > len(window):
        return
    noise = state.rng.integers(1 << 32, size=rows * stride, dtype=np.uint32)
    instruction = Load(
        memory_type=MemoryType.UOP,
        sram_base=window.start + state.below(len(window) - entries + 1),
        dram_base=state.place_words(noise),
        **shape,
        **pads,
    )
    state.stream.add(instruction, noise.reshape(rows, stride)[:, :columns])


def store(state: State, *, over: bool = False) -> Store | None:
    """A STORE of entries that hold something; `over`: into INP's or ACC's area, or OUT's again."""
    area = ("inp", "acc", "out")[state.below(3)] if over else None
    first, available = state.layout.elements(MemoryType.OUT, area)
    if available == 0:
        return None
    shape = _shape(state, MemoryType.OUT, min(available, 64), pad=False)
    entries = np.arange(_entries(shape))
    sram_base = state.pick(state.stream.written("ACC"), entries, recent=True)
    if sram_base is None:
        return None
    used = (shape["y_size"] - 1) * shape["x_stride"] + shape["x_size"]
    if over:
        dram_base: int | None = first + state.below(available - used + 1)
    else:
        dram_base = state.new_out(used)
    if dram_base is None:
        return None
    instruction = Store(
        memory_type=MemoryType.OUT, sram_base=sram_base, dram_base=dram_base, **shape
    )
    state.stream.add(instruction)
    return instruction


def store_and_load(state: State) -> None:
    """Store, then load what was stored: order goes through DRAM."""
    if store(state, over=True):
        types = (MemoryType.INP, MemoryType.WGT, MemoryType.ACC, MemoryType.ACC_8BIT)
        type = types[state.below(4)]
        load(state, type, area=("inp", "acc", "out")[state.below(3)])


def nop(state: State) -> None:
    stage = Stage(state.below(3))
    state.stream.add(random_nop(state.rng, stage))


def observe(state: State, most: int) -> None:
    """Store up to `most` entries that hold something, run by run: low bits, then higher ones."""
    written = np.flatnonzero(state.stream.written("ACC"))
    runs = np.split(written, np.flatnonzero(np.diff(written) > 1) + 1)
    for n in state.rng.permutation(len(runs)).tolist():
        run = runs[n][: min(most, state.most_iterations)]
        most -= len(run)
        for shift in (0, state.one_of(8, 16, 24)):
            if len(run):
                _store_shifted(state, int(run[0]), len(run), shift)


def _store_shifted(state: State, first: int, count: int, shift: int) -> None:
    """Shift entries right, in place, and store them."""
    dram_base = state.new_out(count)
    if dram_base is None:
        return
    if shift:
        uop = state.place_uops(np.array([[first, 0, 0]]))
        loop = {"uop_bgn": uop, "uop_end": uop + 1, "iter_out": 1, "iter_in": count}
        operation = {"alu_opcode": int(AluOpcode.SHR), "use_imm": 1, "imm": shift}
        state.stream.add(Alu(**loop, dst_factor_in=1, **operation))
    state.stream.add(
        Store(
            memory_type=MemoryType.OUT,
            sram_base=first,
            dram_base=dram_base,
            y_size=1,
            x_size=count,
            x_stride=count,
        )
    )
