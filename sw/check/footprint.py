"""Which scratchpad entries and DRAM rows an instruction touches, without its data."""

from dataclasses import dataclass, field

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import (
    MEMORIES,
    Alu,
    ErrorClass,
    Finish,
    Gemm,
    Instruction,
    Load,
    MemoryType,
    Raw,
    Store,
)
from vta.sw.codec import unpack_uops
from vta.sw.program import DeviceError, Program, Registers
from vta.sw.rules import is_nop, load_extent, loop_is_empty

__all__ = ["DEPTHS", "Footprint", "UopTable", "dram_rows", "footprint", "uop_words"]

DEPTHS = {"UOP": "uop_depth", "INP": "inp_depth", "WGT": "wgt_depth", "ACC": "acc_depth"}
"""Attribute of the configuration that holds a scratchpad's depth."""


@dataclass
class Footprint:
    """What an instruction touches.

    `reads` and `writes` have an int64 array of distinct entries for each scratchpad, `rows` the
    DRAM rows as int64 (n, 2) byte addresses, first and past the last. `unknown` is set where uops
    decide that cannot be known: then the scratchpads' part is incomplete.
    """

    reads: dict[str, np.ndarray] = field(default_factory=dict)
    writes: dict[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    error: DeviceError | None = None
    unknown: bool = False


class UopTable:
    """The uop scratchpad as far as it is known: rows of dst, src, wgt, and a mask."""

    def __init__(self, config: Config):
        self._config = config
        self.values = np.zeros((config.uop_depth, 3), np.int64)
        self.known = np.zeros(config.uop_depth, bool)

    def load(self, load: Load, words: np.ndarray, known: np.ndarray) -> None:
        """Take a LOAD UOP of `words` (uint32, y_size x x_size), of which those `known` are."""
        width, height = load_extent(load)
        block = np.zeros((height, width, 3), np.int64)
        mask = np.ones((height, width), bool)
        rows = slice(load.y_pad_0, load.y_pad_0 + load.y_size)
        columns = slice(load.x_pad_0, load.x_pad_0 + load.x_size)
        block[rows, columns] = unpack_uops(self._config, words)
        mask[rows, columns] = known
        entries = slice(load.sram_base, load.sram_base + width * height)
        self.values[entries] = block.reshape(-1, 3)
        self.known[entries] = mask.reshape(-1)


def uop_words(program: Program, load: Load) -> np.ndarray:
    """The words that a LOAD UOP reads from the memory image: uint32, y_size x x_size."""
    words = np.zeros((load.y_size, load.x_size), np.uint32)
    held = np.zeros(4 * load.x_size, np.uint8)
    for y in range(load.y_size):
        element = load.dram_base + y * load.x_stride
        first = program.registers.uop + 4 * element - program.memory_base
        image = program.memory[first : first + len(held)]
        held[:] = 0
        held[: len(image)] = image
        words[y] = held.view("<u4")
    return words


def dram_rows(config: Config, registers: Registers, instruction: Instruction) -> np.ndarray:
    """The DRAM rows of a LOAD or STORE, int64 (n, 2); rows that meet are joined into one."""
    if not isinstance(instruction, (Load, Store)) or is_nop(instruction):
        return np.zeros((0, 2), np.int64)
    memory = MEMORIES.get(instruction.memory_type)  # pyright: ignore[reportArgumentType, reportCallIssue]
    if memory is None or instruction.y_size == 0:
        return np.zeros((0, 2), np.int64)
    nbytes = memory.element_bytes(config)
    y = np.arange(instruction.y_size, dtype=np.int64)
    starts = getattr(registers, memory.base) + nbytes * (
        instruction.dram_base + y * instruction.x_stride
    )
    if instruction.x_stride == instruction.x_size:
        starts, length = starts[:1], nbytes * instruction.x_size * instruction.y_size
    else:
        length = nbytes * instruction.x_size
    return np.stack([starts, starts + length], axis=1)


def footprint(
    config: Config, instruction: Instruction, index: int, rows: np.ndarray, uops: UopTable
) -> Footprint:
    """What a legally encoded instruction touches; `error` is SRAM_BOUNDS, or None."""
    touched = Footprint(rows=rows)
    if isinstance(instruction, (Finish, Raw)) or is_nop(instruction):
        return touched
    if isinstance(instruction, (Load, Store)):
        _transfer(config, instruction, index, touched)
    elif not loop_is_empty(instruction):
        _loops(config, instruction, index, uops, touched)
    return touched


def _bounds(config: Config, index: int, name: str, last: int, what: str) -> DeviceError | None:
    depth = getattr(config, DEPTHS[name])
    if last < depth:
        return None
    reason = f"{what} reaches {name} entry {last}; the last one is {depth - 1}"
    return DeviceError(ErrorClass.SRAM_BOUNDS, index, reason)


def _transfer(config: Config, transfer: Load | Store, index: int, touched: Footprint) -> None:
    if isinstance(transfer, Load):
        width, height = load_extent(transfer)
        count, sets, what = width * height, touched.writes, "the padded range of LOAD"
    else:
        count, sets = transfer.x_size * transfer.y_size, touched.reads
        what = "the range of STORE"
    accumulator = transfer.memory_type >= MemoryType.ACC
    name = "ACC" if accumulator else MemoryType(transfer.memory_type).name
    last = transfer.sram_base + count - 1
    touched.error = _bounds(config, index, name, last, what) if count else None
    if not touched.error:
        sets[name] = np.arange(transfer.sram_base, last + 1, dtype=np.int64)


def _loops(
    config: Config, instruction: Gemm | Alu, index: int, uops: UopTable, touched: Footprint
) -> None:
    touched.error = _bounds(config, index, "UOP", instruction.uop_end - 1, "uop_end")
    if touched.error:
        return
    entries = np.arange(instruction.uop_bgn, instruction.uop_end, dtype=np.int64)
    touched.reads["UOP"] = entries
    known = uops.known[entries]
    touched.unknown = not known.all()
    values = uops.values[entries[known]] if known.any() else np.zeros((1, 3), np.int64)
    for name, column, factors, what in _indices(instruction):
        field_values = np.unique(values[:, column])
        last = int(field_values[-1]) + sum(
            (count - 1) * factor for count, factor in _nest(instruction, factors)
        )
        touched.error = _bounds(config, index, name, last, what)
        if touched.error:
            return
        if known.any():
            reached = _reach(field_values, _nest(instruction, factors), last + 1)
            sets = [touched.reads]
            if what == "dst":
                sets = [touched.writes] + ([] if _only_writes(instruction) else sets)
            for entry_set in sets:
                old = entry_set.get(name)
                entry_set[name] = reached if old is None else np.union1d(old, reached)


def _only_writes(instruction: Gemm | Alu) -> bool:
    """True for a reset, which does not read what it writes."""
    return isinstance(instruction, Gemm) and bool(instruction.reset_reg)


def _nest(instruction: Gemm | Alu, factors: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return ((instruction.iter_out, factors[0]), (instruction.iter_in, factors[1]))


def _indices(instruction: Gemm | Alu) -> list[tuple[str, int, tuple[int, int], str]]:
    """Scratchpad, uop column, factors and name of each index that the instruction uses."""
    dst = (instruction.dst_factor_out, instruction.dst_factor_in)
    src = (instruction.src_factor_out, instruction.src_factor_in)
    found = [("ACC", 0, dst, "dst")]
    if isinstance(instruction, Alu):
        return found if instruction.use_imm else [*found, ("ACC", 1, src, "src")]
    if not instruction.reset_reg:
        wgt = (instruction.wgt_factor_out, instruction.wgt_factor_in)
        found += [("INP", 1, src, "src"), ("WGT", 2, wgt, "wgt")]
    return found


def _reach(values: np.ndarray, nest: tuple[tuple[int, int], ...], size: int) -> np.ndarray:
    """All of ``value + i * factor + ...``, distinct and sorted; none reaches `size`.

    Works on masks of `size` entries, so that the counts of the loops do not matter.
    """
    mask = np.zeros(size, bool)
    mask[values] = True
    for count, factor in nest:
        if factor and count > 1:
            reach = 1  # iterations that the mask covers: doubled until all are
            while reach < count:
                shift = min(reach, count - reach) * factor
                mask[shift:] |= mask[:-shift].copy()
                reach += min(reach, count - reach)
    return np.flatnonzero(mask)
