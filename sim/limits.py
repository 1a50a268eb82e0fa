"""How many cycles a program can need at most: beyond that it hangs, however busy it looks."""

import numpy as np

from vta.hw.isa import INSTRUCTION_BYTES, Field, Opcode, fields
from vta.sim.options import RunOptions
from vta.sw.program import MAX_CYCLES, Program

__all__ = ["cycle_limit"]

ELEMENT_BYTES = 1024  # no element is larger: WGT with BLOCK 32
CYCLES_A_UOP = 16  # an ALU uop that depends on the one before, with margin
MARGIN = 4
BASE = 200_000


def cycle_limit(program: Program, options: RunOptions) -> int:
    """An upper bound of the run's cycles, generous: uops, beats, and a latency for each row."""
    words = _words(program)
    config = program.config
    row = 4 * options.latency + 64
    total = 0.0
    for opcode in (Opcode.LOAD, Opcode.STORE, Opcode.GEMM, Opcode.ALU):
        chosen = words[words[:, 0] & np.uint64(7) == np.uint64(opcode)]
        if not len(chosen):
            continue
        column = {f.name: _column(chosen, f) for f in fields(config, opcode)}
        if opcode in (Opcode.LOAD, Opcode.STORE):
            beats = column["x_size"] * ELEMENT_BYTES / config.beat_bytes + 16
            rows = column["y_size"] + column["y_pad_0"] + column["y_pad_1"]
            total += np.sum(rows * (beats * options.slowdown() + row) + 16 * column["x_size"])
        else:
            uops = np.maximum(column["uop_end"] - column["uop_bgn"], 0)
            total += CYCLES_A_UOP * np.sum(column["iter_out"] * column["iter_in"] * uops)
    total += len(words) * row * options.slowdown()
    return int(min(MARGIN * total + BASE, MAX_CYCLES))


def _words(program: Program) -> np.ndarray:
    """The instructions as they stand in the image: uint64 (n, 2)."""
    start = program.registers.insn - program.memory_base
    nbytes = program.registers.insn_count * INSTRUCTION_BYTES
    raw = np.zeros(nbytes, np.uint8)
    held = program.memory[start : start + nbytes]
    raw[: len(held)] = held
    return raw.view("<u8").reshape(-1, 2)


def _column(words: np.ndarray, field: Field) -> np.ndarray:
    """One field of every instruction, as float64; no field crosses a word."""
    word = words[:, field.lsb // 64] >> np.uint64(field.lsb % 64)
    return (word & np.uint64((1 << field.width) - 1)).astype(np.float64)
