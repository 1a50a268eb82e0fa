"""What is in a model file, before anything is compiled."""

import collections
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import SOURCE, attribute, constant, is_op, live, warnings
from vta.sw.relax.normalize import PASSES, PREPARED, normalize
from vta.sw.relax.normalize.qdq import QUANTIZED
from vta.sw.relax.normalize.weights import is_weight
from vta.sw.relax.read import file_format

__all__ = ["Inspection", "NodeInfo", "ValueInfo", "inspect", "macs"]

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
PYTHON = ".py"


@dataclass(frozen=True)
class ValueInfo:
    """A tensor: what a node takes or makes.

    Members
    -------
    shape, dtype: None where they are not known.
    constant: whether the file holds its numbers.
    quantized: the type that it is quantised to, with scales and zero points; None, and empty, of a
        float. Of a tensor that is quantised channel by channel there are several.
    """

    name: str
    shape: tuple[int, ...] | None
    dtype: str | None
    constant: bool = False
    quantized: str | None = None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()


@dataclass(frozen=True)
class NodeInfo:
    """A node of the file that computes: no QuantizeLinear, DequantizeLinear or Constant.

    Members
    -------
    folded: whether it is computed beforehand, since all that it takes is known.
    """

    name: str
    operator: str
    attributes: dict[str, Any]
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    macs: int
    folded: bool = False


@dataclass(frozen=True)
class Inspection:
    """A model file.

    Members
    -------
    operators: how often each is there; those of functions where they are called.
    activations: the types that they are quantised to.
    form: "float", "quantized" or "partly quantized": of the products (Conv, Gemm, ...), how many
        take and make integers.
    parameters: numbers in weights, biases and other constants.
    refused: why the network cannot be compiled; None: nothing is known of.
    """

    file: str
    format: str
    bytes: int
    opset: int
    producer: str
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    operators: dict[str, int]
    nodes: tuple[NodeInfo, ...]
    activations: tuple[str, ...]
    form: str
    parameters: int
    macs: int
    warnings: tuple[str, ...] = field(default=())
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def inspect(model: ir.Model, path: Path) -> Inspection:
    """What is in `model`, which was read from `path`, or made by it, and is left as it is.

    Shapes and scales are those after shapes are inferred and constants computed.
    """
    prepared, refused = _prepared(model)
    known = _Known(prepared)
    nodes = tuple(
        known.node(node) for node in model.graph if node.op_type not in (*QUANTIZERS, "Constant")
    )
    producer = " ".join(filter(None, (model.producer_name, model.producer_version)))
    return Inspection(
        file=str(path),
        format="Relax" if path.suffix == PYTHON else file_format(path),
        bytes=path.stat().st_size,
        opset=model.opset_imports[""],
        producer=producer,
        inputs=tuple(known.value(value) for value in model.graph.inputs),
        outputs=tuple(known.value(value) for value in model.graph.outputs),
        operators=_counted(model),
        nodes=nodes,
        activations=_activations(nodes),
        form=_form(prepared),
        parameters=sum(
            v.const_value.size for v in model.graph.initializers.values() if v.const_value
        ),
        macs=sum(node.macs for node in nodes),
        warnings=tuple(warnings(model)),
        refused=refused,
    )


def macs(node: ir.Node) -> int:
    """Multiply-accumulate operations of a Conv, ConvTranspose, Gemm or MatMul; 0 of others."""
    if not is_op(node, *PRODUCTS):
        return 0
    first, second, made = (_shape(value) for value in (*node.inputs[:2], node.outputs[0]))
    if first is None or second is None or made is None:
        return 0
    if node.op_type == "Conv":
        return math.prod(made) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    inner = first[0] if attribute(node, "transA", 0) else first[-1]
    return math.prod(made) * inner


def _prepared(model: ir.Model) -> tuple[ir.Model, str | None]:
    """The network with shapes and constants, or as it is, and why."""
    prepared = model
    try:
        prepared = normalize(model, passes=PREPARED)
        normalize(prepared, passes=PASSES[len(PREPARED) :])
    except NetworkError as error:
        return prepared, str(error)
    return prepared, None


def _activations(nodes: tuple[NodeInfo, ...]) -> tuple[str, ...]:
    values = (value for node in nodes for value in node.inputs + node.outputs)
    return tuple(sorted({v.quantized for v in values if v.quantized and not v.constant}))


def _counted(model: ir.Model) -> dict[str, int]:
    counts = collections.Counter(
        f"{node.domain}.{node.op_type}".lstrip(".") for node in model.graph
    )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _form(model: ir.Model) -> str:
    """By what the products take: integers through a DequantizeLinear, or floats."""
    products = [node for node in model.graph if is_op(node, *PRODUCTS)]
    whole = [
        node
        for node in products
        if all(is_op(v.producer(), "DequantizeLinear") for v in live(node.inputs[:2]))
    ]
    if whole and len(whole) == len(products):
        return "quantized"
    quantizers = any(is_op(node, *QUANTIZERS) for node in model.graph)
    return "partly quantized" if whole or (quantizers and not products) else "float"


