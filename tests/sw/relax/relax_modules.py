"""Modules of Relax for tests, and what LLVM makes of them."""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax

__all__ = ["Made", "by_llvm", "const", "random_module"]

op = relax.op


def const(array: np.ndarray | float, dtype: str = "float32") -> relax.Expr:
    return relax.const(np.asarray(array, dtype))


class Made:
    """A function in the making: `emit` names what it binds."""

    def __init__(self, seed: int, **inputs: tuple[int, ...]) -> None:
        self.random = np.random.default_rng(seed)
        self.builder = relax.BlockBuilder()
        self.inputs = [
            relax.Var(name, relax.TensorType(list(shape), "float32"))
            for name, shape in inputs.items()
        ]
        self._function = self.builder.function("main", self.inputs)
        self._function.__enter__()
        self._block = self.builder.dataflow()
        self._block.__enter__()
        self.count = 0

    def emit(self, expression: relax.Expr, name: str = "") -> relax.Var:
        self.count += 1
        return self.builder.emit(expression, name or f"n{self.count}")

    def floats(self, *shape: int) -> relax.Expr:
        return const(self.random.normal(size=shape))

    def module(self, *outputs: relax.Var) -> tvm.IRModule:
        result = outputs[0] if len(outputs) == 1 else relax.Tuple(list(outputs))
        result = self.builder.emit_output(result)
        self._block.__exit__(None, None, None)
        self.builder.emit_func_output(result)
        self._function.__exit__(None, None, None)
        return self.builder.finalize()


def by_llvm(module: tvm.IRModule, feeds: dict[str, np.ndarray], name: str = "main") -> list:
    """The outputs of the module itself, compiled by TVM."""
    executable = tvm.compile(module, target="llvm")
    found = relax.VirtualMachine(executable, tvm.cpu())[name](
        *(tvm.runtime.tensor(array) for array in feeds.values())
    )
    each = [found] if hasattr(found, "numpy") else list(found)
    return [item.numpy() for item in each]


# Random ones --------------------------------------------------------------------------------------
def shape_of(value: relax.Expr) -> list[int]:
    return [int(size) for size in value.ty.shape.values]


def random_module(seed: int) -> tvm.IRModule:
    """Some ten operators in a row of rank 4, in NCHW or NHWC; every value may be read again."""
    rng = np.random.default_rng(seed)
    nhwc = bool(seed % 2)
    m = Made(seed, x=(1, 6, 7, 4) if nhwc else (1, 4, 6, 7))
    values = list(m.inputs)
    for _ in range(10):
        step = STEPS[rng.integers(len(STEPS))]
        made = step(m, rng, values[rng.integers(max(0, len(values) - 3), len(values))], nhwc)
        if made is not None:
            values.append(m.emit(made))
    return m.module(*values[-2:])


def _axes(nhwc: bool) -> tuple[str, int]:
    return ("NHWC", 3) if nhwc else ("NCHW", 1)


