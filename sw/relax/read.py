"""A network from a model file, whatever its format; the content tells, not the name."""

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from vta.sw.relax import onnx_file

__all__ = ["file_format", "read"]

TFLITE = (slice(4, 8), b"TFL3")  # where the flatbuffer names itself


def file_format(path: Path) -> str:
    """TFLite where a file says so, else ONNX, which has no mark to be known by."""
    with path.open("rb") as file:
        head = file.read(16)
    where, mark = TFLITE
    return "TFLite" if head[where] == mark else "ONNX"


def read(path: Path | str, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> ir.Model:
    """The network in an ONNX or a TFLite file. `vta.sw.relax.graph.warnings` has what is odd.

    Arguments
    ---------
    shapes: of inputs that the file leaves open, or that are to have another one.

    Raises
    ------
    NetworkError
        where the file is damaged, hostile, of another format, or has what is not supported.
    OSError
        where it cannot be read.
    """
    path, shapes = Path(path), dict(shapes or {})
    if file_format(path) == "TFLite":
        from vta.sw.relax import tflite_file

        return tflite_file.read(path, shapes=shapes)
    return onnx_file.read(path, shapes=shapes)
