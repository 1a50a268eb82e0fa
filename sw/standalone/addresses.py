"""memory_addresses.csv: where each part lies, and where instructions count from."""

import csv
from itertools import pairwise
from pathlib import Path

from vta.hw.config import Config
from vta.hw.errors import quoted, shown
from vta.hw.isa import MEMORIES
from vta.sw.program import BundleError
from vta.sw.standalone.files import ADDRESSES, PARTS, SECOND, element_bytes

__all__ = ["PAGE", "address_rows", "base_registers", "check_overlaps", "place"]

PAGE = 4096
FIRST = 0x1000
ALIASES = {"add_acc": SECOND}


def address_rows(path: Path) -> dict[str, list[int]]:
    """By name: byte address and, where it is given, the first element."""
    known = tuple(part.name for part in PARTS)
    listed = ", ".join(known)
    rows: dict[str, list[int]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for n, row in enumerate(csv.reader(file), 1):
            name = row[0].strip().lower() if row else ""
            name = ALIASES.get(name, name)
            numbers = _numbers(row[1:3])
            if not name or (n == 1 and name not in known and numbers is None):
                continue  # an empty line, or a heading
            where = f"{path.name}, line {n}"
            if name not in known:
                raise BundleError(f"{where}: {shown(name)} is unknown; there are {listed}")
            if name in rows:
                raise BundleError(f"{where}: {name} is given twice")
            if numbers is None:
                raise BundleError(f"{where}: {quoted(','.join(row))} holds no addresses")
            if not numbers or min(numbers) < 0 or max(numbers) >= 1 << 32:
                raise BundleError(f"{where}: {name} needs an address below 2^32")
            rows[name] = numbers
    return rows


def _numbers(texts: list[str]) -> list[int] | None:
    """The integers that `texts` are, or None."""
    try:
        return [int(text.strip(), 0) for text in texts]
    except ValueError:
        return None


def base_registers(config: Config, rows: dict[str, list[int]]) -> dict[str, int]:
    """Base registers: 0, unless byte address and first element say otherwise."""
    bases = {MEMORIES[part.type].base: 0 for part in PARTS if part.type is not None}
    said: dict[str, str] = {}  # register: the row that says what it is
    for part in PARTS:
        row = rows.get(part.name, [])
        if part.type is None or len(row) < 2:
            continue
        register = MEMORIES[part.type].base
        value = row[0] - row[1] * element_bytes(config, part)
        if register in said and value != bases[register]:
            raise BundleError(
                f"rows {said[register]} and {part.name} of {ADDRESSES} do not agree where "
                f"instructions count from: {bases[register]:#x} and {value:#x}"
            )
        bases[register] = value
        said[register] = part.name
    return bases


def place(rows: dict[str, list[int]], sizes: dict[str, int]) -> dict[str, int]:
    addresses = {}
    free = FIRST
    for part in PARTS:
        given = rows.get(part.name, [0])[0]
        addresses[part.name] = given or free
        if sizes[part.name] or given:
            end = addresses[part.name] + max(sizes[part.name], 1)
            free = max(free, -(-end // PAGE) * PAGE)
    return addresses


def check_overlaps(addresses: dict[str, int], sizes: dict[str, int]) -> None:
    placed = sorted((addresses[name], name) for name in addresses if sizes[name])
    for (first, a), (second, b) in pairwise(placed):
        if first + sizes[a] > second:
            raise BundleError(
                f"{a} at {first:#x} has {sizes[a]} bytes and reaches into {b} at {second:#x}; "
                "see memory_addresses.csv"
            )
