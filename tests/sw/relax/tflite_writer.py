"""TFLite files of a few operators, for tests; and what TFLite's own kernels make of a file."""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

__all__ = ["TfliteFile", "litert"]

TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "int8": "INT8", "uint8": "UINT8"}
TYPES |= {"int16": "INT16", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}


class TfliteFile:
    """Tensors are added first, then operators, by the indices that `tensor` gives."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.buffers = [self._buffer(None)]
        self.tensors: list[int] = []
        self.codes: list[int] = []
        self.operators: list[int] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: float | Sequence[float] | None = None,
        zero: int | Sequence[int] = 0,
        axis: int = 0,
        data: Any = None,
        signature: Sequence[int] | None = None,
        **more: Any,
    ) -> int:
        """Add a tensor. `more`: fields of the schema (Type, IsVariable, Sparsity: a flag)."""
        b = self.builder
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append(self._buffer(np.ascontiguousarray(data, np.dtype(dtype)).tobytes()))
        label, sizes = b.CreateString(name), self._ints(shape)
        open_sizes = None if signature is None else self._ints(signature)
        quantization = None if scale is None else self._quantization(scale, zero, axis)
        sparsity = self._table("SparsityParameters", {}) if more.pop("Sparsity", False) else None
        fields = {"Shape": sizes, "Name": label, "Buffer": buffer}
        fields |= {"Type": getattr(tflite.TensorType, TYPES[dtype])} | more
        optional = {"ShapeSignature": open_sizes, "Quantization": quantization}
        optional["Sparsity"] = sparsity
        fields |= {name: value for name, value in optional.items() if value is not None}
        self.tensors.append(self._table("Tensor", fields))
        return len(self.tensors) - 1

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str = "",
        *,
        custom: str = "",
        **fields: Any,
    ) -> None:
        """Add an operator; `options` is the table's name without "Options", `fields` is its."""
        b, number = self.builder, getattr(tflite.BuiltinOperator, kind)
        label = b.CreateString(custom) if custom else None
        code = {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number}
        self.codes.append(
            self._table("OperatorCode", code | ({"CustomCode": label} if label else {}))
        )
        made = {"OpcodeIndex": len(self.codes) - 1, "Inputs": self._ints(inputs)}
        made["Outputs"] = self._ints(outputs)
        if options:
            lists = {n: self._ints(v) for n, v in fields.items() if isinstance(v, (list, tuple))}
            made["BuiltinOptions"] = self._table(f"{options}Options", fields | lists)
            made["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, f"{options}Options")
        self.operators.append(self._table("Operator", made))

    def data(self, inputs: Sequence[int], outputs: Sequence[int], *, subgraphs: int = 1) -> bytes:
        """The file's bytes."""
        b = self.builder
        graph = {
            "Tensors": self._tables(self.tensors),
            "Operators": self._tables(self.operators),
            "Inputs": self._ints(inputs),
            "Outputs": self._ints(outputs),
        }
        one = self._table("SubGraph", graph)
        model = {
            "Version": 3,
            "OperatorCodes": self._tables(self.codes),
            "Buffers": self._tables(self.buffers),
            "Subgraphs": self._tables([one] * subgraphs),
        }
        b.Finish(self._table("Model", model), b"TFL3")
        return bytes(b.Output())

    def _table(self, name: str, fields: Mapping[str, Any]) -> int:
        getattr(tflite, f"{name}Start")(self.builder)
        for field, value in fields.items():
            getattr(tflite, f"{name}Add{field}")(self.builder, value)
        return getattr(tflite, f"{name}End")(self.builder)

    def _ints(self, numbers: Sequence[int]) -> int:
        return self.builder.CreateNumpyVector(np.array(numbers, np.int32).reshape(-1))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def _buffer(self, data: bytes | None) -> int:
        fields = {}
        if data is not None:
            self.builder.StartVector(1, len(data), 16)
            self.builder.head -= len(data)
            self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
            fields["Data"] = self.builder.EndVector()
        return self._table("Buffer", fields)

    def _quantization(self, scale: Any, zero: Any, axis: int) -> int:
        scales = np.atleast_1d(np.array(scale, np.float32))
        zeros = np.broadcast_to(np.array(zero, np.int64), scales.shape)
        fields: dict[str, Any] = {"Scale": self.builder.CreateNumpyVector(scales)}
        fields["ZeroPoint"] = self.builder.CreateNumpyVector(np.ascontiguousarray(zeros))
        return self._table("QuantizationParameters", fields | {"QuantizedDimension": axis})


def litert(
    data: bytes, inputs: Mapping[str, np.ndarray], *, reference: bool = True
) -> dict[str, np.ndarray]:
    """Every tensor that TFLite's own kernels make of a file, by its name, as the file orders axes.

    Arguments
    ---------
    reference: with the reference kernels; else with those for this machine.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    kernels = OpResolverType.BUILTIN_REF if reference else kernels
    runner = Interpreter(
        model_content=data,
        experimental_op_resolver_type=kernels,
        experimental_preserve_all_tensors=True,
    )
    runner.allocate_tensors()
    for given in runner.get_input_details():
        runner.set_tensor(given["index"], inputs[given["name"]])
    runner.invoke()
    made = {index for op in runner._get_ops_details() for index in op["outputs"]}
    return {
        tensor["name"]: runner.get_tensor(tensor["index"])
        for tensor in runner.get_tensor_details()
        if tensor["index"] in made and tensor["name"]
    }
