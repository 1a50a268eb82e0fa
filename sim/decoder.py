"""The SystemVerilog that names states and instructions in waves, from the tables."""

import re

from vta.hw.config import Config
from vta.hw.isa import AluOpcode, Field, MemoryType, Opcode, fields
from vta.hw.registers import StageState

__all__ = ["FILE_NAME", "INSTRUCTION_NAMES", "decoder", "named_only"]

FILE_NAME = "decoder.svh"
STAGES = ("load", "compute", "store")  # in the order of the wrapper's strobes
UNNAMED = re.compile(r"^ *(?:input|output|wire|reg)\b[^;=]*\\[^\s;]*[$\[][^;]*;", re.MULTILINE)
UNIT = re.compile(r"^( *\\vta\S* +\\[^\s$]+)\$(\d+ +\()", re.MULTILINE)
"""A unit that is called like a signal beside it."""
NONE, ILLEGAL = "NONE", "ILLEGAL"
INSTRUCTION_NAMES = (
    NONE,
    *(f"LOAD_{kind.name}" for kind in MemoryType if kind != MemoryType.OUT),
    "STORE",
    "GEMM",
    "RESET",
    *(f"ALU_{opcode.name}" for opcode in AluOpcode),
    "FINISH",
    ILLEGAL,
)
"""What the signals `load_instruction`, `compute_instruction` and `store_instruction` show."""

RUN_CYCLE = (  # while the launch's W handshake stands there, it is 0
    'import "DPI-C" function bit vta_launching();',
    "longint unsigned launched_at, run_cycle;",
    "bit launched;",
    "always @(posedge clk)",
    "    if (!vta_launching()) launched <= 0;",
    "    else if (!launched && in.wvalid && wready) begin",
    "        launched <= 1;",
    "        launched_at <= cycle;",
    "    end",
    "assign run_cycle = launched ? cycle - launched_at : 0;",
)


def decoder(config: Config) -> str:
    """Source text, included by wrapper.sv when it is built for waves.

    It declares `run_cycle` (cycles from the launch, 0 before it); for fetch and each stage
    `<stage>` (its state); and for each stage `<stage>_instruction` and `<stage>_index` (the
    instruction it started last, until that one retires).
    """
    states = ", ".join(f"{state.name} = {state.value}" for state in StageState)
    lines = [
        "// Generated from hw/isa.py and hw/registers.py.",
        f"typedef enum bit [3:0] {{{states}}} state_t;",
        f"typedef enum bit [4:0] {{{', '.join(INSTRUCTION_NAMES)}}} instruction_t;",
        *_decode(config),
        *RUN_CYCLE,
        *(
            f"state_t {name}; assign {name} = state_t'({name}_state);"
            for name in ("fetch", *STAGES)
        ),
    ]
    for n, stage in enumerate(STAGES):
        lines += [
            f"instruction_t {stage}_instruction;",
            f"bit [27:0] {stage}_index;",
            "always @(posedge clk)",
            f"    if (strobes[{n}]) begin",
            f"        {stage}_instruction <= decode(32'({stage}_start));",
            f"        {stage}_index <= {stage}_start;",
            f"    end else if (strobes[{n + 3}] && {stage}_retire == {stage}_index)",
            f"        {stage}_instruction <= {NONE};",
        ]
    return "\n".join(lines) + "\n"


def _decode(config: Config) -> list[str]:
    """The function from an instruction's index to its name."""
    load = {f.name: f for f in fields(config, Opcode.LOAD)}
    gemm = {f.name: f for f in fields(config, Opcode.GEMM)}
    alu = {f.name: f for f in fields(config, Opcode.ALU)}
    return [
        'import "DPI-C" function longint unsigned vta_instruction(',
        "    input int unsigned index, input int unsigned word);",
        "function automatic instruction_t decode(input int unsigned index);",
        "    bit [127:0] bits = {vta_instruction(index, 1), vta_instruction(index, 0)};",
        f"    case ({_slice(load['opcode'])})",
        f"        {Opcode.LOAD.value}: case ({_slice(load['memory_type'])})",
        *(
            f"            {kind.value}: return LOAD_{kind.name};"
            for kind in MemoryType
            if kind != MemoryType.OUT
        ),
        f"            default: return {ILLEGAL};",
        "        endcase",
        f"        {Opcode.STORE.value}: return STORE;",
        f"        {Opcode.GEMM.value}: return {_slice(gemm['reset_reg'])} ? RESET : GEMM;",
        f"        {Opcode.FINISH.value}: return FINISH;",
        f"        {Opcode.ALU.value}: case ({_slice(alu['alu_opcode'])})",
        *(f"            {opcode.value}: return ALU_{opcode.name};" for opcode in AluOpcode),
        f"            default: return {ILLEGAL};",
        "        endcase",
        f"        default: return {ILLEGAL};",
        "    endcase",
        "endfunction",
    ]


def named_only(verilog: str) -> str:
    """The core's Verilog with waves only of what has a name of its own.

    Amaranth calls a port's wires in the module above, and what has no name, `name$1`, and the bits
    of a register whose fields are written apart `name[1]`: all of them are there a second time. A
    unit that is called `name$1` becomes `name_1`.
    """
    verilog = UNIT.sub(r"\1_\2", verilog)
    return UNNAMED.sub(r"/*verilator tracing_off*/ \g<0> /*verilator tracing_on*/", verilog)


def _slice(field: Field) -> str:
    return f"bits[{field.lsb + field.width - 1}:{field.lsb}]"
