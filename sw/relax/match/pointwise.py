"""Element-wise nodes of one or two 8-bit tensors."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators.pointwise import Pointwise
from vta.sw.operators.quantized import (
    HardSwish,
    LeakyRelu,
    Prelu,
    QuantizedAdd,
    QuantizedMaximum,
    QuantizedMinimum,
    QuantizedMultiply,
    Rescale,
)
from vta.sw.operators.scales import Scale, as_int8
from vta.sw.relax.graph import attribute, constant, shape_of
from vta.sw.relax.match.cluster import Match, Placed, Result, covered, result_of
from vta.sw.relax.match.matrices import lies_by_rows
from vta.sw.relax.match.values import NotOnVta, Quantity, quantity, scale_of, weights

__all__ = ["extent", "one", "rescaled", "two"]


def extent(shape: tuple[int, ...], *, by_rows: bool = False) -> dict[str, int]:
    """Images, channels and pixels of a value: rank 1 is one image.

    by_rows: of what matrix products make, the last axis is the channels, all others are images.
    """
    if len(shape) == 1:
        shape = (1, *shape)
    if by_rows:
        shape = (int(np.prod(shape[:-1], dtype=int)), shape[-1])
    return {"images": shape[0], "channels": shape[1], "pixels": int(np.prod(shape[2:], dtype=int))}


def rescaled(name: str, source: Quantity, result: Result, tensors: tuple[str, str]) -> Placed:
    """The numbers of `source` with the result's scale, clipped; from one tensor to another."""
    operator = Rescale.of_scales(
        source.meaning,
        result.meaning,
        **result.limits,
        **extent(source.shape, by_rows=lies_by_rows(source.value)),
    )
    return Placed(name, operator, {"a": tensors[0], "out": tensors[1]})


def one(node: ir.Node, config: Config) -> Match:
    """Relu, Clip, LeakyRelu, PRelu, HardSwish, HardSigmoid, and a change of scale alone."""
    data, result = quantity(node.inputs[0]), result_of(node)
    if node.op_type in ("Relu", "Clip", "QuantizeLinear"):
        return _rescale(node, data, result)
    shape, constants = extent(data.shape, by_rows=lies_by_rows(data.value)), {}
    a, out = data.meaning, result.meaning
    if node.op_type == "HardSigmoid":
        alpha, beta = (
            attribute(node, n, default) for n, default in (("alpha", 0.2), ("beta", 0.5))
        )
        _unclipped(node, result)
        operator: Pointwise = Rescale.hard_sigmoid(a, out, alpha=alpha, beta=beta, **shape)
    elif node.op_type == "HardSwish":
        _unclipped(node, result)
        operator = HardSwish.of_scales(a, out, **shape)
    elif node.op_type == "LeakyRelu":
        _unclipped(node, result)
        slope = attribute(node, "alpha", 0.01)
        operator = LeakyRelu.of_scales(a, out, slope=slope, **shape)
    else:
        _unclipped(node, result)
        slopes = _slopes(node, shape.pop("channels"))
        operator, constants = Prelu.of_scales(a, out, slopes=slopes, **shape)
    placed = Placed(
        node.name or "", operator, {"a": data.name, "out": result.quantity.name}, constants
    )
    return _match(node, (data,), result, placed)


def _rescale(node: ir.Node, data: Quantity, result: Result) -> Match:
    """A Relu or Clip that stands alone, whose ends are the result's, or a change of scale alone."""
    placed = rescaled(node.name or "", data, result, (data.name, result.quantity.name))
    return _match(node, (data,), result, placed)


def _match(node: ir.Node, data: tuple[Quantity, ...], result: Result, placed: Placed) -> Match:
    return Match(node, covered(node, node.inputs, result), data, result.quantity, (placed,))


def _unclipped(node: ir.Node, result: Result) -> None:
    if result.clipped:
        raise NotOnVta(
            f"a Relu or Clip stands behind it before it is quantised; on VTA {node.op_type} is "
            "quantised by itself: put a QuantizeLinear between"
        )


def _slopes(node: ir.Node, channels: int) -> np.ndarray:
    value = node.inputs[1]
    found = constant(value)
    if found is None:
        given = weights(value)
        found = given.array * given.scales
    if found.size not in (1, channels):
        raise NotOnVta(f"its slopes have shape {list(found.shape)}; VTA has one a channel")
    return np.broadcast_to(found.reshape(-1).astype(np.float64), (channels,))


