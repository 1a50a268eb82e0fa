"""A network from an IRModule of Relax, in float or in QDQ form.

A node is called after the variable that is bound to its result, and so is that. What is read is the
table OPERATORS; anything else is refused by its variable and operator.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import tvm
from tvm import relax

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.relax_module.bind import bound, chosen
from vta.sw.relax.relax_module.builder import WAY_OUT, Builder, Held, Table, tensor_type
from vta.sw.relax.relax_module.calls import Functions, functions_of, written_out
from vta.sw.relax.relax_module.pointwise import POINTWISE
from vta.sw.relax.relax_module.products import PRODUCTS
from vta.sw.relax.relax_module.shaping import SHAPING
from vta.sw.relax.relax_module.windows import WINDOWS

__all__ = ["OPERATORS", "chosen", "model_of"]

OPERATORS: Table = {**PRODUCTS, **WINDOWS, **POINTWISE, **SHAPING}


def model_of(
    module: tvm.IRModule | relax.Function,
    params: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    *,
    function: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> ir.Model:
    """The network that a function of Relax computes.

    Arguments
    ---------
    params: arrays for its parameters that are weights, by name, or what `export_tvm` returns beside
        the module; none where relax.transform.BindParams has bound them.
    function: its name; None: main, or the only one.
    shapes: of inputs that have symbolic ones.

    Raises
    ------
    NetworkError
        for what is not read, by variable and operator; for parameters that are not bound, and
        shapes that are open.
    """
    name, found = bound(*chosen(module, function), params, shapes or {})
    builder = Builder({var.name for var in _variables(found)})
    translate = partial(_translate, functions_of(module, builder))
    inputs = [_enter(builder, var) for var in found.params]
    for block in found.body.blocks:
        for binding in block.bindings:
            translate(builder, binding)
    outputs = _leave(builder, found.body.body)
    model = builder.model(inputs, outputs, name=name, producer="relax")
    model.meta["nodes"] = builder.calls
    return model


def _variables(function: Any) -> list[Any]:
    bindings = [binding.var for block in function.body.blocks for binding in block.bindings]
    return [*function.params, *bindings]


def _enter(b: Builder, var: Any) -> ir.Value:
    shape, dtype = tensor_type(f"input {var.name}", var.ty)
    value = ir.Value(
        name=b.enter_name(var.name),
        shape=ir.Shape(shape),
        type=ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype))),
    )
    b.variables[var] = Held.plain(value)
    return value


def _translate(functions: Functions, b: Builder, binding: Any) -> None:
    """Let the binding's variable be what its value computes."""
    value, var = binding.value, binding.var
    is_call = isinstance(value, relax.Call)
    called = getattr(value.op, "name", None) if is_call else None
    b.begin(var.name, value if called in OPERATORS else None)
    if called in OPERATORS:
        result = OPERATORS[called](b)
        b.end(result, value.ty)
    elif is_call and (function := functions(value.op)) is not None:
        result = written_out(b, value, function, partial(_translate, functions))
    elif isinstance(value, relax.Function):
        result = value
    elif isinstance(value, relax.TupleGetItem):
        result = b.resolve(value.tuple_value, "tuple")[value.index]
    elif is_call or isinstance(value, relax.If):
        raise NetworkError(f"{_refused(value)} {shown(var.name)}: {_why(value)}")
    else:
        result = b.resolve(value, "value")
        if isinstance(binding, relax.MatchCast):
            b.end(result, binding.ty)
    b.variables[var] = result


def _refused(value: Any) -> str:
    if not isinstance(value, relax.Call):
        return type(value).__name__
    name = getattr(value.op, "name", None) or getattr(value.op, "name_hint", None)
    return shown(str(name or getattr(value.op, "global_symbol", "a call")))


def _why(value: Any) -> str:
    if not isinstance(value, relax.Call):
        return "control flow and closures are not read: export the branch that is taken"
    if isinstance(value.op, tvm.ir.GlobalVar):
        return "it is no function of Relax in the module: give the module as it was before lowering"
    if str(getattr(value.op, "name", "")).startswith("relax.call_"):
        return "it is lowered already: give the module as it was before LegalizeOps"
    return f"the operator is not read: {WAY_OUT}"


def _leave(b: Builder, result: Any) -> list[ir.Value]:
    """The outputs, called after their variables."""
    b.place = b.source = str(getattr(result, "name", "output"))
    b.where, b.made = f"{shown(b.place)}: ", []
    found = b.resolve(result, "output")
    outputs: list[ir.Value] = []
    for held in found if isinstance(found, list) else [found]:
        outputs.append(_output(b, held, outputs))
    return outputs


def _output(b: Builder, held: Any, outputs: list[ir.Value]) -> ir.Value:
    """The value of an output: a node's, with Relax's order of axes, and there once."""
    if not isinstance(held, Held):
        raise b.error("it returns no tensors, or tuples in a tuple: return one tuple")
    value = held.value
    if held.is_plain and value.producer() is not None and value not in outputs:
        return value
    if held.is_plain:
        return b.emit("Identity", value, what="copy")
    name = b.place = b.source = next(v.name for v, known in b.variables.items() if known is held)
    made = b.ordered(held, range(held.rank))
    if value.name == name:
        value.name = b.free(f"{name}/order")
    made.name = name if name not in {other.name for other in outputs} else made.name
    return made
