"""What stands in a compiled network's directory: manifest.json, read with nothing taken on trust.

The manifest names the other files and their hashes. It has everything that a run needs to know of
the network; no pickle is ever read.
"""

import hashlib
import json
import math
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnx_ir
import tvm

from vta.hw.config import Config, ConfigError
from vta.hw.errors import quoted
from vta.hw.packages import package_version
from vta.sw.bundle import BundleError, check_object
from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.from_json import from_json
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
    """A node on the CPU: its name, its name in the file, and why it is there."""

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
    """A part on the CPU.

    Members
    -------
    function: its name in the Relax executable.
    seconds: what it took where it was compiled; None where that is not known.
    """

    name: str
    function: str
    nodes: tuple[CpuNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    seconds: float | None = None


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

    def exchanged(self, segment: SavedSegment) -> int:
        """Bytes that a segment takes from VTA and gives it: what a node on the CPU costs beside
        its own time.
        """
        given = {port.value: port for region in self.regions for port in region.outputs}
        taken = {port.value: port for region in self.regions for port in region.inputs}
        ports = [given[name] for name in segment.inputs if name in given]
        ports += [taken[name] for name in segment.outputs if name in taken]
        return sum(math.prod(port.shape) for port in ports)

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
            found = from_json(cls, document, "manifest")
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
