"""Operators that move numbers: new shapes, orders of axes, parts, edges."""

from typing import Any

import numpy as np

from vta.sw.relax.graph import shape_of
from vta.sw.relax.relax_module.builder import Builder, Held, Table

__all__ = ["SHAPING"]


def _reshaped(b: Builder) -> Held:
    """To the shape that Relax has found: reshape, flatten, squeeze, expand_dims."""
    shape = [int(size) for size in b.call.ty.shape.values]
    return Held.plain(b.emit("Reshape", b.plain(0, "data"), b.integers("shape", shape)))


def _broadcast_to(b: Builder) -> Held:
    shape = [int(size) for size in b.call.ty.shape.values]
    return Held.plain(b.emit("Expand", b.plain(0, "data"), b.integers("shape", shape)))


def _permute_dims(b: Builder) -> Held:
    """No node yet: an operator that needs another order of axes than the value's makes it."""
    data, axes = b.tensor(0, "data"), b.attribute("axes")
    axes = [n % data.rank for n in (reversed(range(data.rank)) if axes is None else axes)]
    return Held(data.value, tuple(axes.index(n) for n in data.order))


def _concat(b: Builder) -> Held:
    each = b.resolve(b.call.args[0], "part")
    values, order = b.aligned(each)
    axis = order.index(b.attribute("axis") % len(order))
    return Held(b.emit("Concat", *values, attributes={"axis": axis}), order)


def _split(b: Builder) -> list[Held]:
    data, at = b.tensor(0, "data"), b.attribute("indices_or_sections")
    axis = data.axis(b.attribute("axis"))
    size = shape_of(data.value)[axis]
    if isinstance(at, int):
        if size % at:
            raise b.error(f"{size} is not {at} equal parts: give the places to split at")
        at = range(size // at, size, size // at)
    sizes = np.diff([0, *at, size]).tolist()
    if min(sizes) < 1:
        raise b.error(f"its places {list(at)} do not rise within {size}")
    attributes = {"axis": axis}
    parts = b.emit(
        "Split", data.value, b.integers("sizes", sizes), attributes=attributes, outputs=len(sizes)
    )
    return [Held(part, data.order) for part in (parts if len(sizes) > 1 else [parts])]


def _strided_slice(b: Builder) -> Held:
    data = b.tensor(0, "data")
    axes, begin, end = (_numbers(b, k) for k in (1, 2, 3))
    steps = _numbers(b, 4) if len(b.call.args) > 4 else [1] * len(axes)
    if min(steps, default=1) < 1:
        raise b.error(f"its strides {steps} are not all above 0: read are slices forward")
    lists = (begin, end, [data.axis(n) for n in axes], steps)
    names = ("begin", "end", "axes", "strides")
    operands = (b.integers(name, numbers) for name, numbers in zip(names, lists, strict=True))
    return Held(b.emit("Slice", data.value, *operands), data.order)


def _numbers(b: Builder, k: int) -> list[int]:
    found: Any = b.resolve(b.call.args[k], f"operand{k}")
    if not isinstance(found, list) or not all(isinstance(n, int) for n in found):
        raise b.error(f"its operand {k} is no list of whole numbers: only constant ones are read")
    return found


def _pad(b: Builder) -> Held:
    data, mode = b.tensor(0, "data"), str(b.attribute("pad_mode"))
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if mode not in modes:
        raise b.error(f"its pad_mode is {mode}; read are {', '.join(modes)}")
    width = np.reshape(b.attribute("pad_width"), (-1, 2))[list(data.order)]
    if width.min() < 0:
        raise b.error("its pad_width is below 0: use strided_slice")
    operands = [b.integers("width", width.T.reshape(-1).tolist())]
    if mode == "constant":
        dtype = data.value.dtype
        assert dtype is not None
        operands.append(b.constant("value", np.array(b.attribute("pad_value"), dtype.numpy())))
    return Held(b.emit("Pad", data.value, *operands, attributes={"mode": modes[mode]}), data.order)


SHAPING: Table = {
    "relax.reshape": _reshaped,
    "relax.flatten": _reshaped,
    "relax.nn.batch_flatten": _reshaped,
    "relax.squeeze": _reshaped,
    "relax.expand_dims": _reshaped,
    "relax.broadcast_to": _broadcast_to,
    "relax.permute_dims": _permute_dims,
    "relax.concat": _concat,
    "relax.split": _split,
    "relax.strided_slice": _strided_slice,
    "relax.nn.pad": _pad,
}
