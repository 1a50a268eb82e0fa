"""Operators on integers, as onnxruntime's QOperator format has them: spelled DQ, operator, Q.

The operator bears the file's name. A QLinearConv rounds its exact sum once; spelled, a float
convolution's result is rounded: where the sum lies between two integers they can differ by one.
"""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import Rewriter, attribute, constant

__all__ = ["spell_quantized"]

MICROSOFT = "com.microsoft"


def spell_quantized(model: ir.Model) -> ir.Model:
    """QLinearConv, QLinearMatMul, QGemm, QLinearAdd and others as float operators between DQ and Q.

    Raises
    ------
    NetworkError
        where one is quantised dynamically, or has an attribute that has no such spelling.
    """
    for node in model.graph:
        if node.domain == MICROSOFT and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = ""
        elif node.domain == "" and node.op_type in DYNAMIC:
            raise NetworkError(
                f"{at(node)} is quantised while it runs; quantise the network statically, with "
                f"samples (quantize_static)"
            )
        elif (rule := RULES.get((node.domain, node.op_type))) is not None:
            rule(_Spelled(node))
    return model


class _Spelled(Rewriter):
    """A quantised operator, and what stands in its place."""

    def __init__(self, node: ir.Node) -> None:
        super().__init__(node, infer=False)  # before shapes are known
        self.inputs = [*node.inputs, *[None] * (16 - len(node.inputs))]

    def dequantized(self, place: int, what: str, axis: int | None = None) -> ir.Value:
        """The float of operand `place`, whose scale and zero point follow it."""
        data, scale, zero = self.inputs[place : place + 3]
        channels = constant(scale)
        many = channels is not None and channels.size > 1
        attributes = {"axis": axis} if many else None
        return self.op("DequantizeLinear", data, scale, zero, what=what, attributes=attributes)

    def bias(self, place: int, scale: np.ndarray) -> ir.Value | None:
        """The float of an int32 bias; `scale` is that of the products."""
        data = self.inputs[place]
        if data is None:
            return None
        scale = scale.reshape(-1) if scale.size > 1 else scale.reshape(())
        zero = self.constant("bias_zero_point", np.zeros(scale.shape, np.int32))
        attributes = {"axis": -1} if scale.size > 1 else None
        return self.op(
            "DequantizeLinear",
            data,
            self.constant("bias_scale", scale),
            zero,
            what="bias",
            attributes=attributes,
        )

    def scale(self, place: int) -> np.ndarray:
        """A scale that must be constant, since a bias is measured by it."""
        known = constant(self.inputs[place])
        if known is None:
            raise NetworkError(
                f"{at(self.node)}: its scale is computed: quantise the network statically"
            )
        return known

    def quantize(self, value: ir.Value, place: int) -> None:
        """Replace the node by `value`, quantised by the scale and zero point at `place`."""
        scale, zero = self.inputs[place : place + 2]
        self.replace(self.op("QuantizeLinear", value, scale, zero, what="y"))

    def kept(self, *names: str) -> dict[str, object]:
        """The attributes of the node that its float operator has too."""
        return {
            name: self.node.attributes[name].value for name in names if name in self.node.attributes
        }


CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")


def _conv(s: _Spelled) -> None:
    x = s.dequantized(0, "x")
    w = s.dequantized(3, "w", axis=0)
    bias = s.bias(8, s.scale(1) * s.scale(4)) if s.inputs[8] is not None else None
    s.quantize(s.op("Conv", x, w, bias, attributes=s.kept(*CONV)), 6)


def _matmul(s: _Spelled) -> None:
    """Scales of rows (of the first) and of columns (of the second) are along one axis."""
    a, b = s.dequantized(0, "a", axis=-2), s.dequantized(3, "b", axis=-1)
    s.quantize(s.op("MatMul", a, b), 6)


def _gemm(s: _Spelled) -> None:
    alpha = attribute(s.node, "alpha", 1.0)
    columns = 0 if attribute(s.node, "transB", 0) else 1
    a, b = s.dequantized(0, "a"), s.dequantized(3, "b", axis=columns)
    scale = np.float32(alpha) * s.scale(1) * s.scale(4) if s.inputs[6] is not None else np.ones(1)
    bias = s.bias(6, scale)
    made = s.op("Gemm", a, b, bias, attributes=s.kept("alpha", "transA", "transB"))
    if s.inputs[7] is None:
        s.replace(made)
    else:
        s.quantize(made, 7)


def _binary(op_type: str) -> Callable[[_Spelled], None]:
    def rule(s: _Spelled) -> None:
        s.quantize(s.op(op_type, s.dequantized(0, "a"), s.dequantized(3, "b")), 6)

    return rule


def _unary(op_type: str, *names: str) -> Callable[[_Spelled], None]:
    def rule(s: _Spelled) -> None:
        if attribute(s.node, "channels_last", 0):
            raise NetworkError(
                f"{at(s.node)} has its channels last: save the network before it is optimised"
            )
        s.quantize(s.op(op_type, s.dequantized(0, "x"), attributes=s.kept(*names)), 3)

    return rule


def _softmax(s: _Spelled) -> None:
    axis = attribute(s.node, "axis", -1)
    if attribute(s.node, "opset", 13) < 13 and axis != -1:
        raise NetworkError(f"{at(s.node)} is of an opset before 13 on axis {axis}: unsupported")
    s.quantize(s.op("Softmax", s.dequantized(0, "x"), attributes={"axis": axis}), 3)


def _concat(s: _Spelled) -> None:
    """Scale and zero point of the result first, then three operands for each part."""
    places = range(2, len(s.node.inputs), 3)
    parts = [s.dequantized(place, f"x{n}") for n, place in enumerate(places)]
    s.quantize(s.op("Concat", *parts, attributes=s.kept("axis")), 0)


DYNAMIC = ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger")
RULES: dict[tuple[str, str], Callable[[_Spelled], None]] = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    (MICROSOFT, "QGemm"): _gemm,
    (MICROSOFT, "QLinearAdd"): _binary("Add"),
    (MICROSOFT, "QLinearMul"): _binary("Mul"),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearAveragePool"): _unary("AveragePool", *POOL),
    (MICROSOFT, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu", "alpha"),
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearSoftmax"): _softmax,
}
