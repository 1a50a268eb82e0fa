"""The ONNX graph that a TFLite file becomes, one operator after the other.

A quantised operator becomes DequantizeLinear of each operand, the operator on floats, and
QuantizeLinear. Tensors of rank 4 are NCHW values (`axes`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.hw.errors import quoted, shown
from vta.sw.relax.graph import shape_of
from vta.sw.relax.nodes import FOLDED
from vta.sw.relax.tflite import axes
from vta.sw.relax.tflite.nodes import FileNodes
from vta.sw.relax.tflite.schema import File, Operator, Quantization, TensorInfo

__all__ = ["Builder"]

QUANTIZED = ("INT8", "UINT8", "INT16", "INT32")
ROOM = 64 << 20  # bytes of constants, beyond what a few readers of each make of the file


class Builder(FileNodes):
    """Operands and results; `operator` is the one that is translated now.

    Arguments
    ---------
    reshaped: whether inputs have other shapes than the file says.
    """

    def __init__(self, file: File, *, reshaped: bool = False) -> None:
        super().__init__({tensor.name for tensor in file.tensors}, 4 * file.size + ROOM)
        self.file, self.reshaped = file, reshaped
        self.operator: Operator | None = None
        self.inputs: list[ir.Value] = []
        self.outputs: list[ir.Value] = []
        self.values: dict[int, ir.Value] = {}  # of the file's tensors
        self._constants: dict[Any, ir.Value] = {}
        self._owned: set[ir.Value] = set()  # by a tensor

    # What the operator has --------------------------------------------------------------------
    @property
    def op(self) -> Operator:
        assert self.operator is not None
        return self.operator

    def option(self, name: str, default: Any = 0) -> Any:
        """An option of the operator; `default` where the file leaves all out."""
        return self.op.options.get(name, default)

    def has(self, k: int) -> bool:
        """Whether the operator has a `k`-th input."""
        return k < len(self.op.inputs) and self.op.inputs[k] >= 0

    def info(self, k: int) -> TensorInfo:
        """Its `k`-th input."""
        if not self.has(k):
            raise self.error(f"input {k} is missing; the file is damaged or of a newer TFLite")
        return self.file.tensors[self.op.inputs[k]]

    def result(self, k: int = 0) -> TensorInfo:
        """Its `k`-th output."""
        if k >= len(self.op.outputs):
            raise self.error(f"output {k} is missing; the file is damaged")
        return self.file.tensors[self.op.outputs[k]]

    def shape(self, k: int) -> tuple[int, ...]:
        """The shape of its `k`-th input, as the file orders axes."""
        return axes.told(shape_of(self.value(k)))

    def numbers(self, k: int) -> list[int]:
        """Its `k`-th input, which must be constant whole numbers: a shape, axes, sizes."""
        info = self.info(k)
        value = self.value(k)
        if value.const_value is None or value.const_value.size > FOLDED or info.quantization:
            raise self.error(
                f"{shown(info.name)} is computed as the network runs, we need a constant: export "
                "it with static shapes"
            )
        found = value.const_value.numpy()
        if found.ndim > 1 or found.dtype.kind != "i":
            raise self.error(
                f"{shown(info.name)} is {info.type} {list(info.shape)}, no list of integers"
            )
        return [int(n) for n in found.reshape(-1)]

    # Operands ---------------------------------------------------------------------------------
    def value(self, k: int, rank: int | None = None) -> ir.Value:
        """Its `k`-th input as the file has it, int8 where it is quantised."""
        info, index = self.info(k), self.op.inputs[k]
        self.check_kind(info)
        if index not in self.values and info.data is not None:
            return self.arranged(k, axes.order(max(rank or 0, len(info.shape))))
        if index not in self.values:
            raise self.error(f"nothing makes {shown(info.name)} before it; the file is damaged")
        value = self.values[index]
        have = len(shape_of(value))
        return value if rank is None or have >= rank else self.lifted(value, rank)

    def real(self, k: int, rank: int | None = None) -> ir.Value:
        """Its `k`-th input as real numbers: behind a DequantizeLinear where it is quantised."""
        info = self.info(k)
        return self.dequantized(
            self.value(k, rank), info, axes.order(max(rank or 0, len(info.shape)))
        )

    def dequantized(
        self,
        value: ir.Value,
        info: TensorInfo,
        order: Sequence[int] | None = None,
        what: str = "dequantize",
    ) -> ir.Value:
        """What a value of a tensor's type means.

        Arguments
        ---------
        order: for each axis of the value the tensor's.
        """
        if info.quantization is None or info.type not in QUANTIZED:
            if info.type in ("INT8", "UINT8", "INT16"):
                raise self.error(f"{shown(info.name)} is {info.type} without a scale")
            return value
        attributes, operands = self.scale(info, order or axes.order(len(info.shape)))
        return self.emit("DequantizeLinear", value, *operands, what=what, attributes=attributes)

    def weights(self, k: int, order: Sequence[int]) -> ir.Value:
        """Its `k`-th input as real numbers, with its axes in another order."""
        info = self.info(k)
        if len(info.shape) != len(order):
            raise self.error(f"{shown(info.name)} is {list(info.shape)}, not of rank {len(order)}")
        value = self.value(k) if info.data is None else self.arranged(k, order)
        here = axes.order(len(order))
        if info.data is None and tuple(order) != here:
            value = self.transposed(value, [here.index(n) for n in order], "arrange")
        return self.dequantized(value, info, order, "weights")

    def arranged(self, k: int, order: Sequence[int]) -> ir.Value:
        """A constant with its axes in another order, and axes of size 1 in front."""
        info, key = self.info(k), (self.op.inputs[k], tuple(order))
        self.check_kind(info)
        if key not in self._constants:
            array = info.array()
            assert array is not None
            array = array.reshape((1,) * (len(order) - array.ndim) + array.shape)
            self._constants[key] = self.enter(info.name, array.transpose(order), own=True)
        return self._constants[key]

    def scale(
        self, info: TensorInfo, order: Sequence[int]
    ) -> tuple[dict[str, Any], list[ir.Value]]:
        """Attributes, scale and zero point of a tensor's QuantizeLinear or DequantizeLinear."""
        q = info.quantization
        assert q is not None
        self._check_scale(info, q)
        attributes: dict[str, Any] = {}
        scale, zero = q.scale, np.broadcast_to(q.zero_point, q.scale.shape).astype(info.dtype)
        if len(scale) > 1:
            attributes["axis"] = list(order).index(q.axis + len(order) - len(info.shape))
        else:
            scale, zero = scale.reshape(()), zero.reshape(())
        operands = []
        for what, array in (("scale", scale), ("zero_point", zero)):
            key = (info.name, what)
            if key not in self._constants:
                self._constants[key] = self.enter(f"{info.name}/{what}", array)
            operands.append(self._constants[key])
        return attributes, operands

    def _check_scale(self, info: TensorInfo, q: Quantization) -> None:
        name = shown(info.name)
        if not (np.isfinite(q.scale).all() and (q.scale > 0).all()):
            raise self.error(
                f"{name} has a scale of {quoted(float(q.scale.min()))}: it must be above 0"
            )
        bounds = np.iinfo(info.dtype)
        if q.zero_point.min() < bounds.min or q.zero_point.max() > bounds.max:
            raise self.error(f"{name} has a zero point that {info.type} does not hold")
        if len(q.zero_point) not in (1, len(q.scale)):
            raise self.error(f"{name} has {len(q.scale)} scales, {len(q.zero_point)} zero points")
        if len(q.scale) > 1:
            fits = 0 <= q.axis < len(info.shape) and info.shape[q.axis] == len(q.scale)
            if not fits:
                raise self.error(
                    f"{name} of {list(info.shape)} has {len(q.scale)} scales along axis {q.axis}"
                )

    def check_kind(self, info: TensorInfo) -> None:
        """Refuse a tensor that is no plain array."""
        name = shown(info.name)
        if info.kind == "variable":
            raise self.error(
                f"{name} keeps its value between runs (stateful), unsupported: export the network "
                "without state"
            )
        if info.kind == "sparse":
            raise self.error(f"{name} is sparse, unsupported: export it dense")
        if info.dtype is None:
            raise self.error(
                f"{name} is {info.type}; we take int8, uint8 and float32: export it so"
            )

    # Results ----------------------------------------------------------------------------------
    def activated(self, value: ir.Value) -> ir.Value:
        """With the operator's fused activation."""
        kind = self.option("FusedActivationFunction")
        if kind not in ACTIVATIONS:
            raise self.error(f"fused activation {kind} is unsupported: export it as an operator")
        found = ACTIVATIONS[kind]
        if found is None:
            return value
        if isinstance(found, str):
            return self.emit(found, value, what="activation")
        return self.clipped(value, *found, what="activation")

    def same_scale(self, k: int = 0, out: int = 0) -> None:
        """Refuse an operator that only moves numbers between tensors of unequal scales."""
        have, made = self.info(k).quantization, self.result(out).quantization
        if self.info(k).type not in QUANTIZED or have is None:
            return
        unequal = made is None or len(have.scale) != 1 or len(made.scale) != 1
        if (
            made is None
            or unequal
            or have.zero_point[0] != made.zero_point[0]
            or not np.isclose(have.scale[0], made.scale[0], rtol=1e-5)
        ):
            raise self.error(
                "its data and its result have unequal scales, though it only moves numbers: "
                "convert the network again"
            )

    def stored(self, value: ir.Value, k: int = 0) -> ir.Value:
        """Real numbers in the type of the operator's `k`-th output: quantised where it is."""
        info = self.result(k)
        if info.quantization is None or info.type not in QUANTIZED:
            return value
        return self.quantized(value, info)

    def quantized(self, value: ir.Value, info: TensorInfo) -> ir.Value:
        """Real numbers as a quantised tensor of the file has them."""
        if info.type == "INT32" or len(info.quantization.scale if info.quantization else ()) != 1:
            raise self.error(
                f"{shown(info.name)} is {info.type} or has a scale for each of several channels; "
                "results are int8 or uint8 with one scale"
            )
        attributes, operands = self.scale(info, axes.order(len(info.shape)))
        return self.emit("QuantizeLinear", value, *operands, what="quantize", attributes=attributes)

    def done(self, value: ir.Value, k: int = 0, *, raw: bool = False) -> None:
        """Let a value be the operator's `k`-th output, quantised unless it is so already (raw)."""
        info, index = self.result(k), self.op.outputs[k]
        self.check_kind(info)
        if index in self.values or info.data is not None:
            raise self.error(f"{shown(info.name)} is there before it; the file is damaged")
        value = value if raw else self.stored(value, k)
        self.check_result(value, info)
        if value.const_value is None:
            if value.producer() not in self.made or value in self._owned:
                value = self.emit("Identity", value, what="copy")
            value.name = info.name
        self.values[index] = value
        self._owned.add(value)

    def check_result(self, value: ir.Value, info: TensorInfo) -> None:
        """What was made has the type and shape that the file says."""
        if value.dtype != ir.DataType.from_numpy(np.dtype(info.dtype)):
            raise self.error(f"it makes {value.dtype}, the file says {info.type}")
        shape = axes.told(shape_of(value))
        fits = len(shape) == len(info.shape) and all(
            s in (a, -1) or a == b
            for a, b, s in zip(shape, info.shape, info.signature, strict=True)
        )
        if not fits and info.shape and not self.reshaped:
            raise self.error(f"it makes {list(shape)}, the file says {list(info.shape)}")

    def begin(self, operator: Operator) -> None:
        """The next operator."""
        self.operator, self.made = operator, []
        self.place = self.source = operator.name
        self.where = f"operator {operator.index}, {operator.kind} {shown(operator.name)}: "

    def end(self) -> None:
        """One of the operator's nodes bears its name: the last if it named none."""
        self.name_one(self.op.name)
        self.operator, self.where = None, ""


ACTIVATIONS: dict[int, Any] = {0: None, 1: "Relu", 2: (-1.0, 1.0), 3: (0.0, 6.0)}
