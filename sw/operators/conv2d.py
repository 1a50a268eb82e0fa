"""2-D convolution with padding, stride, bias, shift and clip; double-buffered, tiles by search.

Data is (images, channels, height, width) in layout NCHW{b}n{k}c, weights are (outputs, channels,
kernel height, kernel width) in OIHW{k}o{k}i. The padded copy of the data in INP is a stage of its
own: its ``if_then_else`` becomes the padding fields of LOAD.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import s_tir, te, tirx

from vta.hw.config import Config
from vta.sw.compiler import SLOTS, register, tensorize
from vta.sw.operators.cost import demand
from vta.sw.operators.epilogue import PARAMETERS, Epilogue, check_depth
from vta.sw.operators.operator import (
    Kernel,
    Operator,
    OperatorError,
    Parameter,
    check_addresses,
    named,
)
from vta.sw.operators.tiles import GemmShape, Tiling, by_step, choose, split_copy
from vta.sw.tensor import Tensor

__all__ = ["CONV2D", "Conv2d", "build", "golden"]


@dataclass(frozen=True, kw_only=True)
class Conv2d:
    """Logical shapes of a convolution; strides and pads are the same in both directions."""

    images: int
    height: int
    width: int
    channels: int
    outputs: int
    kernel_height: int
    kernel_width: int
    stride: int
    padding: int

    def __post_init__(self) -> None:
        if self.out_height < 1 or self.out_width < 1:
            raise OperatorError(
                f"conv2d: a kernel of {self.kernel_height} x {self.kernel_width} is larger than "
                f"the padded data, {self.height + 2 * self.padding} x "
                f"{self.width + 2 * self.padding}"
            )
        longest = max(self.height, self.width) + 2 * self.padding
        if self.stride > longest:
            raise OperatorError(
                f"conv2d: stride is {self.stride}; more than the padded data, {longest}, is no "
                f"other convolution: write {longest} or less"
            )
        check_depth("conv2d", self.channels * self.kernel_height * self.kernel_width)

    @property
    def out_height(self) -> int:
        return (self.height + 2 * self.padding - self.kernel_height) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width + 2 * self.padding - self.kernel_width) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations, those with padding included."""
        outputs = self.images * self.outputs * self.out_height * self.out_width
        return outputs * self.channels * self.kernel_height * self.kernel_width

    def blocked(self, config: Config, *, bias: bool, alu: bool) -> GemmShape:
        """The same in elements of a configuration."""
        return GemmShape(
            images=-(-self.images // config.batch),
            inputs=-(-self.channels // config.block),
            outputs=-(-self.outputs // config.block),
            height=self.out_height,
            width=self.out_width,
            kernel=(self.kernel_height, self.kernel_width),
            stride=(self.stride, self.stride),
            bias=bias,
            alu=alu,
        )

    def demand(self, config: Config, *, bias: bool, alu: bool) -> dict[str, int]:
        """Cycles that the convolution asks of a configuration's ports, and its bound."""
        shape = self.blocked(config, bias=bias, alu=alu)
        elements = shape.images * shape.inputs * self.height * self.width
        return demand(shape, config, input_elements=elements)


def golden(data: np.ndarray, weight: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """int64 (n, o, oh, ow) from int8 data (n, c, h, w) and weight (o, c, kh, kw).

    One float64 product a tap; exact, since |sum| <= c * kh * kw * 2^14 < 2^53.
    """
    pads = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(data, pads).astype(np.float64)
    taps = weight.astype(np.float64)
    kernel_height, kernel_width = weight.shape[2:]
    height = (padded.shape[2] - kernel_height) // stride + 1
    width = (padded.shape[3] - kernel_width) // stride + 1
    acc = np.zeros((data.shape[0], weight.shape[0], height * width))
    for y in range(kernel_height):
        rows = slice(y, y + (height - 1) * stride + 1, stride)
        for x in range(kernel_width):
            columns = slice(x, x + (width - 1) * stride + 1, stride)
            plane = padded[:, :, rows, columns].reshape(*padded.shape[:2], -1)
            acc += taps[:, :, y, x] @ plane
    return acc.astype(np.int64).reshape(*acc.shape[:2], height, width)


def expression(config: Config, conv: Conv2d, epilogue: Epilogue) -> tuple[Any, list[str]]:
    """TE of the convolution in blocks: (PrimFunc, names of the epilogue's blocks to inline).

    Where the kernel is one row high or one column wide, only every stride-th one is copied.
    """
    batch, block = config.batch, config.block
    shape = conv.blocked(config, bias=epilogue.bias, alu=True)
    stride, pad = conv.stride, conv.padding
    data: Any = te.placeholder(
        (shape.images, shape.inputs, conv.height, conv.width, batch, block), "int8", "data"
    )
    weight: Any = te.placeholder(
        (shape.outputs, shape.inputs, *shape.kernel, block, block), "int8", "weight"
    )
    bias = te.placeholder((shape.outputs, batch, block), "int32", "bias") if epilogue.bias else None
    zero = tirx.const(0, "int8")
    skip = [stride if extent == 1 else 1 for extent in shape.kernel]

    def padded_value(n: Any, c: Any, h: Any, w: Any, i: Any, k: Any) -> Any:
        y, x = h * skip[0] - pad, w * skip[1] - pad
        inside = tirx.all(y >= 0, y < conv.height, x >= 0, x < conv.width)
        value = data[n, c, y, x, i, k]
        return tirx.if_then_else(inside, value, zero) if pad else value

    rows, columns = shape.rows(shape.height), shape.columns(shape.width)
    padded: Any = te.compute(
        (shape.images, shape.inputs, rows, columns, batch, block), padded_value, name="padded"
    )
    axes = [
        te.reduce_axis((0, extent), name)
        for name, extent in zip(
            ("co", "kh", "kw", "ci"), (shape.inputs, *shape.kernel, block), strict=True
        )
    ]
    co, kh, kw, ci = axes
    acc = te.compute(
        (shape.images, shape.outputs, shape.height, shape.width, batch, block),
        lambda n, o, h, w, i, j: te.sum(
            padded[n, co, h * shape.steps[0] + kh, w * shape.steps[1] + kw, i, ci].astype("int32")
            * weight[o, co, kh, kw, j, ci].astype("int32"),
            axis=axes,
        ),
        name="acc",
    )
    out, inlined = epilogue.stages(acc, bias, lambda n, o, h, w, i, j: (o, i, j))
    tensors = [data, weight, *([] if bias is None else [bias]), out]
    return te.create_prim_func(tensors), inlined


def _schedule(function: Any, inlined: list[str], tiling: Tiling, bias: bool) -> tuple[Any, Any]:
    """The tiled schedule before tensorization, and its reset block."""
    sch = s_tir.Schedule(function)
    for name in inlined:
        sch.compute_inline(name)
    acc, out, padded = (sch.get_sblock(name) for name in ("acc", "out", "padded"))
    sch.set_scope(acc, 0, "local.acc")
    sch.set_scope(padded, 0, "local.inp")
    weight = sch.cache_read(acc, 1, "local.wgt")
    sch.transform_layout(weight, ("write", 0), by_step(tiling.inputs))
    if bias:
        sch.cache_read(out, 1, "local.acc")
    n, o, h, w, i, j = sch.get_loops(out)
    oo, oi = sch.split(o, [None, tiling.outputs])
    ho, hi = sch.split(h, [None, tiling.height])
    wo, wi = sch.split(w, [None, tiling.width])
    outer = (n, ho, wo, oo) if tiling.keep == "inputs" else (oo, n, ho, wo)
    sch.reorder(*outer, oi, hi, wi, i, j)
    sch.compute_at(acc, outer[-1], preserve_unit_loops=True)
    n, o, h, w, i, j, co, kh, kw, ci = sch.get_loops(acc)[-10:]
    coo, coi = sch.split(co, [None, tiling.inputs])
    sch.reorder(coo, n, o, kh, kw, coi, h, w, i, j, ci)
    keep = {"inputs": (wo, coo), "weights": (coo, oo)}.get(tiling.keep, (coo, coo))
    sch.compute_at(padded, keep[0], preserve_unit_loops=True)
    sch.compute_at(weight, keep[1], preserve_unit_loops=True)
    if tiling.keep:
        split_copy(sch, padded if tiling.keep == "inputs" else weight, 6, tiling.inputs)
    reset = sch.decompose_reduction(acc, coo)
    for loop in (oo, wo, coo):
        sch.annotate(loop, SLOTS, 2)
    return sch, reset


def build(
    config: Config,
    *,
    images: int | None = None,
    height: int,
    width: int,
    channels: int,
    outputs: int,
    kernel_height: int = 3,
    kernel_width: int = 3,
    stride: int = 1,
    padding: int = 1,
    bias: bool = False,
    shift: int = 0,
    low: int | None = None,
    high: int | None = None,
    tiling: Tiling | None = None,
) -> Kernel:
    """The kernel of a convolution; `images` is BATCH by default; `tiling` overrides the search."""
    conv = Conv2d(
        images=config.batch if images is None else images,
        height=height,
        width=width,
        channels=channels,
        outputs=outputs,
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        stride=stride,
        padding=padding,
    )
    epilogue = Epilogue(bias, shift, low, high)
    tensors = _tensors(config, conv, epilogue)
    check_addresses("conv2d", tensors)
    shape = conv.blocked(config, bias=bias, alu=epilogue != Epilogue())
    tiling = tiling or choose(shape, config)
    function, inlined = expression(config, conv, epilogue)
    sch, reset = _schedule(function, inlined, tiling, bias)
    untensorized = sch.mod["main"]
    gemm_intrinsic, reset_intrinsic = register(config)
    tensorize(sch, sch.get_loops(sch.get_sblock("acc_update"))[-3], gemm_intrinsic)
    tensorize(sch, sch.get_loops(reset)[-2], reset_intrinsic)
    kernel = f"{kernel_height}x{kernel_width}"
    return Kernel(
        name=f"conv2d_{height}x{width}x{channels}x{outputs}_k{kernel}_s{stride}_p{padding}",
        config=config,
        tensors=tensors,
        golden=lambda tensors: _golden(tensors, conv, epilogue),
        function=untensorized,
        schedule=sch,
        macs=conv.macs,
        description=(
            f"{conv.images} x {channels} x {height} x {width} -> {outputs} channels, {kernel}, "
            f"stride {stride}, padding {padding}, {epilogue.describe()}"
        ),
        ranges=vars(epilogue.input_ranges(conv.channels * kernel_height * kernel_width)),
        notes={"shape": shape, "tiling": tiling, "conv": conv, "epilogue": epilogue},
    )


def _tensors(config: Config, conv: Conv2d, epilogue: Epilogue) -> dict[str, Tensor]:
    batch, block = config.batch, config.block
    planes, weights = f"NCHW{batch}n{block}c", f"OIHW{block}o{block}i"
    kernel = (conv.outputs, conv.channels, conv.kernel_height, conv.kernel_width)
    data = (conv.images, conv.channels, conv.height, conv.width)
    out = (conv.images, conv.outputs, conv.out_height, conv.out_width)
    tensors = {
        "data": Tensor(role="input", shape=data, layout=planes, dtype="int8"),
        "weight": Tensor(role="weight", shape=kernel, layout=weights, dtype="int8"),
    }
    if epilogue.bias:
        layout = f"C{batch}n{block}c"
        tensors["bias"] = Tensor(role="bias", shape=(conv.outputs,), layout=layout, dtype="int32")
    tensors["out"] = Tensor(role="output", shape=out, layout=planes, dtype="int8")
    return named(tensors)


def _golden(
    tensors: Mapping[str, np.ndarray], conv: Conv2d, epilogue: Epilogue
) -> dict[str, np.ndarray]:
    acc = golden(tensors["data"], tensors["weight"], conv.stride, conv.padding)
    bias = tensors.get("bias")
    return {"out": epilogue.golden(acc, None if bias is None else bias[:, None, None])}


CONV2D = Operator(
    "conv2d",
    "2-D convolution with padding, stride, bias, shift and clip",
    (
        Parameter("images", int, None, "images (none: BATCH)", minimum=1),
        Parameter("height", int, 14, "rows of the data", minimum=1),
        Parameter("width", int, 14, "columns of the data", minimum=1),
        Parameter("channels", int, 256, "channels of the data", minimum=1),
        Parameter("outputs", int, 256, "channels of the result", minimum=1),
        Parameter("kernel_height", int, 3, "rows of the kernel", minimum=1),
        Parameter("kernel_width", int, 3, "columns of the kernel", minimum=1),
        Parameter("stride", int, 1, "stride in both directions", minimum=1),
        Parameter("padding", int, 1, "zeros on each side", minimum=0),
        *PARAMETERS,
    ),
    build,
)
