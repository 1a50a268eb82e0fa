"""Writes the tables of docs/isa.md from the code that everything else derives from.

``python -m vta.sw.docs`` rewrites the file; a test fails where it is out of date. Text between the
tables lives here too: the file is generated whole.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from vta.hw.config import KEYS, PRESETS, Config
from vta.hw.isa import (
    MEMORIES,
    Alu,
    AluOpcode,
    ErrorClass,
    Field,
    Finish,
    Gemm,
    Load,
    MemoryType,
    Opcode,
    Stage,
    Store,
    fields,
    reserved_mask,
    uop_fields,
)
from vta.hw.registers import REGISTERS, STAGE_STATES, StageState
from vta.sw import assembler
from vta.sw.assembler import format_instruction
from vta.sw.test_programs import CORNERS

__all__ = ["PATH", "isa_page"]

PATH = Path(__file__).resolve().parent.parent / "docs" / "isa.md"

MEANINGS = {
    "opcode": "what the instruction is",
    "pop_prev": "wait for a token of the stage before",
    "pop_next": "wait for a token of the stage after",
    "push_prev": "give a token to the stage before",
    "push_next": "give a token to the stage after",
    "memory_type": "which scratchpad, and what an element is",
    "sram_base": "first entry of the scratchpad",
    "dram_base": "first element in DRAM, counted from the base register",
    "y_size": "rows",
    "x_size": "elements of a row",
    "x_stride": "elements from one row to the next in DRAM",
    "y_pad_0": "rows of zeros before",
    "y_pad_1": "rows of zeros after",
    "x_pad_0": "zeros at the left of each row",
    "x_pad_1": "zeros at the right of each row",
    "reset_reg": "write zeros (GEMM); ignored (ALU)",
    "uop_bgn": "first uop",
    "uop_end": "one past the last uop",
    "iter_out": "iterations of the outer loop",
    "iter_in": "iterations of the inner loop",
    "dst_factor_out": "added to dst in each outer iteration",
    "dst_factor_in": "added to dst in each inner iteration",
    "src_factor_out": "added to src in each outer iteration",
    "src_factor_in": "added to src in each inner iteration",
    "wgt_factor_out": "added to wgt in each outer iteration",
    "wgt_factor_in": "added to wgt in each inner iteration",
    "alu_opcode": "the operation",
    "use_imm": "the second operand is imm",
    "imm": "the second operand, sign-extended",
    "dst": "ACC entry that is written",
    "src": "INP entry (GEMM) or ACC entry (ALU) that is read",
    "wgt": "WGT entry",
}

ERRORS = {
    ErrorClass.NONE: "no error",
    ErrorClass.ILLEGAL_OPCODE: "opcode 5 to 7, a memory type that the opcode does not allow, ALU "
    "opcode 5 to 7, a STORE with padding, reserved bits that are not 0",
    ErrorClass.ILLEGAL_DEPENDENCY: "a flag towards a stage that is not there",
    ErrorClass.SRAM_BOUNDS: "a LOAD's padded range, a STORE's range, uop_end, or an index that "
    "leaves its scratchpad",
    ErrorClass.BUS_ERROR: "a bus response other than OKAY; an address outside the memory",
    ErrorClass.DEADLOCK: "every stage waits for a token, for room in a counter or in a queue",
    ErrorClass.NO_FINISH: "FINISH is missing (the index is the number of instructions), or not "
    "last (the index is that of the instruction after it)",
    ErrorClass.ABORTED: "stopped by the abort register",
}

LINES = (
    Load(
        memory_type=2,
        dram_base=0x1000,
        y_size=64,
        x_size=8,
        x_stride=32,
        y_pad_0=1,
        x_pad_0=1,
        x_pad_1=1,
        pop_next=1,
        push_next=1,
    ),
    Gemm(
        uop_end=16,
        iter_out=14,
        iter_in=14,
        dst_factor_out=14,
        dst_factor_in=1,
        src_factor_out=16,
        src_factor_in=1,
        pop_prev=1,
        push_prev=1,
    ),
    Alu(
        alu_opcode=3,
        uop_end=1,
        iter_out=1,
        iter_in=196,
        dst_factor_in=1,
        use_imm=1,
        imm=8,
        push_next=1,
    ),
    Store(
        memory_type=4, dram_base=0x4000, y_size=14, x_size=14, x_stride=56, pop_prev=1, push_prev=1
    ),
    Finish(pop_next=1),
)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _bits(field: Field) -> str:
    last = field.lsb + field.width - 1
    return str(field.lsb) if field.width == 1 else f"{last}:{field.lsb}"


def _ranges(mask: int) -> str:
    """The set bits of a mask, as ranges."""
    bits = [n for n in range(128) if mask >> n & 1]
    starts = [n for n in bits if n - 1 not in bits]
    ends = [n for n in bits if n + 1 not in bits]
    return ", ".join(str(a) if a == b else f"{b}:{a}" for a, b in zip(starts, ends, strict=True))


def _configuration() -> str:
    default = Config().to_dict()
    keys = _table(
        ("key", "default", "legal", "meaning"),
        ((key.name, default[key.name], key.describe_limit(), key.meaning) for key in KEYS),
    )
    presets = _table(
        ("BATCH x BLOCK", "LOG_INP", "LOG_WGT", "LOG_ACC", "INP", "WGT", "ACC", "UOP"),
        (
            (name, *PRESETS[name], c.inp_depth, c.wgt_depth, c.acc_depth, c.uop_depth)
            for name in PRESETS
            for c in (Config.preset(name),)
        ),
    )
    return (
        f"## Configuration\n\nThe keys of a `vta_config.json`, with VTA's own names:\n\n{keys}\n"
        "Presets (log2 bytes of the buffers, `LOG_*_BUFF_SIZE`) and the depths that follow, in "
        f"elements:\n\n{presets}"
    )


def _encoding() -> str:
    config = Config()
    head = (
        "## Encoding\n\nInstructions have 128 bits, uops 32, little endian. Positions are those "
        "of the default configuration; the widths follow the depths of the scratchpads.\n"
    )
    parts = [head]
    seen: dict[tuple[Field, ...], list[str]] = {}
    for opcode in Opcode:
        seen.setdefault(fields(config, opcode), []).append(f"{opcode.name} ({opcode.value})")
    for table, names in seen.items():
        opcode = Opcode[names[0].split()[0]]
        rows = _table(
            ("field", "bits", "values", "meaning"),
            (
                (f.name, _bits(f), f"{f.limits[0]} to {f.limits[1]}", MEANINGS[f.name])
                for f in table
            ),
        )
        reserved = _ranges(reserved_mask(config, opcode)) or "none"
        parts.append(f"### {', '.join(names)}\n\n{rows}\nBits that must be 0: {reserved}.\n")
    uops = _table(
        ("field", "bits", "meaning"),
        ((f.name, _bits(f), MEANINGS[f.name]) for f in uop_fields(config)),
    )
    parts.append(f"### uop\n\n{uops}")
    return "\n".join(parts)


def _memories() -> str:
    config = Config()
    rows = (
        (
            type.value,
            type.name,
            "STORE" if type == MemoryType.OUT else "LOAD",
            Stage(memory.stage).name.lower(),
            memory.base,
            memory.element_bytes(config),
            memory.depth(config),
        )
        for type, memory in MEMORIES.items()
    )
    head = ("type", "name", "moved by", "stage", "base register", "bytes of an element", "entries")
    operations = _table(("opcode", "name"), ((o.value, o.name) for o in AluOpcode))
    return (
        f"## Memory types\n\n{_table(head, sorted(rows))}\n## ALU operations\n\n{operations}\n"
        "## Error classes\n\n"
        + _table(("value", "name", "when"), ((e.value, e.name, ERRORS[e]) for e in ErrorClass))
    )


def _registers() -> str:
    rows = ((f"0x{r.address:03x}", r.name, r.access, r.meaning) for r in REGISTERS)
    states = (
        (group, StageState(state).name, f"{group}_{name}", meaning)
        for group, table in STAGE_STATES.items()
        for state, (name, meaning) in table.items()
    )
    return (
        "## Registers\n\nAXI4-Lite, 32 bits each. Access: rw read and write, r read, w1 writing a "
        f"1 acts.\n\n{_table(('address', 'name', 'access', 'meaning'), rows)}\n"
        "## States of the stages\n\nIn each cycle each stage is in one state; each state has a "
        "counter, and the counters of a stage sum to the cycles.\n\n"
        + _table(("stage", "state", "counter", "meaning"), states)
    )


def _assembly() -> str:
    text = "\n".join(format_instruction(instruction, Config()) for instruction in LINES)
    body = (assembler.__doc__ or "").split("\n", 2)[2].split("\n\n=")[0].strip()
    return f"## Assembly\n\n{body}\n\n```\n{text}\n```\n\n`sw/assembler` has the whole syntax.\n"


def _semantics() -> str:
    corners = ((f"`{name}`", " ".join((CORNERS[name].__doc__ or "").split())) for name in CORNERS)
    return (
        "## Semantics, sentence by sentence\n\nEach sentence has a stream that shows it "
        "(`sw/test_programs/corners`), with a result that was worked out by hand; every device "
        f"runs them.\n\n{_table(('stream', 'sentence'), corners)}"
    )


def isa_page() -> str:
    """The text of docs/isa.md."""
    head = (
        "# The instruction set in tables\n\nGenerated by `python -m vta.sw.docs` from "
        "hw/config.py, hw/isa.py and hw/registers.py: do not edit.\n"
    )
    parts = (
        head,
        _configuration(),
        _encoding(),
        _memories(),
        _semantics(),
        _assembly(),
        _registers(),
    )
    return "\n".join(parts)


def main() -> int:
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(isa_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
