"""Programs and the stream bundles (``.npz``) they are saved as; what a device is and returns.

A :class:`Program` is everything a run needs: configuration, registers, the memory image with the
instructions in it, the bytes expected afterwards, and where each segment and instruction came
from. Design.md's "Interfaces that stay" fixes the file.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vta.hw.config import Config, ConfigError
from vta.hw.errors import quoted, shown
from vta.hw.isa import INSTRUCTION_BYTES, MEMORIES, ErrorClass, Instruction
from vta.sw.bundle import (
    FORMAT_VERSION,
    IMAGE_LIMIT,
    BundleError,
    check_object,
    check_text,
    get,
    read_bundle,
    write_bundle,
)
from vta.sw.codec import decode_all
from vta.sw.tensor import ENTRY, MEMORY_LIMIT, Tensor

__all__ = [
    "IMAGE_LIMIT",
    "MAX_CYCLES",
    "BundleError",
    "Device",
    "DeviceError",
    "Mismatch",
    "Program",
    "Registers",
    "Result",
]

MAX_CYCLES = 1 << 62
VERSION_1_STATISTICS = ("uop_depth_used_max",)  # key of the config that is a statistic


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
    segments: dict[str, Tensor] = field(default_factory=dict)
    expected: list[tuple[int, np.ndarray]] = field(default_factory=list)
    source_map: list[dict[str, Any]] = field(default_factory=list)
    description: str = ""

    def __post_init__(self) -> None:
        check_text("name", self.name, empty=False)
        check_text("description", self.description, lines=True)
        self._check_memory()
        self._check_registers()
        for address, data in self.expected:
            if not self._inside(address, len(data)):
                raise BundleError(
                    f"{self.name}: expected bytes at {address:#x} to {address + len(data):#x} lie "
                    f"outside the memory, {self._extent()}"
                )
        for segment in self.segments.values():
            segment.check()
        for n, entry in enumerate(self.source_map):
            check_object(f"{self.name}: source_map[{n}]", entry)

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
            if segment.start <= address < segment.end:
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
            "segments": {name: segment.entry() for name, segment in self.segments.items()},
            "source_map": self.source_map,
        }
        write_bundle(path, header, self.memory, [data for _, data in self.expected])

    @classmethod
    def load(cls, path: str | Path) -> "Program":
        """Read a bundle.

        Raises
        ------
        BundleError
            one line, beginning with the path: not a zip, truncated, a missing or wrong-typed
            member or header key, a size or count beyond its limit.
        """
        try:
            return _from_header(*read_bundle(Path(path)))
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from error
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror or error}") from error


def _from_header(header: dict[str, Any], memory: np.ndarray, expected: list[np.ndarray]) -> Program:
    version = get(header, "format_version", int, 1)
    if version != FORMAT_VERSION:
        raise BundleError(f"format_version is {version}; this program reads {FORMAT_VERSION}")
    try:
        config = Config.from_dict(get(header, "config", dict), ignore=VERSION_1_STATISTICS)
    except ConfigError as error:
        raise BundleError(f"config: {error}") from error
    stated = get(header, "architecture_hash", str, "")
    if stated and stated != config.architecture_hash():
        raise BundleError(
            f"architecture_hash is {shown(stated)}, but that of its config is "
            f"{config.architecture_hash()}"
        )
    registers = get(header, "registers", dict)
    names = Registers.__dataclass_fields__
    addresses = get(header, "expected_addresses", list, [])
    return Program(
        name=get(header, "name", str),
        description=get(header, "description", str, ""),
        config=config,
        registers=Registers(**{name: get(registers, name, int) for name in names}),
        memory=memory,
        memory_base=get(header, "memory_base", int),
        memory_size=get(header, "memory_size", int),
        segments={
            name: _segment(name, entry) for name, entry in get(header, "segments", dict, {}).items()
        },
        expected=[
            (get({"address": address}, "address", int), data)
            for address, data in zip(addresses, expected, strict=True)
        ],
        source_map=get(header, "source_map", list, []),
    )


def _segment(name: str, entry: Any) -> Tensor:
    for key in ("addr", "nbytes"):
        get(entry, key, int)
    known: dict[str, Any] = {key: entry[key] for key in ENTRY if key in entry}
    shape = known.get("shape", [])
    if not isinstance(shape, list):
        raise BundleError(f"segment {shown(name)}: shape is {quoted(shape)}; it must be a list")
    known["shape"] = tuple(shape)
    return Tensor(name=name, **known)


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
    `counters` maps the names of vta.hw.registers.COUNTERS (and "acc_writes") to values. `writers`
    is None, or int32, memory_size long: the instruction that wrote each byte last, -1 where none
    did. `ends` is None, or for each instruction the cycle after the launch at which it retired, -1
    where it did not.
    """

    memory: np.ndarray
    error: DeviceError | None = None
    cycles: int | None = None
    counters: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    writers: np.ndarray | None = None
    ends: np.ndarray | None = None


class Device(Protocol):
    """Something that runs programs: the golden model, or the RTL in its simulator."""

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Run to FINISH or to an error; `progress` is called now and then with what was done.

        Raises
        ------
        OptionError
            where `max_cycles` is not 1 to `MAX_CYCLES` (None: the device's own limit).
        """
        ...
