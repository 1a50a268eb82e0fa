"""What follows a product channel by channel goes into its weights and bias.

Batch normalisation, a bias that is added on its own, a factor for each channel: after Conv,
ConvTranspose, Gemm and MatMul. A bias can go in beside quantised weights too, a factor cannot.
Batch normalisation elsewhere is a Mul and an Add.
"""

import numpy as np
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, at
from vta.sw.relax.graph import (
    Rewriter,
    attribute,
    constant,
    is_op,
    only_use,
    replace_value,
    shape_of,
)
from vta.sw.relax.normalize.weights import channel_vector, float_of, is_weight

__all__ = ["fold_linear", "spell_batch_norms"]

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def spell_batch_norms(model: ir.Model) -> ir.Model:
    """BatchNormalization of constants as Mul and Add, which bear NAME/scale and NAME.

    Raises
    ------
    NetworkError
        where one trains.
    """
    for node in model.graph:
        if not is_op(node, "BatchNormalization"):
            continue
        if attribute(node, "training_mode", 0):
            raise NetworkError(f"{at(node)} trains: export the network for inference")
        data, *operands = node.inputs
        known = [float_of(value) for value in operands]
        if data is None or any(array is None for array in known):
            continue
        gamma, beta, mean, var = (np.asarray(array, np.float64) for array in known)
        scale = gamma / np.sqrt(var + attribute(node, "epsilon", 1e-5))
        rewriter = Rewriter(node)
        shape = (-1,) + (1,) * (len(shape_of(data)) - 2)
        kind = data.dtype.numpy() if data.dtype is not None else np.float32
        factor = rewriter.constant("factor", scale.reshape(shape).astype(kind))
        shift = rewriter.constant("shift", (beta - mean * scale).reshape(shape).astype(kind))
        rewriter.replace(rewriter.op("Add", rewriter.op("Mul", data, factor, what="scale"), shift))
    return model


def fold_linear(model: ir.Model) -> ir.Model:
    """Mul, Div, Add and Sub of constants into the product before them, or into one Mul, Add."""
    for node in model.graph:
        if not is_op(node, "Mul", "Div", "Add", "Sub"):
            continue
        found = _operands(node)
        if found is None:
            continue
        data, array = found
        maker = data.producer()
        if maker is None or only_use(data) is not node:
            continue
        if is_op(maker, *PRODUCTS):
            _into_product(node, maker, array)
        elif is_op(maker, "Mul", "Add") and is_op(node, "Mul", "Add"):
            _into_chain(node, maker, array)
    return model


def _operands(node: ir.Node) -> tuple[ir.Value, np.ndarray] | None:
    """The tensor, and the constant that it is scaled by or moved by: x - c and x / c, not c - x."""
    a, b = node.inputs
    if a is None or b is None or a.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        return None
    known = float_of(b)
    if known is not None and not is_weight(a):
        known = -known if node.op_type == "Sub" else known
        with np.errstate(divide="ignore"):
            return a, (1 / known if node.op_type == "Div" else known)
    known = float_of(a)
    if known is not None and not is_weight(b) and node.op_type in ("Mul", "Add"):
        return b, known
    return None


# Into a product -----------------------------------------------------------------------------------
def _into_product(node: ir.Node, product: ir.Node, array: np.ndarray) -> None:
    shape = shape_of(product.outputs[0])
    axis = len(shape) - 1 if product.op_type == "MatMul" else 1
    vector = channel_vector(array, shape, axis)
    if vector is None or not np.isfinite(vector).all() or shape != shape_of(node.outputs[0]):
        return
    done = _bias(product, vector) if node.op_type in ("Add", "Sub") else _factor(product, vector)
    if done:
        replace_value(node.outputs[0], product.outputs[0])
        assert node.graph is not None
        node.graph.remove(node, safe=True)


