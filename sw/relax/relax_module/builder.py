"""The ONNX graph that a function of Relax becomes, one binding after the other.

An order of axes is kept beside each value; a Transpose is made only where an operator needs another
one. So a function in NHWC becomes a graph in NCHW.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import tvm
from tvm import relax

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import shape_of
from vta.sw.relax.nodes import Nodes

__all__ = ["Builder", "Held", "sizes_text", "tensor_type"]

WAY_OUT = "express it with operators that docs/networks.md lists"
TYPES = ("float32", "int8", "uint8", "int32", "int64", "bool")


@dataclass(frozen=True)
class Held:
    """A tensor of Relax: axis k of `value` is its axis order[k]."""

    value: ir.Value
    order: tuple[int, ...]

    @classmethod
    def plain(cls, value: ir.Value) -> "Held":
        """A value whose axes are Relax's."""
        return cls(value, tuple(range(len(shape_of(value)))))

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def is_plain(self) -> bool:
        return self.order == tuple(range(self.rank))

    @property
    def constant(self) -> np.ndarray | None:
        """Its numbers, in the value's order; None where they are computed."""
        known = self.value.const_value
        return None if known is None else known.numpy()

    @property
    def shape(self) -> tuple[int, ...]:
        """As Relax has it."""
        shape = shape_of(self.value)
        return tuple(shape[self.order.index(n)] for n in range(self.rank))

    def axis(self, of: int) -> int:
        """The value's axis of Relax's axis `of`."""
        return self.order.index(of % self.rank)


def sizes_text(sizes: Sequence[Any]) -> str:
    """A shape of Relax, symbols by their names."""
    each = (size.value if isinstance(size, tvm.tirx.IntImm) else size for size in sizes)
    return f"[{', '.join(map(str, each))}]"


