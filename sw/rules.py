"""What an instruction is to the stages: its stage, whether it is a NOP, and what dispatch refuses.

Isa.md sections 4 to 6, the part that needs neither data nor uops. The golden model and the static
checker both ask here; the RTL has its own decoder.
"""

from vta.hw.config import Config
from vta.hw.isa import (
    MEMORIES,
    Alu,
    AluOpcode,
    ErrorClass,
    Finish,
    Gemm,
    Instruction,
    Load,
    MemoryType,
    Opcode,
    Raw,
    Stage,
    Store,
)
from vta.sw.program import DeviceError

__all__ = ["LOADABLE", "dispatch_error", "is_nop", "load_extent", "loop_is_empty", "stage_of"]

LOADABLE = tuple(type for type in MemoryType if type != MemoryType.OUT)
"""Memory types that LOAD allows."""

_ABSENT = {Stage.LOAD: ("pop_prev", "push_prev"), Stage.STORE: ("pop_next", "push_next")}
_NEIGHBOUR = {
    "pop_prev": "before",
    "push_prev": "before",
    "pop_next": "after",
    "push_next": "after",
}


def is_nop(instruction: Instruction) -> bool:
    """True for a LOAD or STORE that moves nothing but tokens."""
    if isinstance(instruction, Load):
        return instruction.x_size == 0
    if isinstance(instruction, Store):
        return instruction.x_size == 0 or instruction.y_size == 0
    return False


def loop_is_empty(instruction: Gemm | Alu) -> bool:
    """True where a GEMM or ALU executes no uop."""
    no_uops = instruction.uop_bgn >= instruction.uop_end
    return no_uops or instruction.iter_out == 0 or instruction.iter_in == 0


def load_extent(load: Load) -> tuple[int, int]:
    """(width of a padded row, number of rows) of a LOAD, in elements of its memory type."""
    width = load.x_pad_0 + load.x_size + load.x_pad_1
    return width, load.y_pad_0 + load.y_size + load.y_pad_1


def stage_of(instruction: Instruction) -> Stage | None:
    """The stage whose queue takes this instruction; None where nothing can be dispatched."""
    if isinstance(instruction, Load):
        legal = instruction.memory_type in LOADABLE
        return MEMORIES[MemoryType(instruction.memory_type)].stage if legal else None
    if isinstance(instruction, Store):
        return Stage.STORE
    if isinstance(instruction, (Gemm, Alu, Finish)):
        return Stage.COMPUTE
    return None


def dispatch_error(config: Config, instruction: Instruction, index: int) -> DeviceError | None:
    """ILLEGAL_OPCODE or ILLEGAL_DEPENDENCY of one instruction, if it has one."""
    reason = _illegal(instruction)
    if reason:
        return DeviceError(ErrorClass.ILLEGAL_OPCODE, index, reason)
    stage = stage_of(instruction)
    if stage is None or stage not in _ABSENT:
        return None
    for flag in _ABSENT[stage]:
        if getattr(instruction, flag):
            reason = (
                f"{flag} is 1, but no stage comes {_NEIGHBOUR[flag]} {stage.name.lower()}: "
                "it must be 0"
            )
            return DeviceError(ErrorClass.ILLEGAL_DEPENDENCY, index, reason)
    return None


def _illegal(instruction: Instruction) -> str:
    """Why dispatch refuses the instruction; empty where it does not."""
    if isinstance(instruction, Raw):
        return f"opcode is {instruction.opcode}; it must be 0 to {max(Opcode)}"
    if instruction.reserved:
        return f"reserved bits are {instruction.reserved:#x}; they must be 0"
    if isinstance(instruction, Load) and instruction.memory_type not in LOADABLE:
        return (
            f"memory_type of a LOAD is {instruction.memory_type}; it must be one of "
            + ", ".join(f"{t.value} ({t.name})" for t in LOADABLE)
        )
    if isinstance(instruction, Store) and not is_nop(instruction):
        return _illegal_store(instruction)
    if isinstance(instruction, Alu) and instruction.alu_opcode > max(AluOpcode):
        return f"alu_opcode is {instruction.alu_opcode}; it must be 0 to {max(AluOpcode)}"
    return ""


def _illegal_store(store: Store) -> str:
    if store.memory_type != MemoryType.OUT:
        out = MemoryType.OUT
        return f"memory_type of a STORE is {store.memory_type}; it must be {out.value} (OUT)"
    pads = (store.y_pad_0, store.y_pad_1, store.x_pad_0, store.x_pad_1)
    if any(pads):
        return f"padding of a STORE is {','.join(map(str, pads))}; it must be 0"
    return ""
