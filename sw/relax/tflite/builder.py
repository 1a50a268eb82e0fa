"""The ONNX graph that a TFLite file becomes, one operator after the other.

A quantised operator becomes DequantizeLinear of each operand, the operator on floats, and
QuantizeLinear. Tensors of rank 4 are NCHW values (`axes`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from vta.hw.errors import quoted, shown
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import SOURCE, initializer, shape_of
from vta.sw.relax.infer import infer_node
from vta.sw.relax.tflite import axes
from vta.sw.relax.tflite.schema import ELEMENTS, File, Operator, Quantization, TensorInfo

__all__ = ["Builder"]

QUANTIZED = ("INT8", "UINT8", "INT16", "INT32")
FOLDED = 4096  # elements of a result that is computed here: shapes and axes
ROOM = 64 << 20  # bytes of constants, beyond what a few readers of each make of the file


class Builder:
    """Values, constants and nodes; `operator` is the one that is translated now."""

    def __init__(self, file: File, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.file, self.reshaped = file, bool(shapes)
        self.operator: Operator | None = None
        self.place = ""  # after what nodes are called: the operator, or an input or output
        self.source = ""  # the operator that they are made of
        self.values: dict[int, ir.Value] = {}
        self.nodes: list[ir.Node] = []
        self.inputs: list[ir.Value] = []
        self.outputs: list[ir.Value] = []
        self.initializers: dict[str, ir.Value] = {}
        self.taken = {tensor.name for tensor in file.tensors}  # by values
        self.nodes_taken = set(self.taken)
        self._constants: dict[Any, ir.Value] = {}
        self._made: list[ir.Node] = []
        self._room = 4 * file.size + ROOM

    # What goes wrong --------------------------------------------------------------------------
    def error(self, what: str) -> NetworkError:
        """An error that names the operator."""
        op = self.operator
        where = f"operator {op.index}, {op.kind} {shown(op.name)}: " if op else ""
        return NetworkError(f"{where}{what}")

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

    def lifted(self, value: ir.Value, rank: int) -> ir.Value:
        """A value with axes of size 1 in front, as broadcasting adds them."""
        shape = axes.told(shape_of(value))
        if value.const_value is not None and rank == 4:
            array = value.const_value.numpy().reshape((1,) * (4 - len(shape)) + shape)
            return self.constant("lifted", array.transpose(axes.order(4)))
        return self.reshaped_to(value, (1,) * (rank - len(shape)) + shape)

    def real(self, k: int, rank: int | None = None) -> ir.Value:
        """Its `k`-th input as real numbers: behind a DequantizeLinear where it is quantised."""
        info = self.info(k)
        return self.dequantized(
            self.value(k, rank), info, axes.order(max(rank or 0, len(info.shape)))
        )

    def dequantized(
        self, value: ir.Value, info: TensorInfo, order: Sequence[int] | None = None
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
        return self.emit(
            "DequantizeLinear", value, *operands, what="dequantize", attributes=attributes
        )

    def weights(self, k: int, order: Sequence[int]) -> ir.Value:
        """Its `k`-th input as real numbers, with its axes in another order."""
        info = self.info(k)
        if len(info.shape) != len(order):
            raise self.error(f"{shown(info.name)} is {list(info.shape)}, not of rank {len(order)}")
        value = self.value(k) if info.data is None else self.arranged(k, order)
        here = axes.order(len(order))
        if info.data is None and tuple(order) != here:
            value = self._transposed(value, [here.index(n) for n in order], "arrange")
        return self.dequantized(value, info, order)

    def arranged(self, k: int, order: Sequence[int]) -> ir.Value:
        """A constant with its axes in another order, and axes of size 1 in front."""
        info, key = self.info(k), (self.op.inputs[k], tuple(order))
        self.check_kind(info)
        if key not in self._constants:
            array = info.array()
            assert array is not None
            array = array.reshape((1,) * (len(order) - array.ndim) + array.shape)
            self._constants[key] = self._enter(info.name, array.transpose(order), own=True)
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
                self._constants[key] = self._enter(f"{info.name}/{what}", array)
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
        name = shown(info.name)
        if info.kind == "variable":
            raise self.error(
                f"{name} keeps its value between runs (stateful), unsupported: export the network without state"
            )
        if info.kind == "sparse":
            raise self.error(f"{name} is sparse, unsupported: export it dense")
        if info.dtype is None:
            raise self.error(
                f"{name} is {info.type}; we take int8, uint8 and float32: export it so"
            )

    # Nodes ------------------------------------------------------------------------------------
    def free(self, name: str, taken: set[str] | None = None) -> str:
        """`name`, or one that begins so and no value (or none of `taken`) has; it is taken now."""
        taken = self.taken if taken is None else taken
        found, n = name, 1
        while found in taken:
            n += 1
            found = f"{name}_{n}"
        taken.add(found)
        return found

    def constant(self, what: str, array: np.ndarray) -> ir.Value:
        """An initializer, called ``NAME/what`` after the operator."""
        return self._enter(f"{self.place}/{what}", np.asarray(array))

    def scalar(self, what: str, number: float) -> ir.Value:
        """The same of one float."""
        return self.constant(what, np.array(number, np.float32))

    def integers(self, what: str, numbers: Sequence[int]) -> ir.Value:
        """The same of int64."""
        return self.constant(what, np.array(numbers, np.int64))

    def _enter(self, name: str, array: np.ndarray, own: bool = False) -> ir.Value:
        self._room -= array.nbytes
        if self._room < 0:
            raise self.error(
                "the constants of the file are many times as large as the file; it is damaged"
            )
        free = name if own and name not in self.initializers else self.free(name)
        self.initializers[free] = value = initializer(free, array)
        return value

    def emit(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        what: str = "",
        attributes: Mapping[str, Any] | None = None,
        outputs: int = 1,
    ) -> Any:
        """A node, and its value, or a list where `outputs` is not 1. Without `what` it bears the
        operator's name."""
        node = ir.node(op_type, list(inputs), dict(attributes or {}), num_outputs=outputs)
        name = f"{self.place}/{what}"
        node.name = self.free(name, self.nodes_taken) if what else self.place
        if what and self.source:
            node.metadata_props[SOURCE] = self.source
        for value in node.outputs:
            value.name = self.free(node.name if what else f"{node.name}/{op_type}")
        try:
            infer_node(node)
        except NetworkError as error:
            raise self.error(str(error)) from error
        for value in node.outputs:
            self._check_made(value)
        folded = self._folded(node)
        if folded is not None:
            return folded
        self.nodes.append(node)
        self._made.append(node)
        return node.outputs[0] if outputs == 1 else list(node.outputs)

    def _check_made(self, value: ir.Value) -> None:
        if value.type is None or value.shape is None or not value.shape.is_static():
            raise self.error(
                "its result has no static shape; export the network with static shapes"
            )
        shape = shape_of(value)
        if min(shape, default=1) < 1 or np.prod(shape, dtype=np.float64) > ELEMENTS:
            raise self.error(f"its result would have the shape {list(axes.told(shape))}")

    def _folded(self, node: ir.Node) -> ir.Value | None:
        """A result of constant integers, as shapes are computed."""
        known = [value for value in node.inputs if value is not None]
        if len(node.outputs) != 1 or any(v.const_value is None for v in known):
            return None
        made = node.outputs[0]
        if node.op_type == "DequantizeLinear" or made.dtype not in (
            ir.DataType.INT32,
            ir.DataType.INT64,
        ):
            return None
        if shape_of(made) and np.prod(shape_of(made)) > FOLDED:
            return None
        feeds = {v.name: v.const_value.numpy() for v in known if v.const_value is not None}
        try:
            (array,) = ReferenceEvaluator(ir.serde.serialize_node(node)).run(None, feeds)
        except Exception as error:
            raise self.error(f"its constants do not fit it: {error}") from error
        return self.constant("folded", np.asarray(array))

    # Order of axes ----------------------------------------------------------------------------
    def to_nhwc(self, value: ir.Value) -> ir.Value:
        """A value in the order of the file."""
        return self._transposed(value, (0, 2, 3, 1), "nhwc")

    def to_nchw(self, value: ir.Value) -> ir.Value:
        """The reverse."""
        return self._transposed(value, axes.NCHW, "nchw")

    def _transposed(self, value: ir.Value, order: Sequence[int], what: str) -> ir.Value:
        return self.emit("Transpose", value, what=what, attributes={"perm": list(order)})

    @staticmethod
    def transposes(had: Sequence[int], shape: Sequence[int]) -> tuple[bool, bool]:
        """Whether a reshape of the file's numbers needs their order, before and after."""
        keeps = len(had) == len(shape) == 4 and had[0] == shape[0] and had[3] == shape[3]
        return not keeps and not axes.same_order(had), not keeps and not axes.same_order(shape)

    def reshaped_to(self, value: ir.Value, shape: Sequence[int], what: str = "lifted") -> ir.Value:
        """A value of another shape; both are as the file has them. It transposes where it must."""
        before, after = self.transposes(axes.told(shape_of(value)), shape)
        value = self.to_nhwc(value) if before else value
        target = shape if after else axes.stored(shape)
        value = self.emit("Reshape", value, self.integers("shape", target), what=what)
        return self.to_nchw(value) if after else value

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

    def clipped(self, value: ir.Value, low: float, high: float, what: str = "") -> ir.Value:
        """A Clip."""
        bounds = [self.scalar("min", low), self.scalar("max", high)]
        return self.emit("Clip", value, *bounds, what=what)

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
        if value.producer() not in self._made or value in self.values.values():
            value = (
                self.emit("Identity", value, what="copy") if value.const_value is None else value
            )
        if value.const_value is None:
            value.name = info.name
        self.values[index] = value

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
        self.operator, self._made = operator, []
        self.place = self.source = operator.name

    def end(self) -> None:
        """One of the operator's nodes bears its name: the last if it named none."""
        named = [node for node in self._made if SOURCE not in node.metadata_props]
        if self._made and not named:
            last = self._made[-1]
            last.name = self.op.name
            del last.metadata_props[SOURCE]
        self.operator = None


ACTIVATIONS: dict[int, Any] = {0: None, 1: "Relu", 2: (-1.0, 1.0), 3: (0.0, 6.0), 4: "Tanh"}
