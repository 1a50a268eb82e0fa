"""Inputs of a network from files: arrays, several in an archive, and images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vta.hw.errors import OptionError, quoted
from vta.sw.relax.manifest import SavedValue

__all__ = ["read_inputs", "read_labels"]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
IMAGE_RANK = 4
LEVELS = 255  # of a byte of an image
MODES = {1: "L", 3: "RGB"}


def read_inputs(files: Sequence[str], values: Sequence[SavedValue]) -> dict[str, np.ndarray]:
    """The inputs in files: FILE, or NAME=FILE for one input of several.

    An ``.npz`` has arrays by the inputs' names. An image is scaled to the input's height and
    width, and is grey or RGB as its channels are; its bytes go to 0 to 1 of a float input. Arrays
    may hold several batches, one behind the other on their first axis.

    Raises
    ------
    OptionError
        for what is no file, of no known kind, or does not fit the input.
    """
    known = {value.name: value for value in values}
    found: dict[str, np.ndarray] = {}
    for text in files:
        name, path = _named(text, known)
        if path.suffix.lower() == ".npz":
            arrays = _arrays(path)
            for key in arrays:
                _check_name(str(path), key, known)
        else:
            name = name or _only(path, known)
            arrays = {name: _image(path, known[name]) if _is_image(path) else _array(path)}
        for key, array in arrays.items():
            if key in found:
                raise OptionError(f"--input {path}: {key} is given twice")
            found[key] = _fitted(path, known[key], array)
    return found


def _named(text: str, known: Mapping[str, Any]) -> tuple[str, Path]:
    """NAME and FILE of an argument; an input's name may have = in it, a file's may too."""
    for name in known:
        if text.startswith(f"{name}="):
            return name, Path(text[len(name) + 1 :])
    path = Path(text)
    if "=" in text and not path.exists():
        _check_name("--input", text.partition("=")[0], known)
    return "", path


def _check_name(where: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise OptionError(f"{where}: {quoted(name)} is no input; those are {', '.join(known)}")


def _only(path: Path, known: Mapping[str, Any]) -> str:
    if len(known) != 1:
        raise OptionError(
            f"--input {path}: the network has {len(known)} inputs ({', '.join(known)}): write "
            "NAME=FILE for each, or give one .npz"
        )
    return next(iter(known))


def _array(path: Path) -> np.ndarray:
    loaded = _load(path)
    if not isinstance(loaded, np.ndarray):
        raise OptionError(f"--input {path}: it is an archive: call it .npz")
    return loaded


def _arrays(path: Path) -> dict[str, np.ndarray]:
    loaded = _load(path)
    if isinstance(loaded, np.ndarray):
        raise OptionError(f"--input {path}: it is one array: call it .npy")
    return loaded


def _load(path: Path, option: str = "--input") -> Any:
    """An array, or a dict of arrays; nothing pickled."""
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise OptionError(f"{option} {path}: {error.strerror or error}") from error
    except Exception as error:  # what NumPy and zipfile raise on foreign bytes has no end
        raise OptionError(
            f"{option} {path}: it is no array of NumPy (.npy, .npz), nor an image "
            f"({', '.join(IMAGES)})"
        ) from error


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGES


def _image(path: Path, value: SavedValue) -> np.ndarray:
    """An image as the input has it: N of 1, channels first or last."""
    from PIL import Image, UnidentifiedImageError

    shape = value.shape
    first = len(shape) == IMAGE_RANK and shape[1] in MODES
    if len(shape) != IMAGE_RANK or shape[0] != 1 or not (first or shape[3] in MODES):
        raise OptionError(
            f"--input {path}: {value.name} is {list(shape)}; an image fits [1, channels, height, "
            "width] or [1, height, width, channels] with 1 or 3 channels: give it as .npy"
        )
    channels, (height, width) = (shape[1], shape[2:]) if first else (shape[3], shape[1:3])
    try:
        with Image.open(path) as opened:
            image = opened.convert(MODES[channels]).resize((width, height))
    except (OSError, UnidentifiedImageError) as error:
        raise OptionError(f"--input {path}: {getattr(error, 'strerror', None) or error}") from error
    pixels = np.asarray(image, np.uint8).reshape(1, height, width, channels)
    pixels = pixels.transpose(0, 3, 1, 2) if first else pixels
    if value.dtype == "int8":
        return (pixels ^ np.uint8(0x80)).view(np.int8)
    if np.dtype(value.dtype).kind == "f":
        return (pixels / LEVELS).astype(value.dtype)
    return pixels


def _fitted(path: Path, value: SavedValue, array: np.ndarray) -> np.ndarray:
    """The array in the input's dtype, where only a float's precision differs."""
    dtype = np.dtype(value.dtype)
    if array.dtype.kind == dtype.kind == "f":
        array = array.astype(dtype)
    shape = value.shape
    batches = bool(shape) and array.ndim == len(shape) and array.shape[1:] == shape[1:]
    batches = batches and len(array) > 0 and len(array) % shape[0] == 0
    if array.dtype != dtype or not (array.shape == shape or batches):
        raise OptionError(
            f"--input {path}: {value.name} is {array.dtype} {list(array.shape)} there; it must be "
            f"{dtype} {list(shape)}, or several of these behind each other"
        )
    return array


def read_labels(path: Path) -> np.ndarray:
    """The classes of all samples, in their order.

    Raises
    ------
    OptionError
        for what is no vector of integers.
    """
    loaded = _load(path, "--labels")
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "iu" or loaded.ndim != 1:
        raise OptionError(f"--labels {path}: it must be one vector of integers (.npy)")
    return loaded
