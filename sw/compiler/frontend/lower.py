"""Step 1: from a schedule to flat TIR, by nine passes that TVM has in stock.

Nothing here is specific to VTA, except what is checked before: parameters have static shapes.
"""

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import ir, s_tir, tirx
from tvm.s_tir import transform as s_transform
from tvm.tirx import transform

from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.hints import hint
from vta.sw.compiler.frontend.reasons import reason

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

    def __str__(self) -> str:
        return f"{self.body}\n"


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
        for anything else, for a parameter that is not a buffer, whose shape is not static, or whose
        name another one has, and where TVM cannot lower it.
    """
    function: Any = single_function(source).with_attr("global_symbol", "main")
    for param in function.params:
        _check_parameter(param)
    _check_names([param.name for param in function.params])
    try:
        passes = tvm.transform.Sequential([make() for make in PASSES])
        lowered = passes(ir.IRModule({"main": function}))["main"]
    except Exception as error:  # only TVM's own code runs here
        found = reason(str(error))
        advice = hint(found)
        what = f"TVM cannot lower it: {' '.join(found.lines)}"
        raise CompileError(f"{what}\n  hint: {advice}" if advice else what) from error
    return Lowered(tuple(lowered.params), lowered.body)


def _check_names(names: list[str]) -> None:
    """Tensors are given, and laid out in DRAM, by name."""
    for name in names:
        if names.count(name) > 1:
            raise CompileError(
                f"{names.count(name)} parameters are named {name}: give each a name of its own"
            )


def _check_parameter(param: Any) -> None:
    if not tirx.is_buffer_var(param):
        raise CompileError(f"parameter {param} is not a buffer: VTA takes tensors only")
    for axis, extent in enumerate(param.shape):
        if not isinstance(extent, tirx.IntImm):
            shape = ", ".join(map(str, param.shape))
            raise CompileError(
                f"parameter {param.name} has shape [{shape}]: dimension {axis} is {extent}, which "
                "has no value at compile time; VTA needs static shapes: write the number, or "
                "function.specialize(...) it"
            )
