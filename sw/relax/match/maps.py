"""Nodes that move 8-bit numbers, and pools: maximum, average, Resize, Concat, Slice, Pad, Reshape.

What they are computed of has the result's scale, or is brought to it by a Rescale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.hw.config import Config
from vta.sw.operators import (
    AveragePool,
    Concat,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    Operator,
    Pad,
    Slice,
    Upsample,
)
from vta.sw.operators.averaged import Averaged
from vta.sw.relax.evaluate import evaluated
from vta.sw.relax.graph import attribute, constant, live, shape_of
from vta.sw.relax.match.cluster import (
    Joined,
    Match,
    Placed,
    Result,
    Viewed,
    Widened,
    covered,
    quantised,
    result_of,
)
from vta.sw.relax.match.pointwise import rescaled
from vta.sw.relax.match.values import NotOnVta, Quantity, quantity
from vta.sw.relax.match.views import layout_of
from vta.sw.relax.upsampling import repetitions

__all__ = ["concat", "pad", "pool", "reshape", "resize", "slice_"]

SPATIAL = ("height", "width")
NEAR = 1e-3  # of a number
SIDES = ("top", "left", "bottom", "right")


def pool(node: ir.Node, config: Config) -> Match:
    """MaxPool and AveragePool, and the global ones."""
    data = quantity(node.inputs[0])
    shape = _map(data)
    if len([output for output in node.outputs if output.uses()]) > 1:
        raise NotOnVta("the places of its maxima are asked for; VTA computes the maxima only")
    if node.op_type == "GlobalMaxPool":
        return _moved(node, data, GlobalMaxPool(**shape))
    if node.op_type == "GlobalAveragePool":
        return _averaged(node, data, GlobalAveragePool, shape)
    window: dict[str, Any] = {"ceil_mode": bool(attribute(node, "ceil_mode", 0))}
    for name, values in (
        ("kernel", attribute(node, "kernel_shape", ())),
        ("stride", attribute(node, "strides", (1, 1))),
        ("dilation", attribute(node, "dilations", (1, 1))),
    ):
        window |= {f"{name}_{n}": value for n, value in zip(SPATIAL, values, strict=True)}
    pads = attribute(node, "pads", (0, 0, 0, 0))
    window |= {f"pad_{side}": value for side, value in zip(SIDES, pads, strict=True)}
    if node.op_type == "MaxPool":
        return _moved(node, data, MaxPool(**shape, **window))
    counted = bool(attribute(node, "count_include_pad", 0))
    return _averaged(node, data, AveragePool, {**shape, **window, "count_include_pad": counted})


def _averaged(
    node: ir.Node, data: Quantity, kind: type[Averaged], attributes: Mapping[str, Any]
) -> Match:
    """An average, with the scale of its result."""
    result = result_of(node)
    if data.scale is None or result.quantity.scale is None:
        return _moved(node, data, kind(**attributes))
    operator = kind.of_scales(data.scale, result.meaning, **result.limits, **attributes)
    placed = Placed(node.name or "", operator, {"data": data.name, "out": result.quantity.name})
    nodes = covered(node, node.inputs[:1], result)
    return Match(node, nodes, (data,), result.quantity, (placed,))


def resize(node: ir.Node, config: Config) -> Match:
    """Resize that repeats each row and column as often: nearest, by whole factors."""
    data = quantity(node.inputs[0])
    factors = repetitions(node)
    if isinstance(factors, str):
        raise NotOnVta(factors)
    named = {f"factor_{n}": factor for n, factor in zip(SPATIAL, factors, strict=True)}
    return _moved(node, data, Upsample(**_map(data), **named))


def concat(node: ir.Node, config: Config) -> Match:
    """Concat along channels; parts with other scales are brought to the result's."""
    result = result_of(node)
    whole = shape_of(node.outputs[0])
    axis = attribute(node, "axis", 0) % len(whole)
    if axis != 1:
        raise NotOnVta(f"axis is {axis}; VTA concatenates along channels, axis 1")
    name = node.name or ""
    parts: list[Placed | Joined | Viewed | Widened] = []
    sources: list[str] = []
    given: list[Quantity] = []
    constants: dict[str, np.ndarray] = {}
    for n, value in enumerate(node.inputs):
        sources.append(f"{name}/part{n}")
        fixed = _fixed(value, result)
        if fixed is not None:
            constants[sources[-1]] = fixed
            continue
        each = quantity(value)
        given.append(each)
        if result.clipped or _differs(each, result):
            parts.append(rescaled(sources[-1], each, result, (each.name, sources[-1])))
        else:
            sources[-1] = each.name
    counts = [shape_of(_value(value))[1] for value in node.inputs]
    parts.append(
        _together(name, result, tuple(zip(sources, counts, strict=True)), constants, config)
    )
    nodes = covered(node, node.inputs, result)
    return Match(node, nodes, tuple(given), result.quantity, tuple(parts))


