"""Text of whole programs to programs: enough to write a small stream by hand.

=============================================  ====================================================
``.program NAME``                              what the program is called
``.description TEXT``
``.config 1x16 AXI_DATA_BITS=128``             a preset, then keys of vta.hw.config; before all else
``.memory base=0x10000 size=0x1000``           the DRAM that a device maps
``.registers uop=0 inp=0x10000 ...``           base registers; what is not written is 0
``.segment NAME addr=0x10000 nbytes=64         a named range, for the reader
role=input dtype=int8 shape=4,16``             (and layout, scale, zero_point)
``.data ADDR TYPE VALUE ...``                  int8, uint8, int32 or uint32; ``0*64``: 64 zeros
``.uops ADDR`` then ``uop dst=1 src=2 wgt=3``  uops, one a line
``.code ADDR`` then instructions               the stream (see `vta.sw.assembler`)
``.expect ADDR TYPE VALUE ...``                what must stand there after FINISH
=============================================  ====================================================
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from vta.hw.config import KEYS, Config, ConfigError
from vta.hw.errors import shown
from vta.hw.isa import Instruction, IsaError, uop_fields
from vta.sw.assembler.instruction import (
    AssemblerError,
    number,
    operands,
    parse_instruction,
    strip_comment,
)
from vta.sw.codec import encode_all, pack_uops
from vta.sw.program import IMAGE_LIMIT, BundleError, Program, Registers
from vta.sw.tensor import ENTRY, Tensor

__all__ = ["assemble_program"]

_TYPES = {name: np.dtype(name).newbyteorder("<") for name in ("uint8", "int8", "uint32", "int32")}
_BASES = ("uop", "inp", "wgt", "acc", "out")
_ROW = 16  # bytes of data on a line
_SEGMENT_TEXT = ("role", "dtype", "layout")


def assemble_program(text: str, name: str = "program") -> Program:
    """The program that `text` describes; `name` is its name where it gives none.

    Raises
    ------
    AssemblerError
        one line; begins with the line's number where one line is at fault.
    """
    parser = _Parser(name)
    for n, line in enumerate(text.splitlines(), 1):
        code = strip_comment(line)
        try:
            if code:
                parser.line(code)
        except (AssemblerError, ConfigError, IsaError) as error:
            raise AssemblerError(f"line {n}: {error}") from None
    try:
        return parser.program()
    except BundleError as error:
        raise AssemblerError(str(error)) from None


class _Parser:
    """What was read so far."""

    def __init__(self, name: str):
        self.name = name
        self.description = ""
        self.config = Config()
        self.instructions: list[Instruction] = []
        self.code = 0
        self.uop = -1  # address of the next uop line
        self.base = self.size = 0
        self.bases: dict[str, int] = {}
        self.segments: dict[str, Tensor] = {}
        self.data: list[tuple[int, np.ndarray]] = []
        self.expected: list[tuple[int, np.ndarray]] = []
        self.held = 0  # bytes of data and expectations
        self.started = False  # something that depends on the configuration was read

    def line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        directive = getattr(self, f"_{word[1:]}", None) if word.startswith(".") else None
        if directive and word[1:] in _DIRECTIVES:
            directive(rest.strip())
        elif word == "uop":
            self._uop(rest.split())
        elif word.startswith("."):
            known = ", ".join(f".{name}" for name in _DIRECTIVES)
            raise AssemblerError(f"{shown(word)} is not a directive; there are {known}")
        else:
            self.started = True
            self.instructions.append(parse_instruction(line, self.config))

    def program(self) -> Program:
        code = encode_all(self.config, self.instructions)
        memory = np.zeros(self.size, np.uint8)
        for address, data in (*self.data, (self.code, code)):
            start = address - self.base
            if len(data) and not 0 <= start <= self.size - len(data):
                raise AssemblerError(
                    f"{len(data)} bytes at {address:#x} lie outside the memory, {self.base:#x} to "
                    f"{self.base + self.size:#x}; see .memory"
                )
            memory[start : start + len(data)] = data
        registers = Registers(insn_count=len(self.instructions), insn=self.code, **self.bases)
        return Program(
            name=self.name,
            description=self.description,
            config=self.config,
            registers=registers,
            memory=memory,
            memory_base=self.base,
            memory_size=self.size,
            segments=self.segments,
            expected=self.expected,
        )

    # Directives -----------------------------------------------------------------------------
    def _program(self, rest: str) -> None:
        self.name = rest

    def _description(self, rest: str) -> None:
        self.description = rest

    def _config(self, rest: str) -> None:
        if self.started:
            raise AssemblerError(".config must come before uops and instructions")
        preset, *words = rest.split() or [""]
        if not preset or "=" in preset:
            raise AssemblerError(".config needs a preset first, such as 1x16")
        attributes = {key.name: key.attribute for key in KEYS}
        changes = {}
        for key, value in operands(words, ".config").items():
            if key not in attributes:
                raise AssemblerError(_unknown(".config", key, "a key", attributes))
            changes[attributes[key]] = number(value, key)
        self.config = Config.preset(preset, **changes)

    def _memory(self, rest: str) -> None:
        found = _numbers(rest, ".memory", ("base", "size"))
        self.base, self.size = found.get("base", 0), found.get("size", 0)
        if not 0 <= self.size <= IMAGE_LIMIT:
            raise AssemblerError(f".memory: size is {self.size}; it must be 0 to {IMAGE_LIMIT}")

    def _registers(self, rest: str) -> None:
        self.bases = _numbers(rest, ".registers", _BASES)

    def _segment(self, rest: str) -> None:
        name, *words = rest.split() or [""]
        if not name or "=" in name:
            raise AssemblerError(".segment needs a name first")
        known = list(ENTRY)
        values: dict[str, Any] = {}
        for key, value in operands(words, ".segment").items():
            if key not in known:
                raise AssemblerError(_unknown(".segment", key, "a key", known))
            values[key] = _segment_value(key, value)
        if missing := {"addr", "nbytes"} - set(values):
            raise AssemblerError(f".segment {shown(name)}: {' and '.join(sorted(missing))} missing")
        self.segments[name] = Tensor(name=name, **values)

    def _data(self, rest: str) -> None:
        self.data.append(self._values(rest, ".data"))

    def _expect(self, rest: str) -> None:
        self.expected.append(self._values(rest, ".expect"))

    def _values(self, rest: str, what: str) -> tuple[int, np.ndarray]:
        address, data = _values(rest, what, IMAGE_LIMIT - self.held)
        self.held += len(data)
        return address, data

    def _uops(self, rest: str) -> None:
        self.uop = number(rest, ".uops")

    def _code(self, rest: str) -> None:
        self.code = number(rest, ".code")

    def _uop(self, words: list[str]) -> None:
        if self.uop < 0:
            raise AssemblerError("uop: .uops must say at which address first")
        self.started = True
        table = uop_fields(self.config)
        values = _numbers(" ".join(words), "uop", (*(f.name for f in table), "unused"))
        packed = pack_uops(self.config, np.array([[values.get(f.name, 0) for f in table]], object))
        unused = values.get("unused", 0)
        if not 0 <= unused < 1 << 32 or unused & ((1 << sum(f.width for f in table)) - 1):
            raise AssemblerError(f"uop: unused is {unused:#x}; only bits above the fields are")
        data = (packed | np.uint32(unused)).astype("<u4").view(np.uint8)
        self.data.append((self.uop, data))
        self.uop += data.nbytes


_DIRECTIVES = (
    "program",
    "description",
    "config",
    "memory",
    "registers",
    "segment",
    "data",
    "expect",
    "uops",
    "code",
)


def _unknown(where: str, name: str, kind: str, known: Iterable[str]) -> str:
    return f"{where}: {shown(name)} is not {kind}; there are {', '.join(known)}"


def _numbers(text: str, what: str, known: tuple[str, ...]) -> dict[str, int]:
    found = operands(text.split(), what)
    for name in found:
        if name not in known:
            raise AssemblerError(_unknown(what, name, "an operand", known))
    return {name: number(value, f"{what}: {name}") for name, value in found.items()}


def _segment_value(key: str, value: str) -> Any:
    if key in _SEGMENT_TEXT:
        return value
    if key == "shape":
        return tuple(number(part, ".segment: shape") for part in value.split(","))
    if key == "scale":
        try:
            return float(value)
        except ValueError:
            raise AssemblerError(f".segment: scale is {value!r}; it must be a number") from None
    return number(value, f".segment: {key}")


def _values(text: str, what: str, limit: int) -> tuple[int, np.ndarray]:
    """(address, uint8 bytes) of ``ADDR TYPE VALUE ...``, at most `limit` bytes."""
    words = text.split()
    if len(words) < 2 or words[1] not in _TYPES:
        raise AssemblerError(f"{what} needs an address, one of {', '.join(_TYPES)}, and values")
    dtype = _TYPES[words[1]]
    limits = np.iinfo(dtype)
    parts = []
    for word in words[2:]:
        value, _, times = word.partition("*")
        n = number(value, what)
        if not limits.min <= n <= limits.max:
            raise AssemblerError(f"{what}: {n} is not {words[1]}: {limits.min} to {limits.max}")
        count = number(times, what) if times else 1
        if not 0 <= count * dtype.itemsize <= limit:
            raise AssemblerError(
                f"{what}: {count} values; the limit is {IMAGE_LIMIT} bytes of all data together"
            )
        limit -= count * dtype.itemsize
        parts.append(np.full(count, n, dtype))
    data = np.concatenate(parts) if parts else np.zeros(0, dtype)
    return number(words[0], what), data.view(np.uint8)
