"""The tensor expression (TE) of a convolution or matrix product, in blocks.

The copy of the data in INP is a stage of its own: where there is padding, its ``if_then_else``
becomes the padding fields of LOAD.
"""

from dataclasses import dataclass, replace
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

    Without spatial axes it is a matrix product. Strides and pads are the same in all directions.
    """

    images: int
    inputs: int
    outputs: int
    size: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    stride: int = 1
    padding: int = 0

    @property
    def out(self) -> tuple[int, ...]:
        """Of the result, the spatial axes."""
        pairs = zip(self.size, self.kernel, strict=True)
        return tuple((size + 2 * self.padding - taps) // self.stride + 1 for size, taps in pairs)

    @property
    def skips(self) -> tuple[int, ...]:
        """Where the kernel is one row high or one column wide, only each of so many is copied."""
        return tuple(self.stride if taps == 1 else 1 for taps in self.kernel)

    @property
    def steps(self) -> tuple[int, ...]:
        """Distance of neighbouring windows in what is copied."""
        return tuple(1 if taps == 1 else self.stride for taps in self.kernel)

    @property
    def copied(self) -> tuple[int, ...]:
        """Of what is copied, the spatial axes."""
        sizes = zip(self.out, self.steps, self.kernel, strict=True)
        return tuple((out - 1) * step + taps for out, step, taps in sizes)

    def blocked(self, config: Config) -> "Geometry":
        """The same in elements: images in groups of BATCH, channels in blocks."""
        return replace(
            self,
            images=-(-self.images // config.batch),
            inputs=-(-self.inputs // config.block),
            outputs=-(-self.outputs // config.block),
        )


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
        (geometry.outputs, geometry.inputs, *geometry.kernel, *square), "int8", "weight"
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
    pad, zero = geometry.padding, tirx.const(0, "int8")

    def function(n: Any, c: Any, *rest: Any) -> Any:
        *place, i, k = rest
        at = [p * skip - pad for p, skip in zip(place, geometry.skips, strict=True)]
        value = data[(n, c, *at, i, k)]
        if not pad:
            return value
        inside = [
            side for p, size in zip(at, geometry.size, strict=True) for side in (p >= 0, p < size)
        ]
        return tirx.if_then_else(tirx.all(*inside), value, zero)

    *_, batch, block = data.shape
    shape = (geometry.images, geometry.inputs, *geometry.copied, batch, block)
    return te.compute(shape, function, name="inp", varargs_names=[*names[2:-1], "k"])


def _sums(
    geometry: Geometry, data: Any, weight: Any, sizes: tuple[int, ...], names: list[str]
) -> Any:
    """The products' sums, over input channels and the places of the kernel."""
    taps = [te.reduce_axis((0, n), name) for n, name in zip(geometry.kernel, TAPS, strict=False)]
    co = te.reduce_axis((0, geometry.inputs), "co")
    ci = te.reduce_axis((0, sizes[-1]), "ci")

    def function(n: Any, o: Any, *rest: Any) -> Any:
        *place, i, j = rest
        at = [p * step + tap for p, step, tap in zip(place, geometry.steps, taps, strict=True)]
        left = data[(n, co, *at, i, ci)].astype("int32")
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
