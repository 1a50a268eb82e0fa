"""Weights beside the model file: taken in, if they lie in the model's own directory.

A model from elsewhere names the files that its reader opens: so a name may lead to no other
directory, neither by ``..`` nor by a symbolic link.
"""

from pathlib import Path

from onnx import TensorProto

from vta.hw.errors import shown
from vta.sw.relax.errors import NetworkError

__all__ = ["take_in"]


def take_in(name: str, tensor: TensorProto, directory: Path) -> None:
    """Put the bytes that `tensor` has in another file into itself.

    Arguments
    ---------
    name: how a message names it.
    directory: the model file's.

    Raises
    ------
    NetworkError
        where the file is not there, lies elsewhere, or is too short.
    """
    keys = {entry.key: entry.value for entry in tensor.external_data}
    location = keys.get("location", "")
    path = _within(name, location, directory)
    offset = _number(name, "offset", keys.get("offset") or "0")
    there = path.stat().st_size
    length = _number(name, "length", keys["length"]) if keys.get("length") else there - offset
    if offset + length > there or length < 0:
        raise NetworkError(
            f"{name} is {length} bytes from {offset} on of {shown(location)}, which has {there}: "
            f"the file is cut off"
        )
    with path.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.ClearField("external_data")
    tensor.data_location = TensorProto.DEFAULT


def _within(name: str, location: str, directory: Path) -> Path:
    home = directory.resolve()
    try:
        path = (home / location).resolve()
        inside = path != home and path.is_relative_to(home) and not Path(location).is_absolute()
        there = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a loop of links
        raise NetworkError(f"{name}: its data file {shown(location)} is no file name") from error
    if not inside:
        raise NetworkError(
            f"{name}: its data file {shown(location)} is not in the model's directory: put it "
            f"there, and no link to elsewhere"
        )
    if not there:
        raise NetworkError(
            f"{name}: its data file {shown(location)} is missing beside the model: put it there"
        )
    return path


def _number(name: str, key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise NetworkError(f"{name}: the {key} of its data is {shown(text)}, which is no number")
    return int(text)
