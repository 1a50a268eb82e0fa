"""The parameters of a schedule as tensors in DRAM."""

from collections.abc import Mapping, Sequence
from typing import Any

from vta.hw.isa import MemoryType
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.expressions import constant
from vta.sw.compiler.ir import Operation
from vta.sw.tensor import DTYPES, Tensor

__all__ = ["parameter_tensors"]

ROLES = {
    MemoryType.INP: "input",
    MemoryType.WGT: "weight",
    MemoryType.ACC: "bias",
    MemoryType.ACC_8BIT: "input",
    MemoryType.OUT: "output",
}
"""What a tensor is taken for that nobody says more of, by how it is accessed."""


def parameter_tensors(
    params: Sequence[Any], operations: Sequence[Operation], tensors: Mapping[str, Tensor], name: str
) -> dict[str, Tensor]:
    """The parameters by name: what `tensors` says of them, else as they are declared.

    Raises
    ------
    CompileError
        where a parameter has gaps or another shape than its tensor, or is both read and written.
    """
    used: dict[str, set[MemoryType]] = {}
    for operation in operations:
        for n in operation.nest.used:
            kinds = used.setdefault(operation.operands[n].name, set())
            kinds.add(operation.nest.memories[n])
    found = {}
    for param in params:
        _check_tensor(param)
        kinds = used.get(param.name, set())
        if MemoryType.OUT in kinds and len(kinds) > 1:
            raise CompileError(
                f"{param.name} is written and read; a tensor of a function is one or the other: "
                "compile the two parts as two functions, and link them"
            )
        role = next((ROLES[kind] for kind in sorted(kinds)), "")
        found[param.name] = _tensor(param, tensors.get(param.name), role, name)
    return found


def _tensor(param: Any, given: Tensor | None, role: str, name: str) -> Tensor:
    shape = tuple(int(extent) for extent in param.shape)
    if given is None:
        return Tensor(name=param.name, role=role, dtype=str(param.dtype), shape=shape)
    if given.dtype != str(param.dtype):
        raise CompileError(
            f"{param.name} of {name} is {param.dtype}, its tensor is {given.dtype}: declare both "
            "alike"
        )
    if given.packed_shape != shape:
        what = f"{list(given.shape)} in layout {given.layout}" if given.layout else "its tensor"
        raise CompileError(
            f"{param.name} of {name} is {list(shape)}, but {what} is {list(given.packed_shape)}"
        )
    return given


def _check_tensor(param: Any) -> None:
    """A tensor lies in DRAM row by row, without gaps, from its first byte on."""
    if str(param.dtype) not in DTYPES:
        raise CompileError(
            f"{param.name} is {param.dtype}; a tensor in DRAM is {', '.join(DTYPES)}"
        )
    dense, size = [], 1
    for extent in reversed([int(extent) for extent in param.shape]):
        dense.append(size)
        size *= extent
    strides = [constant(stride) for stride in param.strides]
    kept = [(s, d) for s, d, e in zip(strides, dense[::-1], param.shape, strict=False) if e != 1]
    if any(stride != wanted for stride, wanted in kept):
        raise CompileError(
            f"{param.name} has strides {list(param.strides)} and shape {list(param.shape)}: a "
            "tensor in DRAM has no gaps between its rows. Declare it as large as its pitch and "
            "copy a part of each row"
        )
    offset = constant(param.elem_offset)
    if offset:
        raise CompileError(f"{param.name} begins at value {offset} of its memory; it must be 0")
