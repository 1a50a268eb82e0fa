"""A directory's files to a program."""

import csv
from pathlib import Path

import numpy as np

from vta.hw.config import Config, ConfigError
from vta.hw.isa import INSTRUCTION_BYTES, Store
from vta.sw.check.footprint import dram_rows
from vta.sw.codec import decode_all
from vta.sw.program import IMAGE_LIMIT, BundleError, Program, Registers
from vta.sw.standalone.addresses import PAGE, address_rows, base_registers, check_overlaps, place
from vta.sw.standalone.files import (
    ADDRESSES,
    EXPECTED,
    PARTS,
    REQUIRED,
    ROW_MAJOR,
    SECOND,
    read,
    suffix_of,
    with_suffix,
)
from vta.sw.tensor import Tensor

__all__ = ["import_directory", "notes"]

FAR = 1 << 24  # bytes behind OUT's address: a STORE that far away is not one to OUT


def import_directory(
    path: str | Path, config: Config | None = None, *, layer: str | None = None
) -> Program:
    """The program in a directory of standalone-vta's format.

    `config` goes before vta_config.json, and that before the default. `layer` chooses among
    several; see `find_layer`.

    Raises
    ------
    BundleError
        one line, beginning with the path: a file that is missing or not a whole number of
        elements, an address that is not a number or not aligned, parts that overlap; no layer of
        that name, or several to choose from.
    """
    path = Path(path)
    try:
        return _import(path, config, suffix_of(path, layer))
    except (BundleError, ConfigError) as error:
        raise BundleError(f"{path}: {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = getattr(error, "strerror", None) or " ".join(str(error).split())
        name = getattr(error, "filename", None)
        raise BundleError(f"{path}: {name + ': ' if name else ''}{what}") from error


def notes(program: Program) -> list[str]:
    """Lines about what an imported program lacks for its run to show anything."""
    found = []
    if not any(isinstance(instruction, Store) for instruction in program.instructions()):
        found.append("no instruction is a STORE: a run leaves DRAM as it is")
    if not program.expected:
        found.append("there is no expected_out.bin: a run has nothing to be compared with")
    return found


def _import(path: Path, config: Config | None, suffix: str) -> Program:
    required = [with_suffix(name, suffix) for name in REQUIRED]
    for name in required:
        if not (path / name).is_file():
            raise BundleError(f"{name} is missing; there must be {', '.join(required)}")
    row_major = with_suffix(ROW_MAJOR, suffix)
    if (path / row_major).exists():
        raise BundleError(
            f"{row_major} says that matrices are row-major, not in blocks: that later format is "
            "not read"
        )
    if config is None:
        given = path / "vta_config.json"
        config = Config.from_json(given) if given.exists() else Config()
    data = {part.name: read(path, part, suffix, config) for part in PARTS}
    expected = read(path, EXPECTED, suffix, config)
    rows = address_rows(path / with_suffix(ADDRESSES, suffix))
    if len(data[SECOND]) and SECOND not in rows:
        raise BundleError(
            f"{with_suffix(ADDRESSES, suffix)} has no row {SECOND} for "
            f"{with_suffix('add_accumulator.bin', suffix)}"
        )
    bases = base_registers(config, rows)
    sizes = {name: len(raw) for name, raw in data.items()}
    sizes["out"] = max(sizes["out"], len(expected))
    addresses = place(rows, sizes)
    sizes["out"] = max(sizes["out"], _stored(config, bases, data["insn"], addresses["out"]))
    check_overlaps(addresses, sizes)
    name = f"{path.resolve().name}{suffix}" or "program"
    return _program(name, config, bases, data, expected, addresses, sizes)


def _stored(config: Config, bases: dict[str, int], insn: np.ndarray, out: int) -> int:
    """Bytes from `out` on that STOREs reach."""
    registers = Registers(insn_count=0, insn=0, **bases)
    ends = [0]
    for instruction in decode_all(config, insn):
        if isinstance(instruction, Store):
            rows = dram_rows(config, registers, instruction)
            ends += [int(end) - out for end in rows[:, 1] if end - out < FAR]
    return max(ends)


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
            segments[part.name] = Tensor(
                name=part.name, addr=address, nbytes=sizes[part.name], role=part.role
            )
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
