"""What stands in a compiled network's directory: manifest.json, read with nothing taken on trust.

The manifest names the other files and their hashes. It has everything that a run needs to know of
the network; no pickle is ever read.
"""

import hashlib
import json
import platform
import types
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, Union, get_args, get_origin

import numpy as np
import onnx
import onnx_ir
import tvm

from vta.hw.config import Config, ConfigError
from vta.hw.errors import quoted
from vta.hw.packages import package_version
from vta.sw.bundle import BundleError, check_number, check_object, check_text
from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.parts import Layer, Port

__all__ = [
    "MANIFEST",
    "CpuNode",
    "FileNode",
    "Manifest",
    "SavedRegion",
    "SavedSegment",
    "SavedValue",
]

MANIFEST = "manifest.json"
SEAL = "sha256"  # the key of the hash over the others
FORMAT, FORMAT_VERSION = "vta network", 1
SIZE_LIMIT = 1 << 28  # bytes of JSON
SIZE = 1 << 40  # of an axis, of MACs, of a number of anything, at most

T = TypeVar("T")


@dataclass(frozen=True)
class SavedValue:
    """An input or output of the network; `scale` and `zero_point` where it is quantised."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class FileNode:
    """A node of the file."""

    name: str
    operator: str


@dataclass(frozen=True)
class CpuNode:
    """A node on the CPU: its name, its name in the file, why it is there and what that costs."""

    name: str
    source: str
    operator: str
    reason: str


@dataclass(frozen=True)
class SavedRegion:
    """A part on VTA.

    Members
    -------
    file: the stream bundle that it is compiled to.
    network: its operators, as `vta.sw.operators.described` writes them.
    constants: tensors whose values stand in the bundle.
    """

    name: str
    file: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Layer, ...]
    constants: tuple[str, ...]
    network: tuple[dict, ...]


@dataclass(frozen=True)
class SavedSegment:
    """A part on the CPU; `function` is its name in the Relax executable."""

    name: str
    function: str
    nodes: tuple[CpuNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All about a compiled network.

    Members
    -------
    model: of the file: name, sha256 (empty where there was none).
    parts: in the order in which they run.
    nodes: of the file, in its order.
    warnings: what was noticed when it was compiled.
    library: the file with the Relax executable.
    files: the directory's other files and their sha256.
    versions: of what made it.
    machine: what the Relax executable runs on.
    """

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    name: str
    model: dict
    config: dict
    architecture_hash: str
    inputs: tuple[SavedValue, ...]
    outputs: tuple[SavedValue, ...]
    parts: tuple[SavedRegion | SavedSegment, ...]
    nodes: tuple[FileNode, ...] = ()
    warnings: tuple[str, ...] = ()
    library: str = ""
    files: dict = field(default_factory=dict)
    versions: dict = field(default_factory=lambda: versions())
    machine: str = field(default_factory=platform.machine)

    @property
    def regions(self) -> list[SavedRegion]:
        return [part for part in self.parts if isinstance(part, SavedRegion)]

    @property
    def segments(self) -> list[SavedSegment]:
        return [part for part in self.parts if isinstance(part, SavedSegment)]

    def configuration(self) -> Config:
        """The core's.

        Raises
        ------
        NetworkError
            where it contradicts its hash.
        """
        try:
            config = Config.from_dict(self.config)
        except ConfigError as error:
            raise NetworkError(f"config: {error}") from error
        if config.architecture_hash() != self.architecture_hash:
            raise NetworkError(
                f"architecture_hash is {self.architecture_hash}, but that of its config is "
                f"{config.architecture_hash()}"
            )
        return config

    def to_json(self) -> str:
        return json.dumps(sealed(asdict(self)), indent=1)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the manifest of a directory.

        Raises
        ------
        NetworkError
            one line: what is missing, of another format or version, of the wrong type or size.
        """
        path = directory / MANIFEST
        try:
            if path.stat().st_size > SIZE_LIMIT:
                raise NetworkError(f"it has {path.stat().st_size} bytes; the limit is {SIZE_LIMIT}")
            document = json.loads(path.read_text(encoding="utf-8"))
            _check_format(document)
            if document.pop(SEAL, None) != sealed(document)[SEAL]:
                raise NetworkError("it was changed since it was written: compile the model again")
            found = _read(cls, document, "manifest")
            found.configuration()
            return found
        except FileNotFoundError:
            raise NetworkError(
                f"{directory} is no compiled network: it has no {MANIFEST}; vta compile MODEL -o "
                "DIR makes one"
            ) from None
        except OSError as error:
            raise NetworkError(f"{path}: {error.strerror or error}") from error
        except (BundleError, NetworkError) as error:
            raise NetworkError(f"{path}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise NetworkError(f"{path}: it is not JSON: {one_line(error)}") from error


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The manifest with a hash of all that stands in it."""
    text = json.dumps({k: v for k, v in document.items() if k != SEAL}, sort_keys=True)
    return {SEAL: hashlib.sha256(text.encode()).hexdigest(), **document}