def _shape(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return value.shape.numpy()


class _Known:
    """What the prepared network knows of the file's nodes and values, by their names."""

    def __init__(self, prepared: ir.Model) -> None:
        graph = prepared.graph
        self.values = {value.name: value for node in graph for value in node.outputs}
        self.values |= {
            value.name: value for value in (*graph.inputs, *graph.initializers.values())
        }
        self.nodes = {node.name: node for node in graph}

    def node(self, node: ir.Node) -> NodeInfo:
        """A node of the file, by its twin: which differs where it was an operator on integers."""
        name = node.name or _first(node)
        twin = self.nodes.get(name, node)
        same = [v.name for v in live(node.inputs)] == [v.name for v in live(twin.inputs)]
        shown = node if same or twin.op_type == node.op_type else twin
        given = [self.value(value) for value in live(shown.inputs)]
        made = [self.value(value) for value in node.outputs if value.name]
        if shown is twin:
            made = [
                self._made(value, info) for value, info in zip(twin.outputs, made, strict=False)
            ]
        return NodeInfo(
            name=name,
            operator=f"{node.domain}.{node.op_type}".lstrip("."),
            attributes=_attributes(node),
            inputs=tuple(given),
            outputs=tuple(made),
            macs=macs(twin),
            folded=name not in self.nodes,
        )

    def value(self, value: ir.Value) -> ValueInfo:
        """A value of the file, with the scale that a quantiser beside it gives it."""
        twin = self.values.get(value.name, value)
        maker = twin.producer()
        quantizer = maker if is_op(maker, "DequantizeLinear") else _only_quantizer(twin)
        if twin.dtype in QUANTIZED:
            quantizer = _maker_of(twin) or _reader_of(twin)
        name, held = value.name or "", is_weight(twin)
        if is_op(maker, "DequantizeLinear") and SOURCE in maker.metadata_props:
            name = live(maker.inputs)[0].name or name  # the file's own, an integer
        return _info(name, twin, held, quantizer)

    def _made(self, value: ir.Value, info: ValueInfo) -> ValueInfo:
        return _info(info.name, value, False, _only_quantizer(value))


def _info(name: str, value: ir.Value, held: bool, quantizer: ir.Node | None) -> ValueInfo:
    dtype = None if value.dtype is None else value.dtype.name.lower()
    if quantizer is None:
        return ValueInfo(name, _shape(value), dtype, held)
    kind = (quantizer.outputs if is_op(quantizer, "QuantizeLinear") else quantizer.inputs)[0]
    scales, zeros = (constant(operand) for operand in (*quantizer.inputs[1:], None)[:2])
    return ValueInfo(
        name,
        _shape(value),
        dtype,
        held,
        None if kind is None or kind.dtype is None else kind.dtype.name.lower(),
        () if scales is None else tuple(float(scale) for scale in scales.ravel()),
        (0,) if zeros is None else tuple(int(zero) for zero in np.unique(zeros)),
    )


def _only_quantizer(value: ir.Value) -> ir.Node | None:
    """The QuantizeLinear that reads a value, if nothing else does."""
    readers = [use.node for use in value.uses()]
    good = readers and all(is_op(node, "QuantizeLinear") for node in readers)
    return readers[0] if good and not value.is_graph_output() else None


def _reader_of(value: ir.Value) -> ir.Node | None:
    """The DequantizeLinear that says what an integer means, also behind a change of its shape."""
    for node in (use.node for use in value.uses()):
        if is_op(node, "DequantizeLinear"):
            return node
        if is_op(node, *MOVES) and (found := _reader_of(node.outputs[0])) is not None:
            return found
    return None


def _maker_of(value: ir.Value) -> ir.Node | None:
    """The QuantizeLinear that made an integer, also before a change of its shape."""
    maker = value.producer()
    while is_op(maker, *MOVES) and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    return maker if is_op(maker, "QuantizeLinear") else None


def _first(node: ir.Node) -> str:
    return next((value.name for value in node.outputs if value.name), node.op_type)


def _attributes(node: ir.Node) -> dict[str, Any]:
    """Numbers, lists and words; no tensors and no graphs."""
    found = {}
    for name, value in node.attributes.items():
        known = value.value
        if isinstance(known, str | int | float):
            found[name] = known
        elif isinstance(known, tuple | list) and all(
            isinstance(v, str | int | float) for v in known
        ):
            found[name] = list(known)
    return found
