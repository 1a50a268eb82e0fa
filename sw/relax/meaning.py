"""How far what VTA stores is from what the file means, layer by layer.

Each layer is computed from the 8-bit values that went into it in the run, by its own nodes of the
normal form, rounded as ONNX says (half to even): so differences do not add up from layer to layer.
onnxruntime does it without optimisation where it is installed, else onnx.reference. A TFLite file
has TFLite's own rounding instead.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.inference import Run
from vta.sw.relax.manifest import Manifest
from vta.sw.relax.originals import MEANING, TFLITE, Originals
from vta.sw.relax.parts import Layer, Port
from vta.sw.relax.quantize.observe import evaluator, session
from vta.sw.relax.tflite.rounding import roundings

__all__ = ["LayerDifference", "Meaning", "added"]

NEIGHBOUR = 1  # a value may be the other neighbour of what lies between two numbers


@dataclass(frozen=True)
class LayerDifference:
    """A layer's values beside what the file means.

    Members
    -------
    layer, region: their names.
    by: who computed what it means: onnxruntime, onnx.reference or TFLite.
    values, differ: how many there are, and how many of them differ.
    largest: the largest difference.
    expected: what it may be: 1; more where the layer rounds on its way, since a step there may be
        several of the result.
    """

    layer: str
    region: str
    by: str
    values: int
    differ: int
    largest: int
    expected: int = NEIGHBOUR

    def __str__(self) -> str:
        return f"{self.share} by {self.largest}" if self.differ else "0"

    @property
    def share(self) -> str:
        """Of the values that differ; never 0% where one does."""
        return f"{100 * self.differ / self.values:.2g}%"


def added(one: LayerDifference, two: LayerDifference) -> LayerDifference:
    """Of two runs together."""
    return LayerDifference(
        one.layer,
        one.region,
        one.by,
        one.values + two.values,
        one.differ + two.differ,
        max(one.largest, two.largest),
        one.expected,
    )


class Meaning:
    """What a compiled network's file means; compares any number of runs with it."""

    def __init__(self, manifest: Manifest, originals: Originals) -> None:
        self.manifest, self.originals = manifest, originals
        self._layers: Callable[..., Any] | None = None
        self._given: list[str] = []
        self._mark = ""
        self._expected: dict[str, int] = {}
        self._ends: dict[str, Callable[..., Any]] = {}

    def outputs(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What MEANING or FLOAT gives for the network's inputs, from its first node to its last."""
        if name not in self._ends:
            self._ends[name] = session(self.originals.model(name))
        wanted = [value.name for value in self.manifest.outputs]
        return dict(zip(wanted, _run(self._ends[name], wanted, dict(inputs)), strict=True))

    def differences(self, run: Run, inputs: Mapping[str, np.ndarray]) -> dict[str, LayerDifference]:
        """Of each layer that a run came to, by the value that it makes.

        Raises
        ------
        NetworkError
            where a layer's nodes cannot be run on the CPU.
        """
        if run.stopped or MEANING not in self.originals:
            return {}
        values, made = _values(run, inputs), [port.value for _, _, port in _layers(self.manifest)]
        if self._layers is None:
            model = self._by_layer()
            self._given = [value.name for value in model.graph.input]
            self._layers = session(model)
        feeds = {name: values[name] for name in self._given}
        arrays = _run(self._layers, [self._made(name) for name in made], feeds) if made else []
        expected = dict(zip(made, arrays, strict=True))
        found = {}
        for region, layer, port in _layers(self.manifest):
            off = np.abs(values[port.value].astype(np.int64) - expected[port.value])
            found[port.value] = LayerDifference(
                layer.name,
                region,
                evaluator(),
                off.size,
                int(np.count_nonzero(off)),
                int(off.max(initial=0)),
                self._expected[port.value],
            )
        return found | self._by_tflite(found, values)

    def _made(self, name: str) -> str:
        """What a value is called that is computed to be compared."""
        return f"{name}/{self._mark}"

    def _by_layer(self) -> onnx.ModelProto:
        """All layers side by side: 8-bit values go in, and what is made of them comes out."""
        whole = self.originals.model(MEANING)
        layers = [port for _, _, port in _layers(self.manifest)]
        inner = [port for region in self.manifest.regions for port in region.inputs]
        given = {v.name: v for v in self.manifest.inputs} | {p.value: p for p in inner + layers}
        self._mark = _unknown(whole.graph, "computed")
        nodes: list[onnx.NodeProto] = []
        scales = {c.name: numpy_helper.to_array(c) for c in whole.graph.initializer if c.dims == []}
        for number, port in enumerate(layers):
            needed = _needed(whole.graph, port.value, given)
            nodes += self._copies(needed, port.value, given, f"{self._mark}/{number}")
            self._expected[port.value] = _expected(needed, port, scales)
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "layers",
            [_info(name, p.dtype, p.shape) for name, p in given.items() if name in used],
            [_info(self._made(p.value), p.dtype, p.shape) for p in layers],
            [constant for constant in whole.graph.initializer if constant.name in used],
        )
        return helper.make_model(
            graph, opset_imports=list(whole.opset_import), ir_version=whole.ir_version
        )

    def _copies(
        self, needed: list[onnx.NodeProto], value: str, given: Mapping[str, Any], mark: str
    ) -> list[onnx.NodeProto]:
        """The nodes that compute a value of what is given, with names of their own."""
        own = {name for node in needed for name in node.output if name}
        renamed = {name: f"{name}/{mark}" for name in own} | {value: self._made(value)}
        copies = []
        for node in needed:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{node.name}/{mark}"
            copy.input[:] = [i if i in given else renamed.get(i, i) for i in node.input]
            copy.output[:] = [renamed.get(o, o) for o in node.output]
            copies.append(copy)
        return copies

    def _by_tflite(
        self, found: Mapping[str, LayerDifference], values: Mapping[str, np.ndarray]
    ) -> dict[str, LayerDifference]:
        """The layers whose result TFLite computes in integers."""
        if TFLITE not in self.originals:
            return {}
        by_name = {one.name: one for one in roundings(self.originals.content(TFLITE), values)}
        made = {}
        for region, layer, port in _layers(self.manifest):
            one = next((by_name[s] for s in reversed(layer.sources) if s in by_name), None)
            if one is not None and one.elements == found[port.value].values:
                made[port.value] = LayerDifference(
                    layer.name,
                    region,
                    "TFLite",
                    one.elements,
                    one.differ,
                    one.largest,
                    self._expected[port.value],
                )
        return made


