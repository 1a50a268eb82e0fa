"""A network from a TFLite file, in QDQ form.

The file's tensors keep their names. An operator has no name in a file: its node is called after its
first result. Rank 4 is NHWC in the file and NCHW here; only the network's own inputs and outputs
keep the file's shape, by a Transpose next to them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import shape_of
from vta.sw.relax.nodes import ELEMENTS
from vta.sw.relax.tflite.builder import Builder
from vta.sw.relax.tflite.operators import translate
from vta.sw.relax.tflite.schema import RANK, TensorInfo, parse

__all__ = ["model_of", "read"]


def read(path: Path, *, shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    """The network in a TFLite file, as `vta.sw.relax.read.read` has it."""
    return model_of(path.read_bytes(), shapes=shapes)


def model_of(data: bytes, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> ir.Model:
    """The network in a TFLite file's bytes.

    Arguments
    ---------
    shapes: of inputs, as the file orders axes.

    Raises
    ------
    NetworkError
        where the file is damaged, or has what is not supported.
    """
    file = parse(data)
    if not file.operators or not file.outputs:
        raise NetworkError("the TFLite file has no operators or no outputs; it is damaged")
    builder = Builder(file, reshaped=bool(shapes))
    _enter_inputs(builder, shapes or {})
    for operator in file.operators:
        builder.begin(operator)
        translate(builder)
        builder.end()
    _leave(builder)
    model = builder.model(builder.inputs, builder.outputs, name=file.name, producer="tflite")
    model.meta["nodes"] = [(operator.name, operator.kind) for operator in file.operators]
    return model


def _enter_inputs(b: Builder, shapes: Mapping[str, tuple[int, ...]]) -> None:
    names = [b.file.tensors[index].name for index in b.file.inputs]
    for name in shapes:
        if name not in names:
            raise NetworkError(f"the network has no input {shown(name)}: {', '.join(names)}")
    for index in b.file.inputs:
        info = b.file.tensors[index]
        if index in b.values or info.data is not None:
            raise NetworkError(f"input {shown(info.name)} is there twice; the file is damaged")
        b.check_kind(info)
        if info.quantization is not None and len(info.quantization.scale) > 1:
            raise NetworkError(f"input {shown(info.name)} has several scales; we take one")
        b.place = info.name
        value = ir.Value(
            name=info.name,
            shape=ir.Shape(_input_shape(info, shapes)),
            type=ir.TensorType(ir.DataType.from_numpy(np.dtype(info.dtype))),
        )
        b.inputs.append(value)
        b.values[index] = value
        if len(shape_of(value)) == 4:
            b.values[index] = b.to_nchw(value)


def _input_shape(info: TensorInfo, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """What is given, or the file's; a batch that the file leaves open is what it says besides."""
    shape = tuple(shapes.get(info.name, info.shape))
    if info.name not in shapes and -1 in info.signature[1:]:
        raise NetworkError(
            f"input {shown(info.name)} has the open shape {list(info.signature)}: give one, "
            f"--shape {shown(info.name)}=1x..."
        )
    fits = len(shape) == len(info.shape) and all(
        size == known or known < 0 or n == 0
        for n, (size, known) in enumerate(zip(shape, info.signature, strict=True))
    )
    if not fits or min(shape, default=1) < 1 or len(shape) > RANK:
        raise NetworkError(
            f"input {shown(info.name)} of {list(info.signature)} cannot be {list(shape)}"
        )
    if np.prod(shape, dtype=np.float64) > ELEMENTS:
        raise NetworkError(f"input {shown(info.name)} of {list(shape)} is too large")
    return shape


def _leave(b: Builder) -> None:
    """The outputs, with the file's names and shapes; one that is an input has another name."""
    b.source = ""  # a Transpose here is no operator's
    for index in b.file.outputs:
        info = b.file.tensors[index]
        if index not in b.values:
            raise NetworkError(f"nothing makes output {shown(info.name)}; the file is damaged")
        value, b.place = b.values[index], info.name
        if len(shape_of(value)) == 4:
            if value.name == info.name:
                value.name = b.free(f"{info.name}/nchw")
            value = b.to_nhwc(value)
        elif value.producer() is None or value in b.outputs:
            value = b.emit("Identity", value, what="copy")
        if value in b.outputs:
            raise NetworkError(f"output {shown(info.name)} is there twice; the file is damaged")
        value.name = b.free(info.name) if index in b.file.inputs else info.name
        b.outputs.append(value)
