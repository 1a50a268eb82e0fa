"""What several files need of a graph: constants, shapes, attributes, and nodes in another's place.

A network is an ``onnx_ir.Model``. A node that we make out of a file's node is called after it,
``NAME/what``, and carries the file's name as metadata, ``source``.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.infer import infer_node

__all__ = [
    "SOURCE",
    "Rewriter",
    "attribute",
    "constant",
    "file_nodes",
    "free_name",
    "initializer",
    "is_op",
    "live",
    "only_use",
    "replace_value",
    "set_ints",
    "shape_of",
    "source",
    "warn",
    "warnings",
]

SOURCE = "source"  # the key of a made node's metadata


def warnings(model: ir.Model) -> list[str]:
    """What was noticed about a network and did no harm, a line each; grows as it is worked on."""
    return model.meta.setdefault("warnings", [])


def warn(model: ir.Model, text: str) -> None:
    """Add to `warnings`, unless the same stands there."""
    if text not in warnings(model):
        warnings(model).append(text)


def file_nodes(model: ir.Model) -> list[tuple[str, str]]:
    """Name and operator of all nodes of the file that a network was read from, in its order.

    A reader that makes several nodes of one leaves them in the model's `meta`.
    """
    return model.meta.get("nodes") or [(source(node), node.op_type) for node in model.graph]


def source(node: ir.Node) -> str:
    """The name that the file gave to `node`, or to the node that it was made of."""
    return node.metadata_props.get(SOURCE) or node.name or ""


def constant(value: ir.Value | None) -> np.ndarray | None:
    """The array of an initializer; None of any other value, and of an input left out."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of a value.

    Raises
    ------
    NetworkError
        where the file does not fix it.
    """
    if value.shape is None or not value.shape.is_static():
        raise NetworkError(f"value {value.name} has no static shape: {value.shape}")
    return value.shape.numpy()


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """An attribute's value as Python has it (text, not bytes); `default` where it is not there."""
    found = node.attributes.get(name)
    return default if found is None or found.value is None else found.value


def set_ints(node: ir.Node, name: str, values: Iterable[int]) -> None:
    """Give a node an attribute that is a list of integers."""
    node.attributes[name] = ir.AttrInt64s(name, [int(value) for value in values])


def is_op(node: ir.Node | None, *types: str, domain: str = "") -> TypeGuard[ir.Node]:
    """Whether a node is of one of the operators `types`."""
    return node is not None and node.domain == domain and node.op_type in types


def only_use(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`, once; None where others do, or it leaves the graph."""
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def initializer(name: str | None, array: np.ndarray) -> ir.Value:
    """A constant value, not in a graph yet."""
    return ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        const_value=ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name),
    )


class Rewriter:
    """Nodes that stand in the place of one of the graph's.

    >>> rewriter = Rewriter(node)                                             # doctest: +SKIP
    >>> sum = rewriter.op("Add", x, rewriter.constant("bias", bias))          # doctest: +SKIP
    >>> rewriter.replace(sum)                                                 # doctest: +SKIP

    They are inserted before it. Unless `infer` is false, types and shapes are inferred at once.

    Raises
    ------
    NetworkError
        where the operands do not fit the operator.
    """

    def __init__(self, node: ir.Node, *, infer: bool = True) -> None:
        graph = node.graph
        assert graph is not None
        self.node, self.graph, self.infer = node, graph, infer
        self.source = source(node)

    def op(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        what: str = "",
        outputs: int = 1,
        attributes: dict[str, Any] | None = None,
    ) -> Any:
        """A node of the default domain, and its value, or a list where `outputs` is not 1.

        Arguments
        ---------
        what: the end of its name; empty: it bears the name of the node that it stands for.
        attributes: by name; None is left out.
        """
        given = {k: v for k, v in (attributes or {}).items() if v is not None}
        made = ir.node(op_type, list(inputs), given, num_outputs=outputs)
        name = f"{self.source}/{what}" if what else self.source
        made.name = name if name == self.node.name else free_name(self.graph, name)
        if what:
            made.metadata_props[SOURCE] = self.source
        elif SOURCE in self.node.metadata_props:
            made.metadata_props[SOURCE] = self.node.metadata_props[SOURCE]
        for n, value in enumerate(made.outputs):
            base = made.name or op_type
            value.name = free_name(self.graph, base if outputs == 1 else f"{base}/{n}")
        self.graph.insert_before(self.node, made)
        if self.infer:
            infer_node(made)
        return made.outputs[0] if outputs == 1 else list(made.outputs)

    def constant(self, what: str, array: np.ndarray) -> ir.Value:
        """An initializer called ``NAME/what``."""
        value = initializer(free_name(self.graph, f"{self.source}/{what}"), array)
        self.graph.register_initializer(value)
        return value

    def replace(self, *values: ir.Value) -> None:
        """Remove the node; its outputs are `values` from now on, which take their names."""
        for old, new in zip(self.node.outputs, values, strict=False):
            replace_value(old, new)
        for old in self.node.outputs:
            if old.uses() or old.is_graph_output():
                raise NetworkError(f"{at(self.node)}: its output {old.name} is read: unsupported")
        self.graph.remove(self.node, safe=True)


def replace_value(old: ir.Value, new: ir.Value) -> None:
    """Let every reader of `old`, which a node makes, read `new`, which takes its name if it can.

    What leaves the graph keeps its name: by an Identity where `new` has a name that must stay.
    """
    maker = old.producer()
    assert maker is not None and maker.graph is not None
    graph, name = maker.graph, old.name
    fixed = new.is_graph_output() or new.is_graph_input() or new.is_initializer()
    if old.is_graph_output() and fixed:
        copy = ir.node("Identity", [new], num_outputs=1)
        copy.name, copy.metadata_props[SOURCE] = (
            free_name(graph, f"{source(maker)}/copy"),
            source(maker),
        )
        graph.insert_after(new.producer() or maker, copy)
        copy.outputs[0].type, copy.outputs[0].shape = new.type, new.shape
        new = copy.outputs[0]
    made_by_us = (p := new.producer()) is not None and SOURCE in p.metadata_props
    takes = old.is_graph_output() or made_by_us or (p is not None and p.name == maker.name)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if takes:
        old.name = None
        new.name = name


def free_name(graph: ir.Graph, name: str) -> str:
    """`name`, or where it is taken a name that begins with it; taken from now on."""
    taken: set[str] = graph.meta.setdefault("taken", set())
    if not taken:
        taken |= set(graph.initializers) | {v.name for v in graph.inputs if v.name}
        for node in graph:
            taken |= {v.name for v in node.outputs if v.name}
            taken.add(node.name or "")
    found, n = name, 1
    while found in taken:
        n += 1
        found = f"{name}_{n}"
    taken.add(found)
    return found


def live(values: Sequence[ir.Value | None]) -> list[ir.Value]:
    """The inputs that are there."""
    return [value for value in values if value is not None]
