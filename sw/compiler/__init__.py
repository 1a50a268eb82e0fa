"""The compiler: from a TVM schedule (s_tir) to a VTA program.

Passes, in the order data flows; `vta compile --dump DIR` writes what each leaves.

============  =================================================================================
descriptions  the schedule's own intrinsics, run by LLVM: do they describe what their markers do?
lower         stock TVM passes: flat TIR
walk          loops unrolled down to macro operations, one for each execution of a perfect nest
nests         the stream IR begins (`ir`): each execution with strides, boxes and padding; more
              loops unrolled where an order counts that an instruction does not keep
------------  ---------------------------------------------------------------------------------
initialized   nothing is read that nothing has written
coalesce      an epilogue's stages in place: one buffer
accumulate    two sums of products that are added: one accumulator
instructions  nests as instructions: `dma` for copies, `nest` for loops and uops, `alu` for
              expressions, `liveness` for what these may overwrite
------------  ---------------------------------------------------------------------------------
link          several functions as one stream
allocate      places on chip, by lifetime
order         loads just before their first use
dram          places in DRAM, by lifetime
relay         what carries a token from store to load
uops          uops in their buffer, FINISH
tokens        dependency flags from hazards
encode        bytes
============  =================================================================================

`frontend` has what knows TIR, `passes` what knows the stream IR only. `ir` is that IR, and `values`
its expressions; `driver` runs the passes, `pipeline` times and writes them down, `module` is the
result; `errors` has what is raised.

>>> module = compile(schedule, Config(), name="matmul")          # doctest: +SKIP
>>> program = module.bind({"A": a, "B": b}, {"D": a @ b.T})      # doctest: +SKIP
"""

from vta.sw.compiler.driver import compile, finish, translate
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.intrinsics import GEMM, RESET, register, tensorize
from vta.sw.compiler.frontend.walk import SLOTS
from vta.sw.compiler.ir import Stream
from vta.sw.compiler.link import Call, link
from vta.sw.compiler.module import VTAModule
from vta.sw.compiler.pipeline import Instruments

__all__ = [
    "GEMM",
    "RESET",
    "SLOTS",
    "Call",
    "CompileError",
    "Instruments",
    "Stream",
    "VTAModule",
    "compile",
    "finish",
    "link",
    "register",
    "tensorize",
    "translate",
]
