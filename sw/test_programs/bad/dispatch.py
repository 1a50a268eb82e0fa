"""Errors that dispatch finds: opcodes, types, reserved bits, flags."""

from dataclasses import replace

from vta.hw.isa import (
    Alu,
    ErrorClass,
    Finish,
    Gemm,
    Load,
    MemoryType,
    Raw,
    Stage,
    Store,
    reserved_mask,
)
from vta.sw.test_programs.bad.common import bad, inject, writable
from vta.sw.test_programs.ordered import random_nop
from vta.sw.test_programs.state import State

__all__ = []


@bad
def illegal_opcode(state: State) -> tuple[ErrorClass, int]:
    bits = int.from_bytes(state.rng.bytes(16), "little") & ~7 | state.one_of(5, 6, 7)
    return inject(state, ErrorClass.ILLEGAL_OPCODE, Raw(bits))


@bad
def illegal_load_type(state: State) -> tuple[ErrorClass, int]:
    """Even a LOAD of no elements needs a type, since that chooses its stage."""
    load = Load(memory_type=state.one_of(MemoryType.OUT, 6, 7), y_size=1, x_size=state.below(2))
    return inject(state, ErrorClass.ILLEGAL_OPCODE, load)


@bad
def illegal_store_type(state: State) -> tuple[ErrorClass, int]:
    store = Store(
        memory_type=state.one_of(0, 1, 2, 3, 5, 6, 7), y_size=1, x_size=1, dram_base=writable(state)
    )
    return inject(state, ErrorClass.ILLEGAL_OPCODE, store)


@bad
def illegal_store_padding(state: State) -> tuple[ErrorClass, int]:
    pad = ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1")[state.below(4)]
    store = Store(memory_type=MemoryType.OUT, y_size=1, x_size=1, dram_base=writable(state))
    return inject(state, ErrorClass.ILLEGAL_OPCODE, replace(store, **{pad: 1 + state.below(15)}))


@bad
def illegal_alu_opcode(state: State) -> tuple[ErrorClass, int]:
    """Dispatch does not ask whether a loop is empty."""
    alu = Alu(alu_opcode=state.one_of(5, 6, 7), uop_end=state.below(2), iter_out=1, iter_in=1)
    return inject(state, ErrorClass.ILLEGAL_OPCODE, alu)


@bad
def reserved_bits(state: State) -> tuple[ErrorClass, int]:
    """One reserved bit of any instruction, NOPs too."""
    choices = (
        random_nop(state.rng, Stage(state.below(3))),
        Gemm(),
        Alu(),
        Load(memory_type=MemoryType.INP),
        Store(),
    )
    instruction = choices[state.below(len(choices))]
    mask = reserved_mask(state.config, instruction.opcode)
    bits = [bit for bit in range(128) if mask >> bit & 1]
    if not bits:
        instruction, bits = Load(memory_type=MemoryType.INP), [58]
    flipped = replace(instruction, reserved=1 << bits[state.below(len(bits))])
    return inject(state, ErrorClass.ILLEGAL_OPCODE, flipped)


@bad
def reserved_bits_of_finish(state: State) -> tuple[ErrorClass, int]:
    index = len(state.stream.instructions)
    state.stream.inject(Finish(reserved=1 << (7 + state.below(121))))
    return ErrorClass.ILLEGAL_OPCODE, index


@bad
def flag_towards_an_absent_neighbour(state: State) -> tuple[ErrorClass, int]:
    stage = (Stage.LOAD, Stage.STORE)[state.below(2)]
    side = "prev" if stage == Stage.LOAD else "next"
    flag = f"{('pop', 'push')[state.below(2)]}_{side}"
    nop = random_nop(state.rng, stage)
    return inject(state, ErrorClass.ILLEGAL_DEPENDENCY, replace(nop, **{flag: 1}))
