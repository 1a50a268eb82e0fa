"""Random little networks: of floats, and in QDQ on a grid where floats are exact."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.sw.relax.graphs import make, node

__all__ = ["float_networks", "quantized_networks"]


@dataclass
class Builder:
    """A network in the making: values of [1, C, H, W], of which any may be read again."""

    draw: Callable[[st.SearchStrategy], object]
    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    quantized: bool = False

    def any(self) -> str:
        return self.draw(st.sampled_from(list(self.shapes)))

    def pick(self, *choices: object) -> object:
        return self.draw(st.sampled_from(choices))

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def floats(self, *shape: int) -> str:
        """On a coarse grid where the network is quantised, so that sums are exact."""
        if self.quantized:
            return self.constant((self.random.integers(-8, 9, shape) / 8).astype(np.float32))
        return self.constant(self.random.normal(size=shape).astype(np.float32))

    def add(
        self, kind: str, inputs: str, shape: tuple[int, int, int] | None, **more: object
    ) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(node(kind, inputs, name, "" if self.pick(0, 1) else f"n{name}", **more))
        if shape is not None:
            self.shapes[name] = shape
        return name

    def rounded(self, value: str, shape: tuple[int, int, int] | None) -> str:
        """Through a QuantizeLinear and back."""
        kind = self.pick(np.int8, np.uint8)
        scale = self.constant(np.float32(self.pick(0.125, 0.25, 0.5) if self.quantized else 0.07))
        zero = self.constant(np.array(self.pick(0, 3, 100), kind))
        inner = self.add("QuantizeLinear", f"{value} {scale} {zero}", None)
        return self.add("DequantizeLinear", f"{inner} {scale} {zero}", shape)


# Nodes --------------------------------------------------------------------------------------------
def _weight(b: Builder, *shape: int) -> str:
    if not b.quantized:
        return b.floats(*shape)
    data = b.constant(b.random.integers(-128, 128, shape).astype(np.int8))
    if b.pick(0, 1):
        scale = b.constant((2.0 ** -b.random.integers(4, 8, shape[0])).astype(np.float32))
        zero, more = b.constant(np.zeros(shape[0], np.int8)), {"axis": 0}
    else:
        scale, zero, more = b.constant(np.float32(2.0**-6)), b.constant(np.int8(0)), {}
    return b.add("DequantizeLinear", f"{data} {scale} {zero}", None, **more)


def _conv(b: Builder) -> None:
    x = b.any()
    channels, height, width = b.shapes[x]
    kernel, made = b.pick(1, 2, 3), b.pick(1, 2, 4)
    if kernel > min(height, width):
        return
    auto = b.pick("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
    bias = f" {b.floats(made)}" if b.pick(0, 1) else ""
    less = 0 if auto.startswith("SAME") else kernel - 1
    shape = (made, height - less, width - less)
    weight = _weight(b, made, channels, kernel, kernel)
    b.add("Conv", f"{x} {weight}{bias}", shape, auto_pad=auto)


def _conv_transpose(b: Builder) -> None:
    x = b.any()
    channels, height, width = b.shapes[x]
    weight = b.floats(channels, 2, 2, 2)
    auto = b.pick("SAME_UPPER", "SAME_LOWER", "VALID")
    b.add(
        "ConvTranspose", f"{x} {weight}", (2, 2 * height, 2 * width), auto_pad=auto, strides=[2, 2]
    )


def _batch_norm(b: Builder) -> None:
    x = b.any()
    channels = b.shapes[x][0]
    var = b.constant(b.random.uniform(0.5, 2, channels).astype(np.float32))
    names = " ".join(b.floats(channels) for _ in range(3))
    b.add("BatchNormalization", f"{x} {names} {var}", b.shapes[x])


def _arithmetic(b: Builder) -> None:
    x = b.any()
    kind = b.pick("Add", "Sub") if b.quantized else b.pick("Add", "Sub", "Mul")
    shape = b.pick((), (1,), (b.shapes[x][0], 1, 1), (1, 1, b.shapes[x][2]))
    operands = (x, b.floats(*shape))
    b.add(kind, " ".join(operands if b.pick(0, 1) else operands[::-1]), b.shapes[x])


def _sum(b: Builder) -> None:
    x = b.any()
    same = [name for name, shape in b.shapes.items() if shape == b.shapes[x]]
    parts = [b.pick(*same) for _ in range(b.pick(1, 2, 3))]
    b.add("Sum", " ".join([x, *parts]), b.shapes[x])


def _activation(b: Builder) -> None:
    x = b.any()
    kinds = (
        ("Relu", "LeakyRelu", "Abs") if b.quantized else ("Relu", "Sigmoid", "HardSwish", "Tanh")
    )
    more = {"alpha": 0.25} if (kind := b.pick(*kinds)) == "LeakyRelu" else {}
    b.add(kind, x, b.shapes[x], **more)


def _clip(b: Builder) -> None:
    x = b.any()
    low, high = b.constant(np.float32(-0.5)), b.constant(np.float32(1.5))
    b.add("Clip", b.pick(f"{x} {low} {high}", f"{x} _ {high}", f"{x} {low}", x), b.shapes[x])


def _hard_swish(b: Builder) -> None:
    x = b.any()
    three, zero, six = (b.constant(np.float32(n)) for n in (3, 0, 6))
    moved = b.add("Add", f"{x} {three}", None)
    gate = b.add("Clip", f"{moved} {zero} {six}", None)
    b.add("Div", f"{b.add('Mul', f'{x} {gate}', None)} {six}", b.shapes[x])


def _pool(b: Builder) -> None:
    x = b.any()
    channels, height, width = b.shapes[x]
    if min(height, width) < 3:
        return
    ceil = b.pick(0, 1)
    shape = tuple((size - 2 + ceil) // 2 + 1 for size in (height, width))
    kind = "MaxPool" if b.quantized else b.pick("MaxPool", "AveragePool")
    made = b.add(kind, x, (channels, *shape), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=ceil)
    assert made


def _trivial(b: Builder) -> None:
    x = b.any()
    none = b.constant(np.zeros(8, np.int64))
    kind, inputs, more = b.pick(
        ("Identity", x, {}), ("Dropout", x, {}), ("Cast", x, {"to": 1}), ("Pad", f"{x} {none}", {}),
        ("Concat", x, {"axis": 1}), ("Transpose", x, {"perm": [0, 1, 2, 3]}),
    )  # fmt: skip
    b.add(kind, inputs, b.shapes[x], **more)


def _there_and_back(b: Builder) -> None:
    """Through another shape, which is computed from the value's own."""
    x = b.any()
    shape = b.add("Shape", x, None)
    flat = b.add("Flatten", x, None, axis=b.pick(1, 2))
    b.add("Reshape", f"{flat} {shape}", b.shapes[x])