def tensor_type(name: str, found: Any) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a type of Relax.

    Raises
    ------
    NetworkError
        where it is no tensor, has an open shape, or a dtype that networks do not have.
    """
    if not isinstance(found, relax.TensorType):
        raise NetworkError(f"{shown(name)} is {shown(str(found))}: only tensors are supported")
    sizes = getattr(found.shape, "values", None)
    if sizes is None or not all(isinstance(size, tvm.tirx.IntImm) for size in sizes):
        axes = "unknown" if sizes is None else sizes_text(sizes)
        raise NetworkError(
            f"{shown(name)} has the open shape {shown(axes)}: fix it, by shapes= or --shape of an "
            "input, or by relax.Function.bind_symbolic_vars"
        )
    dtype = str(found.dtype)
    if dtype not in TYPES:
        raise NetworkError(f"{shown(name)} is {shown(dtype)}; supported are {', '.join(TYPES)}")
    return tuple(int(size) for size in sizes), dtype


class Builder(Nodes):
    """Nodes, and what each variable is: a Held, a list of such (a tuple), or whole numbers."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(names)
        self.variables: dict[Any, Any] = {}
        self.call: Any = None
        self.calls: list[tuple[str, str]] = []  # name and operator of each binding that is one
        self.prefix = ""  # of the names of what a function that is called binds
        self.calling: tuple[Any, ...] = ()  # the functions that are, from the outermost on
        self._places: set[str] = set()
        self._constants: dict[Any, Held] = {}
        self._named: set[ir.Value] = set()

    def enter_name(self, name: str) -> str:
        """The name of an input or binding, which no other one has."""
        found = self.free(f"{self.prefix}{name}", self._places)
        self._taken.add(found)
        return found

    # Bindings ---------------------------------------------------------------------------------
    def begin(self, name: str, call: Any) -> None:
        """The next binding. call: its operator's call; None of one that only renames."""
        self.call, self.made = call, []
        self.place = self.source = self.enter_name(name)
        operator = "" if call is None else f"{shown(call.op.name)} "
        self.where = f"{operator}{shown(self.place)}: "
        if call is not None:
            self.calls.append((self.place, call.op.name.removeprefix("relax.")))

    def end(self, result: Any, type_: Any) -> None:
        """What was made is called after the binding, and has the type that Relax says."""
        self.name_one(self.place)
        each = result if isinstance(result, list) else [result]
        types = type_.fields if isinstance(result, list) else [type_]
        for n, (held, found) in enumerate(zip(each, types, strict=True)):
            if isinstance(held, Held):
                self._check(held, found)
                self._name(held.value, self.place if len(each) == 1 else f"{self.place}/{n}")
        self.where = ""

    def _check(self, held: Held, found: Any) -> None:
        shape, dtype = tensor_type(self.place, found)
        value = held.value
        made = str(value.dtype.numpy()) if value.dtype is not None else "of no type"
        if (held.shape, made) != (shape, dtype):
            raise self.error(
                f"ONNX makes {made} {list(held.shape)}, Relax {dtype} {list(shape)}: {WAY_OUT}"
            )

    def _name(self, value: ir.Value, name: str) -> None:
        if value.producer() in self.made and value not in self._named:
            value.name = name if name == self.place else self.free(name)
            self._named.add(value)

    # Operands ---------------------------------------------------------------------------------
    def resolve(self, expression: Any, what: str) -> Any:
        """What an expression is; a constant is an initializer called ``NAME/what``."""
        if isinstance(expression, tvm.ir.GenericConst):
            if expression not in self._constants:
                self._constants[expression] = Held.plain(self._constant(expression, what))
            return self._constants[expression]
        if isinstance(expression, relax.ShapeExpr):
            return self._whole(expression.values)
        if isinstance(expression, tvm.tirx.IntImm | tvm.tirx.FloatImm):
            return expression.value
        if isinstance(expression, relax.Tuple | tvm.ir.Tuple):
            return [self.resolve(item, f"{what}{n}") for n, item in enumerate(expression.fields)]
        if isinstance(expression, tuple | list | tvm.ir.Array):
            return [self.resolve(item, f"{what}{n}") for n, item in enumerate(expression)]
        if expression in self.variables:
            return self.variables[expression]
        raise self.error(f"{shown(str(expression))} is no tensor that is known here: {WAY_OUT}")

    def _constant(self, expression: Any, what: str) -> ir.Value:
        array = expression.value.numpy()
        tensor_type(f"{self.place}/{what}", expression.ty)
        return self.constant(what, array)

    def _whole(self, sizes: Sequence[Any]) -> list[int]:
        if not all(isinstance(size, tvm.tirx.IntImm) for size in sizes):
            raise self.error(f"its shape {sizes_text(sizes)} is open: only static ones are read")
        return [int(size) for size in sizes]

    def tensor(self, k: int, what: str = "") -> Held:
        """The call's `k`-th operand. what: the end of its name where it is a constant."""
        found = self.resolve(self.call.args[k], what or f"operand{k}")
        if not isinstance(found, Held):
            raise self.error(f"its operand {k} is no tensor: {WAY_OUT}")
        return found

    def plain(self, k: int, what: str = "") -> ir.Value:
        """The same with Relax's order of axes."""
        held = self.tensor(k, what)
        return self.ordered(held, range(held.rank))

    def array(self, k: int, what: str) -> np.ndarray:
        """The same of a constant."""
        held = self.tensor(k, what)
        if held.constant is None:
            raise self.error(
                f"its {what} is computed: it must be a constant; bind parameters first"
            )
        return held.constant.transpose([held.axis(n) for n in range(held.rank)])

    def ordered(self, held: Held, order: Sequence[int]) -> ir.Value:
        """The value with its axes in an order."""
        order = tuple(order)
        if held.order == order:
            return held.value
        perm = [held.order.index(n) for n in order]
        return self.emit("Transpose", held.value, what="order", attributes={"perm": perm})

    def aligned(self, each: Sequence[Held]) -> tuple[list[ir.Value], tuple[int, ...]]:
        """Operands that broadcast, all in one order of axes; and that order."""
        rank = max(held.rank for held in each)
        free = [held.constant is not None or held.rank == 0 for held in each]
        orders = {held.order for held, free_ in zip(each, free, strict=True) if not free_}
        order = next(iter(orders)) if len(orders) == 1 else tuple(range(rank))
        if len(order) != rank:
            order = tuple(range(rank))
        if order == tuple(range(rank)):
            return [self.ordered(held, range(held.rank)) for held in each], order
        return [self._lifted(held, order) for held in each], order

    def _lifted(self, held: Held, order: tuple[int, ...]) -> ir.Value:
        if held.order == order or held.rank == 0 or held.constant is None:
            return held.value
        array = held.constant.transpose([held.axis(n) for n in range(held.rank)])
        array = array.reshape((1,) * (len(order) - held.rank) + array.shape)
        return self.constant("operand", array.transpose(order))

    def attribute(self, name: str) -> Any:
        """An attribute of the call, as Python has it."""
        return _python(getattr(self.call.attrs, name))

    def floats(self, *each: Held) -> None:
        """Refuse what is no float32: Relax computes integers otherwise than QDQ means it."""
        for held in each:
            if held.value.dtype != ir.DataType.FLOAT:
                raise self.error(
                    f"it takes {held.value.dtype}; integers are read in QDQ form only: relax."
                    "dequantize, the operator in float32, relax.quantize"
                )

    def same_type(self) -> None:
        """Refuse an out_dtype that is another one than the operands'."""
        out = self.attribute("out_dtype")
        if out is not None and str(out) not in ("", "float32", "void"):
            raise self.error(f"its out_dtype is {out}; only float32 is read, around it QDQ")


def _python(value: Any) -> Any:
    if isinstance(value, tvm.tirx.IntImm | tvm.tirx.FloatImm):
        return value.value
    if isinstance(value, tuple | list | tvm.ir.Array):
        return [_python(item) for item in value]
    return value


Translator = Callable[[Builder], Any]
Table = Mapping[str, Translator]