def _together(
    name: str,
    result: Result,
    sources: Sequence[tuple[str, int]],
    constants: Mapping[str, np.ndarray],
    config: Config,
) -> Joined | Widened | Placed:
    """How a value comes about that consists of others: their names, and channels of each.

    Without a copy where that can be. Constant parts are written out of a map of one pixel then.
    """
    out, whole = result.quantity.name, result.quantity.shape
    images, _, height, width = (*whole, 1, 1)[:4]
    constants = {
        each: array.reshape(images, -1, height, width) for each, array in constants.items()
    }
    counts = ",".join(str(channels) for _, channels in sources)
    operator = Concat(images=images, height=height, width=width, parts=counts)
    own = {f"data{n}": source for n, (source, _) in enumerate(sources)}
    copied = Placed(
        name,
        operator,
        {**{data: each for data, each in own.items() if each not in constants}, "out": out},
        {data: constants[each] for data, each in own.items() if each in constants},
    )
    (first, channels), *others = sources
    numbers = {int(n) for array in constants.values() for n in np.unique(array)}
    blocks = [-(-count // config.block) for count in (channels, whole[1])]
    if [each for each, _ in others] == list(constants) and len(numbers) == 1:
        if blocks[0] == blocks[1]:
            narrow = (images, channels, *whole[2:])
            lies, layout = (layout_of(shape, config) for shape in (narrow, whole))
            view = Viewed(out, first, whole, layout, (narrow, lies))
            return Widened(out, view, numbers.pop(), copied)
    fills = all(count % config.block == 0 for _, count in sources[:-1])
    if not fills or images > config.batch or len(dict(sources)) < len(sources):
        return copied
    pixels = {each: array[:, :, :1, :1] for each, array in constants.items()}
    if any(np.any(constants[each] != pixel) for each, pixel in pixels.items()):
        return copied
    shape, factors = {"images": images, "height": 1, "width": 1}, (height, width)
    times = {f"factor_{n}": factor for n, factor in zip(SPATIAL, factors, strict=True)}
    made = tuple(
        Placed(
            each,
            Upsample(**shape, **times, channels=pixel.shape[1]),
            {"out": each},
            {"data": np.ascontiguousarray(pixel)},
            {"data": result.meaning.zero} if result.quantity.scale else {},
        )
        for each, pixel in pixels.items()
    )
    return Joined(out, dict(sources), whole, copied, made)


def _fixed(value: ir.Value | None, result: Result) -> np.ndarray | None:
    """A constant operand as numbers of the result; None where it is computed."""
    node = value.producer() if value is not None else None
    array = constant(value)
    if (
        node is not None
        and node.op_type == "DequantizeLinear"
        and constant(node.inputs[0]) is not None
    ):
        array = evaluated(node, {each.name: constant(each) for each in live(node.inputs)})
    if array is None:
        return None
    scale = result.meaning
    found = np.rint(array.astype(np.float32) / np.float32(scale.scale)) + scale.zero
    low, high = (
        end if own is None else own - scale.zero_point + scale.zero
        for end, own in ((-128, result.low), (127, result.high))
    )
    return np.clip(found, low, high).astype(np.int8)


def slice_(node: ir.Node, config: Config) -> Match:
    """Slice with steps of 1 of channels, rows and columns."""
    data = quantity(node.inputs[0])
    shape = _map(data)
    arrays = [constant(value) for value in node.inputs[1:]]
    if any(array is None for array in arrays):
        raise NotOnVta("its starts and ends are computed at run time")
    starts, ends, axes, steps = (*arrays, None, None)[:4]
    assert starts is not None and ends is not None
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), int) if steps is None else steps
    kept = [(0, size) for size in data.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step != 1:
            raise NotOnVta(
                f"its step is {step} along axis {axis}; VTA's is 1: a MaxPool with a kernel of 1 "
                "and strides takes every other row and column"
            )
        first, last, _ = slice(int(start), int(end), 1).indices(data.shape[axis])
        kept[int(axis)] = (first, last - first)
    if kept[0] != (0, data.shape[0]):
        raise NotOnVta("it takes a part of the images; VTA slices channels, rows and columns")
    operator = Slice(
        **shape,
        first_channel=kept[1][0],
        out_channels=kept[1][1],
        first_row=kept[2][0],
        out_height=kept[2][1],
        first_column=kept[3][0],
        out_width=kept[3][1],
    )
    return _moved(node, data, operator)


def pad(node: ir.Node, config: Config) -> Match:
    """Pad with a constant, of channels, rows and columns."""
    data = quantity(node.inputs[0])
    shape = _map(data)
    mode = attribute(node, "mode", "constant")
    if mode != "constant":
        raise NotOnVta(f"mode is {mode}; VTA pads with a constant: export it so")
    pads, value = constant(node.inputs[1]), constant((*node.inputs, None)[2])
    if pads is None or (len(node.inputs) > 3 and node.inputs[3] is not None):
        raise NotOnVta("its pads are computed at run time, or given by axes")
    before, after = pads[:4], pads[4:]
    if pads.min() < 0 or before[0] or after[0]:
        raise NotOnVta(f"pads are {list(map(int, pads))}; VTA pads channels, rows and columns only")
    number = 0.0 if value is None else float(value.item())
    result = result_of(node)
    moves = result.clipped or _differs(data, result)
    filled = _number(number, data, last=not moves)
    if np.count_nonzero(pads) == 1 and after[1] and not moves:
        more = np.full((data.shape[0], int(after[1]), *data.shape[2:]), filled, np.int8)
        name, own = node.name or "", f"{node.name}/pad"
        sources = (data.name, data.shape[1]), (own, more.shape[1])
        part = _together(name, result, sources, {own: more}, config)
        nodes = covered(node, node.inputs[:1], result)
        return Match(node, nodes, (data,), result.quantity, (part,))
    operator = Pad(
        **shape,
        channels_before=int(before[1]),
        channels_after=int(after[1]),
        pad_top=int(before[2]),
        pad_bottom=int(after[2]),
        pad_left=int(before[3]),
        pad_right=int(after[3]),
        value=filled,
    )
    return _moved(node, data, operator)


def _number(number: float, data: Quantity, *, last: bool) -> int:
    """A padded number as VTA has it; `last`: the result keeps the data's scale."""
    if data.scale is None:
        return int(number) - (128 if data.value.dtype == ir.DataType.UINT8 else 0)
    found = np.float32(number) / np.float32(data.scale.scale)
    if not last and abs(found - np.rint(found)) > NEAR:
        raise NotOnVta(
            f"it pads with {number:g}, which lies between two numbers of its data, and its result "
            "has another scale: quantise both alike"
        )
    return quantised(number, data.scale) - data.scale.zero_point + data.scale.zero


def reshape(node: ir.Node, config: Config) -> Match:
    """Reshape, Flatten, Squeeze, Unsqueeze: another shape of the same numbers.

    Whether they lie at the same places is seen when all matches are known (`views`).
    """
    data, result = quantity(node.inputs[0]), result_of(node)
    if result.clipped or _differs(data, result):
        raise NotOnVta("its result has another scale than its data: quantise both alike")
    nodes = covered(node, node.inputs[:1], result)
    shape = result.quantity.shape
    of = (data.shape, layout_of(data.shape, config))
    viewed = Viewed(result.quantity.name, data.name, shape, layout_of(shape, config), of)
    return Match(node, nodes, (data,), result.quantity, (viewed,))


# What they share ----------------------------------------------------------------------------------
def _value(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value


def _map(data: Quantity) -> dict[str, int]:
    if len(data.shape) != 4:
        raise NotOnVta(
            f"its data has {len(data.shape)} axes; VTA's has 4: (images, channels, rows, columns)"
        )
    return dict(zip(("images", "channels", "height", "width"), data.shape, strict=True))


def _differs(data: Quantity, result: Result) -> bool:
    """Has the result another scale than the data?"""
    if data.scale is None or result.quantity.scale is None:
        return False
    return replace(data.scale) != result.quantity.scale


def _moved(node: ir.Node, data: Quantity, operator: Operator) -> Match:
    """The operator, and a Rescale of its result where the scales differ."""
    result = result_of(node)
    name, out = node.name or "", result.quantity.name
    nodes = covered(node, node.inputs[:1], result)
    if not result.clipped and not _differs(data, result):
        parts: Mapping[int, Any] = {0: Placed(name, operator, {"data": data.name, "out": out})}
        return Match(node, nodes, (data,), result.quantity, tuple(parts.values()))
    between = f"{name}/moved"
    first = Placed(f"{name}/data", operator, {"data": data.name, "out": between})
    source = Quantity(node.outputs[0], data.scale)
    last = rescaled(name, source, result, (between, out))
    return Match(node, nodes, (data,), result.quantity, (first, last))