def _run(
    evaluate: Callable[..., Any], names: list[str], feeds: dict[str, np.ndarray]
) -> list[np.ndarray]:
    try:
        return [np.asarray(array) for array in evaluate(names, feeds)]
    except Exception as error:  # onnxruntime's own, or NumPy's
        raise NetworkError(f"{evaluator()}: {one_line(error)}") from error


def _layers(manifest: Manifest) -> Iterable[tuple[str, Layer, Port]]:
    for region in manifest.regions:
        for layer in region.layers:
            for port in layer.outputs:
                yield region.name, layer, port


def _values(run: Run, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What went into the layers of a run, and what came out, by the graph's names."""
    values = dict(inputs)
    for each in run.regions:
        values |= each.inputs
        for layer in each.region.saved.layers:
            for port in layer.outputs:
                values[port.value] = each.region.output(port, each.result.memory)
    return values


def _needed(graph: onnx.GraphProto, value: str, given: Mapping[str, Any]) -> list[onnx.NodeProto]:
    """The nodes between what is given and a value, in the graph's order."""
    wanted, found = {value}, []
    for node in reversed(graph.node):
        if wanted.isdisjoint(node.output):
            continue
        found.append(node)
        wanted |= {name for name in node.input if name and name not in given}
    return found[::-1]


def _expected(needed: list[onnx.NodeProto], port: Port, scales: Mapping[str, np.ndarray]) -> int:
    """How far a layer's result may be off: by a step of each rounding on its way, and its own."""
    steps = [
        float(scales[node.input[1]])
        for node in needed
        if node.op_type == "QuantizeLinear" and node.input[1] in scales
    ]
    own = port.scale or (steps[-1] if steps else 1.0)
    return NEIGHBOUR + ceil(sum(steps[:-1]) / own)


def _unknown(graph: onnx.GraphProto, word: str) -> str:
    """A word that is in no name of the graph."""
    names = [name for node in graph.node for name in (*node.output, *node.input)]
    while any(word in name for name in names):
        word += "_"
    return word


def _info(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, shape)
