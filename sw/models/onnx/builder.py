"""Builds float ONNX models with seeded random weights, named as PyTorch's exporter names them.

A layer has the path of its module, such as "layer1.0.conv1": its node is then called
"/layer1/layer1.0/conv1/Conv", its weights "layer1.0.conv1.weight".

Weights are He's ("Delving deep into rectifiers", 2015, equation 10), normally distributed. Batch
norms have random statistics, so that channels differ in range as trained ones do. Each tensor's
values depend on the seed and its name alone.
"""

from collections.abc import Sequence
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Builder"]

OPSET = 17
IR_VERSION = 8  # the one that came with that opset
EPSILON = 1e-5  # of batch norms


def _scope(path: str) -> str:
    """ "layer1.0.conv1" to "/layer1/layer1.0/conv1"."""
    levels: list[str] = []
    for part in path.split("."):
        levels.append(f"{levels[-1]}.{part}" if part.isdigit() else part)
    return "".join(f"/{level}" for level in levels)


class Builder:
    """A model under construction. Data are named by the values that hold them.

    Arguments
    ---------
    name: of the graph.
    seed: of all weights.
    batch_norm: batch norms stay nodes of their own; otherwise they are folded into weights.
        The function is the same.
    """

    def __init__(self, name: str, *, seed: int = 0, batch_norm: bool = False) -> None:
        self.name, self.seed, self.batch_norm = name, seed, batch_norm
        self.channels: dict[str, int] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}

    # Parts ----------------------------------------------------------------------------------------
    def input(self, name: str, *shape: int) -> str:
        """A float32 input of the model."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        self.channels[name] = shape[1]
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        """An initializer."""
        self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def random(self, name: str) -> np.random.Generator:
        """The generator of one tensor's values."""
        return np.random.default_rng([self.seed, crc32(name.encode())])

    def normal(self, name: str, shape: Sequence[int], deviation: float) -> np.ndarray:
        """float32, normally distributed round 0."""
        return (self.random(name).standard_normal(shape) * deviation).astype(np.float32)

    def node(
        self, op_type: str, path: str, *inputs: str, outputs: int | None = None, **attributes: Any
    ) -> str:
        """A node with one result. `outputs`: its channels; None: those of the first input."""
        name = f"{_scope(path)}/{op_type}"
        result = f"{name}_output_0"
        made = helper.make_node(op_type, list(inputs), [result], name, **attributes)
        self._nodes.append(made)
        self.channels[result] = self.channels.get(inputs[0], 0) if outputs is None else outputs
        return result

    # Layers ---------------------------------------------------------------------------------------
    def conv(
        self,
        path: str,
        data: str,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm: str = "",
        gain: float = 1.0,
    ) -> str:
        """A convolution that pads by half its kernel, then the batch norm of path `norm`; without
        one it has a bias. `gain` scales its result.
        """
        shape = (outputs, self.channels[data] // groups, kernel, kernel)
        weight = self.normal(f"{path}.weight", shape, (2 / prod(shape[1:])) ** 0.5)
        sizes: dict[str, Any] = {
            "kernel_shape": [kernel] * 2,
            "strides": [stride] * 2,
            "pads": [kernel // 2] * 4,
            "dilations": [1, 1],
            "group": groups,
        }
        return self._product("Conv", path, data, weight, 0, norm, gain, **sizes)

    def conv_transpose(
        self, path: str, data: str, outputs: int, *, norm: str = "", gain: float = 1.0
    ) -> str:
        """A 4 x 4 transposed convolution that doubles height and width; else as `conv`."""
        inputs = self.channels[data]
        taps = 2 * 2  # of the 16, as many meet a result
        weight = self.normal(f"{path}.weight", (inputs, outputs, 4, 4), (2 / inputs / taps) ** 0.5)
        sizes: dict[str, Any] = {
            "kernel_shape": [4, 4],
            "strides": [2, 2],
            "pads": [1] * 4,
            "dilations": [1, 1],
            "group": 1,
        }
        return self._product("ConvTranspose", path, data, weight, 1, norm, gain, **sizes)

    def dense(
        self, path: str, data: str, inputs: int, outputs: int, *, gain: float = 0.5**0.5
    ) -> str:
        """A matrix product with bias of (n, inputs), with weights (outputs, inputs)."""
        name = f"{path}.weight"
        weight = self.normal(name, (outputs, inputs), gain * (2 / inputs) ** 0.5)
        bias = self.normal(f"{path}.bias", (outputs,), 0.1)
        own = self.constant(name, weight), self.constant(f"{path}.bias", bias)
        return self.node("Gemm", path, data, *own, outputs=outputs, transB=1)

    def max_pool(self, path: str, data: str, kernel: int, stride: int, pads: Sequence[int]) -> str:
        """A maximum pool; `pads`: top, left, bottom, right."""
        sizes: dict[str, Any] = {"kernel_shape": [kernel] * 2, "pads": list(pads)}
        return self.node("MaxPool", path, data, strides=[stride] * 2, **sizes)

    # The whole ------------------------------------------------------------------------------------
    def model(self, **outputs: str) -> onnx.ModelProto:
        """The model with these outputs, by name, checked, with the shape of every value."""
        renamed = {value: name for name, value in outputs.items()}
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [renamed.get(name, name) for name in names]
        infos = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, infos, list(self._tensors.values())
        )
        opsets = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(
            graph, producer_name="vta", opset_imports=opsets, ir_version=IR_VERSION
        )
        made = onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
        onnx.checker.check_model(made)
        return made

    # Products with batch norms --------------------------------------------------------------------
    def _product(
        self,
        op_type: str,
        path: str,
        data: str,
        weight: np.ndarray,
        axis: int,
        norm: str,
        gain: float,
        **sizes: Any,
    ) -> str:
        """A convolution of either kind, whose output channels are the weights' `axis`."""
        outputs = weight.shape[axis]
        if not norm:
            bias = self.constant(f"{path}.bias", self.normal(f"{path}.bias", (outputs,), 0.1))
            own = self.constant(f"{path}.weight", weight * np.float32(gain)), bias
            return self.node(op_type, path, data, *own, outputs=outputs, **sizes)
        scale, bias, mean, variance = self._statistics(norm, outputs, gain)
        if self.batch_norm:
            own = self.constant(f"{path}.weight", weight)
            result = self.node(op_type, path, data, own, outputs=outputs, **sizes)
            names = ("weight", "bias", "running_mean", "running_var")
            values = (scale, bias, mean, variance)
            four = (self.constant(f"{norm}.{n}", v) for n, v in zip(names, values, strict=True))
            return self.node("BatchNormalization", norm, result, *four, epsilon=EPSILON)
        factor = scale / np.sqrt(variance + np.float32(EPSILON))
        along = [1] * weight.ndim
        along[axis] = outputs
        own = (
            self.constant(f"{path}.weight", weight * factor.reshape(along)),
            self.constant(f"{path}.bias", bias - mean * factor),
        )
        return self.node(op_type, path, data, *own, outputs=outputs, **sizes)

    def _statistics(self, norm: str, channels: int, gain: float) -> list[np.ndarray]:
        """Scale, bias, mean and variance of a batch norm, float32."""
        rng = self.random(norm)
        values = (
            rng.uniform(0.6, 1.4, channels) * gain,
            rng.normal(0, 0.2, channels) * gain,
            rng.normal(0, 0.2, channels),
            rng.uniform(0.5, 1.5, channels),
        )
        return [value.astype(np.float32) for value in values]
