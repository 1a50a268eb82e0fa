"""Scratchpad indices and DRAM addresses out of bounds."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vta.hw.isa import MEMORIES, Alu, ErrorClass, Gemm, Load, MemoryType, Opcode, Store, fields
from vta.sw.test_programs.bad.common import bad, inject, writable
from vta.sw.test_programs.state import State

__all__ = []


def _sram_base(entry: int) -> int:
    """The entry as far as the field reaches: a scratchpad may have all the entries it can name."""
    return min(max(entry, 0), 0xFFFF)


@bad
def load_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    """The padded range counts: the data alone may fit, or nothing be read at all."""
    type = (MemoryType.UOP, MemoryType.WGT, MemoryType.INP, MemoryType.ACC, MemoryType.ACC_8BIT)[
        state.below(5)
    ]
    depth = MEMORIES[type].depth(state.config)
    x, y = 2 + state.below(3), state.below(3)
    pads = {name: state.below(3) for name in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1")}
    pads["y_pad_1"] += y == 0
    width = x + pads["x_pad_0"] + pads["x_pad_1"]
    entries = width * (y + pads["y_pad_0"] + pads["y_pad_1"])
    first = depth - entries + 1 + state.one_of(0, 0, state.below(entries), state.below(500))
    load = Load(
        memory_type=type,
        sram_base=_sram_base(first),
        y_size=y,
        x_size=x,
        x_stride=x,
        dram_base=state.layout.elements(type)[0],
        **pads,
    )
    return inject(state, ErrorClass.SRAM_BOUNDS, load)


@bad
def store_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    x, y = 2 + state.below(4), 1 + state.below(4)
    first = max(state.config.acc_depth - x * y + 1, 0) + state.one_of(0, state.below(500))
    store = Store(
        memory_type=MemoryType.OUT,
        sram_base=_sram_base(first),
        y_size=y,
        x_size=x,
        x_stride=x,
        dram_base=writable(state),
    )
    return inject(state, ErrorClass.SRAM_BOUNDS, store)


@bad
def uop_end_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    u = state.config.uop_depth
    loops = {"uop_bgn": u - 1, "uop_end": u + 1 + state.below(u - 1), "iter_out": 1, "iter_in": 1}
    choices = (Gemm(**loops), Gemm(reset_reg=1, **loops), Alu(**loops, use_imm=state.below(2)))
    return inject(state, ErrorClass.SRAM_BOUNDS, choices[state.below(3)])


def _written(state: State, name: str) -> int:
    """An entry of a scratchpad that holds something."""
    return int(state.rng.choice(np.flatnonzero(state.stream.written(name))))


def _beyond(state: State, depth: int, limit: int) -> tuple[int, int, int]:
    """(field, factor, iterations) of which only the last iteration leaves `depth` entries."""
    factor = 1 + state.below(min(limit, depth) - 1)
    most = min(4, (depth - 1) // factor, state.most_iterations - 1)
    iterations = 2 + state.below(most)
    reach = (iterations - 1) * factor
    return depth - reach + state.below(min(factor, reach)), factor, iterations


def _out_of_bounds(
    state: State, which: str, make: Callable[..., Gemm | Alu], pad: str
) -> Gemm | Alu:
    """A GEMM or ALU whose `which` index leaves scratchpad `pad` in its last inner iteration."""
    depth = getattr(state.config, f"{pad.lower()}_depth")
    opcode = Opcode.GEMM if make is Gemm else Opcode.ALU
    widths = {field.name: field.limits[1] for field in fields(state.config, opcode)}
    value, factor, iterations = _beyond(state, depth, widths[f"{which}_factor_in"])
    row = {
        "dst": _written(state, "ACC"),
        "src": _written(state, "INP" if make is Gemm else "ACC"),
        "wgt": _written(state, "WGT"),
    }
    row[which] = value
    first = state.place_uops(np.array([[row["dst"], row["src"], row["wgt"]]]))
    loops = {"uop_bgn": first, "uop_end": first + 1, "iter_out": 1, "iter_in": iterations}
    return make(**loops, **{f"{which}_factor_in": factor})


@bad
def gemm_dst_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    gemm = _out_of_bounds(state, "dst", Gemm, "ACC")
    return inject(state, ErrorClass.SRAM_BOUNDS, replace(gemm, reset_reg=state.below(2)))


@bad
def reset_of_a_range_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    """A range without gaps, of which a core may keep flags instead of writing it."""
    depth = state.config.acc_depth
    count = min(24, depth, state.most_iterations)
    first = state.place_uops(np.array([[depth - 1 - state.below(count - 1), 0, 0]]))
    loops = {"uop_bgn": first, "uop_end": first + 1, "iter_out": 1, "iter_in": count}
    return inject(state, ErrorClass.SRAM_BOUNDS, Gemm(reset_reg=1, dst_factor_in=1, **loops))


@bad
def gemm_src_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    return inject(state, ErrorClass.SRAM_BOUNDS, _out_of_bounds(state, "src", Gemm, "INP"))


@bad
def gemm_wgt_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    return inject(state, ErrorClass.SRAM_BOUNDS, _out_of_bounds(state, "wgt", Gemm, "WGT"))


@bad
def alu_dst_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    alu = _out_of_bounds(state, "dst", Alu, "ACC")
    return inject(state, ErrorClass.SRAM_BOUNDS, replace(alu, alu_opcode=2, use_imm=state.below(2)))


@bad
def alu_src_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    alu = _out_of_bounds(state, "src", Alu, "ACC")
    return inject(state, ErrorClass.SRAM_BOUNDS, replace(alu, alu_opcode=state.below(5)))


@bad
def chain_operand_beyond_the_scratchpad(state: State) -> tuple[ErrorClass, int]:
    """Legal instructions over the same vectors go before: the error is not theirs."""
    depth = state.config.acc_depth
    count = min(24, depth, state.most_iterations)
    base = state.pick(state.stream.written("ACC"), np.arange(count))
    if base is None:
        base, count = _written(state, "ACC"), 1
    first = state.place_uops(np.array([[base, depth - 1, 0]]))
    loops = {"uop_bgn": first, "uop_end": first + 1, "iter_out": 1, "iter_in": count}
    legal = Alu(**loops, dst_factor_in=1, alu_opcode=2, use_imm=1, imm=5)
    for _ in range(1 + state.below(2)):
        state.stream.add(legal)
    tensor = replace(legal, use_imm=0, alu_opcode=3, src_factor_in=1)
    if count == 1:  # one iteration reaches no further than its uop
        tensor = replace(tensor, iter_out=2, src_factor_out=1)
    return inject(state, ErrorClass.SRAM_BOUNDS, tensor)


def _outside(state: State, type: MemoryType) -> tuple[int, int]:
    """(dram_base, x_size) of a row that is not all in memory: past its end, or before it."""
    memory = MEMORIES[type]
    nbytes = memory.element_bytes(state.config)
    base = state.layout.bases[memory.base]
    end = state.layout.memory_base + state.layout.memory_size
    last = (end - base) // nbytes  # the first element that is not all inside
    below = (state.layout.memory_base - base) // nbytes
    kind = state.below(3)
    if kind == 0 and below > 0:
        return state.below(below), 1
    if kind == 1:  # begins inside; fits scratchpads of two entries
        return last - 1, 2
    return last + state.one_of(0, 0, 1 + state.below(1 << 20)), 1


@bad
def load_outside_memory(state: State) -> tuple[ErrorClass, int]:
    type = (MemoryType.UOP, MemoryType.WGT, MemoryType.INP, MemoryType.ACC, MemoryType.ACC_8BIT)[
        state.below(5)
    ]
    dram_base, x = _outside(state, type)
    load = Load(memory_type=type, y_size=1, x_size=x, dram_base=dram_base)
    return inject(state, ErrorClass.BUS_ERROR, load)


@bad
def store_outside_memory(state: State) -> tuple[ErrorClass, int]:
    dram_base, x = _outside(state, MemoryType.OUT)
    entry = state.pick(state.stream.written("ACC"), np.arange(x)) or 0
    store = Store(
        memory_type=MemoryType.OUT, sram_base=entry, y_size=1, x_size=x, dram_base=dram_base
    )
    return inject(state, ErrorClass.BUS_ERROR, store)
