"""The files of a directory, and the layers that share one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vta.hw.config import Config
from vta.hw.errors import shown
from vta.hw.isa import INSTRUCTION_BYTES, MEMORIES, MemoryType
from vta.sw.program import IMAGE_LIMIT, BundleError

__all__ = [
    "ADDRESSES",
    "EXPECTED",
    "PARTS",
    "REQUIRED",
    "ROW_MAJOR",
    "SECOND",
    "Part",
    "element_bytes",
    "find_layer",
    "read",
    "suffix_of",
    "with_suffix",
]

ROW_MAJOR = "metadata.csv"
SECOND = "acc_bis"


@dataclass(frozen=True)
class Part:
    """One kind of data: its files (the first that exists counts), and its memory type."""

    name: str
    files: tuple[str, ...]
    type: MemoryType | None
    role: str
    fill: bool = False  # up to a whole element, with zeros


PARTS = (  # in the order in which the simulators allocate pages
    Part("inp", ("input.bin",), MemoryType.INP, "input"),
    Part("wgt", ("weight.bin",), MemoryType.WGT, "weight"),
    Part("out", ("out.bin", "out_init.bin"), MemoryType.OUT, "output", fill=True),
    Part("uop", ("uop.bin",), MemoryType.UOP, "uop"),
    Part("acc", ("accumulator.bin",), MemoryType.ACC, "bias"),
    Part(SECOND, ("add_accumulator.bin",), MemoryType.ACC, "bias"),
    Part("insn", ("instructions.bin",), None, "insn"),
)
ADDRESSES = "memory_addresses.csv"
EXPECTED = Part("expected", ("expected_out.bin",), MemoryType.OUT, "")
REQUIRED = ("instructions.bin", "uop.bin", ADDRESSES)


def find_layer(path: str | Path, layer: str | None = None) -> str:
    """The name of the layer that `import_directory` takes; empty where it has none.

    `layer` is a name, with or without the underscore before it; None: the only one there.
    BundleError as for `import_directory`.
    """
    try:
        return _layer_name(suffix_of(Path(path), layer))
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def _layer_name(suffix: str) -> str:
    return suffix.removeprefix("_")


def suffix_of(path: Path, layer: str | None) -> str:
    """What the chosen layer adds to the names of its files."""
    if not path.is_dir():
        raise BundleError("this is not a directory")
    stem, extension = REQUIRED[0].split(".")
    files = sorted(file.name for file in path.glob(f"{stem}*.{extension}") if file.is_file())
    suffixes = [name.removeprefix(stem).removesuffix(f".{extension}") for name in files]
    listed = ", ".join(shown(_layer_name(suffix)) or "one without a name" for suffix in suffixes)
    if layer is None:
        if len(suffixes) > 1:
            raise BundleError(
                f"there are several layers: {listed}; choose one with --layer NAME ('' for one "
                "without a name)"
            )
        return suffixes[0] if suffixes else ""
    if not suffixes and not layer:
        return ""
    for suffix in suffixes:
        if layer in (suffix, _layer_name(suffix)):
            return suffix
    raise BundleError(f"there is no layer {shown(layer)!r}; there are: {listed or 'none'}")


def with_suffix(file: str, suffix: str) -> str:
    stem, extension = file.rsplit(".", 1)
    return f"{stem}{suffix}.{extension}"


def element_bytes(config: Config, part: Part) -> int:
    return INSTRUCTION_BYTES if part.type is None else MEMORIES[part.type].element_bytes(config)


def read(path: Path, part: Part, suffix: str, config: Config) -> np.ndarray:
    """The bytes of the part's first file that exists, uint8; none where none does."""
    element = element_bytes(config, part)
    for name in (with_suffix(file, suffix) for file in part.files):
        if (path / name).is_file():
            size = (path / name).stat().st_size
            if size > IMAGE_LIMIT:
                raise BundleError(f"{name} has {size} bytes; the limit is {IMAGE_LIMIT}")
            if size % element and not part.fill:
                raise BundleError(f"{name} has {size} bytes; it must be a multiple of {element}")
            return np.pad(np.fromfile(path / name, np.uint8), (0, -size % element))
    return np.zeros(0, np.uint8)
