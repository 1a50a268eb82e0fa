"""Pools, reductions and softmax."""

from vta.sw.relax.tflite import axes
from vta.sw.relax.tflite.builder import Builder
from vta.sw.relax.tflite.convolution import padding

__all__ = ["arg_max", "pool", "reduce", "softmax"]

POOLS = {"AVERAGE_POOL_2D": "AveragePool", "MAX_POOL_2D": "MaxPool"}
REDUCTIONS = {"MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_MAX": "ReduceMax"}
REDUCTIONS |= {"REDUCE_MIN": "ReduceMin"}
INT64 = 4  # the schema's number of that type


def pool(b: Builder) -> None:
    """AVERAGE_POOL_2D, which does not count padding, and MAX_POOL_2D."""
    shape = b.shape(0)
    if len(shape) != 4:
        raise b.error(f"its data is {list(shape)}, not of rank 4")
    window = [b.option("FilterHeight"), b.option("FilterWidth")]
    strides = [b.option("StrideH"), b.option("StrideW")]
    pads = [padding(b, *sizes) for sizes in zip(shape[1:3], window, strides, strict=True)]
    attributes = {
        "kernel_shape": window,
        "strides": strides,
        "dilations": [1, 1],
        "pads": [begin for begin, _ in pads] + [end for _, end in pads],
        "ceil_mode": 0,
    }
    if b.op.kind == "AVERAGE_POOL_2D":
        attributes["count_include_pad"] = 0
    b.done(b.activated(b.emit(POOLS[b.op.kind], b.real(0), attributes=attributes)))


def reduce(b: Builder) -> None:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN; a mean over height and width is GlobalAveragePool."""
    shape = b.shape(0)
    over = {axes.axis(n, len(shape)) for n in b.numbers(1)}
    if b.op.kind == "MEAN" and over == {2, 3} and len(shape) == 4:
        value = b.emit("GlobalAveragePool", b.real(0))
    else:
        places = b.integers("axes", sorted(over))
        value = b.emit(REDUCTIONS[b.op.kind], b.real(0), places, attributes={"keepdims": 1})
    _without(b, value, over)


def _without(b: Builder, value, over: set[int]) -> None:
    """Done, with the value's axes `over` left out unless the operator keeps them."""
    shape = b.shape(0)
    if b.option("KeepDims"):
        return b.done(value)
    left = [size for n, size in enumerate(shape) if axes.axis(n, len(shape)) not in over]
    b.done(b.reshaped_to(b.stored(value), left, "squeeze"), raw=True)


def arg_max(b: Builder) -> None:
    """ARG_MAX: the index of the largest, the first of equals."""
    (along,) = b.numbers(1)
    place = axes.axis(along, len(b.shape(0)))
    value = b.emit("ArgMax", b.real(0), attributes={"axis": place, "keepdims": 1})
    if b.option("OutputType") != INT64:
        value = b.emit("Cast", value, what="cast", attributes={"to": 6})
    _without(b, value, {place})


def softmax(b: Builder) -> None:
    """SOFTMAX and LOG_SOFTMAX, along the channels."""
    value, beta = b.real(0), b.option("Beta", 1.0)
    if b.op.kind == "SOFTMAX" and beta != 1.0:
        value = b.emit("Mul", value, b.scalar("beta", beta), what="beta")
    kind = "Softmax" if b.op.kind == "SOFTMAX" else "LogSoftmax"
    b.done(b.emit(kind, value, attributes={"axis": axes.axis(-1, len(b.shape(0)))}))
