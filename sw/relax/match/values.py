"""What the values of a quantised graph are: 8-bit tensors and what their numbers mean, weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from vta.hw.errors import VtaError
from vta.sw.operators.scales import Scale
from vta.sw.relax.graph import attribute, constant, shape_of

__all__ = ["BYTES", "NotOnVta", "Quantity", "Weights", "bias_of", "quantity", "scale_of", "weights"]

BYTES = {ir.DataType.INT8: "int8", ir.DataType.UINT8: "uint8"}
INT8 = (-128, 127)


class NotOnVta(VtaError):
    """Why a node stays on the CPU: the attribute or value, the limit, and what would help."""


@dataclass(frozen=True)
class Quantity:
    """An 8-bit value of the graph; `scale` is None where nothing says what its numbers mean."""

    value: ir.Value
    scale: Scale | None

    @property
    def name(self) -> str:
        assert self.value.name
        return self.value.name

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.value)

    @property
    def meaning(self) -> Scale:
        """The scale; it must be known."""
        if self.scale is None:
            raise NotOnVta(f"nothing says what the numbers of {self.name} mean")
        return self.scale


@dataclass(frozen=True)
class Weights:
    """Constants without their zero point.

    Members
    -------
    array: int16, whole numbers from -255 to 255.
    scales: float64, of all, shape (), or of each place along `axis`.
    """

    array: np.ndarray
    scales: np.ndarray
    axis: int | None

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the largest, or 0."""
        return int(self.array.min(initial=0)), int(self.array.max(initial=0))

    @property
    def wide(self) -> bool:
        """Are there some that int8 does not hold?"""
        return self.ends[0] < INT8[0] or self.ends[1] > INT8[1]


def scale_of(scale: Any, zero: np.ndarray | None, dtype: str) -> Scale:
    """The scale of all numbers of a tensor."""
    return Scale(float(scale), 0 if zero is None else int(zero), dtype)


def quantity(value: ir.Value | None) -> Quantity:
    """The 8-bit value whose numbers `value` is: by DequantizeLinear, or as it is.

    Raises
    ------
    NotOnVta
        where there is none.
    """
    assert value is not None
    if value.dtype in BYTES:
        return Quantity(value, None)
    node = value.producer()
    if node is None or node.op_type != "DequantizeLinear":
        made = f"made by {node.op_type} {node.name}" if node else "a float input"
        raise NotOnVta(f"its operand {value.name} is float, {made}: quantise it")
    source, scale, zero = (*node.inputs, None)[:3]
    assert source is not None
    if source.dtype not in BYTES:
        raise NotOnVta(f"its operand {source.name} is {source.dtype}; VTA has int8 and uint8")
    scales, zeros = constant(scale), constant(zero)
    if scales is None or scales.size != 1:
        raise NotOnVta(
            f"its operand {source.name} has a scale for each of several channels; VTA has one for "
            "a tensor of activations"
        )
    return Quantity(source, scale_of(scales.item(), _one(zeros), BYTES[source.dtype]))


def _one(zeros: np.ndarray | None) -> Any:
    return None if zeros is None else zeros.item()


def weights(value: ir.Value | None) -> Weights:
    """The 8-bit constants behind a DequantizeLinear, their zero points taken off.

    Raises
    ------
    NotOnVta
        where they are float, or made at run time.
    """
    assert value is not None
    node = value.producer()
    if node is None or node.op_type != "DequantizeLinear":
        raise NotOnVta(f"its weights {value.name} are float: quantise them")
    source, scale, zero = (*node.inputs, None)[:3]
    array, scales, zeros = constant(source), constant(scale), constant(zero)
    assert source is not None
    if array is None:
        raise NotOnVta(
            f"its weights {source.name} are computed as the network runs; VTA multiplies by "
            "constants: make them an initializer"
        )
    if array.dtype not in (np.int8, np.uint8):
        raise NotOnVta(f"its weights {source.name} are {array.dtype}; VTA has int8 and uint8")
    assert scales is not None
    axis = None
    if scales.size > 1:
        axis = int(attribute(node, "axis", 1)) % array.ndim
    moved = array.astype(np.int16)
    if zeros is not None and zeros.any():
        along = [1] * array.ndim
        if zeros.size > 1 and axis is not None:
            along[axis] = -1
        moved = moved - zeros.astype(np.int16).reshape(along if zeros.size > 1 else ())
    found = scales.astype(np.float64).reshape(-1) if axis is not None else scales.reshape(())
    return Weights(moved, np.asarray(found, np.float64), axis)


def bias_of(value: ir.Value | None, units: np.ndarray, outputs: int) -> np.ndarray | None:
    """A bias as whole numbers of `units` (data's scale times weight's), half to even: int64.

    Raises
    ------
    NotOnVta
        where it is computed at run time.
    """
    if value is None:
        return None
    units = np.broadcast_to(units, (outputs,))
    node = value.producer()
    if node is not None and node.op_type == "DequantizeLinear":
        source, scale, zero = (*node.inputs, None)[:3]
        array, scales, zeros = constant(source), constant(scale), constant(zero)
        if array is not None and scales is not None:
            whole = array.astype(np.int64) - (0 if zeros is None else zeros.astype(np.int64))
            same = np.broadcast_to(scales.astype(np.float64).reshape(-1), (outputs,))
            if np.allclose(same, units, rtol=1e-5, atol=0):
                return np.broadcast_to(whole.reshape(-1), (outputs,))
            return _rounded(whole.reshape(-1) * same / units)
    array = constant(value)
    if array is None:
        raise NotOnVta(f"its bias {value.name} is computed at run time")
    return _rounded(np.broadcast_to(array.reshape(-1).astype(np.float64), (outputs,)) / units)


def _rounded(values: np.ndarray) -> np.ndarray:
    limit = float(1 << 62)
    return np.clip(np.rint(values), -limit, limit).astype(np.int64)
