"""The stream IR: what every pass between the schedule and the encoded instructions works on.

A :class:`Stream` has tensors in DRAM, buffers on chip, and operations in program order. An
operation begins as a :class:`Nest` (a statement with its loops) and becomes :class:`Code` (an
instruction whose addresses count from its operands). Both say what they access, SRAM and DRAM
alike. Operands are names: a pass that renames or places a buffer or tensor changes one entry of the
stream and no operation. `str(stream)` prints it, a line an operation.
"""

from vta.sw.compiler.ir.forms import Code, Dim, Nest, entries
from vta.sw.compiler.ir.storage import DEPTHS, Access, Buffer, Operand, Touch
from vta.sw.compiler.ir.stream import Operation, Source, Statement, Stream, Tokens

__all__ = [
    "DEPTHS",
    "Access",
    "Buffer",
    "Code",
    "Dim",
    "Nest",
    "Operand",
    "Operation",
    "Source",
    "Statement",
    "Stream",
    "Tokens",
    "Touch",
    "entries",
]
