"""The tensor expression (TE) of a convolution or matrix product, in blocks.

The copy of the data in INP is a stage of its own: where there is padding, its ``if_then_else``
becomes the padding fields of LOAD.
"""

from dataclasses import dataclass, replace
from math import gcd, lcm
from typing import Any

from tvm import te, tirx

from vta.hw.config import Config
from vta.sw.operators.requantize import Epilogue

__all__ = ["Expression", "Geometry", "expression"]

AXES = ("n", "o", "h", "w")  # of the result: images, channel blocks, rows, columns
TAPS = ("kh", "kw")  # of the kernel


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Shapes of a convolution: `size` and `kernel` have an entry for each spatial axis.

    Without spatial axes it is a matrix product. The last three have an entry an axis, too: `pads`
    one before and one behind.

    Arguments
    ---------
    inputs: channels of the data.
    depth: those that a sum goes over, all by default.
    shared: channels of the result whose sums go over the same ones, one after the other.
    """

    images: int
    inputs: int
    outputs: int
    depth: int = 0
    shared: int = 0
    size: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", self.depth or self.inputs)
        object.__setattr__(self, "shared", self.shared or self.outputs)

    @property
    def padded(self) -> tuple[int, ...]:
        """Of the data with its pads, the spatial axes."""
        return tuple(n + sum(pads) for n, pads in zip(self.size, self.pads, strict=True))

    @property
    def spans(self) -> tuple[int, ...]:
        """From the first place of the kernel to the last one, both included."""
        pairs = zip(self.kernel, self.dilation, strict=True)
        return tuple((taps - 1) * dilation + 1 for taps, dilation in pairs)

    @property
    def out(self) -> tuple[int, ...]:
        """Of the result, the spatial axes."""
        sizes = zip(self.padded, self.spans, self.stride, strict=True)
        return tuple((size - span) // stride + 1 for size, span, stride in sizes)

    @property
    def skips(self) -> tuple[int, ...]:
        """Where the kernel is one row high or one column wide, only each of so many is copied."""
        pairs = zip(self.kernel, self.stride, strict=True)
        return tuple(stride if taps == 1 else 1 for taps, stride in pairs)

    @property
    def steps(self) -> tuple[int, ...]:
        """Distance of neighbouring windows in what is copied."""
        pairs = zip(self.kernel, self.stride, strict=True)
        return tuple(1 if taps == 1 else stride for taps, stride in pairs)

    @property
    def copied(self) -> tuple[int, ...]:
        """Of what is copied, the spatial axes."""
        sizes = zip(self.out, self.steps, self.spans, strict=True)
        return tuple((out - 1) * step + span for out, step, span in sizes)

    def blocked(self, config: Config) -> "Geometry":
        """The same in elements: images in groups of BATCH, channels in blocks.

        Groups are merged (`merged`) until they are whole blocks.
        """
        block, merged = config.block, self.merged(config)
        return replace(
            self,
            images=-(-self.images // config.batch),
            inputs=-(-self.inputs // block),
            outputs=-(-self.outputs // block),
            depth=-(-self.depth * merged // block),
            shared=-(-self.shared * merged // block),
        )

    def merged(self, config: Config) -> int:
        """Groups that are computed together, by block-diagonal weights.

        As many as fill blocks of both inputs and outputs. All, where the last ones would go beyond
        the data.
        """
        block, groups = config.block, self.outputs // self.shared
        merged = lcm(block // gcd(block, self.depth), block // gcd(block, self.shared))
        if merged >= groups:
            return groups
        blocks = -(-groups // merged) * (self.depth * merged // block)
        return merged if blocks == -(-self.inputs // block) else groups


@dataclass(frozen=True)
class Expression:
    """A PrimFunc, and the names of its blocks.

    Members
    -------
    reductions: the block that adds up products, and that of the residual.
    inlined: the steps of the epilogue; `operands` are the tensors that they read.
    spatial: axes between the channel blocks and the element.
    """

    function: Any
    residual: bool
    inlined: tuple[str, ...]
    operands: tuple[str, ...]
    spatial: int


def expression(
    geometry: Geometry, epilogue: Epilogue, config: Config, *, residual: bool
) -> Expression:
    """The product of `geometry`, in elements, with its epilogue.

    Its blocks: inp (the copy of the data), acc, res (the residual's), out, and the inlined ones.
    """
    spatial, element = len(geometry.size), (config.batch, config.block)
    names = [*AXES[: 2 + spatial], "i", "j"]
    sizes = geometry.images, geometry.outputs, *geometry.out, *element
    square = (config.block, config.block)
    data: Any = te.placeholder(
        (geometry.images, geometry.inputs, *geometry.size, *element), "int8", "data"
    )
    weight: Any = te.placeholder(
        (geometry.outputs, geometry.depth, *geometry.kernel, *square), "int8", "weight"
    )
    acc = value = _sums(geometry, _copy(geometry, data, names), weight, sizes, names)
    operands: dict[str, Any] = {
        name: te.placeholder((geometry.outputs, *element), "int32", name)
        for name in epilogue.operands
    }
    extra: list[Any] = []
    inlined: list[str] = []
    if residual:
        added = te.placeholder(sizes, "int8", "residual")
        identity = te.placeholder((1, 1, *square), "int8", "identity")
        extra, res = [added, identity], _residual(added, identity, names)
        value = te.compute(sizes, lambda *i: acc[i] + res[i], "sum", varargs_names=names)
        inlined.append("sum")
    out, steps = epilogue.stages(value, operands, names)
    function = te.create_prim_func([data, weight, *operands.values(), *extra, out])
    return Expression(function, residual, (*inlined, *steps), epilogue.operands, spatial)


def _copy(geometry: Geometry, data: Any, names: list[str]) -> Any:
    """What a tile needs of the data, in INP."""
    zero = tirx.const(0, "int8")

    def function(n: Any, c: Any, *rest: Any) -> Any:
        *place, i, k = rest
        sizes = zip(place, geometry.skips, geometry.pads, strict=True)
        at = [p * skip - before for p, skip, (before, _) in sizes]
        value = data[(n, c, *at, i, k)]
        inside: list[Any] = []
        for p, size, (before, behind) in zip(at, geometry.size, geometry.pads, strict=True):
            inside += [p >= 0] if before else []
            inside += [p < size] if behind else []
        return tirx.if_then_else(tirx.all(*inside), value, zero) if inside else value

    *_, batch, block = data.shape
    shape = (geometry.images, geometry.inputs, *geometry.copied, batch, block)
    return te.compute(shape, function, name="inp", varargs_names=[*names[2:-1], "k"])


def _sums(
    geometry: Geometry, data: Any, weight: Any, sizes: tuple[int, ...], names: list[str]
) -> Any:
    """The products' sums, over input channels and the places of the kernel."""
    taps = [te.reduce_axis((0, n), name) for n, name in zip(geometry.kernel, TAPS, strict=False)]
    co = te.reduce_axis((0, geometry.depth), "co")
    ci = te.reduce_axis((0, sizes[-1]), "ci")

    def function(n: Any, o: Any, *rest: Any) -> Any:
        *place, i, j = rest
        sizes = zip(place, geometry.steps, taps, geometry.dilation, strict=True)
        at = [p * step + tap * dilation for p, step, tap, dilation in sizes]
        first = 0 if geometry.depth == geometry.inputs else o // geometry.shared * geometry.depth
        left = data[(n, first + co, *at, i, ci)].astype("int32")
        right = weight[(o, co, *taps, j, ci)].astype("int32")
        return te.sum(left * right, axis=[co, *taps, ci])

    return te.compute(sizes, function, name="acc", varargs_names=names[2:])


def _residual(residual: Any, identity: Any, names: list[str]) -> Any:
    """The residual times a diagonal matrix: what brings int8 into ACC beside other loads."""
    ci = te.reduce_axis((0, identity.shape[-1]), "ci")

    def function(*index: Any) -> Any:
        *place, j = index
        left = residual[(*place, ci)].astype("int32")
        return te.sum(left * identity[0, 0, j, ci].astype("int32"), axis=[ci])

    return te.compute(residual.shape, function, name="res", varargs_names=names)
