"""Whether a stream can have an estimate: what the simulation takes for granted."""

from collections.abc import Sequence

from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Alu, Finish, Gemm, Instruction, Load, MemoryType, Stage, Store
from vta.sw.estimate.errors import EstimateError
from vta.sw.rules import dispatch_error, is_nop, load_extent, loop_is_empty, stage_of

__all__ = ["stages_of"]


def stages_of(instructions: Sequence[Instruction], config: Config) -> list[Stage]:
    """The stage of each instruction.

    Raises
    ------
    EstimateError
        where one is illegal, goes beyond a scratchpad, or the last is not FINISH.
    """
    if not instructions or not isinstance(instructions[-1], Finish):
        raise EstimateError("the stream has no estimate: its last instruction must be FINISH")
    stages = []
    for index, instruction in enumerate(instructions):
        error = dispatch_error(config, instruction, index)
        reason = error.reason if error is not None else _beyond(instruction, config)
        if isinstance(instruction, Finish) and index + 1 < len(instructions):
            reason = f"{len(instructions) - index - 1} instructions stand behind a FINISH"
        stage = stage_of(instruction)
        if reason or stage is None:
            raise EstimateError(f"the stream has no estimate: instruction {index}: {reason}")
        stages.append(stage)
    return stages


def _beyond(instruction: Instruction, config: Config) -> str:
    """What lies beyond its scratchpad; empty where nothing does."""
    if isinstance(instruction, Load) and not is_nop(instruction):
        memory = MEMORIES[MemoryType(instruction.memory_type)]
        width, height = load_extent(instruction)
        end = instruction.sram_base + width * height
        if end > memory.depth(config):
            return f"it loads {memory.type.name} up to {end}; there are {memory.depth(config)}"
    if isinstance(instruction, Store) and not is_nop(instruction):
        end = instruction.sram_base + instruction.x_size * instruction.y_size
        if end > config.acc_depth:
            return f"it stores OUT up to {end}; there are {config.acc_depth}"
    if isinstance(instruction, (Gemm, Alu)) and not loop_is_empty(instruction):
        if instruction.uop_end > config.uop_depth:
            return f"uop_end is {instruction.uop_end}; there are {config.uop_depth} uops"
    return ""
