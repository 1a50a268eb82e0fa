"""Findings of the protocol checkers in words: when, and of which instruction and segment."""

from collections.abc import Iterator
from typing import Any

from vta.hw.isa import Stage
from vta.sim.diagnosis import describe_instruction
from vta.sim.scoreboard import place
from vta.sw.check.footprint import dram_rows
from vta.sw.program import Program
from vta.sw.rules import stage_of

__all__ = ["describe"]

STAGES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)


def describe(program: Program, violation: dict[str, Any], launched: int) -> list[str]:
    """Lines about a finding (`Monitor.violations`): its cycle, counted from the launch, and whose
    burst it is; where it has no address, what was in flight.
    """
    lines = [f"cycle {violation['cycle'] - launched}: {violation['text']}"]
    address, flying = violation["address"], list(_in_flight(program, violation["stages"]))
    instructions = program.instructions()
    if address < 0:
        return lines + [f"  in flight: {describe_instruction(program, n)}" for n in flying]
    lines.append(f"  {place(program, address)}")
    for indices in (flying, range(len(instructions))):
        for index in indices:
            rows = dram_rows(program.config, program.registers, instructions[index])
            if ((rows[:, 0] <= address) & (address < rows[:, 1])).any():
                return [*lines, f"  {describe_instruction(program, index)}"]
    return lines


def _in_flight(program: Program, stages: list[int]) -> Iterator[int]:
    """Instructions that had started and not retired."""
    started, retired = stages[: len(STAGES)], stages[len(STAGES) :]
    instructions = program.instructions()
    for stage, first, last in zip(STAGES, retired, started, strict=True):
        for index in range(max(first + 1, 0), last + 1):
            if index < len(instructions) and stage_of(instructions[index]) == stage:
                yield index
