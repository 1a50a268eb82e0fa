"""Nodes and constants of an ONNX graph that is made of another one: names, types, shapes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnx.reference import ReferenceEvaluator

from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.graph import SOURCE, initializer, shape_of, warn
from vta.sw.relax.infer import OPSET, infer_node

__all__ = ["ELEMENTS", "FOLDED", "Nodes"]

IR_VERSION = 10  # of ONNX's files; the first that has opset 21

ELEMENTS = (1 << 31) - 1  # most elements of a value
FOLDED = 4096  # elements of a result that is computed here: shapes and axes
LONGEST = 400  # characters of a message: lists in a hostile file have thousands of numbers
INTEGERS = (ir.DataType.INT32, ir.DataType.INT64)


class Nodes:
    """Nodes in order, and constants.

    Arguments
    ---------
    taken: names that belong to the file's tensors.
    room: bytes that constants may have. Tensors of a hostile file share bytes, and multiply them.
    """

    def __init__(self, taken: set[str], room: float = math.inf) -> None:
        self.nodes: list[ir.Node] = []
        self.made: list[ir.Node] = []  # those of the current operator
        self.initializers: dict[str, ir.Value] = {}
        self.warnings: list[str] = []
        self.where = ""  # how an error begins: it names the current operator
        self.place = ""  # after what nodes are called: the operator, or an input or output
        self.source = ""  # the operator that they are made of
        self._taken, self._nodes_taken, self._room = set(taken), set(taken), room

    def error(self, what: str) -> NetworkError:
        """An error that names the operator."""
        short = what if len(what) <= LONGEST else f"{what[:LONGEST]}..."
        return NetworkError(f"{self.where}{short}")

    def free(self, name: str, taken: set[str] | None = None) -> str:
        """`name`, or one that begins so and no value (or none of `taken`) has; it is taken now."""
        taken = self._taken if taken is None else taken
        found, n = name, 1
        while found in taken:
            n += 1
            found = f"{name}_{n}"
        taken.add(found)
        return found

    def constant(self, what: str, array: np.ndarray) -> ir.Value:
        """An initializer, called ``NAME/what`` after the operator."""
        return self.enter(f"{self.place}/{what}", np.asarray(array))

    def scalar(self, what: str, number: float) -> ir.Value:
        """The same of one float."""
        return self.constant(what, np.array(number, np.float32))

    def integers(self, what: str, numbers: Sequence[int]) -> ir.Value:
        """The same of int64."""
        return self.constant(what, np.array(numbers, np.int64))

    def enter(self, name: str, array: np.ndarray, own: bool = False) -> ir.Value:
        """An initializer. own: the name is that of a tensor of the file, and may be used once."""
        self._room -= array.nbytes
        if self._room < 0:
            raise self.error(
                "the constants of the file are many times as large as the file; it is damaged"
            )
        free = name if own and name not in self.initializers else self.free(name)
        self.initializers[free] = value = initializer(free, array)
        return value

    def emit(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        what: str = "",
        attributes: Mapping[str, Any] | None = None,
        outputs: int = 1,
    ) -> Any:
        """A node, and its value, or a list where `outputs` is not 1. Without `what` it bears the
        operator's name."""
        node = ir.node(op_type, list(inputs), dict(attributes or {}), num_outputs=outputs)
        name = f"{self.place}/{what}"
        node.name = self.free(name, self._nodes_taken) if what else self.place
        if what and self.source:
            node.metadata_props[SOURCE] = self.source
        for value in node.outputs:
            value.name = self.free(node.name if what else f"{node.name}/{op_type}")
        try:
            infer_node(node)
        except NetworkError as error:
            raise self.error(str(error)) from error
        for value in node.outputs:
            self._check_made(value)
        folded = self._folded(node)
        if folded is not None:
            return folded
        self.nodes.append(node)
        self.made.append(node)
        return node.outputs[0] if outputs == 1 else list(node.outputs)

    def _check_made(self, value: ir.Value) -> None:
        if value.type is None or value.shape is None or not value.shape.is_static():
            raise self.error(
                "its result has no static shape; export the network with static shapes"
            )
        shape = shape_of(value)
        if min(shape, default=1) < 1 or np.prod(shape, dtype=np.float64) > ELEMENTS:
            raise self.error(f"its result would have the shape {list(self.told(shape))}")

    def _folded(self, node: ir.Node) -> ir.Value | None:
        """A result of constant integers, as shapes are computed."""
        known = [value for value in node.inputs if value is not None]
        if len(node.outputs) != 1 or any(v.const_value is None for v in known):
            return None
        made = node.outputs[0]
        if made.dtype not in INTEGERS:
            return None
        if shape_of(made) and np.prod(shape_of(made)) > FOLDED:
            return None
        feeds = {v.name: v.const_value.numpy() for v in known if v.const_value is not None}
        try:
            (array,) = ReferenceEvaluator(ir.serde.serialize_node(node)).run(None, feeds)
        except Exception as error:
            raise self.error(f"its constants do not fit it: {one_line(error)}") from error
        return self.constant("folded", np.asarray(array))

    def clipped(self, value: ir.Value, low: float, high: float, what: str = "") -> ir.Value:
        """A Clip."""
        bounds = [self.scalar("min", low), self.scalar("max", high)]
        return self.emit("Clip", value, *bounds, what=what)

    def told(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A value's shape as the file has it."""
        return tuple(shape)

    def name_one(self, name: str) -> None:
        """One of the operator's nodes bears its name: the last if none does."""
        named = [node for node in self.made if SOURCE not in node.metadata_props]
        if self.made and not named:
            last = self.made[-1]
            last.name = name
            del last.metadata_props[SOURCE]

    def model(
        self, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], *, name: str, producer: str
    ) -> ir.Model:
        """All nodes as a model, checked by onnx. producer: what it was made of.

        Raises
        ------
        NetworkError
            where onnx finds something wrong with it.
        """
        graph = ir.Graph(
            inputs,
            outputs,
            nodes=self.nodes,
            initializers=list(self.initializers.values()),
            opset_imports={"": OPSET},
            name=name,
        )
        model = ir.Model(graph, ir_version=IR_VERSION, producer_name=producer)
        passes.RemoveUnusedNodesPass()(model)
        try:
            onnx.checker.check_model(ir.to_proto(model), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise NetworkError(
                f"made of {producer}, it is no valid network: {one_line(error)}"
            ) from error
        for text in self.warnings:
            warn(model, text)
        return model
