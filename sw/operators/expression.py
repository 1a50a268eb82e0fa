"""The tensor expression (TE) of a convolution or matrix product, in blocks.

The copy of the data in INP is a stage of its own: where there is padding, its ``if_then_else``
becomes the padding fields of LOAD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import ir, te, tirx

from vta.hw.config import Config
from vta.sw.operators.geometry import Geometry, Phase
from vta.sw.operators.requantize import BORDER, DATA_SUMS, WEIGHT_SUMS, Epilogue
from vta.sw.operators.steps import RESIDUAL

__all__ = ["PLANES", "Expression", "expression"]

PLANES = "planes"
"""The tensor of shifts that bring a result's bytes down, where all four leave."""

AXES = ("n", "o", "h", "w")  # of the result: images, channel blocks, rows, columns
TAPS = ("kh", "kw")  # of the kernel


@dataclass(frozen=True)
class Expression:
    """A PrimFunc, and the names of its blocks.

    Members
    -------
    parts: for each phase, the suffix of its blocks' names, and those to be inlined.
    staged: steps of `BORDER`, which are blocks of their own, as they run over rectangles.
    operands: names of the epilogue's tensors.
    sums: names of the blocks that compute what zero points are worth.
    spatial: axes between the channel blocks and the element.
    terms: axes of the weights for their terms, 0 or 1.
    """

    function: Any
    residual: bool
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    staged: tuple[str, ...]
    operands: tuple[str, ...]
    spatial: int
    terms: int
    sums: tuple[str, ...] = ()


def expression(
    phases: Sequence[Phase],
    out: tuple[int, ...],
    kernel: tuple[int, ...],
    epilogue: Epilogue,
    config: Config,
    *,
    residual: bool,
    planes: bool = False,
    zeros: Mapping[str, tuple[int, ...]] | None = None,
    terms: int = 1,
) -> Expression:
    """The product with its epilogue, by phases, in elements.

    The blocks of a phase: inp (the copy of the data), acc, res (the residual's), out, and the
    inlined ones, with its number where there are several.

    Arguments
    ---------
    out, kernel: spatial axes of the whole result, and of the weights of all phases.
    planes: int32 results, as four planes of bytes; with one phase only.
    zeros: by `DATA_SUMS` and `WEIGHT_SUMS`, into how many numbers their factor is parted; of matrix
        products.
    terms: of the weights.
    """
    geometry, element = phases[0].geometry, (config.batch, config.block)
    names = [*AXES[: 2 + len(out)], "i", "j"]
    sizes = geometry.images, geometry.outputs, *out, *element
    square = (config.block, config.block)
    shape = geometry.images, geometry.inputs, *geometry.size, *element
    data: Any = te.placeholder(shape, "int8", "data")
    several = (terms,) if terms > 1 else ()
    shape = geometry.outputs, geometry.depth, *several, *kernel, *square
    weight: Any = te.placeholder(shape, "int8", "weight")
    operands: dict[str, Any] = {}
    for name in epilogue.operands:
        places = _classes(phases) if name == BORDER else []
        operands[name] = te.placeholder((geometry.outputs, *places, *element), "int32", name)
    extra: list[Any] = []
    if residual:
        extra.append(te.placeholder(sizes, "int8", "residual"))
        extra.append(te.placeholder((1, 1, *square), "int8", "identity"))
    given, shifts = tuple(operands), None
    constants, sums = _zero_sums(data, weight, zeros or {})
    if planes:
        shifts = te.placeholder((4, *element), "int32", PLANES)
        given = (*given, PLANES)
    made, parts = [], []
    for n, phase in enumerate(phases):
        suffix = str(n) if len(phases) > 1 else ""
        copy = _copy(phase.geometry, data, names, suffix)
        acc = _sums(phase, copy, weight, names, suffix, several)
        added = {RESIDUAL: _residual(phase, acc, extra, names, suffix)} if residual else {}
        added |= operands | sums
        stored, steps = epilogue.stages(acc, added, names, suffix, phase.classes, shifts)
        made.append(stored)
        parts.append((suffix, tuple(steps)))
    parameters = [data, weight, *operands.values(), *constants, *extra]
    parameters += [*([shifts] if planes else []), *made]
    if len(phases) == 1:
        function = te.create_prim_func(parameters)
    else:
        whole = te.placeholder(sizes, "int8", "out")
        function = _placed(te.create_prim_func([*parameters, whole]), phases)
    return Expression(
        function,
        residual,
        tuple(parts),
        epilogue.staged,
        given,
        len(out),
        len(several),
        tuple(sums),
    )


def _zero_sums(
    data: Any, weight: Any, zeros: Mapping[str, tuple[int, ...]]
) -> tuple[list[Any], dict[str, Any]]:
    """Placeholders of constants, and what GEMM makes of them: elements by blocks of outputs, or by
    groups of rows.
    """
    constants, found = [], {}
    _, depth, *_, batch, block = data.shape
    for name, parts in zeros.items():
        if name == DATA_SUMS:
            made = te.placeholder((len(parts), depth, block, block), "int8", "weight_zero")
            found[name] = _sums_of_rows(data, made)
        else:
            made = te.placeholder((len(parts), batch, block), "int8", "data_zero")
            found[name] = _sums_of_outputs(weight, made)
        constants.append(made)
    return constants, found


def _sums_of_rows(data: Any, factor: Any) -> Any:
    images, depth, batch, block = data.shape
    co: Any = te.reduce_axis((0, depth), "co")
    t, ci = te.reduce_axis((0, factor.shape[0]), "t"), te.reduce_axis((0, block), "ci")

    def function(n: Any, i: Any, j: Any) -> Any:
        product = data[n, co, i, ci].astype("int32") * factor[t, co, j, ci].astype("int32")
        return te.sum(product, axis=[co, t, ci])

    return te.compute((images, batch, block), function, name=DATA_SUMS)


