"""Pools, means and other reductions, resize2d."""

from functools import partial

from vta.sw.relax.relax_module.builder import Builder, Held, Table
from vta.sw.relax.relax_module.products import layout

__all__ = ["WINDOWS"]


def _data(b: Builder) -> tuple[Held, tuple[int, ...]]:
    data, order = b.tensor(0, "data"), layout(b, "layout", "NCHW")
    if layout(b, "out_layout", "NCHW") != order:
        raise b.error("its out_layout is another one than its layout: permute_dims does that")
    return data, order


def _pool(kind: str, b: Builder) -> Held:
    data, order = _data(b)
    b.floats(data) if kind == "AveragePool" else None
    attributes = {
        "kernel_shape": b.attribute("pool_size"),
        "strides": b.attribute("strides"),
        "pads": b.attribute("padding"),
        "dilations": b.attribute("dilation"),
        "ceil_mode": int(b.attribute("ceil_mode")),
    }
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(b.attribute("count_include_pad"))
    if not attributes.get("count_include_pad"):
        have = [data.shape[n] for n in order[2:]]
        attributes |= {"pads": _padding(b, have, order), "ceil_mode": 0}
    return Held(b.emit(kind, b.ordered(data, order), attributes=attributes), order)


def _padding(b: Builder, have: list[int], order: tuple[int, ...]) -> list[int]:
    """Padding by which windows of ceil_mode are inside; onnx counts one too many of them."""
    pads = list(b.attribute("padding"))
    names = ("pool_size", "strides", "dilation")
    for k, (size, window, stride, dilation) in enumerate(
        zip(have, *(b.attribute(name) for name in names), strict=True)
    ):
        made = int(b.call.ty.shape.values[order[2 + k]])
        reach = (made - 1) * stride + (window - 1) * dilation + 1
        pads[2 + k] += max(0, reach - size - pads[k] - pads[2 + k])
    return pads


def _adaptive(b: Builder) -> Held:
    """To 1 x 1, or to whole parts of height and width."""
    data, order = _data(b)
    b.floats(data)
    have = [data.shape[order[2]], data.shape[order[3]]]
    made = b.attribute("output_size") or have
    value = b.ordered(data, order)
    if list(made) == [1, 1]:
        return Held(b.emit("GlobalAveragePool", value), order)
    if any(size % out for size, out in zip(have, made, strict=True)):
        raise b.error(f"it makes {made} of {have}; read are whole parts of it: use avg_pool2d")
    window = [size // out for size, out in zip(have, made, strict=True)]
    attributes = {"kernel_shape": window, "strides": window}
    return Held(b.emit("AveragePool", value, attributes=attributes), order)


def _reduce(kind: str, b: Builder) -> Held:
    data = b.tensor(0, "data")
    b.floats(data)
    given = b.attribute("axis")
    axes = sorted(data.axis(n) for n in (range(data.rank) if given is None else given))
    keep = bool(b.attribute("keepdims"))
    made = b.emit(kind, data.value, b.integers("axes", axes), attributes={"keepdims": int(keep)})
    if keep:
        return Held(made, data.order)
    left = [n for k, n in enumerate(data.order) if k not in axes]
    return Held(made, tuple(sorted(left).index(n) for n in left))


ROUND = ("", "round", "round_prefer_floor", "round_prefer_ceil")


def _resize2d(b: Builder) -> Held:
    data, order = b.tensor(0, "data"), layout(b, "layout", "NCHW")
    b.floats(data)
    b.same_type()
    size = b.resolve(b.call.args[1], "size")
    method, mode = str(b.attribute("method")), str(b.attribute("coordinate_transformation_mode"))
    rounding = str(b.attribute("rounding_method"))
    have = [data.shape[order[2]], data.shape[order[3]]]
    attributes = {"coordinate_transformation_mode": mode}
    whole = not any(made % n for made, n in zip(size, have, strict=True))
    if method == "nearest_neighbor" and whole and (mode, rounding) == ("asymmetric", "floor"):
        attributes |= {"mode": "nearest", "nearest_mode": "floor"}
    elif method == "nearest_neighbor" and whole and mode == "half_pixel" and rounding in ROUND:
        # no place is half way between two
        attributes |= {"mode": "nearest", "nearest_mode": "round_prefer_floor"}
    elif method == "linear" and mode in ("half_pixel", "align_corners", "asymmetric"):
        attributes |= {"mode": "linear"}
    else:
        raise b.error(
            f"method {method}, {mode}, {rounding}, {have} to {size} is not read: nearest_neighbor "
            "by whole factors (asymmetric with floor, half_pixel with round) and linear are"
        )
    shape = [data.shape[n] for n in order[:2]] + size
    sizes = b.integers("sizes", shape)
    value = b.emit("Resize", b.ordered(data, order), None, None, sizes, attributes=attributes)
    return Held(value, order)


WINDOWS: Table = {
    "relax.nn.max_pool2d": partial(_pool, "MaxPool"),
    "relax.nn.avg_pool2d": partial(_pool, "AveragePool"),
    "relax.nn.adaptive_avg_pool2d": _adaptive,
    "relax.mean": partial(_reduce, "ReduceMean"),
    "relax.sum": partial(_reduce, "ReduceSum"),
    "relax.max": partial(_reduce, "ReduceMax"),
    "relax.min": partial(_reduce, "ReduceMin"),
    "relax.image.resize2d": _resize2d,
}
