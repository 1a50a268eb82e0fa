"""Segments on the CPU compared with ONNX's own reference, on random inputs, when compiled.

TVM's importer is silently wrong about some attributes of some operators. A segment that computes
something else than `onnx.reference` is refused, by the name of its first node that is wrong.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import tvm
from onnx.reference import ReferenceEvaluator
from tvm import relax

from vta.sw.relax.cpu import function_name, segment_model, values_of
from vta.sw.relax.errors import NetworkError, at, one_line
from vta.sw.relax.parts import Partition, Segment

__all__ = ["check_segments", "segment_seconds"]

RELATIVE = 1e-3  # of the largest value of a tensor: LLVM sums in another order, and fuses
MOST_OFF = 0.02  # of a tensor's values may be off by a quantised step: ties, in another order


def check_segments(partition: Partition, executable: Any, seed: int = 0) -> list[str]:
    """Compare all segments; a line for each that could not be compared.

    Raises
    ------
    NetworkError
        where TVM computes something else.
    """
    machine, values = relax.VirtualMachine(executable, tvm.cpu()), values_of(partition.model)
    rng, notes = np.random.default_rng(seed), []
    for segment in partition.segments:
        inputs = [values[name] for name in segment.inputs]
        outputs = [values[name] for name in segment.outputs]
        arrays = [_random(value, rng) for value in inputs]
        made = machine[function_name(segment)](*(tvm.runtime.tensor(a) for a in arrays))
        found = [made.numpy()] if len(outputs) == 1 else [each.numpy() for each in made]
        try:
            model = segment_model(segment.nodes, inputs, outputs, partition.model)
            expected = _reference(model, arrays)
        except NetworkError:
            raise
        except Exception as error:  # onnx.reference raises whatever NumPy does
            notes.append(f"{segment.name} was not compared with onnx.reference: {one_line(error)}")
            continue
        for value, one, other in zip(outputs, found, expected, strict=True):
            if _differ(one, other):
                raise _named(segment, value, one, other)
    return notes


def segment_seconds(partition: Partition, executable: Any, seed: int = 0) -> dict[str, float]:
    """What each segment takes on this machine, by its name: the second of two runs."""
    machine, values = relax.VirtualMachine(executable, tvm.cpu()), values_of(partition.model)
    rng, found = np.random.default_rng(seed), {}
    for segment in partition.segments:
        arrays = [tvm.runtime.tensor(_random(values[name], rng)) for name in segment.inputs]
        for _ in range(2):
            started = time.perf_counter()
            machine[function_name(segment)](*arrays)
            found[segment.name] = time.perf_counter() - started
    return found


def _reference(model: onnx.ModelProto, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    names = [value.name for value in model.graph.input]
    given: Mapping[str, np.ndarray] = dict(zip(names, arrays, strict=True))
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, given)]  # type: ignore[arg-type]


def _random(value: ir.Value, rng: np.random.Generator) -> np.ndarray:
    """Values over what is usual: of floats some units, of 8 bits all, of other integers 0 and 1."""
    assert value.dtype is not None and value.shape is not None
    shape, dtype = value.shape.numpy(), np.dtype(value.dtype.numpy())
    if dtype.kind == "f":
        return rng.normal(scale=2, size=shape).astype(dtype)
    if dtype.itemsize == 1 and dtype.kind in "iu":
        ends = np.iinfo(dtype)
        return rng.integers(ends.min, ends.max + 1, shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _differ(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether more is between them than rounding."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return True
    if found.dtype.kind == "b" or not found.size:
        return bool((found != expected).mean() > MOST_OFF) if found.size else False
    one, other = found.astype(np.float64), expected.astype(np.float64)
    span = float(np.abs(other[np.isfinite(other)]).max(initial=0))
    step = 1.0 if found.dtype.kind in "iu" else 0.0
    close = np.isclose(one, other, rtol=RELATIVE, atol=RELATIVE * span + step, equal_nan=True)
    return bool((~close).mean() > MOST_OFF)


def _named(
    segment: Segment, value: ir.Value, found: np.ndarray, expected: np.ndarray
) -> NetworkError:
    maker = value.producer()
    what = at(maker) if maker is not None else segment.name
    return NetworkError(
        f"{what} runs on the CPU, where TVM gives {value.name} other values than onnx.reference: "
        f"{_few(found)} instead of {_few(expected)}; replace one of the nodes of {segment.name} in "
        "the model, or report it"
    )


def _few(array: np.ndarray) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in array.ravel()[:4].astype(float)) + ", ...]"
