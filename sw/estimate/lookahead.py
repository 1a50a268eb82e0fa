"""What stands behind an instruction in the compute stage's queue, known from the program."""

from collections.abc import Sequence

from vta.hw.isa import Alu, Gemm, Instruction, Stage
from vta.sw.rules import loop_is_empty, stage_of

__all__ = ["Lookahead"]


class Lookahead:
    """Of each instruction of compute: the `next` one (None: none), and how many of those right
    behind it have their uop looked at by analysis (`looks`).
    """

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        self.next: list[int | None] = [None] * len(instructions)
        self.looks = [0] * len(instructions)
        following, count = None, 0
        for index in range(len(instructions) - 1, -1, -1):
            instruction = instructions[index]
            if stage_of(instruction) == Stage.COMPUTE:
                self.next[index], self.looks[index] = following, count
                following, count = index, count + 1 if _is_measured(instruction) else 0


def _is_measured(instruction: Instruction) -> bool:
    """Analysis looks at its only uop (`vta.sw.estimate.loops.Footprint.measured`)."""
    if not isinstance(instruction, (Gemm, Alu)) or loop_is_empty(instruction):
        return False
    one = instruction.uop_end - instruction.uop_bgn == 1
    return one and (isinstance(instruction, Alu) or bool(instruction.reset_reg))
