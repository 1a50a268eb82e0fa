"""Networks that are parted by hand: what `partition` gives, for the tests of what follows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from vta.hw.config import Config
from vta.sw.operators import Conv2d
from vta.sw.operators.network import Network
from vta.sw.operators.scales import Scale, requantization
from vta.sw.relax.parts import Layer, Partition, Port, Region, Segment

ZERO = {"int8": 3, "uint8": 120}
SCALES = (0.05, 0.04, 0.06)
SIDE, CHANNELS = 8, (3, 16, 24)


class Graph:
    """A QDQ graph as it grows: nodes and initializers of ONNX."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: Any) -> str:
        self.constants[name] = np.asarray(array)
        return name

    def quantization(self, name: str, scale: float, zero: int, dtype: str) -> tuple[str, str]:
        scale_name = self.constant(f"{name}_scale", np.float32(scale))
        return scale_name, self.constant(f"{name}_zero", np.dtype(dtype).type(zero))

    def model(self, outputs: dict[str, tuple[int, ...]]) -> ir.Model:
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS[0], SIDE, SIDE])
        made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
        constants = [numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        graph = helper.make_graph(self.nodes, "parted", [given], made, constants)
        opset = helper.make_opsetid("", 21)
        model = ir.from_proto(helper.make_model(graph, opset_imports=[opset], ir_version=10))
        from onnx_ir.passes.common import ShapeInferencePass

        return ShapeInferencePass()(model).model


def two_convolutions(config: Config | None = None, dtype: str = "int8", seed: int = 0) -> Partition:
    """Convolution, sigmoid on the CPU, convolution: the CPU quantises before and between them."""
    config, rng, graph = config or Config(), np.random.default_rng(seed), Graph()
    kernels = [_Convolution(n, dtype, rng) for n in range(2)]
    q0 = graph.quantization("x", SCALES[0], ZERO[dtype], dtype)
    source = graph.node("QuantizeLinear", ["x", *q0], "x_q")
    ends = []
    for n, kernel in enumerate(kernels):
        ends.append(kernel.write(graph, source))
        if n == 0:
            source = graph.node("Sigmoid", [ends[0]], "gate")
            source = graph.node("QuantizeLinear", [source, *q0], "gate_q")
    graph.node("Softmax", [ends[1]], "y", axis=1)
    model = graph.model({"y": (1, CHANNELS[2], SIDE, SIDE)})
    values = {v.name: v for node in model.graph for v in node.outputs}
    by_name = {node.name: node for node in model.graph}
    regions = [kernel.region(config, values) for kernel in kernels]
    middle = ["conv0_dq", "gate", "gate_q"]
    segments = [
        Segment("first", [by_name["x_q"]], ["x"], ["x_q"], {"x_q": "the input is a float"}),
        Segment("between", [by_name[n] for n in middle], ["conv0_q"], ["gate_q"]),
        Segment("last", [by_name[n] for n in ("conv1_dq", "y")], ["conv1_q"], ["y"]),
    ]
    segments[1].reasons = {"gate": "Sigmoid has no operator"}
    parts: list[Any] = [segments[0], regions[0], segments[1], regions[1], segments[2]]
    return Partition(model, config, parts, ["x"], ["y"])


class _Convolution:
    """DQ, Conv, Q, DQ: the Q's result is what VTA makes."""

    def __init__(self, number: int, dtype: str, rng: np.random.Generator) -> None:
        self.name, self.dtype = f"conv{number}", dtype
        self.inputs = CHANNELS[0] if number == 0 else CHANNELS[1]
        self.outputs = CHANNELS[number + 1]
        self.weight = rng.integers(-127, 128, (self.outputs, self.inputs, 3, 3)).astype(np.int8)
        self.bias = rng.integers(-500, 500, self.outputs).astype(np.int32)
        self.weight_scale = 0.002 if number == 0 else 0.003
        self.out_scale = SCALES[number + 1] if number == 0 else 0.08

    def write(self, graph: Graph, source: str) -> str:
        name = self.name
        self.source = source
        given = graph.quantization(f"{name}_in", SCALES[0], ZERO[self.dtype], self.dtype)
        weight = graph.quantization(f"{name}_w", self.weight_scale, 0, "int8")
        bias = graph.quantization(f"{name}_b", SCALES[0] * self.weight_scale, 0, "int32")
        made = graph.quantization(f"{name}_out", self.out_scale, ZERO[self.dtype], self.dtype)
        data = graph.node("DequantizeLinear", [source, *given], f"{name}_data")
        w = graph.constant(f"{name}_weight", self.weight)
        w = graph.node("DequantizeLinear", [w, *weight], f"{name}_wdq")
        b = graph.constant(f"{name}_bias", self.bias)
        b = graph.node("DequantizeLinear", [b, *bias], f"{name}_bdq")
        out = graph.node("Conv", [data, w, b], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        q = graph.node("QuantizeLinear", [out, *made], f"{name}_q")
        return graph.node("DequantizeLinear", [q, *made], f"{name}_dq")

    def region(self, config: Config, values: dict[str | None, ir.Value]) -> Region:
        name = self.name
        scale = Scale(SCALES[0], ZERO[self.dtype], self.dtype)
        out = Scale(self.out_scale, ZERO[self.dtype], self.dtype)
        plain = Conv2d(
            height=SIDE, width=SIDE, channels=self.inputs, outputs=self.outputs, padding=1
        )
        made = requantization(
            data=scale,
            weight_scale=self.weight_scale,
            out=out,
            weight=self.weight,
            bias=self.bias,
            edges=plain.edges,
        )
        operator = Conv2d(
            height=SIDE,
            width=SIDE,
            channels=self.inputs,
            outputs=self.outputs,
            padding=1,
            steps=made.steps,
        )
        network = Network(name, config, outputs=None)
        network.add(name, operator.bind(config), data=self.source, out=f"{name}_q")
        network.constant(f"{name}.weight", self.weight)
        for own, array in made.operands.items():
            network.constant(f"{name}.{own}", array)
        shapes = [tuple(values[v].shape) for v in (self.source, f"{name}_q")]
        given = Port(self.source, self.source, shapes[0], self.dtype, scale.scale)
        result = Port(f"{name}_q", f"{name}_q", shapes[1], self.dtype, out.scale)
        layer = Layer(
            name,
            "Conv",
            (name,),
            (f"{name}_data", f"{name}_wdq", f"{name}_bdq", name, f"{name}_q"),
            (name,),
            (result,),
            operator.macs(config),
        )
        return Region(name, network, [layer], [given], [result])