# Two tensors --------------------------------------------------------------------------------------
_Maker = Callable[..., Pointwise]
TWO: dict[str, tuple[_Maker, dict[str, int]]] = {
    "Add": (QuantizedAdd.of_scales, {}),
    "Sub": (QuantizedAdd.of_scales, {"sign": -1}),
    "Mul": (QuantizedMultiply.of_scales, {}),
    "Min": (QuantizedMinimum.of_scales, {}),
    "Max": (QuantizedMaximum.of_scales, {}),
}


def two(node: ir.Node, config: Config) -> Match:
    """Add, Sub, Mul, Min, Max; an operand may be a constant, or have a value for each channel."""
    if len(node.inputs) != 2:
        raise NotOnVta(f"it has {len(node.inputs)} operands; VTA's has 2: write a chain of them")
    result = result_of(node)
    whole = shape_of(node.outputs[0])
    given = [_operand(value) for value in node.inputs]
    order = [0, 1]
    if given[0].shape != whole:
        order = [1, 0]
    if given[order[0]].shape != whole or given[order[0]].array is not None:
        shapes = " and ".join(str(list(each.shape)) for each in given)
        raise NotOnVta(
            f"its operands are {shapes}; on VTA one of them is computed and has the result's "
            f"shape, {list(whole)}"
        )
    if order == [1, 0] and node.op_type == "Sub":
        raise NotOnVta("it takes a tensor from a smaller one; on VTA the smaller one is taken")
    first, second = (given[n] for n in order)
    by_rows = lies_by_rows(node.inputs[order[0]])
    maker, more = TWO[node.op_type]
    operator = maker(
        first.meaning,
        second.meaning,
        result.meaning,
        broadcast=_broadcast(second, whole, len(whole) - 1 if by_rows else 1),
        **more,
        **result.limits,
        **extent(whole, by_rows=by_rows),
    )
    tensors = {"a": first.name, "b": second.name, "out": result.quantity.name}
    constants = {}
    if second.array is not None:
        tensors.pop("b")
        constants["b"] = _arranged(second, operator, config)
    placed = Placed(node.name or "", operator, tensors, constants)
    quantities = tuple(each.quantity for each in (first, second) if each.quantity)
    return _match(node, quantities, result, placed)


class _Operand:
    """An operand that is computed, or a constant."""

    def __init__(self, quantity: Quantity | None, array: np.ndarray | None, meaning: Scale) -> None:
        self.quantity, self.array, self.meaning = quantity, array, meaning

    @property
    def shape(self) -> tuple[int, ...]:
        return self.quantity.shape if self.quantity else self.array.shape  # type: ignore[union-attr]

    @property
    def name(self) -> str:
        return self.quantity.name if self.quantity else ""


def _operand(value: ir.Value | None) -> _Operand:
    assert value is not None
    node = value.producer()
    if node is not None and node.op_type == "DequantizeLinear":
        source = node.inputs[0]
        if constant(source) is not None:
            return _constant(value, node)
    if constant(value) is not None:
        raise NotOnVta(f"its constant {value.name} is float: quantise it")
    found = quantity(value)
    return _Operand(found, None, found.meaning)


def _constant(value: ir.Value, node: ir.Node) -> _Operand:
    array, scales, zeros = (constant(each) for each in (*node.inputs, None)[:3])
    assert array is not None and scales is not None
    name = node.inputs[0].name if node.inputs[0] is not None else value.name
    if str(array.dtype) not in ("int8", "uint8"):
        raise NotOnVta(f"its constant {name} is {array.dtype}; VTA has int8 and uint8")
    if scales.size != 1:
        raise NotOnVta(f"its constant {name} has a scale for each channel, VTA one for all")
    meaning = scale_of(scales.item(), None if zeros is None else zeros.item(), str(array.dtype))
    return _Operand(None, as_int8(array), meaning)


def _broadcast(operand: _Operand, whole: tuple[int, ...], channels: int) -> str:
    shape = operand.shape
    full = (1,) * (len(whole) - len(shape)) + shape
    if full == whole and (operand.array is None or whole[0] == 1):
        return "none"
    if np.prod(shape, dtype=int) == 1:
        return "scalar"
    by_channel = [1] * len(whole)
    axis = min(channels, len(whole) - 1)
    by_channel[axis] = whole[axis]
    if list(full) == by_channel:
        return "channel"
    if full == whole:
        return "none"
    raise NotOnVta(
        f"its operand of shape {list(shape)} is broadcast to {list(whole)}; VTA broadcasts one "
        "value, or one a channel"
    )


def _arranged(operand: _Operand, operator: Pointwise, config: Config) -> np.ndarray:
    """The constant as the operator's tensor has it."""
    assert operand.array is not None
    return operand.array.reshape(operator.tensors(config)["b"].shape)
