"""Padding, resizing, and blocks of pixels to channels and back."""

import numpy as np

from vta.hw.errors import shown
from vta.sw.relax.tflite import axes
from vta.sw.relax.tflite.builder import Builder

__all__ = ["blocks", "mirror_pad", "pad", "resize"]

REFLECT, SYMMETRIC = 0, 1
BLOCKS = {"DEPTH_TO_SPACE": "DepthToSpace", "SPACE_TO_DEPTH": "SpaceToDepth"}


def _amounts(b: Builder) -> list[int]:
    """What is added before each axis of the value, then after each."""
    shape, info = b.shape(0), b.info(1)
    value = b.value(1)
    if value.const_value is None or info.shape != (len(shape), 2):
        raise b.error(f"its amounts are no constant of {[len(shape), 2]}: export it static")
    amounts = value.const_value.numpy().astype(np.int64)
    if amounts.min() < 0:
        raise b.error(f"it pads by {int(amounts.min())}, at least 0 is possible")
    return [int(n) for column in amounts.T for n in axes.stored(column.tolist())]


def pad(b: Builder) -> None:
    """PAD with 0, PADV2 with a given number."""
    operands = [b.real(0), b.integers("pads", _amounts(b))]
    if b.has(2):
        operands.append(b.scalar("value", _number(b, 2)))
    b.same_scale()
    b.done(b.emit("Pad", *operands, attributes={"mode": "constant"}))


def _number(b: Builder, k: int) -> float:
    """A constant of one element, as a real number."""
    array, q = b.info(k).array(), b.info(k).quantization
    if array is None or array.size != 1 or b.info(k).dtype is None:
        raise b.error(f"what it pads with, {shown(b.info(k).name)}, is not one constant")
    number = float(array.item())
    return number if q is None else (number - float(q.zero_point[0])) * float(q.scale[0])


def mirror_pad(b: Builder) -> None:
    """MIRROR_PAD: without the border row, or with it, which ONNX has for one row only."""
    amounts = _amounts(b)
    mode = b.option("Mode")
    if mode == SYMMETRIC and max(amounts, default=0) > 1:
        raise b.error("it mirrors more than one row with the border (SYMMETRIC): use REFLECT")
    most = [size - 1 if mode == REFLECT else size for size in axes.stored(b.shape(0))]
    if any(n > limit for n, limit in zip(amounts, most * 2, strict=True)):
        raise b.error(f"{list(b.shape(0))} is too small for padding by {max(amounts)}")
    b.same_scale()
    name = "reflect" if mode == REFLECT else "edge"
    b.done(b.emit("Pad", b.real(0), b.integers("pads", amounts), attributes={"mode": name}))


def resize(b: Builder) -> None:
    """RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR; both ways to count pixels, and the old one."""
    shape, sizes = b.shape(0), b.numbers(1)
    if len(shape) != 4 or len(sizes) != 2:
        raise b.error(f"it resizes {list(shape)} to {sizes}; we take rank 4 and two sizes")
    corners, half = b.option("AlignCorners"), b.option("HalfPixelCenters")
    if corners and half:
        raise b.error("it has both align_corners and half_pixel_centers")
    where = "align_corners" if corners else "half_pixel" if half else "asymmetric"
    attributes = {"coordinate_transformation_mode": where, "mode": "linear"}
    if b.op.kind == "RESIZE_NEAREST_NEIGHBOR":
        attributes["mode"] = "nearest"
        attributes["nearest_mode"] = "round_prefer_ceil" if corners or half else "floor"
    target = b.integers("sizes", [shape[0], shape[3], *sizes])
    b.same_scale()
    b.done(b.emit("Resize", b.real(0), None, None, target, attributes=attributes))


def blocks(b: Builder) -> None:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    size = b.option("BlockSize")
    if size < 1 or len(b.shape(0)) != 4:
        raise b.error(f"blocks of {size} in {list(b.shape(0))}: we take rank 4")
    b.same_scale()
    b.done(b.emit(BLOCKS[b.op.kind], b.real(0), attributes={"blocksize": size}))
