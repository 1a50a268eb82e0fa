"""A network from its graph to a run; and each layer beside onnxruntime, given its inputs on VTA."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from tests.sw.relax.compare import run as on_onnxruntime
from vta.hw.config import Config
from vta.sw.relax.build import build
from vta.sw.relax.graph import constant
from vta.sw.relax.inference import RegionRun, Run
from vta.sw.relax.normalize import normalize
from vta.sw.relax.partition import partition
from vta.sw.relax.parts import Partition
from vta.sw.relax.quantize import is_quantized, quantize
from vta.sw.relax.quantize.multiplier import Form
from vta.sw.relax.quantize.weights import float_weights, has_weights_only
from vta.sw.relax.read import read
from vta.sw.relax.runtime import CompiledNetwork

__all__ = ["Compared", "assert_close", "by_layer", "compiled"]


@dataclass(frozen=True)
class Compared:
    """A layer's result: values that differ from onnxruntime's, of how many, and by how much.

    `limit`: by how much they may: a step of each rounding in the layer, and its own.
    """

    layer: str
    operator: str
    wrong: int
    size: int
    most: int
    limit: int


def compiled(
    path: Path, config: Config | None = None, *, scales: str | None = None, form: Form | None = None
) -> tuple[Partition, CompiledNetwork]:
    """What `compile_model` makes, and the partition on the way."""
    model = normalize(read(path))
    if has_weights_only(model):
        model = normalize(float_weights(model))
    if not is_quantized(model):
        options = {"scales": scales or "multiplier"} if form is None else {"form": form}
        model = quantize(model, **options).model
    parted = partition(model, config or Config())
    return parted, build(parted, name=path.stem)


def assert_close(parted: Partition, run: Run) -> list[Compared]:
    """VTA's tensors are the reference's, and no layer is off by more than its limit."""
    assert run.equal
    found = list(by_layer(parted.model, run))
    assert [each for each in found if each.most > each.limit] == []
    return found


def by_layer(model: ir.Model, run: Run) -> Iterator[Compared]:
    """All layers of all regions; `model`: the partition's."""
    for region in run.regions:
        yield from _region(model, region)


def _region(model: ir.Model, run: RegionRun) -> Iterator[Compared]:
    saved, memory = run.region.saved, run.result.memory
    ports = [port for layer in saved.layers for port in layer.outputs]
    known = run.inputs | {port.value: run.region.output(port, memory) for port in ports}
    nodes = {node.name: node for node in model.graph}
    for layer in saved.layers:
        own = _with_weights([nodes[name] for name in layer.nodes], known)
        names = [port.value for port in layer.outputs]
        proto, feeds = _alone(model, own, names, known)
        for name, expected in zip(names, on_onnxruntime(proto, feeds), strict=True):
            assert (expected.dtype, expected.shape) == (known[name].dtype, known[name].shape)
            off = np.abs(expected.astype(np.int64) - known[name])
            yield Compared(
                layer.name,
                layer.operator,
                int(np.count_nonzero(off)),
                off.size,
                int(off.max(initial=0)),
                _limit(own),
            )


def _limit(nodes: list[ir.Node]) -> int:
    """1 where only the result is rounded. Rounded before it, a value is another neighbour there:
    one step, which may be several of the result.
    """
    found = [constant(node.inputs[1]) for node in nodes if node.op_type == "QuantizeLinear"]
    *before, own = [float(scale) for scale in found if scale is not None] or [1.0]
    return 1 + math.ceil(sum(before) / own)


def _with_weights(nodes: list[ir.Node], known: dict[str, np.ndarray]) -> list[ir.Node]:
    """The nodes, and those before them that read constants alone."""
    found = list(nodes)
    for node in found:
        for value in node.inputs:
            maker = None if value is None or value.name in known else value.producer()
            if maker is not None and maker not in found:
                found.append(maker)
    return found


def _alone(
    model: ir.Model, nodes: list[ir.Node], outputs: list[str], known: dict[str, np.ndarray]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Nodes as a model of their own, and what it is to be fed."""
    read = {v.name: v for node in nodes for v in node.inputs if v is not None}
    made = {v.name for node in nodes for v in node.outputs}
    arrays = {name: constant(value) for name, value in read.items()}
    constants = {name: array for name, array in arrays.items() if array is not None}
    feeds = {name: known[name] for name in read if name not in made and name not in constants}
    kinds = {n: (helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()}
    given = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    graph = helper.make_graph(
        [ir.to_proto(node) for node in model.graph if node in nodes],
        "layer",
        given,
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = helper.make_opsetid("", model.opset_imports[""])
    proto = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return onnx.shape_inference.infer_shapes(proto), feeds
