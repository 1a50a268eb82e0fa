"""Conv and ConvTranspose with every attribute spelled out, and operands that fit them.

onnx's inference of shapes does not compare the channels; so that is done here.
"""

import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import attribute, is_op, set_ints, shape_of
from vta.sw.relax.normalize.window import same_pads

__all__ = ["spell_convolutions"]


def spell_convolutions(model: ir.Model) -> ir.Model:
    """Spell kernel_shape, strides, dilations, pads, group, output_padding; auto_pad goes.

    Raises
    ------
    NetworkError
        where channels, kernel or bias contradict each other.
    """
    for node in model.graph:
        if is_op(node, "Conv", "ConvTranspose"):
            _check(node)
            _spell(node)
    return model


def _check(node: ir.Node) -> None:
    data, weight, *bias = node.inputs
    assert data is not None and weight is not None
    x, w, group = shape_of(data), shape_of(weight), attribute(node, "group", 1)
    kernel = attribute(node, "kernel_shape", w[2:])
    if tuple(kernel) != w[2:]:
        raise NetworkError(
            f"{at(node)}: kernel_shape is {list(kernel)}, the weights have {list(w[2:])}"
        )
    transposed = is_op(node, "ConvTranspose")
    need = w[0] if transposed else w[1] * group
    made = w[1] * group if transposed else w[0]
    if x[1] != need or group < 1 or w[0] % group:
        raise NetworkError(
            f"{at(node)}: weights {list(w)} in {group} groups do not fit {x[1]} channels"
        )
    if bias and bias[0] is not None and shape_of(bias[0]) != (made,):
        raise NetworkError(
            f"{at(node)}: a bias of {list(shape_of(bias[0]))} does not fit {made} channels"
        )


def _spell(node: ir.Node) -> None:
    data, weight = node.inputs[0], node.inputs[1]
    assert data is not None and weight is not None
    size, kernel = shape_of(data)[2:], shape_of(weight)[2:]
    ones = [1] * len(size)
    strides = list(attribute(node, "strides", ones))
    dilations = list(attribute(node, "dilations", ones))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = list(attribute(node, "pads", [0] * (2 * len(size))))
    auto = attribute(node, "auto_pad", "NOTSET")
    if is_op(node, "ConvTranspose"):
        pads, extra = _transposed(node, size, strides, reach, pads, auto)
        set_ints(node, "output_padding", extra)
    elif auto == "VALID":
        pads = [0] * (2 * len(size))
    elif auto != "NOTSET":
        pads = same_pads(size, strides, reach, upper=auto == "SAME_UPPER")
    for name in ("auto_pad", "output_shape"):
        node.attributes.pop(name, None)
    set_ints(node, "kernel_shape", kernel)
    set_ints(node, "strides", strides)
    set_ints(node, "dilations", dilations)
    set_ints(node, "pads", pads)
    node.attributes["group"] = ir.AttrInt64("group", attribute(node, "group", 1))


def _transposed(
    node: ir.Node,
    size: tuple[int, ...],
    strides: list[int],
    reach: list[int],
    pads: list[int],
    auto: str,
) -> tuple[list[int], list[int]]:
    """Pads and output_padding, by the formula in onnx's text of ConvTranspose.

    Where the asked output is larger than all that the kernel reaches, output_padding makes up for
    it.
    """
    extra = list(attribute(node, "output_padding", [0] * len(size)))
    asked = attribute(node, "output_shape")
    if asked is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        asked = [n * s for n, s in zip(size, strides, strict=True)]
    if asked is None:
        return ([0] * len(pads) if auto == "VALID" else pads), extra
    begins, ends = [], []
    for n, want in enumerate(list(asked)[-len(size) :]):
        total = strides[n] * (size[n] - 1) + extra[n] + reach[n] - want
        if total < 0:
            extra[n], total = extra[n] - total, 0
        half = total // 2
        begins.append(half if auto == "SAME_UPPER" else total - half)
        ends.append(total - half if auto == "SAME_UPPER" else half)
    return begins + ends, extra
