"""The compiler: from a TVM schedule (s_tir) to a VTA program.

The steps, in the order data flows:

============  =================================================================================
descriptions  the schedule's own intrinsics, run by LLVM: do they describe what their markers do?
lower         stock TVM passes: flat TIR
walk          loops unrolled down to macro operations, one for each execution of a perfect nest
instances     more of them unrolled, where an order counts that an instruction does not keep; each
              execution folded: strides, boxes and padding (`fold`; `classify` says what it is)
initialized   nothing is read that nothing has written
coalesce      an epilogue's stages in place: one buffer; then folded again
operations    the same as instructions with relative addresses: `dma` for copies, `nest` for loops
              and uops, `alu` for expressions, `liveness` for what these may overwrite
allocate      SRAM slots, in rotation
order         loads just before their first use
tokens        dependency flags from hazards
emit          uops, DRAM addresses, FINISH, encoding
============  =================================================================================

`compiled.compile` runs them. `expressions` evaluates indices and conditions for all of them;
`intrinsics` has the markers and their descriptions; `hints` and `reasons` make TVM's own errors
readable; `errors` has what is raised.

>>> compiled = compile(schedule, Config(), name="matmul")          # doctest: +SKIP
>>> program = compiled.program({"A": a, "B": b}, {"D": a @ b.T})   # doctest: +SKIP
"""

from vta.sw.compiler.compiled import Compiled, TensorSpec, compile
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.intrinsics import GEMM, RESET, register, tensorize
from vta.sw.compiler.walk import SLOTS

__all__ = [
    "GEMM",
    "RESET",
    "SLOTS",
    "CompileError",
    "Compiled",
    "TensorSpec",
    "compile",
    "register",
    "tensorize",
]
