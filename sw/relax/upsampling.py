"""Resize that repeats rows and columns, and a convolution of what it gives, as one."""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.evaluate import evaluated
from vta.sw.relax.graph import Rewriter, attribute, constant, is_op, live, only_use, shape_of

__all__ = ["join_upsampling", "repetitions"]

RANK = 4


def repetitions(node: ir.Node) -> tuple[int, int] | str:
    """How often a Resize repeats each row and column; or why it does something else."""
    data = node.inputs[0]
    assert data is not None
    size, result = shape_of(data), shape_of(node.outputs[0])
    if len(size) != RANK:
        return f"its data has {len(size)} axes; VTA's has {RANK}: (images, channels, rows, columns)"
    if result[:2] != size[:2]:
        return "it resizes images or channels; VTA resizes rows and columns"
    if any(constant(value) is None for value in live(node.inputs[1:])):
        return "its sizes are computed at run time"
    factors = []
    for axis in (2, 3):
        factor = result[axis] // size[axis]
        places = _resized(node, axis, size)
        if not np.array_equal(places, np.repeat(np.arange(size[axis]), factor)):
            mode = attribute(node, "mode", "nearest")
            return (
                f"it makes {result[axis]} of {size[axis]} along axis {axis} (mode {mode}); VTA "
                "repeats each row and column a whole number of times (nearest): make it so, or use "
                "ConvTranspose"
            )
        factors.append(factor)
    return factors[0], factors[1]


def _resized(node: ir.Node, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    """What the node makes of the numbers 0, 1, ... along an axis, by ONNX's reference."""
    along = [1] * RANK
    along[axis] = shape[axis]
    numbers = np.arange(shape[axis], dtype=np.float32).reshape(along)
    data = np.ascontiguousarray(np.broadcast_to(numbers, (1, 1, *shape[2:])))
    given = {value.name: constant(value) for value in live(node.inputs[1:])}
    for value in live(node.inputs[2:]):
        array = given[value.name]
        if array is not None and array.size == RANK and np.issubdtype(array.dtype, np.integer):
            given[value.name] = np.array([1, 1, *array[2:]], array.dtype)
    first = node.inputs[0]
    assert first is not None
    found = evaluated(node, {first.name: data, **given})
    return found[0, 0, :, 0] if axis == 2 else found[0, 0, 0]


def join_upsampling(model: ir.Model) -> ir.Model:
    """A float Conv whose data only a repeating Resize makes is a ConvTranspose of the small data.

    Each value of the result sees few different values: with factor 2 and a 3 x 3 kernel 4 instead
    of 9. The kernel is that of the convolution, summed over the places that see the same value.
    """
    for node in list(model.graph):
        before = node.inputs[0].producer() if is_op(node, "Conv") and node.inputs[0] else None
        if before is None or not is_op(before, "Resize") or only_use(before.outputs[0]) is not node:
            continue
        factors = repetitions(before)
        weights = constant(node.inputs[1])
        if isinstance(factors, str) or weights is None or not _plain(node, weights):
            continue
        _join(node, before, factors, weights)
    return model


def _plain(node: ir.Node, weights: np.ndarray) -> bool:
    """Is it of one group, without strides and dilation, and padded with less than its kernel?"""
    ones = (*attribute(node, "strides", (1, 1)), *attribute(node, "dilations", (1, 1)))
    pads = attribute(node, "pads", (0, 0, 0, 0))
    fits = all(pad < weights.shape[2 + n % 2] for n, pad in enumerate(pads))
    return set(ones) == {1} and attribute(node, "group", 1) == 1 and fits


def _join(node: ir.Node, resize: ir.Node, factors: tuple[int, int], weights: np.ndarray) -> None:
    turned = weights[:, :, ::-1, ::-1].swapaxes(0, 1).astype(np.float64)
    rows, columns = turned.shape[2:]
    kernel = np.zeros((*turned.shape[:2], rows + factors[0] - 1, columns + factors[1] - 1))
    for y, x in np.ndindex(*factors):
        kernel[:, :, y : y + rows, x : x + columns] += turned
    rewriter = Rewriter(node)
    pads = attribute(node, "pads", (0, 0, 0, 0))
    given = rewriter.constant("upsampled", kernel.astype(weights.dtype))
    made = rewriter.op(
        "ConvTranspose",
        resize.inputs[0],
        given,
        *live(node.inputs[2:]),
        attributes={
            "kernel_shape": list(kernel.shape[2:]),
            "strides": list(factors),
            "dilations": [1, 1],
            "pads": [weights.shape[2 + n % 2] - 1 - pad for n, pad in enumerate(pads)],
            "output_padding": [0, 0],
            "group": 1,
        },
    )
    rewriter.replace(made)
    graph = resize.graph
    assert graph is not None
    graph.remove(resize, safe=True)
