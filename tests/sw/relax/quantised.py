"""Small quantised graphs, node by node, and what onnxruntime and VTA make of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from vta.hw.config import Config
from vta.sw.check import check
from vta.sw.golden import GoldenDevice
from vta.sw.operators.scales import as_int8
from vta.sw.relax.normalize import normalize
from vta.sw.relax.partition import partition
from vta.sw.relax.parts import Partition, Region
from vta.sw.relax.read import read

TYPES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


@dataclass
class Graph:
    """A graph in the making; methods return names of values."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}.out"], name, **attributes))
        return f"{name}.out"

    def input(self, shape: Any, scale: float, zero: int = 0, dtype: str = "int8") -> str:
        """The float value of an 8-bit input."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))
        return self.dequantised(name, scale, np.array(zero, dtype))

    def dequantised(self, name: str, scale: Any, zero: np.ndarray, **attributes: Any) -> str:
        scales = self.constant(np.asarray(scale, np.float32))
        return self.node("DequantizeLinear", name, scales, self.constant(zero), **attributes)

    def weights(self, array: np.ndarray, scale: Any, axis: int = 0) -> str:
        zeros = np.zeros(np.shape(scale), array.dtype)
        return self.dequantised(self.constant(array), scale, zeros, axis=axis)

    def quantised(self, value: str, scale: float, zero: int = 0, dtype: str = "int8") -> str:
        constants = (self.constant(np.float32(scale)), self.constant(np.array(zero, dtype)))
        return self.node("QuantizeLinear", value, *constants)

    def again(self, value: str, scale: float, zero: int = 0, dtype: str = "int8") -> str:
        """Quantised, and float again."""
        number = self.quantised(value, scale, zero, dtype)
        return self.dequantised(number, scale, np.array(zero, dtype))

    def output(self, value: str, scale: float, zero: int = 0, dtype: str = "int8") -> None:
        name = self.quantised(value, scale, zero, dtype)
        self.outputs.append(helper.make_tensor_value_info(name, TYPES[dtype], None))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
        made.ir_version = 10
        return onnx.shape_inference.infer_shapes(made)


def parted(graph: Graph, place: Path, config: Config | None = None) -> Partition:
    path = place / "model.onnx"
    onnx.save(graph.model(), path)
    return partition(normalize(read(path)), config or Config())


def on_onnxruntime(graph: Graph, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.model().SerializeToString(), options)
    return session.run(None, feeds)


def random_inputs(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for value in graph.inputs:
        kind = value.type.tensor_type
        shape = [d.dim_value for d in kind.shape.dim]
        found[value.name] = rng.integers(0, 256, shape).astype(np.uint8)
        if kind.elem_type == TensorProto.INT8:
            found[value.name] = found[value.name].view(np.int8)
    return found


def on_vta(region: Region, values: dict[str, np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """A region's outputs on the golden device, which must be those of NumPy's goldens.

    The checker must find nothing. uint8 values are 128 less.
    """
    network = region.network
    inputs = {}
    for port in region.inputs:
        shape = network.tensors[port.tensor].shape
        inputs[port.tensor] = as_int8(np.ascontiguousarray(values[port.value])).reshape(shape)
    module = network.module()
    program = network.program(inputs, module)
    report = check(program)
    assert (report.errors, report.warnings) == ([], [])
    result = GoldenDevice(seed=seed).run(program)
    assert (result.error, result.warnings) == (None, [])
    assert program.first_mismatch(result.memory) is None
    found = []
    for port in region.outputs:
        tensor = network.views.get(port.tensor) or network.tensors[port.tensor]
        base = program.segments[network.base(port.tensor)]
        first = base.start - program.memory_base + network.first(port.tensor)
        data = result.memory[first : first + tensor.nbytes]
        found.append(tensor.unpacked(data).reshape(port.shape))
    return found


def compared(
    graph: Graph, place: Path, *, seed: int = 0, config: Config | None = None
) -> tuple[int, int, int]:
    """The whole graph on VTA beside onnxruntime: values that differ, of how many, by how much.

    Nothing may be left to the CPU.
    """
    made = parted(graph, place, config)
    reasons = {name: why for part in made.segments for name, why in part.reasons.items()}
    assert (made.segments, reasons) == ([], {})
    (region,) = made.regions
    feeds = random_inputs(graph, seed)
    expected = on_onnxruntime(graph, feeds)
    order = {name: n for n, name in enumerate(made.outputs)}
    count, size, most = 0, 0, 0
    for port, found in zip(region.outputs, on_vta(region, feeds, seed), strict=True):
        wanted = as_int8(expected[order[port.value]])
        assert wanted.shape == found.shape
        assert len(np.unique(wanted)) > min(3, wanted.size // 10), "the values say nothing"
        off = np.abs(wanted.astype(int) - found)
        count, size = count + int(np.count_nonzero(off)), size + off.size
        most = max(most, int(off.max(initial=0)))
    return count, size, most
