"""A TFLite file as plain, checked values; nothing else touches the flatbuffer.

The reader of flatbuffers checks no offset: so all is read here, at once, with limits on what a
file may claim.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tflite

from vta.hw.errors import quoted
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.nodes import ELEMENTS
from vta.sw.relax.tflite.options import OPTIONS

__all__ = ["File", "Operator", "Quantization", "TensorInfo", "parse"]

SCHEMA: Any = tflite  # its names are made as it is imported: type checkers do not see them
RANK = 8  # most axes of a tensor
VERSION = 3

DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
TYPE_NAMES = {v: k for k, v in vars(SCHEMA.TensorType).items() if k.isupper()}
WRONG = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, KeyError)


@dataclass(frozen=True)
class Quantization:
    """Real value = (number - zero_point) * scale; along `axis` where there are several."""

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the file.

    Members
    -------
    name: unique.
    type: as the schema calls it, such as INT8. dtype: None where NumPy or we have none.
    signature: the shape with -1 where the file leaves it open.
    data: the bytes of a constant.
    kind: "sparse" or "variable" where it is that.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    quantization: Quantization | None
    data: memoryview | None
    kind: str = ""

    @property
    def dtype(self) -> Any:
        return DTYPES.get(self.type)

    def array(self) -> np.ndarray | None:
        """The constant, of its shape; None where it is none. ValueError: not that many bytes."""
        if self.data is None:
            return None
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Operator:
    """An operator: inputs and outputs by the tensors' indices, -1 where an input is left out."""

    index: int
    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: str = ""


@dataclass(frozen=True)
class File:
    """The one subgraph of a file."""

    name: str
    size: int
    tensors: list[TensorInfo]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(data: bytes) -> File:
    """A file's bytes, checked.

    Raises
    ------
    NetworkError
        where they are no TFLite file, or a damaged one, or it has several subgraphs.
    """
    if data[4:8] != b"TFL3":
        raise NetworkError("not a TFLite file: TFL3 does not stand at byte 4")
    try:
        return _Parser(data).file()
    except NetworkError:
        raise
    except WRONG as error:
        raise NetworkError(
            f"the TFLite file is damaged or cut off ({type(error).__name__}: it points outside of "
            "itself); get it again"
        ) from error


