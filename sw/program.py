"""Programs and the stream bundles (``.npz``) they are saved as; what a device is and returns.

A :class:`Program` is everything a run needs: configuration, registers, the memory image with the
instructions in it, the bytes expected afterwards, and where each segment and instruction came
from. Design.md's "Interfaces that stay" fixes the file.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hw.config import Config, ConfigError
from hw.isa import INSTRUCTION_BYTES, MEMORIES, ErrorClass, Instruction
from sw.codec import decode_all

__all__ = [
    "BundleError", "Device", "DeviceError", "Mismatch", "Program", "Registers", "Result", "Segment",
]  # fmt: skip

FORMAT_VERSION = 1
MEMORY_LIMIT = 1 << 32  # bytes: addresses have 32 bits
IMAGE_LIMIT = 1 << 30  # bytes of memory a bundle may ask a device to map
VERSION_1_STATISTICS = ("uop_depth_used_max",)  # key of the config that is a statistic


class BundleError(ValueError):
    """A file that is no stream bundle, or one whose contents contradict themselves."""


@dataclass(frozen=True, kw_only=True)
class Registers:
    """What the driver writes before launch: the instruction count, and byte addresses."""

    insn_count: int
    insn: int
    uop: int = 0
    inp: int = 0
    wgt: int = 0
    acc: int = 0
    out: int = 0


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A named range of DRAM, and what it holds.

    `role` is input, output, weight, bias, uop, insn, temporary or ""; `shape` and `dtype` are the
    logical tensor's, `layout` names how it is packed (for example "NCHW1n16c").
    """

    addr: int
    nbytes: int
    role: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    layout: str = ""
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Mismatch:
    """The first byte that differs from what was expected."""

    address: int
    expected: int
    actual: int
    bytes_wrong: int


