"""Operators that change a shape and no number: reshape, transpose, concat, split, slice."""

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from vta.sw.relax.tflite import axes
from vta.sw.relax.tflite.builder import Builder

__all__ = ["concatenation", "expand_dims", "pack", "reshape", "shape_of", "slice_", "split"]
__all__ += ["split_v", "squeeze", "strided_slice", "transpose", "unpack"]


def _reshape(b: Builder, shape: Sequence[int]) -> None:
    """To `shape`; where the order of axes matters, the quantised numbers are transposed."""
    had = b.shape(0)
    if prod(had) != prod(shape):
        raise b.error(f"{list(had)} does not become {list(shape)}: another number of elements")
    before, after = b.transposes(had, shape)
    b.same_scale()
    value = b.to_nhwc(b.value(0)) if before else b.value(0)
    target = shape if after else axes.stored(shape)
    value = b.emit("Reshape", b.dequantized(value, b.info(0)), b.integers("shape", target))
    value = b.stored(value)
    b.done(b.to_nchw(value) if after else value, raw=True)


def reshape(b: Builder) -> None:
    """RESHAPE: the shape is an input, or an option in old files; -1 is what is left."""
    shape = b.numbers(1) if b.has(1) else list(b.option("NewShape", ()))
    if shape.count(-1) == 1:
        known = prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = prod(b.shape(0)) // max(known, 1)
    _reshape(b, shape)


def squeeze(b: Builder) -> None:
    """SQUEEZE: of the axes that are named, or of all of size 1."""
    shape = b.shape(0)
    named = [n % max(len(shape), 1) for n in b.option("SqueezeDims", ())]
    gone = named or [n for n, size in enumerate(shape) if size == 1]
    _reshape(b, [size for n, size in enumerate(shape) if n not in gone])


def expand_dims(b: Builder) -> None:
    """EXPAND_DIMS: one axis of size 1."""
    shape, (place, *_) = list(b.shape(0)), b.numbers(1)
    if not -len(shape) - 1 <= place <= len(shape):
        raise b.error(f"{shape} cannot have an axis {place}")
    shape.insert(place % (len(shape) + 1), 1)
    _reshape(b, shape)


def shape_of(b: Builder) -> None:
    """SHAPE: a constant, as all shapes are static."""
    array = b.integers("shape", b.shape(0))
    if b.result().type == "INT32":
        array = b.emit("Cast", array, attributes={"to": ir.DataType.INT32})
    b.done(array, raw=True)


def transpose(b: Builder) -> None:
    """TRANSPOSE, by an input."""
    wanted, rank = b.numbers(1), len(b.shape(0))
    if sorted(wanted) != list(range(rank)):
        raise b.error(f"{wanted} is no order of {rank} axes")
    b.same_scale()
    perm = [axes.axis(wanted[n], rank) for n in axes.order(rank)]
    b.done(b.emit("Transpose", b.real(0), attributes={"perm": perm}))


def concatenation(b: Builder) -> None:
    """CONCATENATION along an axis; scales may differ."""
    place = axes.axis(b.option("Axis"), len(b.shape(0)))
    values = [b.real(k) for k in range(len(b.op.inputs))]
    b.done(b.activated(b.emit("Concat", *values, attributes={"axis": place})))


def pack(b: Builder) -> None:
    """PACK: equal shapes, along a new axis."""
    shape = list(b.shape(0))
    place = b.option("Axis")
    if not -len(shape) - 1 <= place <= len(shape):
        raise b.error(f"{shape} cannot have an axis {place}")
    shape.insert(place % (len(shape) + 1), 1)
    values = [b.reshaped_to(b.real(k), shape) for k in range(len(b.op.inputs))]
    along = axes.axis(place, len(shape))
    b.done(b.emit("Concat", *values, attributes={"axis": along}))


def _split(b: Builder, k: int, place: int, sizes: Sequence[int]) -> list[ir.Value]:
    if len(sizes) != len(b.op.outputs) or min(sizes, default=0) < 1:
        raise b.error(f"{len(b.op.outputs)} results of sizes {list(sizes)}")
    along = axes.axis(place, len(b.shape(k)))
    if sum(sizes) != b.shape(k)[place]:
        raise b.error(f"{list(b.shape(k))} does not split into {list(sizes)} along axis {place}")
    for n in range(len(sizes)):
        b.same_scale(k, n)
    made = b.emit(
        "Split",
        b.real(k),
        b.integers("split", sizes),
        attributes={"axis": along},
        outputs=len(sizes),
    )
    return made if isinstance(made, list) else [made]


def split(b: Builder) -> None:
    """SPLIT into equal parts; the axis is the first input."""
    (place, *_), parts = b.numbers(0), len(b.op.outputs)
    axes.axis(place, len(b.shape(1)))
    size = b.shape(1)[place] // max(parts, 1)
    for n, value in enumerate(_split(b, 1, place, [size] * parts)):
        b.done(value, n)


