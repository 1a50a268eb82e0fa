"""The function of an IRModule that is compiled, with its weights as constants and fixed shapes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.relax_module.builder import sizes_text

__all__ = ["bound", "chosen", "specialised"]

MAIN = "main"
BIND = "relax.transform.BindParams, or params="


def chosen(module: Any, name: str | None) -> tuple[str, Any]:
    """The name and the function of that name; of None: of main, or the only one.

    Raises
    ------
    NetworkError
        where there is none, or several to choose from.
    """
    if isinstance(module, relax.Function):
        module = tvm.IRModule({str((module.attrs or {}).get("global_symbol", MAIN)): module})
    functions = {
        var.name_hint: function
        for var, function in module.functions_items()
        if isinstance(function, relax.Function)
    }
    names = ", ".join(shown(known) for known in functions) or "none"
    if name is None:
        name = MAIN if MAIN in functions or len(functions) != 1 else next(iter(functions))
    assert name is not None
    if name not in functions:
        raise NetworkError(f"the IRModule has no Relax function {shown(name)}; it has: {names}")
    return name, functions[name]


def bound(
    name: str,
    function: Any,
    params: Mapping[str, Any] | Iterable[tuple[str, Any]],
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[str, Any]:
    """The function with its parameters as constants, every call of an operator a binding.

    Raises
    ------
    NetworkError
        where parameters are missing, unknown or do not fit, or shapes do not.
    """
    inputs = int((function.attrs or {}).get("num_input", len(function.params)))
    arrays = {key: _array(key, value) for key, value in dict(params).items()}
    _check(function, arrays, shapes)
    missing = [var.name for var in function.params[inputs:] if var.name not in arrays]
    if missing:
        more = f" and {len(missing) - 1} more" * (len(missing) > 1)
        raise NetworkError(f"parameter {shown(missing[0])}{more} has no value: bind it ({BIND})")
    return name, specialised(name, function, shapes, arrays)


def specialised(
    name: str,
    function: Any,
    shapes: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """The function for shapes and arrays of its parameters, every call a binding.

    Raises
    ------
    NetworkError
        where the shapes do not fit.
    """
    sizes = _sizes(function, shapes)
    try:
        if sizes:
            function = function.bind_symbolic_vars(sizes)
        module = tvm.IRModule({name: function})
        if arrays:
            module = relax.transform.BindParams(name, arrays)(module)
        module = relax.transform.Normalize()(module)
    except Exception as error:  # TVM raises whatever it likes
        raise NetworkError(f"TVM does not take {shown(name)}: {one_line(error)}") from error
    return module[name]


def _array(name: str, value: Any) -> np.ndarray:
    data: Any = value if isinstance(value, np.ndarray) else getattr(value, "data", value)
    if data is None:
        raise NetworkError(f"parameter {shown(name)} has no value: give it an array")
    return data.numpy() if hasattr(data, "numpy") else np.asarray(data)


def _check(
    function: Any, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    known = {var.name: var for var in function.params}
    for what, names in (("parameter", arrays), ("input", shapes)):
        for name in names:
            if name not in known:
                have = ", ".join(shown(each) for each in known)
                raise NetworkError(f"there is no {what} {shown(name)}; there are: {have}")
    for name, array in arrays.items():
        type_ = known[name].ty
        sizes = list(type_.shape.values)
        fits = len(sizes) == array.ndim and all(
            not isinstance(size, tvm.tirx.IntImm) or int(size) == have
            for size, have in zip(sizes, array.shape, strict=True)
        )
        if not fits or str(type_.dtype) != str(array.dtype):
            raise NetworkError(
                f"parameter {shown(name)} is {type_.dtype} {sizes_text(sizes)}; it is given "
                f"{array.dtype} {list(array.shape)}"
            )


def _sizes(function: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[Any, int]:
    """What the symbolic sizes of inputs are in the shapes that are given."""
    found: dict[Any, int] = {}
    for var in function.params:
        if var.name not in shapes:
            continue
        shape, sizes = tuple(shapes[var.name]), getattr(var.ty.shape, "values", None)
        if sizes is None or len(sizes) != len(shape):
            raise NetworkError(f"input {shown(var.name)} cannot be {list(shape)}: it is {var.ty}")
        for size, want in zip(sizes, shape, strict=True):
            if isinstance(size, tvm.tirx.IntImm):
                fits = int(size) == want
            elif isinstance(size, tvm.ir.Var):
                fits = found.setdefault(size, want) == want
            else:
                fits = True  # an expression of others: its size follows
            if not fits or want < 1:
                raise NetworkError(
                    f"input {shown(var.name)} is {sizes_text(sizes)}: it cannot be {list(shape)}"
                )
    return found
