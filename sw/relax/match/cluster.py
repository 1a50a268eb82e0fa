"""From a node to the QuantizeLinear behind it: what of the graph becomes one operator of VTA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators import Operator
from vta.sw.operators.scales import Scale
from vta.sw.relax.graph import constant
from vta.sw.relax.match.values import BYTES, NotOnVta, Quantity, scale_of

__all__ = ["Joined", "Match", "Placed", "Result", "Viewed", "Widened", "result_of"]

QUANTIZE = "QuantizeLinear"
ENDS = ("Relu", "Clip")
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


@dataclass(frozen=True)
class Placed:
    """An operator in a region.

    Members
    -------
    name: of the network's node.
    tensors: the operator's own names to values of the graph, or to values between two of them.
    constants: what its tensors hold, by its own names.
    fillers: what fills up the last block of channels of these, where it is not 0: so that the
        result's is the zero point, as in a channel of zeros.
    """

    name: str
    operator: Operator
    tensors: Mapping[str, str]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    fillers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Joined:
    """A value that consists of others, by channels; whoever makes them stores into it.

    Members
    -------
    made: operators that make parts which are constant.
    otherwise: the operator that copies all, where that cannot be.
    """

    output: str
    parts: Mapping[str, int]
    shape: tuple[int, ...]
    otherwise: Placed
    made: tuple[Placed, ...] = ()


@dataclass(frozen=True)
class Viewed:
    """Bytes of a value with another shape and layout.

    `of`: shape and layout that the source must lie as; None: the operator before makes it so.
    """

    output: str
    source: str
    shape: tuple[int, ...]
    layout: str
    of: tuple[tuple[int, ...], str] | None = None


@dataclass(frozen=True)
class Widened:
    """A value with further channels of a number, which the last block of channels has room for.

    Members
    -------
    view: of its bytes, with all channels.
    otherwise: the operator that copies it, where it lies otherwise or others fill the block up.
    """

    output: str
    view: Viewed
    number: int
    otherwise: Placed


@dataclass(frozen=True)
class Match:
    """What nodes of the graph become.

    Members
    -------
    node: the one that gives the name.
    nodes: all that are covered, it among them.
    otherwise: the match without a fusion, where the one with it does not compile.
    note: of the layer (`vta.sw.relax.parts.Layer`).
    """

    node: ir.Node
    nodes: tuple[ir.Node, ...]
    inputs: tuple[Quantity, ...]
    output: Quantity
    parts: tuple[Placed | Joined | Viewed | Widened, ...]
    otherwise: "Match | None" = None
    note: str = ""

    def macs(self, config: Config) -> int:
        return sum(p.operator.macs(config) for p in self.parts if isinstance(p, Placed))


@dataclass(frozen=True)
class Result:
    """Where a node's result is 8-bit numbers, and what happens to it before.

    Members
    -------
    low, high: the ends of the numbers, in their own type; None: the type's.
    nodes: those between, the QuantizeLinear among them.
    """

    quantity: Quantity
    low: int | None = None
    high: int | None = None
    nodes: tuple[ir.Node, ...] = ()

    @property
    def meaning(self) -> Scale:
        return self.quantity.meaning

    @property
    def limits(self) -> dict[str, int | None]:
        return {"low": self.low, "high": self.high}

    @property
    def clipped(self) -> bool:
        return (self.low, self.high) != (None, None)


def quantised(number: float, scale: Scale) -> int:
    """What QuantizeLinear makes of a number: half to even, clipped."""
    least, most = LIMITS[scale.dtype]
    found = np.rint(np.float32(number) / np.float32(scale.scale)) + scale.zero_point
    return int(np.clip(found, least, most))


def result_of(node: ir.Node) -> Result:
    """The result of a node, through Relu and Clip behind it; of one of these, with its own ends.

    Raises
    ------
    NotOnVta
        where it is float for somebody else.
    """
    last, value = node, node.outputs[0]
    if value.dtype in BYTES and node.op_type != QUANTIZE:
        return Result(Quantity(value, None))
    ends = [_ends(node)] if node.op_type in ENDS else []
    between: list[ir.Node] = []
    while last.op_type != QUANTIZE:
        last = _only_user(value, node)
        value = last.outputs[0]
        between.append(last)
        if last.op_type in ENDS:
            ends.append(_ends(last))
        elif last.op_type != QUANTIZE:
            raise NotOnVta(
                f"its result goes to {last.op_type} {last.name} before it is quantised; VTA keeps "
                "8-bit results: quantise it there"
            )
    scale = _scale(last)
    low, high = _joined(ends)
    found = Result(
        Quantity(value, scale),
        quantised(low, scale) if low > -np.inf else None,
        quantised(high, scale) if high < np.inf else None,
        tuple(between),
    )
    return _narrowed(found)


def _joined(ends: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The ends of one Clip that does what several do in a row."""
    least, most = -np.inf, np.inf
    for low, high in ends:
        least, most = (min(max(end, low), high) for end in (least, most))
    return least, most


def _only_user(value: ir.Value, node: ir.Node) -> ir.Node:
    users = [use.node for use in value.uses()]
    if len(users) == 1 and not value.is_graph_output():
        return users[0]
    if value.is_graph_output():
        raise NotOnVta(f"its result {value.name} is a float output of the network: quantise it")
    kinds = ", ".join(f"{user.op_type} {user.name}" for user in users)
    raise NotOnVta(
        f"its float result {value.name} has {len(users)} users ({kinds}); VTA keeps 8-bit results "
        "only: quantise it first"
    )


def _ends(node: ir.Node) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, np.inf
    _, low, high = (*node.inputs, None, None)[:3]
    ends = []
    for end, value in ((-np.inf, low), (np.inf, high)):
        array = constant(value)
        if value is not None and array is None:
            raise NotOnVta(f"the ends of Clip {node.name} are computed at run time")
        ends.append(end if array is None else float(array.item()))
    return ends[0], ends[1]


def _scale(node: ir.Node) -> Scale:
    scales, zero = constant(node.inputs[1]), (*node.inputs, None)[2]
    dtype = node.outputs[0].dtype
    if dtype not in BYTES:
        raise NotOnVta(f"its result {node.outputs[0].name} is {dtype}; VTA has int8 and uint8")
    if scales is None or scales.size != 1:
        raise NotOnVta(
            f"its result {node.outputs[0].name} has a scale for each channel; VTA has one for a "
            "tensor of activations"
        )
    zeros = constant(zero)
    return scale_of(scales.item(), None if zeros is None else zeros.item(), BYTES[dtype])


def _narrowed(found: Result) -> Result:
    """With the ends of a Clip on the 8-bit numbers, as brevitas writes it."""
    value = found.quantity.value
    users = [use.node for use in value.uses()]
    if value.is_graph_output() or len(users) != 1 or users[0].op_type != "Clip":
        return found
    before = (
        -np.inf if found.low is None else found.low,
        np.inf if found.high is None else found.high,
    )
    low, high = _joined([before, _ends(users[0])])
    return replace(
        found,
        quantity=replace(found.quantity, value=users[0].outputs[0]),
        low=int(low) if low > -np.inf else None,
        high=int(high) if high < np.inf else None,
        nodes=(*found.nodes, users[0]),
    )


def covered(node: ir.Node, operands: Any, result: Result) -> tuple[ir.Node, ...]:
    """The node, the DequantizeLinears of its operands, and what is behind it."""
    before = [value.producer() for value in operands if value is not None]
    found = [n for n in before if n is not None and n.op_type == "DequantizeLinear"]
    return (*dict.fromkeys(found), node, *result.nodes)
