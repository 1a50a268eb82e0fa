"""The network as one IRModule of Relax: segments as functions, and a main that calls them.

A region is a call of the packed function "vta.run" with its number and its inputs; `runtime` has
the function.
"""

from typing import Any

from tvm import IRModule, relax

from vta.sw.relax.cpu import function_name, imported, tensor_type, values_of
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.parts import Partition, Port, Region, Segment

__all__ = ["RUN", "assembled"]

RUN = "vta.run"


def assembled(partition: Partition) -> IRModule:
    """The IRModule, whose main takes the network's inputs and returns a tuple of its outputs.

    Raises
    ------
    NetworkError
        for a node that TVM's importer refuses; and where a part reads what none before it makes.
    """
    values = values_of(partition.model)
    builder = relax.BlockBuilder()
    functions = {
        part.name: _entered(builder, imported(part, partition.model), function_name(part))
        for part in partition.segments
    }
    inputs = [_variable(n, values[name]) for n, name in enumerate(partition.inputs)]
    known: dict[str, Any] = dict(zip(partition.inputs, inputs, strict=True))
    with builder.function("main", inputs):
        number = 0
        for part in partition.parts:
            if isinstance(part, Segment):
                made = _call(builder, functions[part.name], part, known)
            else:
                made, number = _run(builder, number, part, known), number + 1
            known |= made
        outputs = []
        for name in partition.outputs:
            constant = values[name].const_value
            if name not in known and constant is not None:
                array = constant.numpy()
                known[name] = relax.const(array, str(array.dtype))  # else int64 becomes int32
            outputs.append(_known(known, "the network", name))
        builder.emit_func_output(relax.Tuple(outputs))
    return builder.finalize()


def _entered(builder: Any, module: IRModule, name: str) -> Any:
    """Add a segment's module to the builder's; its main is called `name`. Functions that it calls
    are called as before, or get a number where another segment's are called so.
    """
    moved = {
        variable: builder.add_func(function, variable.name_hint)
        for variable, function in module.functions_items()
        if variable.name_hint != "main"
    }
    main: Any = _Calls(moved).visit_expr(module["main"].without_attr("num_input"))
    return builder.add_func(main.with_attr("global_symbol", name), name)


@relax.expr_functor.mutator
class _Calls(relax.PyExprMutator):
    """Calls of functions of one module as calls of those of another."""

    def __init__(self, moved: dict[Any, Any]) -> None:
        super().__init__()
        self.moved = moved

    def visit_global_var_(self, op: Any) -> Any:
        return self.moved.get(op, op)


def _variable(number: int, value: Any) -> Any:
    return relax.Var(f"input{number}", tensor_type(value))


def _known(known: dict[str, Any], reader: str, name: str) -> Any:
    if name not in known:
        raise NetworkError(f"{reader} reads {name}, which no part before it makes")
    return known[name]


def _call(builder: Any, function: Any, part: Segment, known: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a segment's function."""
    given = [_known(known, part.name, name) for name in part.inputs]
    return _results(builder, relax.Call(function, given), part.outputs)


def _run(builder: Any, number: int, part: Region, known: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a region."""
    given = [_known(known, part.name, port.value) for port in part.inputs]
    types = [_port_type(port) for port in part.outputs]
    call = relax.op.call_dps_packed(
        RUN, relax.Tuple([relax.prim_value(number), *given]), out_ty=types
    )
    return _results(builder, call, [port.value for port in part.outputs])


def _port_type(port: Port) -> Any:
    return relax.TensorType(list(port.shape), port.dtype)


def _results(builder: Any, call: Any, names: list[str]) -> dict[str, Any]:
    result = builder.emit(call)
    if len(names) == 1:
        return {names[0]: result}
    return {name: builder.emit(relax.TupleGetItem(result, n)) for n, name in enumerate(names)}
