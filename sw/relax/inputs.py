"""Shapes of a network's inputs: as the file has them, or as the user fixes them."""

from collections.abc import Mapping

import onnx_ir as ir

from vta.hw.errors import quoted, shown
from vta.sw.relax.errors import NetworkError

__all__ = ["fix_shapes"]

LIKELY = 224  # a size for an open axis in an example
ELEMENTS = 1 << 30  # of one input


def fix_shapes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give inputs the shapes that the user names; every input has a static one afterwards.

    What the file says of the shapes of all other values is forgotten where it does not say the same
    of an input.

    Raises
    ------
    NetworkError
        where `shapes` names no input, or has another rank; where an axis stays open: then the
        message shows the option that fixes it.
    """
    inputs = {value.name or "": value for value in model.graph.inputs}
    for name, shape in shapes.items():
        if name not in inputs:
            known = ", ".join(shown(name) for name in inputs)
            raise NetworkError(f"--shape: there is no input {shown(name)}; there are: {known}")
        _fix(inputs[name], tuple(shape))
    if any(shapes):
        _forget(model)
    opened = [value for value in inputs.values() if _open(value)]
    if opened:
        first = opened[0]
        options = " ".join(f"--shape {shown(v.name)}={_example(v)}" for v in opened)
        raise NetworkError(f"input {shown(first.name)} {_why(first)}: fix it by {options}")
    for value in inputs.values():
        _check(value)


def _fix(value: ir.Value, shape: tuple[int, ...]) -> None:
    if value.shape is not None and len(value.shape) != len(shape):
        raise NetworkError(
            f"--shape {shown(value.name)}={_text(shape)} has {len(shape)} axes; the file has "
            f"{_axes(value)}"
        )
    value.shape = ir.Shape(shape)


def _check(value: ir.Value) -> None:
    if not isinstance(value.type, ir.TensorType):
        raise NetworkError(f"input {shown(value.name)} is no tensor: only tensors are supported")
    if value.dtype in (ir.DataType.STRING, ir.DataType.UNDEFINED):
        raise NetworkError(f"input {shown(value.name)} is text: only numbers are supported")
    assert value.shape is not None
    elements = 1
    for size in value.shape.numpy():
        elements *= size
        if size < 1 or elements > ELEMENTS:
            raise NetworkError(
                f"input {shown(value.name)} has shape {quoted(list(value.shape.numpy()))}: sizes "
                f"are 1 or more, and at most {ELEMENTS} elements in all"
            )


def _forget(model: ir.Model) -> None:
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None


def _open(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType) and (
        value.shape is None or not value.shape.is_static()
    )


def _why(value: ir.Value) -> str:
    if value.shape is None:
        return "has no shape in the file"
    names = [size for size in value.shape if not isinstance(size, int)]
    said = ", ".join(shown(size.value) if size.value else "?" for size in names)
    return f"has shape {_axes(value)}, where {said} is open"


def _axes(value: ir.Value) -> str:
    assert value.shape is not None
    sizes = (size if isinstance(size, int) else size.value or "?" for size in value.shape)
    return "[" + ", ".join(shown(str(size)) for size in sizes) + "]"


def _example(value: ir.Value) -> str:
    if value.shape is None:
        return f"1x3x{LIKELY}x{LIKELY}"
    guesses = (1 if n == 0 else LIKELY for n in range(len(value.shape)))
    sizes = zip(value.shape, guesses, strict=True)
    return _text(tuple(size if isinstance(size, int) else guess for size, guess in sizes))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