def _sums_of_outputs(weight: Any, factor: Any) -> Any:
    (outputs, depth, *_), (parts, batch, block) = weight.shape, factor.shape
    co: Any = te.reduce_axis((0, depth), "co")
    t, ci = te.reduce_axis((0, parts), "t"), te.reduce_axis((0, block), "ci")

    def function(o: Any, i: Any, j: Any) -> Any:
        product = factor[t, i, ci].astype("int32") * weight[o, co, j, ci].astype("int32")
        return te.sum(product, axis=[co, t, ci])

    return te.compute((outputs, batch, block), function, name=WEIGHT_SUMS)


def _classes(phases: Sequence[Phase]) -> list[int]:
    """Of all phases, along each spatial axis."""
    axes = zip(*(phase.classes for phase in phases), strict=True)
    return [max(classes.first + classes.count for classes in axis) for axis in axes]


def _placed(function: Any, phases: Sequence[Phase]) -> Any:
    """The function with the results of all phases in its last parameter, instead of their own."""
    *others, whole = function.params
    kept, parts = others[: -len(phases)], others[-len(phases) :]

    def phase_of(buffer: Any) -> Phase | None:
        found = (p for part, p in zip(parts, phases, strict=True) if part.same_as(buffer))
        return next(found, None)

    def store(node: Any) -> Any:
        phase = phase_of(node.buffer)
        if phase is None:
            return node
        return tirx.BufferStore(whole, node.value, phase.place(list(node.indices)))

    def region(node: Any) -> Any:
        phase = phase_of(node.source)
        if phase is None:
            return node
        places = phase.place([entry.min for entry in node.region])
        return tirx.BufferRegion(whole, [ir.Range.from_min_extent(at, 1) for at in places])

    handlers = ((tirx.BufferStore, store), (ir.TensorRegion, region))
    body = tvm_ffi.structural_map(function.body, handlers)
    return tirx.PrimFunc([*kept, whole], body, function.ret_type, function.attrs)


def _copy(geometry: Geometry, data: Any, names: list[str], suffix: str) -> Any:
    """What a tile needs of the data, in INP; by places of the kernel where these have copies."""
    zero = tirx.const(0, "int8")
    by_tap = [n for n, own in enumerate(geometry.by_tap) if own]

    def function(n: Any, c: Any, *rest: Any) -> Any:
        *place, i, k = rest
        taps, place = place[: len(by_tap)], place[len(by_tap) :]
        sizes = zip(place, geometry.skips, geometry.pads, strict=True)
        at = [p * skip - before for p, skip, (before, _) in sizes]
        for axis, tap in zip(by_tap, taps, strict=True):
            at[axis] += tap * geometry.dilation[axis]
        value = data[(n, c, *at, i, k)]
        inside: list[Any] = []
        for p, size, (before, behind) in zip(at, geometry.size, geometry.pads, strict=True):
            inside += [p >= 0] if before > 0 else []
            inside += [p < size] if behind > 0 else []
        return tirx.if_then_else(tirx.all(*inside), value, zero) if inside else value

    *_, batch, block = data.shape
    shape = (geometry.images, geometry.inputs, *geometry.copied, batch, block)
    axes = [*(TAPS[axis] for axis in by_tap), *names[2:-1], "k"]
    return te.compute(shape, function, name=f"inp{suffix}", varargs_names=axes)


def _sums(
    phase: Phase, data: Any, weight: Any, names: list[str], suffix: str, terms: tuple[int, ...]
) -> Any:
    """The products' sums, over input channels, the weights' terms and the kernel's places."""
    geometry, (*_, batch, block) = phase.geometry, data.shape
    sizes = geometry.images, geometry.outputs, *geometry.out, batch, block
    taps: list[Any] = [
        te.reduce_axis((0, n), name) for n, name in zip(geometry.kernel, TAPS, strict=False)
    ]
    each: list[Any] = [te.reduce_axis((0, n), "term") for n in terms]
    co: Any = te.reduce_axis((0, geometry.depth), "co")
    ci = te.reduce_axis((0, sizes[-1]), "ci")

    def function(n: Any, o: Any, *rest: Any) -> Any:
        *place, i, j = rest
        at = [p * step for p, step in zip(place, geometry.steps, strict=True)]
        own: list[Any] = []
        for axis, (tap, by_tap) in enumerate(zip(taps, geometry.by_tap, strict=True)):
            if by_tap:
                own.append(tap)
            else:
                at[axis] += tap * geometry.dilation[axis]
        first = 0 if geometry.depth == geometry.inputs else o // geometry.shared * geometry.depth
        left = data[(n, first + co, *own, *at, i, ci)].astype("int32")
        places = [begin + tap for begin, tap in zip(phase.first, taps, strict=True)]
        right = weight[(o, co, *each, *places, j, ci)].astype("int32")
        return te.sum(left * right, axis=[co, *each, *taps, ci])

    return te.compute(sizes, function, name=f"acc{suffix}", varargs_names=names[2:])


def _residual(phase: Phase, acc: Any, operands: list[Any], names: list[str], suffix: str) -> Any:
    """The residual times a diagonal matrix.

    This is what brings int8 into ACC beside other loads.
    """
    residual, identity = operands
    ci = te.reduce_axis((0, identity.shape[-1]), "ci")

    def function(*index: Any) -> Any:
        *_, j = index
        *place, _ = phase.place(index)
        left = residual[(*place, ci)].astype("int32")
        return te.sum(left * identity[0, 0, j, ci].astype("int32"), axis=[ci])

    return te.compute(acc.shape, function, name=f"res{suffix}", varargs_names=names)
