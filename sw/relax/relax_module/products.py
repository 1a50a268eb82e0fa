"""conv2d, conv2d_transpose, matmul."""

from typing import Any

from vta.sw.relax.relax_module.builder import Builder, Held, Table

__all__ = ["PRODUCTS", "layout"]


def layout(b: Builder, name: str, letters: str) -> tuple[int, ...]:
    """For each of `letters` its axis in the layout that an attribute gives."""
    found = str(b.attribute(name) or letters)
    if sorted(found) != sorted(letters):
        raise b.error(f"its {name} is {found}; read are the orders of {letters}")
    return tuple(found.index(letter) for letter in letters)


def _convolution(b: Builder, kind: str, letters: str, more: dict[str, Any]) -> Held:
    data, weight = b.tensor(0, "data"), b.tensor(1, "weight")
    b.floats(data, weight)
    b.same_type()
    out = str(b.attribute("out_layout") or b.attribute("data_layout"))
    if out != str(b.attribute("data_layout")):
        raise b.error(
            f"its out_layout {out} is another one than its data's: permute_dims does that"
        )
    order = layout(b, "data_layout", "NCHW")
    operands = b.ordered(data, order), b.ordered(weight, layout(b, "kernel_layout", letters))
    attributes = {
        "strides": b.attribute("strides"),
        "pads": b.attribute("padding"),
        "dilations": b.attribute("dilation"),
        "group": b.attribute("groups"),
        **more,
    }
    return Held(b.emit(kind, *operands, attributes=attributes), order)


def _conv2d(b: Builder) -> Held:
    return _convolution(b, "Conv", "OIHW", {})


def _conv2d_transpose(b: Builder) -> Held:
    more = {"output_padding": b.attribute("output_padding")}
    return _convolution(b, "ConvTranspose", "IOHW", more)


def _matmul(b: Builder) -> Held:
    b.floats(b.tensor(0, "data"), b.tensor(1, "weight"))
    b.same_type()
    return Held.plain(b.emit("MatMul", b.plain(0, "data"), b.plain(1, "weight")))


PRODUCTS: Table = {
    "relax.nn.conv2d": _conv2d,
    "relax.nn.conv2d_transpose": _conv2d_transpose,
    "relax.matmul": _matmul,
}
