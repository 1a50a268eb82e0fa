"""What a traced run wrote: a digest for each pass of each unit, and the values asked for.

The units that write are each in order. A pass is one instruction of a unit, or several ALU
instructions that the core folded into one.
"""

import enum
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["PASS", "UNITS", "VARIANT", "Kind", "Record", "Trace", "read_trace"]

VARIANT = "traced"
"""The simulator that can do it (vta.sim.build.VARIANTS)."""

UNITS = ("load", "load_compute", "gemm", "alu", "store")
"""LOAD of INP and WGT, of UOP and ACC; GEMM and reset; ALU; STORE: by their numbers."""
PASS = np.dtype(
    [
        ("digest", "<u8"),
        ("first", "<i8"),
        ("last", "<i8"),
        ("writes", "<u4"),
        ("instructions", "<u4"),
        ("lost", "<u4"),
        ("unused", "<u4"),
    ]
)
"""`first` and `last` are the cycles of the first and the last write, from the launch. A pass with
`instructions` 0 had not ended with the run. `lost` writes did not get into their scratchpad."""
HEAD = np.dtype(
    [
        ("cycle", "<i8"),
        ("unit", "<u4"),
        ("kind", "<u4"),
        ("entry", "<u4"),
        ("info", "<u4"),
        ("nbytes", "<u4"),
        ("unused", "<u4"),
    ]
)


class Kind(enum.IntEnum):
    """What a record says."""

    WRITTEN = 0  # to `entry` of memory type `info` (OUT: the byte at address `entry`)
    LOST = 1  # `entry` of ACC holds this instead of what the record before says
    OPERANDS = 2  # that the step before worked on: INP `entry`, WGT `info`; or x and y of the ALU


@dataclass(frozen=True)
class Record:
    """One record; `data` is uint8."""

    cycle: int
    unit: int
    kind: Kind
    entry: int
    info: int
    data: np.ndarray


@dataclass(frozen=True)
class Trace:
    """`passes[unit]` is an array of `PASS`; `records` are in the order in which they were made.
    `ended`: the run came to FINISH, so that every instruction must have its pass.
    """

    passes: tuple[np.ndarray, ...]
    records: tuple[Record, ...]
    ended: bool = False


def read_trace(prefix: Path, launched: int) -> Trace:
    """The files that the simulator wrote, cycles counted from the launch."""
    passes = []
    for unit in range(len(UNITS)):
        array = np.fromfile(f"{prefix}.{unit}", PASS)
        for name in ("first", "last"):
            array[name] -= launched
        passes.append(array)
    return Trace(tuple(passes), tuple(_records(Path(f"{prefix}.values"), launched)))


def _records(path: Path, launched: int) -> list[Record]:
    data = np.fromfile(path, np.uint8)
    records, at = [], 0
    while at < len(data):
        head = data[at : at + HEAD.itemsize].view(HEAD)[0]
        at += HEAD.itemsize
        end = at + int(head["nbytes"])
        records.append(
            Record(
                int(head["cycle"]) - launched,
                int(head["unit"]),
                Kind(head["kind"]),
                int(head["entry"]),
                int(head["info"]),
                data[at:end],
            )
        )
        at = end
    return records