def _damaged(what: str) -> NetworkError:
    return NetworkError(f"the TFLite file is damaged: {what}; get it again")


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = len(data)  # entries that lists may still have: each takes a byte at least
        self.names: set[str] = set()

    def count(self, length: int, what: str) -> int:
        """A list's length, if the file can hold it; lists that share bytes count each time."""
        self.left -= length
        if length < 0 or self.left < 0:
            raise _damaged(f"{length} {what} do not fit into {len(self.data)} bytes")
        return length

    def file(self) -> File:
        model = SCHEMA.Model.GetRootAs(self.data, 0)
        if model.Version() != VERSION:
            raise NetworkError(f"the TFLite file is of version {model.Version()}, not {VERSION}")
        if model.SubgraphsLength() != 1:
            raise NetworkError(
                f"the TFLite file has {model.SubgraphsLength()} subgraphs (control flow or several "
                "signatures), we take one: export the network as one function without IF and WHILE"
            )
        graph = model.Subgraphs(0)
        buffers = self.count(model.BuffersLength(), "buffers")
        tensors = [
            self.tensor(model, graph.Tensors(n), n, buffers)
            for n in range(self.count(graph.TensorsLength(), "tensors"))
        ]
        operators = [
            self.operator(model, graph.Operators(n), n, tensors)
            for n in range(self.count(graph.OperatorsLength(), "operators"))
        ]
        inputs = self.indices(graph, "Inputs", len(tensors), 0)
        outputs = self.indices(graph, "Outputs", len(tensors), 0)
        return File(
            self.text(graph.Name()) or "network",
            len(self.data),
            tensors,
            operators,
            inputs,
            outputs,
        )

    def text(self, name: bytes | None) -> str:
        return (name or b"").decode("utf-8", "replace")

    def unique(self, name: str) -> str:
        found, n = name, 1
        while found in self.names:
            n += 1
            found = f"{name}:{n}"
        self.names.add(found)
        return found

    def list_of(self, holder: Any, what: str, most: int | None = None) -> tuple[int, ...]:
        length = self.count(getattr(holder, f"{what}Length")(), what)
        if most is not None and length > most:
            raise _damaged(f"{what} has {length} entries, at most {most} are possible")
        if length == 0:
            return ()
        return tuple(int(v) for v in getattr(holder, f"{what}AsNumpy")())

    def indices(self, holder: Any, what: str, tensors: int, least: int) -> tuple[int, ...]:
        found = self.list_of(holder, what)
        for index in found:
            if not least <= index < tensors:
                raise _damaged(f"{what} names tensor {index} of {tensors}")
        return found

    def tensor(self, model: Any, entry: Any, index: int, buffers: int) -> TensorInfo:
        name = self.unique(self.text(entry.Name()) or f"tensor_{index}")
        shape = self.list_of(entry, "Shape", RANK)
        signature = self.list_of(entry, "ShapeSignature", RANK) or shape
        elements = 1
        for size in shape:
            elements *= max(size, 1)
        if elements > ELEMENTS:
            raise _damaged(f"tensor {quoted(name)} has the shape {list(shape)}")
        if len(signature) != len(shape):
            raise _damaged(f"tensor {quoted(name)} has two ranks")
        if not 0 <= entry.Buffer() < max(buffers, 1):
            raise _damaged(f"tensor {quoted(name)} names buffer {entry.Buffer()} of {buffers}")
        kind = "variable" if entry.IsVariable() else "sparse" if entry.Sparsity() else ""
        data = self.buffer(model.Buffers(entry.Buffer())) if buffers else None
        made = TensorInfo(
            name=name,
            type=TYPE_NAMES.get(entry.Type(), f"type {entry.Type()}"),
            shape=shape,
            signature=signature,
            quantization=self.quantization(entry.Quantization()),
            data=data,
            kind=kind,
        )
        if data is not None and made.dtype is not None and not kind:
            needed = elements * np.dtype(made.dtype).itemsize
            if min(shape, default=1) < 1 or data.nbytes != needed:
                raise _damaged(
                    f"constant {quoted(name)} of {made.type} {list(shape)} has {data.nbytes} bytes"
                )
        return made

    def buffer(self, entry: Any) -> memoryview | None:
        """A constant's bytes: in the flatbuffer, or behind it."""
        if entry.Offset() > 1:
            first, size = entry.Offset(), entry.Size()
            if first + size > len(self.data):
                raise _damaged(f"a constant of {size} bytes from {first} on is not in the file")
            return memoryview(self.data)[first : first + size]
        length = entry.DataLength()
        return memoryview(np.ascontiguousarray(entry.DataAsNumpy())) if length else None

    def quantization(self, entry: Any) -> Quantization | None:
        if entry is None or entry.ScaleLength() == 0:
            return None
        scale = np.asarray(entry.ScaleAsNumpy(), np.float32)
        zeros = entry.ZeroPointAsNumpy() if entry.ZeroPointLength() else np.zeros(1)
        return Quantization(scale, np.asarray(zeros, np.int64), int(entry.QuantizedDimension()))

    def operator(self, model: Any, entry: Any, index: int, tensors: list[TensorInfo]) -> Operator:
        if not 0 <= entry.OpcodeIndex() < model.OperatorCodesLength():
            raise _damaged(f"operator {index} has no type")
        code = model.OperatorCodes(entry.OpcodeIndex())
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        kind = SCHEMA.BUILTIN_OPCODE2NAME.get(number, f"OPERATOR_{number}")
        inputs = self.indices(entry, "Inputs", len(tensors), -1)
        outputs = self.indices(entry, "Outputs", len(tensors), 0)
        name = tensors[outputs[0]].name if outputs else f"operator {index}"
        custom = self.text(code.CustomCode()) if kind == "CUSTOM" else ""
        return Operator(
            index, kind, name, inputs, outputs, self.options(entry, index, kind), custom
        )

    def options(self, entry: Any, index: int, kind: str) -> dict[str, Any]:
        """An operator's options by name; empty where the file leaves them out."""
        if kind not in OPTIONS or entry.BuiltinOptionsType() == 0:
            return {}
        made, names = OPTIONS[kind]
        if entry.BuiltinOptionsType() != getattr(SCHEMA.BuiltinOptions, made):
            raise _damaged(f"operator {index}, {kind}, has the options of another type")
        table = entry.BuiltinOptions()
        found = getattr(SCHEMA, made)()
        found.Init(table.Bytes, table.Pos)
        return {
            n: self.list_of(found, n, RANK) if n in LISTS else getattr(found, n)() for n in names
        }


LISTS = ("NewShape", "SqueezeDims")
