"""What a schedule computes, by LLVM on the host: the golden of a schedule that brings none.

A tensorized schedule runs too: its markers become the loops that they stand for. Everything else in
a schedule is plain TIR, and LLVM does not mind the storage scopes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import ir, tirx

from vta.hw.errors import VtaError
from vta.sw.compiler import GEMM, RESET
from vta.sw.compiler.frontend.lower import single_function
from vta.sw.compiler.frontend.statements import data_variable, is_access_pointer

__all__ = ["NoReference", "on_llvm", "reference"]

Outputs = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

INT32_BITS = 32


class NoReference(VtaError, ValueError):
    """A schedule that LLVM cannot compute, or not as VTA does; the reason, in one line."""


def reference(schedule: Any) -> Outputs:
    """`on_llvm`, where LLVM must agree with VTA whatever the inputs are.

    Raises
    ------
    NoReference
        also for shifts by what may be beyond 31 (LLVM's mean nothing there) or below 0.
    """
    for shift in _nodes(single_function(schedule), (tirx.RShift, tirx.LShift)):
        amount = getattr(shift.b, "value", None)
        if not isinstance(amount, int) or not 0 <= amount < INT32_BITS:
            raise NoReference(
                f"it shifts by {shift.b}, which LLVM defines from 0 to {INT32_BITS - 1} only"
            )
    return on_llvm(schedule)


def on_llvm(schedule: Any) -> Outputs:
    """A schedule (or PrimFunc, or IRModule of one) as a function from what it reads to what it
    writes.

    All tensors are packed, by the names of its parameters; those not given start as zeros and are
    returned.

    Raises
    ------
    NoReference
        where LLVM refuses the schedule, or it calls what is not a marker.
    """
    function = _without_markers(single_function(schedule)).with_attr("global_symbol", "main")
    try:
        compiled = tvm.compile(ir.IRModule({"main": function}), target="llvm")
    except Exception as error:  # TVM's passes raise whatever they like
        lines = str(error).strip().split("\n")
        raise NoReference(f"LLVM does not take the schedule: {lines[-1]}") from error

    def outputs(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        arguments = {param.name: _argument(param, inputs) for param in function.params}
        compiled["main"](*arguments.values())
        return {name: value.numpy() for name, value in arguments.items() if name not in inputs}

    return outputs


def _argument(param: Any, inputs: Mapping[str, np.ndarray]) -> Any:
    if param.name in inputs:
        return tvm.runtime.tensor(np.ascontiguousarray(inputs[param.name]))
    shape = [int(extent) for extent in param.shape]
    return tvm.runtime.tensor(np.zeros(shape, str(param.dtype)))


def _nodes(function: Any, types: tuple[type, ...]) -> list[Any]:
    """The nodes of some types in a function. (TVM loses the type of what a callback raises.)"""
    found: list[Any] = []
    tvm_ffi.structural_walk(function.body, (types, found.append))
    return found


# Markers ------------------------------------------------------------------------------------------
def _without_markers(function: Any) -> Any:
    """The function with every call of a marker replaced by loops over its tile."""
    calls = [s for s in _nodes(function, (tirx.Evaluate,)) if _operator(s.value, "call_extern")]
    loops = {call: _loops(call.value) for call in calls}
    return tvm_ffi.structural_map(function, (tirx.Evaluate, lambda stmt: loops.get(stmt, stmt)))


def _operator(expr: Any, name: str) -> bool:
    return getattr(getattr(expr, "op", None), "name", "").endswith(f".{name}")


def _loops(call: Any) -> Any:
    """The loops that a call of a marker stands for."""
    name = str(call.args[0].value)
    buffers = [_buffer(pointer) for pointer in call.args[1:]]
    if (name, len(buffers)) not in ((GEMM, 3), (RESET, 1)):
        raise NoReference(f"it calls {name}, whose meaning is unknown")
    batch, block = _extents(buffers[0])
    i, j = tirx.Var("i", "int32"), tirx.Var("j", "int32")
    out = _indices(buffers[0], i, j)
    if name == RESET:
        value, loops = tirx.const(0, "int32"), [(i, batch), (j, block)]
    else:
        k, (_, depth) = tirx.Var("k", "int32"), _extents(buffers[1])
        left: Any = tirx.BufferLoad(buffers[1], _indices(buffers[1], i, k))
        right: Any = tirx.BufferLoad(buffers[2], _indices(buffers[2], j, k))
        product = left.astype("int32") * right.astype("int32")
        value = tirx.BufferLoad(buffers[0], out) + product
        loops = [(i, batch), (j, block), (k, depth)]
    body: Any = tirx.BufferStore(buffers[0], value, out)
    for variable, extent in reversed(loops):
        body = tirx.For(variable, 0, extent, tirx.ForKind.SERIAL, body)
    return body


def _buffer(pointer: Any) -> Any:
    """The tile that an operand of a marker points to: `x.access_ptr(..)` or `x.data`."""
    placed = is_access_pointer(pointer)
    buffer = data_variable(pointer.args[1] if placed else pointer)
    if placed and not tvm_ffi.structural_equal(pointer.args[2], buffer.elem_offset):
        raise NoReference(f"a marker points into the midst of {buffer.name}, at {pointer.args[2]}")
    return buffer


def _extents(buffer: Any) -> tuple[int, int]:
    """Rows and columns of a tile: its columns are its last axis."""
    *rows, columns = (int(extent) for extent in buffer.shape)
    return int(np.prod(rows, dtype=int)), columns


def _indices(buffer: Any, row: Any, column: Any) -> list[Any]:
    """The indices of an element of a tile, of which one axis at most counts rows."""
    *rows, _ = (int(extent) for extent in buffer.shape)
    if sum(extent > 1 for extent in rows) > 1:
        raise NoReference(f"the tile {buffer.name} of a marker is {list(buffer.shape)}, no matrix")
    zero = tirx.const(0, "int32")
    return [*(row if extent > 1 else zero for extent in rows), column]