def _conv(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    layout, channel = _axes(nhwc)
    inside = shape_of(x)[channel]
    group = inside if rng.integers(2) else 1
    kernel = ("OIHW", "HWIO", "OHWI")[rng.integers(3)]
    size = {"O": 2 * inside, "I": inside // group, "H": 3, "W": 1}
    return op.nn.conv2d(
        x,
        m.floats(*(size[letter] for letter in kernel)),
        strides=tuple(rng.integers(1, 3, 2).tolist()),
        padding=(1, 0, 2, 1),
        dilation=(1, 2),
        groups=group,
        data_layout=layout,
        kernel_layout=kernel,
    )


def _conv_transpose(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    _, channel = _axes(nhwc)
    if nhwc:  # TVM lowers no other layout
        x, channel = m.emit(op.permute_dims(x, [0, 3, 1, 2])), 1
    made = op.nn.conv2d_transpose(
        x,
        m.floats(shape_of(x)[channel], 3, 3, 2),
        strides=(2, 1),
        padding=(1, 0, 1, 1),
        output_padding=(1, 0),
        data_layout="NCHW",
        kernel_layout="IOHW",
    )
    return op.permute_dims(m.emit(made), [0, 2, 3, 1]) if nhwc else made


def _pool(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr | None:
    layout, _ = _axes(nhwc)
    height, width = (shape_of(x)[layout.index(n)] for n in "HW")
    if min(height, width) < 3:
        return None
    kind = (op.nn.max_pool2d, op.nn.avg_pool2d)[rng.integers(2)]
    return kind(
        x,
        (2, 3),
        (2, 1),
        padding=(1, 1, 0, 1),
        count_include_pad=bool(rng.integers(2)),
        layout=layout,
        out_layout=layout,
    )


def _norm(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    _, axis = _axes(nhwc)
    size = shape_of(x)[axis]
    made = op.nn.batch_norm(
        x,
        *(m.floats(size) for _ in range(3)),
        const(rng.uniform(0.5, 2, size)),
        axis=axis,
        epsilon=1e-3,
        center=bool(rng.integers(2)),
        scale=bool(rng.integers(2)),
        training=False,
    )
    return relax.TupleGetItem(m.emit(made), 0)


def _one(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    kinds: list[Callable[[relax.Expr], relax.Expr]] = [
        op.nn.relu,
        op.sigmoid,
        op.tanh,
        op.abs,
        op.nn.silu,
        lambda x: op.clip(x, -0.5, 1.5),
        lambda x: op.nn.leakyrelu(x, 0.1),
        lambda x: op.nn.softmax(x, axis=_axes(nhwc)[1]),
        lambda x: op.nn.prelu(x, m.floats(shape_of(x)[_axes(nhwc)[1]]), axis=_axes(nhwc)[1]),
    ]
    return kinds[rng.integers(len(kinds))](x)


def _two(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    kinds = (op.add, op.subtract, op.multiply, op.maximum, op.minimum)
    channel = _axes(nhwc)[1]
    lifted = [1] * 4
    lifted[channel] = shape_of(x)[channel]
    others = [m.floats(), m.floats(*lifted), m.floats(shape_of(x)[3]), x, m.floats(*shape_of(x))]
    pair = [x, others[rng.integers(len(others))]]
    return kinds[rng.integers(len(kinds))](*(pair if rng.integers(2) else pair[::-1]))


def _parts(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    axis = int(rng.integers(1, 4))
    if shape_of(x)[axis] > 3:
        first = m.emit(op.strided_slice(x, [axis], [0], [-1], [2]))
        return op.concat([first, x, first], axis=axis)
    return op.concat([x, x], axis=axis)


def _pad(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    mode = (
        ("constant", "reflect", "replicate")[rng.integers(3)]
        if min(shape_of(x)[1:]) > 2
        else "constant"
    )
    return op.nn.pad(x, [0, 0, 1, 0, 0, 1, 1, 1], pad_mode=mode, pad_value=0.25)


def _resize(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    layout, _ = _axes(nhwc)
    height, width = (shape_of(x)[layout.index(n)] for n in "HW")
    mode = ("asymmetric", "half_pixel")[rng.integers(2)]
    return op.image.resize2d(
        x,
        (2 * height, 3 * width),
        layout=layout,
        method=("nearest_neighbor", "linear")[rng.integers(2)],
        coordinate_transformation_mode=mode,
        rounding_method="floor" if mode == "asymmetric" else "round",
    )


def _quantized(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    kind = ("int8", "uint8")[rng.integers(2)]
    axis = int(rng.integers(1, 4))
    size = shape_of(x)[axis]
    scale = const(rng.uniform(0.01, 0.03, size if rng.integers(2) else ()))
    zero = const(rng.integers(0, 5), kind)
    q = m.emit(op.quantize(x, scale, zero, axis=axis, out_dtype=kind))
    return op.dequantize(q, scale, zero, axis=axis, out_dtype="float32")


def _mean(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    layout, _ = _axes(nhwc)
    axes = [layout.index("H"), layout.index("W")]
    if rng.integers(2):
        pooled = op.nn.adaptive_avg_pool2d(x, 1, layout=layout, out_layout=layout)
    else:
        pooled = op.mean(x, axes, keepdims=True)
    gate = m.emit(op.expand_dims(m.emit(op.squeeze(m.emit(pooled), axes)), axes))
    return op.multiply(x, gate)


def _shaped(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr:
    flat = m.emit(op.nn.batch_flatten(x))
    weight = m.emit(op.permute_dims(m.floats(12, shape_of(flat)[1])))
    return op.reshape(m.emit(op.matmul(flat, weight)), (1, 3, 2, 2) if not nhwc else (1, 2, 2, 3))


def _split(m: Made, rng: np.random.Generator, x: relax.Expr, nhwc: bool) -> relax.Expr | None:
    channel = _axes(nhwc)[1]
    if shape_of(x)[channel] < 3:
        return None
    parts = m.emit(op.split(x, [1, 2], axis=channel))
    return op.concat([m.emit(relax.TupleGetItem(parts, n)) for n in (2, 0, 1)], axis=channel)


STEPS = (_conv, _conv_transpose, _pool, _norm, _one, _one, _two, _two, _parts, _pad, _resize)
STEPS += (_quantized, _mean, _shaped, _split)
