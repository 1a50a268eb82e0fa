"""Samples of a network's inputs: what it is calibrated with, and what errors are measured on."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import onnx_ir as ir

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError
from vta.sw.relax.graph import shape_of

__all__ = ["Feeds", "Samples", "feeds_of", "random_feeds"]

RANDOM = 8  # samples, where the user has none

Feeds = dict[str, np.ndarray]
"""What one run takes: arrays by the names of inputs."""

Samples = Mapping[str, np.ndarray] | np.ndarray | Path | str
"""Arrays by the names of inputs, or one array; or a file of them, .npz or .npy."""


def random_feeds(model: ir.Model, seed: int) -> list[Feeds]:
    """Normally distributed numbers; 0 and 1 for inputs that are no floats."""
    rng = np.random.default_rng(seed)
    return [
        {value.name or "": _random(value, rng) for value in model.graph.inputs}
        for _ in range(RANDOM)
    ]


def _random(value: ir.Value, rng: np.random.Generator) -> np.ndarray:
    shape, dtype = shape_of(value), _dtype(value)
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def feeds_of(model: ir.Model, samples: Samples) -> list[Feeds]:
    """The samples as runs. An array's first axis counts samples; the others are the input's shape,
    whole or without its first axis, of which each run then takes as many as it has.

    Raises
    ------
    NetworkError
        for files that cannot be read, names that are no input, shapes and types that do not fit.
    """
    inputs = {value.name or "": value for value in model.graph.inputs}
    arrays = _arrays(samples, list(inputs))
    for name in arrays:
        if name not in inputs:
            raise NetworkError(f"samples: {shown(name)} is no input; inputs are {_list(inputs)}")
    for name in inputs:
        if name not in arrays:
            raise NetworkError(f"samples: there are none for input {shown(name)}: add an array")
    runs = {name: _runs(value, arrays[name]) for name, value in inputs.items()}
    counts = {name: len(own) for name, own in runs.items()}
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{shown(name)} has {count}" for name, count in counts.items())
        raise NetworkError(f"samples: inputs have unequal numbers of them: {words}")
    return [dict(zip(runs, own, strict=True)) for own in zip(*runs.values(), strict=True)]


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(shown(name) for name in names)


def _arrays(samples: Samples, inputs: list[str]) -> Mapping[str, np.ndarray]:
    """By input; one array belongs to the only input."""
    if isinstance(samples, (str, Path)):
        samples = _load(Path(samples))
    if isinstance(samples, Mapping):
        return samples
    if len(inputs) != 1:
        raise NetworkError(
            f"samples: one array for {len(inputs)} inputs: give arrays by name, as in an .npz file"
        )
    return {inputs[0]: samples}


def _load(path: Path) -> Mapping[str, np.ndarray] | np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else {n: found[n] for n in found.files}
    except OSError as error:
        raise NetworkError(f"samples: {path}: {error.strerror or 'cannot be read'}") from error
    except (ValueError, EOFError, BadZipFile) as error:
        raise NetworkError(
            f"samples: {path} is no .npz or .npy file of numbers: write it by numpy.savez"
        ) from error


def _runs(value: ir.Value, array: np.ndarray) -> list[np.ndarray]:
    """What each run takes of an array."""
    shape, dtype, name = shape_of(value), _dtype(value), shown(value.name)
    found = np.asarray(array)
    if not np.can_cast(found.dtype, dtype, "same_kind") and found.dtype.kind not in "iub":
        raise NetworkError(f"samples: {name} are {found.dtype}; the input is {dtype}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise NetworkError(f"samples: {name} have numbers that are not finite: leave them out")
    if found.shape[1:] == shape:
        batches = found
    elif shape and found.shape[1:] == shape[1:]:
        whole = len(found) // max(shape[0], 1)
        batches = found[: whole * shape[0]].reshape(whole, *shape)
    else:
        tail = ", ".join(map(str, shape[1:]))
        raise NetworkError(
            f"samples: {name} have shape {list(found.shape)}; it must be [samples, {tail}]"
        )
    if not len(batches):
        raise NetworkError(f"samples: {name} has {len(found)}; a run takes {shape[0]}")
    return list(batches.astype(dtype, copy=False))


def _dtype(value: ir.Value) -> np.dtype:
    if value.dtype is None:
        raise NetworkError(f"input {shown(value.name)} has no type")
    return value.dtype.numpy()