@dataclass(kw_only=True)
class Program:
    """A stream with its memory.

    `memory` is a uint8 image placed at byte address `memory_base` and zero-filled to
    `memory_size` bytes; it holds instructions, uops and data. `expected` maps byte addresses to
    uint8 arrays that must stand there after FINISH. `source_map[n]` says where instruction n came
    from (any JSON object: layer, loops, statement); it may be empty.
    """

    name: str
    config: Config
    registers: Registers
    memory: np.ndarray
    memory_base: int
    memory_size: int
    segments: dict[str, Segment] = field(default_factory=dict)
    expected: list[tuple[int, np.ndarray]] = field(default_factory=list)
    source_map: list[dict[str, Any]] = field(default_factory=list)
    description: str = ""

    def __post_init__(self) -> None:
        self._check_memory()
        self._check_registers()
        for address, data in self.expected:
            if not self._inside(address, len(data)):
                raise BundleError(
                    f"{self.name}: expected bytes at {address:#x} to {address + len(data):#x} lie "
                    f"outside the memory, {self._extent()}"
                )

    def _extent(self) -> str:
        return f"{self.memory_base:#x} to {self.memory_base + self.memory_size:#x}"

    def _inside(self, address: int, nbytes: int) -> bool:
        end = self.memory_base + self.memory_size
        return self.memory_base <= address and address + nbytes <= end

    def _check_memory(self) -> None:
        if self.memory.dtype != np.uint8 or self.memory.ndim != 1:
            raise BundleError(
                f"{self.name}: memory is {self.memory.dtype}{list(self.memory.shape)}; it must be "
                "uint8, one dimension"
            )
        if not len(self.memory) <= self.memory_size <= IMAGE_LIMIT:
            raise BundleError(
                f"{self.name}: memory_size is {self.memory_size}; it must be at least the image's "
                f"{len(self.memory)} and at most {IMAGE_LIMIT}"
            )
        if not 0 <= self.memory_base <= MEMORY_LIMIT - self.memory_size:
            raise BundleError(
                f"{self.name}: memory_base is {self.memory_base:#x}; with {self.memory_size} bytes "
                f"it must be 0 to {MEMORY_LIMIT - self.memory_size:#x}"
            )

    def _check_registers(self) -> None:
        align = {m.base: m.element_bytes(self.config) for m in reversed(MEMORIES.values())}
        align["insn"] = INSTRUCTION_BYTES
        for name, nbytes in align.items():
            value = getattr(self.registers, name)
            if not 0 <= value < MEMORY_LIMIT or value % nbytes:
                raise BundleError(
                    f"{self.name}: register {name} is {value:#x}; it must be a multiple of "
                    f"{nbytes} below 2^32"
                )
        count = self.registers.insn_count
        if count < 0 or not self._inside(self.registers.insn, count * INSTRUCTION_BYTES):
            raise BundleError(
                f"{self.name}: {count} instructions at {self.registers.insn:#x} lie outside the "
                f"memory, {self._extent()}"
            )

    # Views ----------------------------------------------------------------------------------
    def image(self) -> np.ndarray:
        """The whole memory, memory_size bytes of uint8: a fresh copy."""
        image = np.zeros(self.memory_size, np.uint8)
        image[: len(self.memory)] = self.memory
        return image

    def instructions(self) -> list[Instruction]:
        """The instructions, decoded from the memory image."""
        start = self.registers.insn - self.memory_base
        nbytes = self.registers.insn_count * INSTRUCTION_BYTES
        raw = np.zeros(nbytes, np.uint8)
        held = self.memory[start : start + nbytes]
        raw[: len(held)] = held
        return decode_all(self.config, raw)

    def segment_at(self, address: int) -> str | None:
        """Name of the segment that holds a byte address, if any."""
        for name, segment in self.segments.items():
            if segment.addr <= address < segment.addr + segment.nbytes:
                return name
        return None

    def first_mismatch(self, memory: np.ndarray) -> Mismatch | None:
        """Compare `memory` (memory_size bytes at memory_base) with everything expected."""
        found = None
        wrong = 0
        for address, data in self.expected:
            start = address - self.memory_base
            actual = memory[start : start + len(data)]
            bad = np.flatnonzero(actual != data)
            wrong += len(bad)
            if len(bad) and (found is None or address + bad[0] < found[0]):
                n = int(bad[0])
                found = (address + n, int(data[n]), int(actual[n]))
        return None if found is None else Mismatch(*found, wrong)

    # Files ------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Write the bundle; `load` of it gives an equal program."""
        header = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "description": self.description,
            "config": self.config.to_dict(),
            "architecture_hash": self.config.architecture_hash(),
            "registers": asdict(self.registers),
            "memory_base": self.memory_base,
            "memory_size": self.memory_size,
            "expected_addresses": [address for address, _ in self.expected],
            "segments": {name: asdict(segment) for name, segment in self.segments.items()},
            "source_map": self.source_map,
        }
        arrays: dict[str, Any] = {
            f"expected_{n}": data for n, (_, data) in enumerate(self.expected)
        }
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with open(path, "wb") as file:
            np.savez_compressed(file, memory=self.memory, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Program":
        """Read a bundle.

        Raises
        ------
        BundleError
            one line, beginning with the path: not a zip, truncated, a missing or wrong-typed
            member or header key, a memory or count beyond its limit.
        """
        try:
            return cls._load(Path(path))
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from error
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror or error}") from error
        except Exception as error:  # what NumPy's readers raise on foreign bytes has no end
            what = " ".join(str(error).split())[:200]
            kind = f"{type(error).__name__} " if isinstance(error, KeyError) else ""
            raise BundleError(f"{path}: no stream bundle: {kind}{what}") from error

    @classmethod
    def _load(cls, path: Path) -> "Program":
        _check_members(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for name in ("header", "memory"):
            if name not in arrays:
                raise BundleError(f"member {name} is missing")
            if arrays[name].dtype != np.uint8:
                raise BundleError(f"member {name} is {arrays[name].dtype}; it must be uint8")
        try:
            header = json.loads(arrays["header"].tobytes().decode("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise BundleError(f"header is not JSON: {error}") from error
        return _from_header(header, arrays)


def _check_members(path: Path) -> None:
    """Refuse, before anything is unpacked, members that would not fit a memory."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size > IMAGE_LIMIT + 4096:
                raise BundleError(
                    f"member {member.filename} unpacks to {member.file_size} bytes; the limit is "
                    f"{IMAGE_LIMIT}"
                )


def _get(header: Any, key: str, kind: type, default: Any = None) -> Any:
    if not isinstance(header, dict):
        raise BundleError(f"header is a {type(header).__name__}; it must be an object")
    value = header.get(key, default)
    if value is None:
        raise BundleError(f"header key {key} is missing")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BundleError(f"header key {key} is {value!r:.60}; it must be {kind.__name__}")
    return value


def _from_header(header: Any, arrays: dict[str, np.ndarray]) -> Program:
    version = _get(header, "format_version", int, 1)
    if version != FORMAT_VERSION:
        raise BundleError(f"format_version is {version}; this program reads {FORMAT_VERSION}")
    try:
        config = Config.from_dict(_get(header, "config", dict), ignore=VERSION_1_STATISTICS)
    except ConfigError as error:
        raise BundleError(f"config: {error}") from error
    stated = _get(header, "architecture_hash", str, "")
    if stated and stated != config.architecture_hash():
        raise BundleError(
            f"architecture_hash is {stated}, but that of its config is {config.architecture_hash()}"
        )
    registers = _get(header, "registers", dict)
    names = Registers.__dataclass_fields__
    addresses = _get(header, "expected_addresses", list, [])
    expected = []
    for n, address in enumerate(addresses):
        data = arrays.get(f"expected_{n}")
        if data is None or data.dtype != np.uint8 or data.ndim != 1:
            raise BundleError(f"member expected_{n} is missing or not uint8, one dimension")
        expected.append((_get({"address": address}, "address", int), data))
    return Program(
        name=_get(header, "name", str),
        description=_get(header, "description", str, ""),
        config=config,
        registers=Registers(**{name: _get(registers, name, int) for name in names}),
        memory=arrays["memory"],
        memory_base=_get(header, "memory_base", int),
        memory_size=_get(header, "memory_size", int),
        segments={
            name: _segment(name, entry)
            for name, entry in _get(header, "segments", dict, {}).items()
        },
        expected=expected,
        source_map=_get(header, "source_map", list, []),
    )


def _segment(name: str, entry: Any) -> Segment:
    known = {key: entry[key] for key in Segment.__dataclass_fields__ if key in entry}
    for key in ("addr", "nbytes"):
        value = _get(entry, key, int)
        if not 0 <= value <= MEMORY_LIMIT:
            raise BundleError(f"segment {name}: {key} is {value}; it must be 0 to 2^32")
    known["shape"] = tuple(known.get("shape", ()))
    return Segment(**known)


# Devices ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class DeviceError:
    """How a stream went wrong: the class, the instruction's index, and a reason in words."""

    error_class: ErrorClass
    index: int
    reason: str = ""
    address: int | None = None


@dataclass(kw_only=True)
class Result:
    """What a device returns: the whole memory afterwards, and how it went.

    `memory` is uint8, memory_size long. `cycles` is None where the device has no clock.
    `counters` maps the names of hw.registers.COUNTERS (and "acc_writes") to values. `writers` is
    None, or int32, memory_size long: the instruction that wrote each byte last, -1 where none did.
    """

    memory: np.ndarray
    error: DeviceError | None = None
    cycles: int | None = None
    counters: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    writers: np.ndarray | None = None


class Device(Protocol):
    """Something that runs programs: the golden model, or the RTL in its simulator."""

    def run(
        self, program: Program, *, max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:  # fmt: skip
        """Run to FINISH or to an error; `progress` is called now and then with what was done."""
        ...