def split_v(b: Builder) -> None:
    """SPLIT_V into parts of given sizes, of which one may be -1."""
    sizes, (place, *_) = b.numbers(1), b.numbers(2)
    axes.axis(place, len(b.shape(0)))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = b.shape(0)[place] - sum(sizes) - 1
    for n, value in enumerate(_split(b, 0, place, sizes)):
        b.done(value, n)


def unpack(b: Builder) -> None:
    """UNPACK: each index of an axis becomes a result without it."""
    place = b.option("Axis")
    axes.axis(place, len(b.shape(0)))
    shape = list(b.shape(0))
    count = shape.pop(place)
    if count != len(b.op.outputs):
        raise b.error(f"{len(b.op.outputs)} results of {count} that are there")
    for n, value in enumerate(_split(b, 0, place, [1] * count)):
        b.done(b.reshaped_to(b.stored(value, n), shape), n, raw=True)


def _slice(b: Builder, spec: Sequence[slice]) -> ir.Value:
    """A Slice by Python's slices, one an axis of the file's shape."""
    shape = b.shape(0)
    found = [part.indices(size) for part, size in zip(spec, shape, strict=True)]
    if any(not range(*part) for part in found):
        raise b.error(f"nothing is left of {list(shape)}")
    b.same_scale()
    starts, ends, steps = ([part[n] for part in axes.stored(found)] for n in range(3))
    ends = [
        end if end >= 0 else -1 - size for end, size in zip(ends, axes.stored(shape), strict=True)
    ]
    places = list(range(len(shape)))
    lists = [("starts", starts), ("ends", ends), ("axes", places), ("steps", steps)]
    return b.emit("Slice", b.real(0), *(b.integers(*given) for given in lists))


def slice_(b: Builder) -> None:
    """SLICE: from `begin` on, `size` elements, -1 is all that are left."""
    begin, size, shape = b.numbers(1), b.numbers(2), b.shape(0)
    if not len(begin) == len(size) == len(shape):
        raise b.error(f"{list(shape)} cannot be cut from {begin} on, {size} elements")
    spec = [slice(n, of if s == -1 else n + s) for n, s, of in zip(begin, size, shape, strict=True)]
    if any(not 0 <= n < part.stop <= of for n, part, of in zip(begin, spec, shape, strict=True)):
        raise b.error(f"{list(shape)} cannot be cut from {begin} on, {size} elements")
    b.done(_slice(b, spec))


def strided_slice(b: Builder) -> None:
    """STRIDED_SLICE: NumPy's slicing, written as lists and bit masks."""
    begin, end, steps = b.numbers(1), b.numbers(2), b.numbers(3)
    if not len(begin) == len(end) == len(steps) or 0 in steps:
        raise b.error(f"begin {begin}, end {end}, strides {steps} do not fit each other")
    masks = {n: b.option(n) for n in ("EllipsisMask", "NewAxisMask", "ShrinkAxisMask")}
    rank, shape = len(b.shape(0)), b.shape(0)
    new = sum(masks["NewAxisMask"] >> n & 1 for n in range(len(begin)))
    spec: list[slice] = []
    left: list[int | None] = []  # the axes of the result: one of the data's, or a new one
    for n, (first, last, step) in enumerate(zip(begin, end, steps, strict=True)):
        if masks["EllipsisMask"] >> n & 1:
            for _ in range(rank - (len(begin) - new - 1)):
                left.append(len(spec))
                spec.append(slice(None))
        elif masks["NewAxisMask"] >> n & 1:
            left.append(None)
        elif len(spec) >= rank:
            raise b.error(f"{list(shape)} has no axis {len(spec)}")
        elif masks["ShrinkAxisMask"] >> n & 1:
            if not -shape[len(spec)] <= first < shape[len(spec)]:
                raise b.error(f"{list(shape)} has no index {first} on axis {len(spec)}")
            spec.append(slice(first, first + 1 or None))
        else:
            last = first + last if b.option("Offset") else last
            left.append(len(spec))
            first = None if b.option("BeginMask") >> n & 1 else first
            spec.append(slice(first, None if b.option("EndMask") >> n & 1 else last, step))
    left += range(len(spec), rank)
    spec += [slice(None)] * (rank - len(spec))
    if len(spec) != rank:
        raise b.error(f"{list(shape)} has fewer axes than the slice")
    value = _slice(b, spec)
    if left == list(range(rank)):
        return b.done(value)
    made = [len(range(*part.indices(size))) for part, size in zip(spec, shape, strict=True)]
    target = [1 if n is None else made[n] for n in left]
    b.done(b.reshaped_to(b.stored(value), target, "reshape"), raw=True)