def _concat(b: Builder) -> None:
    x = b.any()
    channels, height, width = b.shapes[x]
    if channels <= 8:
        b.add("Concat", f"{x} {x}", (2 * channels, height, width), axis=1)


def _resize(b: Builder) -> None:
    x = b.any()
    channels, height, width = b.shapes[x]
    if height * width < 400:
        scales = b.constant(np.array([1, 1, 2, 2], np.float32))
        b.add("Resize", f"{x} _ {scales}", (channels, 2 * height, 2 * width), mode="nearest",
              coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip


def _rounded(b: Builder) -> None:
    x = b.any()
    b.rounded(x, b.shapes[x])


EXACT = (_arithmetic, _sum, _activation, _clip, _pool, _trivial, _there_and_back, _concat, _resize)
FLOAT = (*EXACT, _conv, _conv_transpose, _batch_norm, _hard_swish)
QUANTIZED = (*EXACT, _conv, _rounded, _rounded)


def _finished(b: Builder) -> onnx.ModelProto:
    """All that nobody reads leaves the network."""
    read = {name for made in b.nodes for name in made.input}
    outputs = [name for made in b.nodes for name in made.output if name not in read]
    return make(b.nodes, {"x": (1, 2, 6, 7)}, " ".join(outputs), b.constants, opset=19)


@st.composite
def float_networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Up to eight nodes of every kind."""
    b = Builder(draw, np.random.default_rng(draw(st.integers(0, 1 << 30))))
    b.shapes["x"] = (2, 6, 7)
    b.add("Relu", "x", (2, 6, 7))
    for kind in draw(st.lists(st.sampled_from(FLOAT), max_size=8)):
        kind(b)
    return _finished(b)


@st.composite
def quantized_networks(draw: st.DrawFn) -> onnx.ModelProto:
    """The same of numbers with few bits: every sum is exact, in whatever order it is made."""
    b = Builder(draw, np.random.default_rng(draw(st.integers(0, 1 << 30))), quantized=True)
    b.rounded("x", (2, 6, 7))
    for kind in draw(st.lists(st.sampled_from(QUANTIZED), max_size=6)):
        kind(b)
        last = list(b.shapes)[-1]
        b.rounded(last, b.shapes[last])
    return _finished(b)
