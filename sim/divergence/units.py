"""Which instructions each of the core's units executes, in order."""

from vta.hw.isa import Alu, Gemm, Instruction, Load, Stage, Store
from vta.sim.divergence.trace import UNITS
from vta.sw.rules import is_nop, loop_is_empty, stage_of

__all__ = ["by_unit"]


def by_unit(instructions: list[Instruction]) -> list[list[int]]:
    """For each of `UNITS`, the indices of the instructions that come to it; NOPs come to none."""
    members: list[list[int]] = [[] for _ in UNITS]
    for index, instruction in enumerate(instructions):
        unit = _unit(instruction)
        if unit:
            members[UNITS.index(unit)].append(index)
    return members


def _unit(instruction: Instruction) -> str:
    if isinstance(instruction, (Load, Store)):
        if is_nop(instruction):
            return ""
        if isinstance(instruction, Store):
            return "store"
        return "load" if stage_of(instruction) == Stage.LOAD else "load_compute"
    if isinstance(instruction, (Gemm, Alu)) and not loop_is_empty(instruction):
        return "gemm" if isinstance(instruction, Gemm) else "alu"
    return ""
