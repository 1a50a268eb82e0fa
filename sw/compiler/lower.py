"""Step 1: from a schedule to flat TIR, by nine passes that TVM has in stock.

Nothing here is specific to VTA, except that storage scopes are checked: TVM accepts any name.
"""

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import ir, s_tir, tirx
from tvm.s_tir import transform as s_transform
from tvm.tirx import transform

from sw.compiler.errors import CompileError

__all__ = ["Lowered", "lower", "single_function"]

PASSES = (
    s_transform.LowerInitBlock,
    s_transform.PlanAndUpdateBufferAllocationLocation,
    s_transform.ConvertBlocksToOpaque,
    s_transform.CompactBufferAllocation,
    s_transform.LowerMatchBuffer,
    s_transform.StmtSimplify,
    s_transform.LowerOpaqueBlock,
    transform.FlattenBuffer,
    transform.StmtSimplify,
)


@dataclass(frozen=True)
class Lowered:
    """Flat TIR: the parameters (buffer variables with shape and dtype), and the body."""

    params: tuple[Any, ...]
    body: Any


def single_function(source: Any) -> tirx.PrimFunc:
    """The PrimFunc in a schedule, a module with one function, or itself."""
    if isinstance(source, s_tir.Schedule):
        source = source.mod
    if isinstance(source, ir.IRModule):
        functions: list[Any] = list(source.functions_items())
        functions = [f for _, f in functions if isinstance(f, tirx.PrimFunc)]
        if len(functions) != 1:
            raise CompileError(
                f"the module has {len(functions)} functions; VTA compiles one at a time: pass one"
            )
        return functions[0]
    if isinstance(source, tirx.PrimFunc):
        return source
    raise CompileError(
        f"cannot compile a {type(source).__name__}: pass an s_tir.Schedule, a PrimFunc, or an "
        "IRModule with one function"
    )


def lower(source: Any) -> Lowered:
    """Flat TIR of a schedule (or PrimFunc, or IRModule with one function).

    Raises
    ------
    CompileError
        for anything else, and for a parameter that is no buffer.
    """
    function = single_function(source).with_attr("global_symbol", "main")
    module = tvm.transform.Sequential([make() for make in PASSES])(ir.IRModule({"main": function}))
    lowered = module["main"]
    for param in lowered.params:
        if not tirx.is_buffer_var(param):
            raise CompileError(f"parameter {param} is no buffer: VTA takes tensors only")
    return Lowered(tuple(lowered.params), lowered.body)
