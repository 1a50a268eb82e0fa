"""What each layer of a linked program costs: instructions, products, bytes, and cycles of a run.

The source map of a linked program names the node that each instruction belongs to
(`vta.sw.compiler.link`). A layer's cycles go from the end of the last compute instruction of the
layer before to the end of its own; the first begins with the launch, the last ends with FINISH. So
they sum to the run's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vta.hw.isa import MEMORIES, Alu, Gemm, Instruction, Load, MemoryType, Stage, Store
from vta.sw.program import Program
from vta.sw.rules import stage_of

__all__ = ["Layer", "layers"]


@dataclass
class Layer:
    """One node's share of a program.

    Members
    -------
    gemm, alu: uops that GEMM and ALU execute, resets left out.
    read: bytes by memory type that it loads; `written`: bytes that it stores.
    cycles: None where the run has no times.
    """

    node: str
    instructions: int = 0
    gemm: int = 0
    alu: int = 0
    read: dict[MemoryType, int] = field(default_factory=dict)
    written: int = 0
    cycles: int | None = None


def layers(program: Program, ends: Sequence[int] | np.ndarray | None = None) -> list[Layer]:
    """The program's layers in order; empty where no instruction belongs to a node.

    Arguments
    ---------
    ends: for each instruction the cycle after the launch at which it retired (`Result.ends`).
    """
    found: dict[str, Layer] = {}
    last: dict[str, int] = {}  # the last compute instruction of each node
    instructions = program.instructions()
    for index, instruction in enumerate(instructions):
        entry = program.source_map[index] if index < len(program.source_map) else {}
        node = entry.get("node")
        if not node:
            continue
        layer = found.setdefault(node, Layer(node))
        layer.instructions += 1
        _count(layer, instruction, program)
        if stage_of(instruction) is Stage.COMPUTE:
            last[node] = index
    if ends is not None and found:
        _time(list(found.values()), last, ends)
    return list(found.values())


def _count(layer: Layer, instruction: Instruction, program: Program) -> None:
    if isinstance(instruction, (Gemm, Alu)):
        count = max(instruction.uop_end - instruction.uop_bgn, 0)
        count *= instruction.iter_out * instruction.iter_in
        if isinstance(instruction, Alu):
            layer.alu += count
        elif not instruction.reset_reg:
            layer.gemm += count
    elif isinstance(instruction, (Load, Store)):
        memory = MemoryType(instruction.memory_type)
        nbytes = MEMORIES[memory].element_bytes(program.config)
        nbytes *= instruction.x_size * instruction.y_size
        if isinstance(instruction, Store):
            layer.written += nbytes
        elif nbytes:
            layer.read[memory] = layer.read.get(memory, 0) + nbytes


def _time(found: list[Layer], last: dict[str, int], ends: Sequence[int] | np.ndarray) -> None:
    """Cycles of each layer, in the order in which their last compute instructions end."""
    before = 0
    for layer in found:
        end = int(ends[last[layer.node]]) if layer.node in last else before
        layer.cycles, before = end - before, end
    assert found[-1].cycles is not None
    found[-1].cycles += int(ends[len(ends) - 1]) - before
