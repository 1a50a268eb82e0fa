"""Mutations of files, for the tests of readers: random, and the same for the same seed."""

import copy
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "bundle",
    "dump",
    "members_of",
    "mutate_bytes",
    "mutate_json",
    "mutate_text",
    "replace_header",
]


def _deep(levels: int) -> list:
    nested: list = []
    for _ in range(levels):
        nested = [nested]
    return nested


ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    16,
    255,
    4096,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 63,
    1 << 70,
    -(1 << 70),
    0.5,
    1e300,
    math.nan,
    math.inf,
    "",
    "x",
    "0",
    "a b",
    "a\nb",
    "[/x]",
    "\x1b[1m",
    "\ud800",
    "../x",
    "é" * 3000,
    [],
    [0],
    ["x"],
    [[]],
    {},
    {"x": 0},
    {"": []},
    _deep(20),
    _deep(400),
)
ODD_WORDS = (
    "",
    "=",
    "x",
    "-1",
    "0",
    "1",
    "65536",
    "0x",
    "0xffffffffffffffffff",
    "1_0",
    "1e3",
    "9" * 5000,
    "-" * 9,
    "*",
    "1*1",
    "1*-1",
    "1*99999999999",
    ":",
    "0:1",
    "1:0",
    ",",
    "1,1,1,1",
    "#",
    "é",
    "\x00",
    "\u2028",
    "nan",
    "inf",
    ".code",
    ".data",
    ".expect",
    ".config",
    ".segment",
    ".uops",
    ".memory",
    "uop",
    "raw",
    "load",
    "alu",
    "int8",
    "uint32",
    "reserved=1",
    "imm=99999",
    "dst=-1",
    "dst=99999999999999999999",
    "dram=0x" + "f" * 5000,
    "reserved=0x" + "f" * 190,
    "0*500000000",
    "x=99999999999999999999",
    "shape=1,x",
    "scale=x",
    "size=99999999999",
    "size=-1",
    "base=-16",
    "[/x]",
    "pop.prev",
    "reset",
    "4x16",
    "AXI_DATA_BITS=7",
)


def mutate_bytes(rng: np.random.Generator, raw: bytes) -> bytes:
    """Flip, cut, repeat, clear or insert a few bytes."""
    data = bytearray(raw)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(data) + 1))
        length = int(rng.choice((1, 1, 2, 4, 16, 100)))
        match int(rng.integers(5)):
            case 0:
                for n in range(at, min(at + length, len(data))):
                    data[n] ^= int(rng.integers(1, 256))
            case 1:
                del data[at:]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case _:
                data[at:at] = rng.bytes(length)
    return bytes(data)


def mutate_json(rng: np.random.Generator, document: Any) -> Any:
    """A copy in which one or two values are replaced, removed, added or moved."""
    document = copy.deepcopy(document)
    for _ in range(int(rng.integers(1, 3))):
        places = list(_places(document))
        holder, key = places[int(rng.integers(len(places)))]
        odd = copy.deepcopy(ODD_VALUES[int(rng.integers(len(ODD_VALUES)))])
        match int(rng.integers(6)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(odd)[:4000]] = holder[key]
            case 1:
                holder.append(odd)
            case 2:
                holder[key] = copy.deepcopy(places[int(rng.integers(len(places)))][0])
            case _:
                holder[key] = odd
        if not isinstance(document, dict) or not document:
            return document
    return document


def _places(value: Any) -> Any:
    """(holder, key) of every value inside, but not of all elements of a long list."""
    if isinstance(value, dict):
        keys: Any = list(value)
    elif isinstance(value, list):
        keys = range(min(len(value), 4))
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])


def mutate_text(rng: np.random.Generator, text: str) -> str:
    """Words replaced, removed or added; lines moved or repeated; or a character changed."""
    lines = text.split("\n")
    for _ in range(int(rng.integers(1, 4))):
        n = int(rng.integers(len(lines)))
        words = lines[n].split(" ")
        at = int(rng.integers(len(words)))
        odd = ODD_WORDS[int(rng.integers(len(ODD_WORDS)))]
        match int(rng.integers(7)):
            case 0:
                del words[at]
            case 1:
                words.insert(at, odd)
            case 2:
                words[at] = odd
            case 3:
                name, equals, _ = words[at].partition("=")
                words[at] = name + equals + odd
            case 4:
                lines.insert(int(rng.integers(len(lines))), lines[n])
            case 5:
                other = int(rng.integers(len(lines)))
                lines[other], words = lines[n], lines[other].split(" ")
            case _:
                word = words[at] or "x"
                spot = int(rng.integers(len(word)))
                words[at] = word[:spot] + chr(int(rng.integers(1, 0x300))) + word[spot + 1 :]
        lines[n] = " ".join(words)
    return "\n".join(lines)


def dump(document: Any) -> bytes:
    """JSON as foreign tools might write it, NaN and all."""
    return json.dumps(document).encode()


# Bundles with any members -------------------------------------------------------------------------
def bundle(members: dict[str, bytes]) -> bytes:
    """An archive of arrays as given: heads, contents and all."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(f"{name}.npy", raw)
    return file.getvalue()


def members_of(path: Path) -> dict[str, bytes]:
    """What `bundle` made the file at `path` of."""
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}


def replace_header(path: Path, header: Any) -> None:
    """Give the bundle at `path` another header."""
    file = io.BytesIO()
    np.save(file, np.frombuffer(dump(header), np.uint8))
    path.write_bytes(bundle(members_of(path) | {"header": file.getvalue()}))
