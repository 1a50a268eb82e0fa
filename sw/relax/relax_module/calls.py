"""Calls of other functions of Relax: written out where they are, nodes called CALL/VARIABLE."""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax

from vta.hw.errors import shown
from vta.sw.relax.relax_module.bind import specialised
from vta.sw.relax.relax_module.builder import Builder, Held

__all__ = ["Functions", "functions_of", "written_out"]

Functions = Callable[[Any], Any]
"""The function of Relax that an expression is; None where it is none."""


def written_out(
    b: Builder, call: relax.Call, function: Any, translate: Callable[[Builder, Any], None]
) -> Any:
    """What a call of `function` gives, its bindings translated with the operands as parameters.

    Raises
    ------
    NetworkError
        where it calls itself, and where operands are no tensors that fit.
    """
    if any(function.same_as(outer) for outer in b.calling):
        raise b.error("it calls itself: only what ends after a known number of steps is read")
    operands = [b.resolve(operand, f"operand{n}") for n, operand in enumerate(call.args)]
    if len(operands) != len(function.params):
        raise b.error(f"it has {len(operands)} operands, its function {len(function.params)}")
    shapes = {
        var.name: held.shape
        for var, held in zip(function.params, operands, strict=True)
        if isinstance(held, Held)
    }
    own = specialised(b.place, function, shapes)
    before = b.prefix, b.calling
    name, b.prefix, b.calling = b.place, f"{b.place}/", (*b.calling, function)
    for var, held in zip(own.params, operands, strict=True):
        b.variables[var] = held
    for block in own.body.blocks:
        for binding in block.bindings:
            translate(b, binding)
    b.place, (b.prefix, b.calling) = name, before
    b.where = f"{shown(name)}: "
    result = b.resolve(own.body.body, "result")
    if isinstance(result, Held) and (result.value.name or "").startswith(f"{name}/"):
        result.value.name = name
    return result


def functions_of(module: tvm.IRModule | None, b: Builder) -> Functions:
    """Those of an IRModule, and those that variables are bound to."""
    others: dict[Any, Any] = {}
    if isinstance(module, tvm.IRModule):
        others = {var.name_hint: function for var, function in module.functions_items()}

    def find(expression: Any) -> Any:
        if isinstance(expression, tvm.ir.GlobalVar):
            found = others.get(expression.name_hint)
        else:
            found = b.variables.get(expression) if isinstance(expression, relax.Var) else expression
        return found if isinstance(found, relax.Function) else None

    return find
