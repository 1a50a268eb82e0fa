"""The compiler: from a TVM schedule (s_tir) to a VTA program.

The steps, one module each, in the order data flows: `lower` (stock TVM passes), `walk` (macro
operations), `fold` (strides, boxes; with `expressions`, `nest`, `dma`, `alu` and `operations`),
`allocate` (SRAM), `tokens` (dependency flags), `emit` (uops, DRAM, instructions).

>>> compiled = compile(schedule, Config(), name="matmul")          # doctest: +SKIP
>>> program = compiled.program({"A": a, "B": b}, {"D": a @ b.T})   # doctest: +SKIP
"""

from sw.compiler.compiled import Compiled, TensorSpec, compile
from sw.compiler.errors import CompileError
from sw.compiler.intrinsics import GEMM, RESET, register, tensorize
from sw.compiler.walk import SLOTS

__all__ = [
    "GEMM", "RESET", "SLOTS", "CompileError", "Compiled", "TensorSpec", "compile", "register",
    "tensorize",
]  # fmt: skip
