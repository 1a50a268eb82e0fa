"""How often a network's values differ from TFLite's own rounding, layer by layer.

An ONNX graph rounds once, to the nearest number, halves to even; VTA has its own ways. TFLite's
reference kernels round in fixed point. Each operator is computed as they do it from the values that
went into it here, so that differences do not add up from layer to layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vta.sw.relax.tflite.integer import KERNELS, Call
from vta.sw.relax.tflite.schema import File, Operator, parse

if TYPE_CHECKING:
    from vta.sw.relax.inference import Run

__all__ = ["Rounding", "roundings", "roundings_of_run"]

INTEGERS = ("INT8", "UINT8")


@dataclass(frozen=True)
class Rounding:
    """An operator: how many of its results differ from TFLite's, and the largest difference."""

    name: str
    operator: str
    elements: int
    differ: int
    largest: int


def roundings(file: Path | bytes, values: Mapping[str, np.ndarray]) -> list[Rounding]:
    """The operators that TFLite computes on integers, of which `values` has data and results.

    Operators that only move numbers, and those that TFLite looks up in tables, are not there.

    Arguments
    ---------
    file: the TFLite file, or its bytes.
    values: by their names in the model that `vta.sw.relax.read` makes of it, and as that has them.

    Raises
    ------
    NetworkError
        where the file is damaged.
    """
    parsed = parse(file if isinstance(file, bytes) else file.read_bytes())
    known = _Values(parsed, values)
    found = (known.compared(op) for op in parsed.operators)
    return [one for one in found if one is not None]


def roundings_of_run(
    file: Path | bytes, run: "Run", inputs: Mapping[str, np.ndarray]
) -> list[Rounding]:
    """The same of what VTA stored in a run with these inputs; of layers on VTA alone."""
    values = dict(inputs)
    for each in run.regions:
        for layer in each.region.saved.layers:
            for port in layer.outputs:
                values[port.value] = each.region.output(port, each.result.memory)
    return roundings(file, values)


class _Values:
    """A file's tensors: constants, computed by the network, or between two operators of one layer:
    those are what TFLite makes of what went into the layer.
    """

    def __init__(self, file: File, values: Mapping[str, np.ndarray]) -> None:
        self.file, self.values = file, values
        self.makers = {n: op for op in file.operators for n in op.outputs}
        self.between: dict[int, np.ndarray | None] = {}

    def compared(self, op: Operator) -> Rounding | None:
        have = _array(self.file, op.outputs[0], self.values)
        made = None if have is None else self.made(op)
        if have is None or made is None:
            return None
        off = np.abs(made.astype(np.int64) - have.astype(np.int64))
        return Rounding(op.name, op.kind, have.size, int(np.count_nonzero(off)), int(off.max()))

    def made(self, op: Operator) -> np.ndarray | None:
        """What TFLite makes of an operator's inputs; None without them, or its kernel."""
        if op.kind not in KERNELS or self.file.tensors[op.outputs[0]].type not in INTEGERS:
            return None
        arrays = [self.array(n) if n >= 0 else None for n in op.inputs]
        if any(a is None for a, n in zip(arrays, op.inputs, strict=True) if n >= 0):
            return None
        return KERNELS[op.kind](Call(op, self.file.tensors, arrays))

    def array(self, index: int) -> np.ndarray | None:
        found = _array(self.file, index, self.values)
        if found is None and index in self.makers:
            if index not in self.between:
                self.between[index] = self.made(self.makers[index])
            found = self.between[index]
        return found


def _array(file: File, index: int, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """A tensor, constant or computed, as the file has it."""
    info = file.tensors[index]
    if info.data is not None:
        return info.array()
    inner = f"{info.name}/nchw"
    at_the_edge = index in file.inputs or index in file.outputs
    if len(info.shape) != 4 or (at_the_edge and inner not in values):
        return values.get(info.name)
    array = values.get(inner if at_the_edge else info.name)
    return None if array is None else array.transpose(0, 2, 3, 1)