def versions() -> dict[str, str]:
    """Of this package and of the libraries that have a part in a compiled network."""
    return {
        "vta": package_version(),
        "tvm": tvm.__version__,
        "onnx": onnx.__version__,
        "onnx_ir": onnx_ir.__version__,
        "numpy": np.__version__,
    }


def _check_format(document: Any) -> None:
    """NetworkError unless this package, on this machine, can run what the manifest is of."""
    check_object("it", document)
    if document.get("format") != FORMAT:
        raise NetworkError(f"format is {quoted(document.get('format'))}; it must be {FORMAT!r}")
    version, made = document.get("format_version"), document.get("versions")
    if version != FORMAT_VERSION:
        raise NetworkError(
            f"format_version is {quoted(version)}; this program reads {FORMAT_VERSION}: compile "
            "the model again"
        )
    theirs = made.get("tvm") if isinstance(made, dict) else None
    if theirs != tvm.__version__:
        raise NetworkError(
            f"it was compiled with TVM {quoted(theirs)}, this one is {tvm.__version__}: compile "
            "the model again"
        )
    if document.get("machine") != platform.machine():
        raise NetworkError(
            f"it was compiled on {quoted(document.get('machine'))}, this machine is "
            f"{platform.machine()}: compile the model again"
        )


# Dataclasses from JSON ----------------------------------------------------------------------------
def _read(kind: Any, value: Any, where: str) -> Any:
    """`value`, which must be JSON of a `kind`: a dataclass, a tuple of a type, text, a number."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise NetworkError(f"{where} is {quoted(value)}; it must be a list")
        item = get_args(kind)[0]
        return tuple(_read(item, each, f"{where}[{n}]") for n, each in enumerate(value))
    if is_dataclass(kind):
        return _object(kind, value, where)
    if kind is dict:
        check_object(where, value)
    elif kind is str:
        check_text(where, value, lines=True)
    elif kind is int:
        check_number(where, value, -(1 << 31), SIZE)
    else:
        assert kind is float, kind
        check_number(where, value, -1e300, 1e300, float)
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The kind whose fields the value has, or None where that is one."""
    if types.NoneType in kinds and value is None:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) > 1:
        given = set(value) if isinstance(value, dict) else set()
        kinds = tuple(k for k in kinds if given == {f.name for f in fields(k)})
        if not kinds:
            raise NetworkError(f"{where} is {quoted(value)}, which is no part of a network")
    return _read(next(iter(kinds)), value, where)


def _object(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise NetworkError(f"{where} is {quoted(value)}; it must be an object")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name in value:
        if name not in known:
            raise NetworkError(f"{where} has a key {quoted(name)}, which is unknown")
    found = {}
    for name, each in known.items():
        if name in value:
            found[name] = _read(each.type, value[name], f"{where}.{name}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise NetworkError(f"{where} lacks the key {name}")
    return kind(**found)
