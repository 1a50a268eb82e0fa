"""Import of the directories that the TVM-free compiler standalone-vta writes.

==========================  ======================================================================
``instructions.bin``        the instructions, 16 bytes each
``uop.bin``                 uops, 4 bytes each
``input.bin``               INP elements, block by block (optional, as all that follow)
``weight.bin``              WGT elements, each block transposed already: [out][in]
``accumulator.bin``         ACC elements, int32
``out.bin``, out_init.bin   what OUT's area holds before the run
``expected_out.bin``        what it must hold afterwards
``memory_addresses.csv``    a row for each of inp, wgt, out, uop, acc (and insn): its name, its byte
                            address and, in later versions, its first element as instructions count
``vta_config.json``         the configuration, where it is not the default
==========================  ======================================================================

Instructions count elements from address 0. Addresses of 0 in memory_addresses.csv mean what its
simulators do: pages of 4 KiB from 0x1000 on, in the order inp, wgt, out, uop, acc, insn.
"""

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from hw.config import Config, ConfigError
from hw.isa import INSTRUCTION_BYTES, MEMORIES, MemoryType, Store
from sw.check.footprint import dram_rows
from sw.codec import decode_all
from sw.program import IMAGE_LIMIT, BundleError, Program, Registers, Segment

__all__ = ["import_directory"]

PAGE = 4096
FIRST = 0x1000
ROW_MAJOR = "metadata.csv"


@dataclass(frozen=True)
class _Part:
    """One kind of data: its files (the first that exists counts), and its memory type."""

    name: str
    files: tuple[str, ...]
    type: MemoryType | None
    role: str


PARTS = (  # in the order in which the simulators allocate pages
    _Part("inp", ("input.bin",), MemoryType.INP, "input"),
    _Part("wgt", ("weight.bin",), MemoryType.WGT, "weight"),
    _Part("out", ("out.bin", "out_init.bin"), MemoryType.OUT, "output"),
    _Part("uop", ("uop.bin",), MemoryType.UOP, "uop"),
    _Part("acc", ("accumulator.bin",), MemoryType.ACC, "bias"),
    _Part("insn", ("instructions.bin",), None, "insn"),
)
REQUIRED = ("instructions.bin", "uop.bin", "memory_addresses.csv")


