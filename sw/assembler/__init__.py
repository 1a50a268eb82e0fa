"""Assembly text, both ways: instructions by the line, and whole programs.

A line is a mnemonic, then operands in any order; a `#` begins a comment. A field that is not
written is zero, but for `loop`, which is 1,1.

======================================  ==========================================================
``load inp sram=0 dram=0x1000 y=64 x=8  LOAD; also uop, wgt, acc, acc_8bit, or a number
stride=32 pad=1,0,1,1``                 (pad is top, bottom, left, right)
``store out sram=0 dram=0 y=1 x=8       STORE
stride=8``
``gemm uop=0:16 loop=14,14 dst=14,1     GEMM over uops 0 to 15, 14 outer and 14 inner iterations;
src=16,1 wgt=0,0``                      factors are outer,inner; `reset` sets reset_reg
``alu add uop=0:1 loop=1,64 dst=0,1     ALU: min, max, add, shr, mul or a number; `imm` sets use_imm
imm=-5``                                too, `unused_imm` does not
``finish``                              FINISH
``raw 0x7``                             128 bits with an illegal opcode
``pop.prev pop.next push.prev           the four dependency flags, after any of them but raw;
push.next reserved=0x...``              and the bits that no field names, in place
======================================  ==========================================================
"""

from vta.sw.assembler.dump import disassemble_program
from vta.sw.assembler.instruction import (
    AssemblerError,
    assemble,
    disassemble,
    format_instruction,
    parse_instruction,
)
from vta.sw.assembler.text import assemble_program

__all__ = [
    "AssemblerError",
    "assemble",
    "assemble_program",
    "disassemble",
    "disassemble_program",
    "format_instruction",
    "parse_instruction",
]