def _bias(product: ir.Node, vector: np.ndarray) -> bool:
    """Add to the bias; a MatMul of two matrices becomes a Gemm."""
    if product.op_type == "MatMul" and not _as_gemm(product):
        return False
    have = product.inputs[2] if len(product.inputs) > 2 else None
    known = float_of(have)
    if have is not None and (known is None or known.ndim > 1):
        return False
    total = vector if known is None else known + vector
    product.resize_inputs(3)
    kind = product.outputs[0].dtype
    assert kind is not None
    product.replace_input_with(2, Rewriter(product).constant("bias", total.astype(kind.numpy())))
    return True


def _as_gemm(product: ir.Node) -> bool:
    a, b = product.inputs
    assert a is not None and b is not None
    if len(shape_of(a)) != 2 or len(shape_of(b)) != 2 or not is_weight(b):
        return False
    product.op_type = "Gemm"
    for name, value in (("transA", 0), ("transB", 0)):
        product.attributes[name] = ir.AttrInt64(name, value)
    for name in ("alpha", "beta"):
        product.attributes[name] = ir.AttrFloat32(name, 1.0)
    return True


def _factor(product: ir.Node, vector: np.ndarray) -> bool:
    """Multiply weights and bias, which must be float constants."""
    weight = constant(product.inputs[1])
    have = product.inputs[2] if len(product.inputs) > 2 else None
    bias = constant(have)
    if weight is None or weight.ndim < 2 or (have is not None and (bias is None or bias.ndim > 1)):
        return False
    rewriter = Rewriter(product)
    scaled = weight * _along(product, vector, weight)
    product.replace_input_with(1, rewriter.constant("weight", scaled.astype(weight.dtype)))
    if bias is not None:
        product.replace_input_with(2, rewriter.constant("bias", (bias * vector).astype(bias.dtype)))
    return True


def _along(product: ir.Node, vector: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """One number for each output channel, where the weights have them."""
    if product.op_type == "Conv":
        return vector.reshape((-1,) + (1,) * (weight.ndim - 1))
    if product.op_type == "ConvTranspose":  # (channels, channels made by a group, ...)
        group = attribute(product, "group", 1)
        parts = np.repeat(vector.reshape(group, -1), weight.shape[0] // group, axis=0)
        return parts.reshape(parts.shape + (1,) * (weight.ndim - 2))
    return vector.reshape(-1, 1) if attribute(product, "transB", 0) else vector


# Into one Mul and one Add -------------------------------------------------------------------------
def _into_chain(node: ir.Node, maker: ir.Node, array: np.ndarray) -> None:
    """Mul after Mul and Add after Add are one; Mul after Add goes before it."""
    found = _operands(maker)
    if found is None or not all(any(map(_is_number, n.inputs)) for n in (node, maker)):
        return  # a quantised constant stays one
    data, before = found
    if shape_of(data) != shape_of(node.outputs[0]):
        return
    if node.op_type == maker.op_type:
        total = before * array if node.op_type == "Mul" else before + array
        _operate(node, data, total)
        _remove(maker)
    elif node.op_type == "Mul":
        node.op_type, maker.op_type = "Add", "Mul"
        _exchange_names(node, maker)
        _operate(node, maker.outputs[0], before * array)
        _operate(maker, data, array)
        above = data.producer()
        if above is not None and is_op(above, "Mul") and only_use(data) is maker:
            _into_chain(maker, above, array)


def _exchange_names(a: ir.Node, b: ir.Node) -> None:
    props = dict(a.metadata_props)
    a.name, b.name = b.name, a.name
    for node, given in ((a, dict(b.metadata_props)), (b, props)):
        node.metadata_props.clear()
        node.metadata_props.update(given)


def _is_number(value: ir.Value | None) -> bool:
    return constant(value) is not None


def _operate(node: ir.Node, data: ir.Value, array: np.ndarray) -> None:
    assert data.dtype is not None
    node.replace_input_with(0, data)
    constant_value = Rewriter(node).constant("factor" if node.op_type == "Mul" else "shift", array)
    node.replace_input_with(1, constant_value)


def _remove(node: ir.Node) -> None:
    assert node.graph is not None
    node.graph.remove(node, safe=True)