def import_directory(path: str | Path, config: Config | None = None) -> Program:
    """The program in a directory of standalone-vta's format.

    `config` goes before vta_config.json, and that before the default.

    Raises
    ------
    BundleError
        one line, beginning with the path: a file that is missing or not a whole number of
        elements, an address that is no number or not aligned, parts that overlap.
    """
    path = Path(path)
    try:
        return _import(path, config)
    except (BundleError, ConfigError) as error:
        raise BundleError(f"{path}: {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = getattr(error, "strerror", None) or " ".join(str(error).split())
        name = getattr(error, "filename", None)
        raise BundleError(f"{path}: {name + ': ' if name else ''}{what}") from error


def _import(path: Path, config: Config | None) -> Program:
    if not path.is_dir():
        raise BundleError("this is no directory")
    for name in REQUIRED:
        if not (path / name).is_file():
            raise BundleError(f"{name} is missing; there must be {', '.join(REQUIRED)}")
    if (path / ROW_MAJOR).exists():
        raise BundleError(
            f"{ROW_MAJOR} says that matrices are row-major, not in blocks: that later format is "
            "not read"
        )
    if config is None:
        given = path / "vta_config.json"
        config = Config.from_json(given) if given.exists() else Config()
    data = {part.name: _read(path, part.files, _element_bytes(config, part)) for part in PARTS}
    expected = _read(path, ("expected_out.bin",), config.out_bytes)
    rows = _address_rows(path / "memory_addresses.csv")
    bases = _bases(config, rows)
    sizes = {name: len(raw) for name, raw in data.items()}
    sizes["out"] = max(sizes["out"], len(expected))
    addresses = _addresses(rows, sizes)
    sizes["out"] = max(sizes["out"], _stored(config, bases, data["insn"], addresses["out"]))
    _check_overlaps(addresses, sizes)
    return _program(path.name, config, bases, data, expected, addresses, sizes)


def _element_bytes(config: Config, part: _Part) -> int:
    return INSTRUCTION_BYTES if part.type is None else MEMORIES[part.type].element_bytes(config)


def _read(path: Path, names: tuple[str, ...], nbytes: int) -> np.ndarray:
    """The bytes of the first file that exists, uint8; none where none does."""
    for name in names:
        if (path / name).is_file():
            size = (path / name).stat().st_size
            if size > IMAGE_LIMIT:
                raise BundleError(f"{name} has {size} bytes; the limit is {IMAGE_LIMIT}")
            if size % nbytes:
                raise BundleError(f"{name} has {size} bytes; it must be a multiple of {nbytes}")
            return np.fromfile(path / name, np.uint8)
    return np.zeros(0, np.uint8)


def _address_rows(path: Path) -> dict[str, list[int]]:
    """By name: byte address and, where it is given, the first element."""
    known = {part.name for part in PARTS}
    rows: dict[str, list[int]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for n, row in enumerate(csv.reader(file), 1):
            name = row[0].strip().lower() if row else ""
            if name not in known:  # a heading, or a second accumulator
                if name and n > 1:
                    raise BundleError(
                        f"{path.name}, line {n}: {name} is unknown; there are {', '.join(known)}"
                    )
                continue
            try:
                rows[name] = [int(text.strip(), 0) for text in row[1:3]]
            except ValueError:
                raise BundleError(
                    f"{path.name}, line {n}: {','.join(row)!r:.60} holds no addresses"
                ) from None
            if not rows[name] or min(rows[name]) < 0 or max(rows[name]) >= 1 << 32:
                raise BundleError(f"{path.name}, line {n}: {name} needs an address below 2^32")
    return rows


def _bases(config: Config, rows: dict[str, list[int]]) -> dict[str, int]:
    """Base registers: 0, unless byte address and first element say otherwise."""
    bases = {}
    for part in PARTS:
        if part.type is not None:
            row = rows.get(part.name, [])
            nbytes = _element_bytes(config, part)
            bases[part.name] = row[0] - row[1] * nbytes if len(row) == 2 else 0
    return bases


def _addresses(rows: dict[str, list[int]], sizes: dict[str, int]) -> dict[str, int]:
    addresses = {}
    free = FIRST
    for part in PARTS:
        given = rows.get(part.name, [0])[0]
        addresses[part.name] = given or free
        if sizes[part.name] or given:
            end = addresses[part.name] + max(sizes[part.name], 1)
            free = max(free, -(-end // PAGE) * PAGE)
    return addresses


def _stored(config: Config, bases: dict[str, int], insn: np.ndarray, out: int) -> int:
    """Bytes from `out` on that STOREs reach."""
    registers = Registers(insn_count=0, insn=0, **bases)
    ends = [0]
    for instruction in decode_all(config, insn):
        if isinstance(instruction, Store):
            rows = dram_rows(config, registers, instruction)
            ends += [int(end) - out for end in rows[:, 1] if end - out < PAGE * PAGE]
    return max(ends)


def _check_overlaps(addresses: dict[str, int], sizes: dict[str, int]) -> None:
    placed = sorted((addresses[name], name) for name in addresses if sizes[name])
    for (first, a), (second, b) in pairwise(placed):
        if first + sizes[a] > second:
            raise BundleError(
                f"{a} at {first:#x} has {sizes[a]} bytes and reaches into {b} at {second:#x}; "
                "see memory_addresses.csv"
            )


def _program(
    name: str,
    config: Config,
    bases: dict[str, int],
    data: dict[str, np.ndarray],
    expected: np.ndarray,
    addresses: dict[str, int],
    sizes: dict[str, int],
) -> Program:
    end = max(addresses[part] + sizes[part] for part in addresses)
    size = -(-end // PAGE) * PAGE
    if size > IMAGE_LIMIT:
        raise BundleError(f"the parts reach up to {end:#x}; the limit is {IMAGE_LIMIT:#x}")
    memory = np.zeros(size, np.uint8)
    segments = {}
    for part in PARTS:
        raw, address = data[part.name], addresses[part.name]
        memory[address : address + len(raw)] = raw
        if sizes[part.name]:
            segments[part.name] = Segment(addr=address, nbytes=sizes[part.name], role=part.role)
    return Program(
        name=name,
        description="imported from a directory of standalone-vta",
        config=config,
        registers=Registers(
            insn_count=len(data["insn"]) // INSTRUCTION_BYTES, insn=addresses["insn"], **bases
        ),
        memory=memory,
        memory_base=0,
        memory_size=size,
        segments=segments,
        expected=[(addresses["out"], expected)] if len(expected) else [],
    )
