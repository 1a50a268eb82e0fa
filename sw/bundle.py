"""The ``.npz`` file of a stream bundle: its members, within limits, and its header's keys.

Nothing is unpacked before its declared size is known to fit: the header first, then the memory
image and the expected bytes, which the header's memory_size bounds. Members that the header does
not speak of are never unpacked.
"""

import json
import lzma
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from vta.hw.errors import VtaError, quoted, shown

__all__ = [
    "FORMAT_VERSION",
    "IMAGE_LIMIT",
    "BundleError",
    "check_number",
    "check_object",
    "check_text",
    "get",
    "read_bundle",
    "write_bundle",
]

FORMAT_VERSION = 1
IMAGE_LIMIT = 1 << 30  # bytes of memory a bundle may ask a device to map
HEADER_LIMIT = 1 << 26  # bytes of JSON
ARRAY_HEADER = 4096  # bytes before the data in a .npy member, at most
TEXT_LIMIT = 1000  # characters of a name
NESTING_LIMIT = 16  # objects and lists inside each other, in the source map
FOREIGN = (  # what zipfile and its decompressors raise on foreign bytes
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


class BundleError(VtaError, ValueError):
    """A file that is not a stream bundle, or one whose contents contradict themselves."""


# The archive --------------------------------------------------------------------------------------
def read_bundle(path: Path) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
    """Header, memory image and the arrays expected_0, ... (uint8), in the header's order.

    Raises
    ------
    BundleError
        where the file is not a zip archive, a member is missing, of the wrong kind, damaged, or
        larger than what the header allows.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _members(archive)
    except (BundleError, OSError):
        raise
    except FOREIGN as error:
        raise BundleError(f"this is not a stream bundle: {_line(error)}") from error


def _members(archive: zipfile.ZipFile) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
    for member in archive.infolist():
        if member.file_size > IMAGE_LIMIT + ARRAY_HEADER:
            raise _too_large(shown(member.filename), member.file_size, IMAGE_LIMIT)
    raw = _array(archive, "header", HEADER_LIMIT)
    try:
        header = json.loads(raw.tobytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"header is not JSON: {error}") from error
    size = get(header, "memory_size", int)
    check_number("memory_size", size, 0, IMAGE_LIMIT)
    memory = _array(archive, "memory", size, f"memory_size is {size}; it must be at least the")
    left = size
    expected = []
    for n in range(len(get(header, "expected_addresses", list, []))):
        expected.append(_array(archive, f"expected_{n}", left))
        left -= len(expected[-1])
    return header, memory, expected


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _too_large(member: str, nbytes: int, limit: int) -> BundleError:
    return BundleError(f"member {member} unpacks to {nbytes} bytes; the limit is {limit}")


def _array(archive: zipfile.ZipFile, name: str, limit: int, reason: str = "") -> np.ndarray:
    """One member, uint8 of one dimension; unpacked only if it has at most `limit` bytes."""
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise BundleError(f"member {name} is missing") from None
    with archive.open(info) as file:
        shape, dtype = _declared(name, file)
        if dtype != np.uint8 or len(shape) != 1:
            dimensions = f" of {len(shape)} dimensions" * (len(shape) != 1)
            raise BundleError(
                f"member {name} is {dtype}{dimensions}; it must be uint8, one dimension"
            )
        if reason and shape[0] > limit:
            raise BundleError(f"{reason} image's {shape[0]}")
        if not 0 <= shape[0] <= limit:
            raise _too_large(f"{name}.npy", shape[0], limit)
        raw = file.read(shape[0])
        if len(raw) != shape[0] or file.read(1):
            raise BundleError(f"member {name} does not hold the {shape[0]} bytes that it declares")
    return np.frombuffer(raw, np.uint8).copy()


def _declared(name: str, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype that the head of a .npy member declares."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    except Exception as error:  # NumPy parses Python text there: what that raises has no end
        raise BundleError(f"member {name} does not begin as an array: {_line(error)}") from error
    return shape, dtype


def write_bundle(
    path: str | Path, header: dict[str, Any], memory: np.ndarray, expected: list[np.ndarray]
) -> None:
    """Write what `read_bundle` reads; BundleError where it would refuse the header's size."""
    text = json.dumps(header).encode()
    if len(text) > HEADER_LIMIT:
        raise BundleError(
            f"the header has {len(text)} bytes of JSON; the limit is {HEADER_LIMIT}: shorten "
            "source_map"
        )
    arrays: dict[str, Any] = {f"expected_{n}": data for n, data in enumerate(expected)}
    arrays["header"] = np.frombuffer(text, np.uint8)
    with open(path, "wb") as file:
        np.savez_compressed(file, memory=memory, **arrays)


# The header's keys --------------------------------------------------------------------------------
def get(header: Any, key: str, kind: type, default: Any = None) -> Any:
    """A key's value, which must be a `kind`; BundleError where it is not, or missing."""
    if not isinstance(header, dict):
        raise BundleError(f"header is a {type(header).__name__}; it must be an object")
    value = header.get(key, default)
    if value is None:
        raise BundleError(f"header key {key} is missing")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BundleError(f"header key {key} is {quoted(value)}; it must be {kind.__name__}")
    return value


def check_text(what: str, text: Any, *, lines: bool = False, empty: bool = True) -> None:
    """BundleError unless `text` is printable characters (`lines`: and white space), not too many.

    Names reach terminals, tables and file names: nothing in them may steer those.
    """
    held = text if isinstance(text, str) else "\0"
    plain = "".join(held.split()).isprintable() and (lines or held.isprintable())
    if not plain or (not lines and len(held) > TEXT_LIMIT) or not (held or empty):
        least = "" if empty else "1 to "
        raise BundleError(
            f"{what} is {quoted(text)}; it must be {least}{TEXT_LIMIT} printable characters"
        )


def check_object(what: str, value: Any) -> None:
    """BundleError unless `value` is a dict, nested so little that anything can walk through it."""
    if not isinstance(value, dict) or _deeper(value, NESTING_LIMIT):
        raise BundleError(
            f"{what} is {quoted(value)}; it must be an object of at most {NESTING_LIMIT} levels"
        )


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list, tuple)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def check_number(what: str, value: Any, low: float, high: float, kind: type = int) -> None:
    """BundleError unless `value` is a number of `kind` (float: or int), `low` to `high`."""
    kinds = (int, float) if kind is float else int
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and low <= value <= high):
        raise BundleError(f"{what} is {quoted(value)}; it must be {low} to {high}")
