"""Instructions as lines of text, both ways; the syntax is described in `vta.sw.assembler`."""

from collections.abc import Iterable
from typing import Any

from vta.hw.config import Config
from vta.hw.errors import OptionError, VtaError, integer, quoted, shown
from vta.hw.isa import (
    FLAGS,
    Alu,
    AluOpcode,
    Finish,
    Gemm,
    Instruction,
    IsaError,
    Load,
    MemoryType,
    Raw,
    Store,
    reserved_mask,
)
from vta.sw.codec import encode

__all__ = [
    "AssemblerError",
    "assemble",
    "disassemble",
    "format_instruction",
    "number",
    "operands",
    "parse_instruction",
    "strip_comment",
]

NUMBER_COLUMN = 72


class AssemblerError(VtaError, ValueError):
    """Text that is not an instruction or directive; the message begins with the line's number."""


_TRANSFER = {  # operand: (fields, separator)
    "sram": (("sram_base",), ""),
    "dram": (("dram_base",), ""),
    "y": (("y_size",), ""),
    "x": (("x_size",), ""),
    "stride": (("x_stride",), ""),
    "pad": (("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"), ","),
}
_LOOPS = {
    "uop": (("uop_bgn", "uop_end"), ":"),
    "loop": (("iter_out", "iter_in"), ","),
    "dst": (("dst_factor_out", "dst_factor_in"), ","),
    "src": (("src_factor_out", "src_factor_in"), ","),
}
_OPERANDS = {
    Load: _TRANSFER,
    Store: _TRANSFER,
    Gemm: _LOOPS | {"wgt": (("wgt_factor_out", "wgt_factor_in"), ",")},
    Alu: _LOOPS | {"imm": (("imm",), ""), "unused_imm": (("imm",), "")},
    Finish: {},
}
_MNEMONICS = {cls.__name__.lower(): cls for cls in _OPERANDS}
_KINDS = {
    Load: ("memory_type", MemoryType),
    Store: ("memory_type", MemoryType),
    Alu: ("alu_opcode", AluOpcode),
}
_LOOP_DEFAULT = (1, 1)
_FLAG_TEXT = {flag.replace("_", "."): flag for flag in FLAGS}
_HEXADECIMAL = ("dram",)


# Instruction to text ---------------------------------------------------------------------------
def format_instruction(instruction: Instruction, config: Config) -> str:
    """One line; `parse_instruction` of it gives the instruction again, whatever its fields.

    `config` decides nothing but which bits are reserved; it is asked for since a line means
    something only with it.
    """
    if isinstance(instruction, Raw):
        return f"raw {instruction.bits:#x}"
    cls = type(instruction)
    words = [cls.__name__.lower()]
    if cls in _KINDS:
        name, names = _KINDS[cls]
        value = getattr(instruction, name)
        words.append(names(value).name.lower() if value in set(names) else str(value))
    for operand, (names, separator) in _OPERANDS[cls].items():
        values = tuple(getattr(instruction, name) for name in names)
        if _is_written(operand, values, instruction):
            form = "{:#x}" if operand in _HEXADECIMAL else "{}"
            words.append(f"{operand}=" + separator.join(map(form.format, values)))
    if getattr(instruction, "reset_reg", 0):
        words.append("reset")
    words += [text for text, flag in _FLAG_TEXT.items() if getattr(instruction, flag)]
    if instruction.reserved & reserved_mask(config, instruction.opcode):
        words.append(f"reserved={instruction.reserved:#x}")
    return " ".join(words)


def _is_written(operand: str, values: tuple[int, ...], instruction: Any) -> bool:
    if operand == "imm":
        return bool(instruction.use_imm)
    if operand == "unused_imm":
        return not instruction.use_imm and any(values)
    return values != _LOOP_DEFAULT if operand == "loop" else any(values)


def disassemble(
    instructions: Iterable[Instruction], config: Config, *, numbered: bool = False
) -> str:
    """A line for each instruction, with its number in a comment if `numbered`; `assemble` of the
    text gives the instructions again.
    """
    lines = [format_instruction(instruction, config) for instruction in instructions]
    if numbered:
        lines = [f"{line:<{NUMBER_COLUMN}}  # {n}" for n, line in enumerate(lines)]
    return "".join(f"{line}\n" for line in lines)


# Text to instruction ----------------------------------------------------------------------------
def strip_comment(line: str) -> str:
    """The line without its comment and outer white space."""
    return line.partition("#")[0].strip()


def number(text: str, what: str) -> int:
    """An integer in decimal, 0x or 0b notation; AssemblerError names `what`."""
    try:
        return integer(what, text)
    except OptionError as error:
        raise AssemblerError(str(error)) from None


def operands(words: Iterable[str], mnemonic: str) -> dict[str, str]:
    """``name=value`` words (and bare words, with an empty value) by name; none may come twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and not value:
            raise AssemblerError(f"{mnemonic}: {shown(name)}= has no value")
        if name in found:
            raise AssemblerError(f"{mnemonic}: {shown(name)} is given twice")
        found[name] = value
    return found


def assemble(text: str, config: Config) -> list[Instruction]:
    """The instructions in `text`, one a line; empty lines and comments are skipped.

    Raises
    ------
    AssemblerError
        with the line's number, the operand or field, its value and the limit.
    """
    instructions = []
    for n, line in enumerate(text.splitlines(), 1):
        code = strip_comment(line)
        if code:
            try:
                instructions.append(parse_instruction(code, config))
            except AssemblerError as error:
                raise AssemblerError(f"line {n}: {error}") from None
    return instructions


def parse_instruction(line: str, config: Config) -> Instruction:
    """The instruction that one line of text describes."""
    mnemonic, *words = line.lower().split()
    if mnemonic == "raw":
        return _parse_raw(words)
    cls = _MNEMONICS.get(mnemonic)
    if cls is None:
        known = ", ".join((*_MNEMONICS, "raw"))
        raise AssemblerError(f"{quoted(mnemonic)} is not an instruction; there are {known}")
    values = {"iter_out": 1, "iter_in": 1} if issubclass(cls, (Gemm, Alu)) else {}
    if cls in _KINDS:
        values |= _parse_kind(mnemonic, words, *_KINDS[cls])
        words = words[1:]
    for name, value in operands(words, mnemonic).items():
        values |= _parse_operand(cls, mnemonic, name, value)
    return _checked(config, cls(**values))


def _parse_raw(words: list[str]) -> Raw:
    bits = number(words[0], "raw") if len(words) == 1 else -1
    if not 0 <= bits < 1 << 128 or bits & 7 in {cls.opcode for cls in _OPERANDS}:
        raise AssemblerError("raw needs one number of 128 bits whose opcode, bits 2:0, is 5 to 7")
    return Raw(bits)


def _parse_kind(
    mnemonic: str, words: list[str], field: str, names: type[MemoryType] | type[AluOpcode]
) -> dict[str, int]:
    by_name = {member.name.lower(): member.value for member in names}
    if not words or "=" in words[0]:
        raise AssemblerError(f"{mnemonic} needs one of {', '.join(by_name)} (or a number)")
    return {field: by_name[words[0]] if words[0] in by_name else number(words[0], field)}


def _parse_operand(cls: type, mnemonic: str, name: str, value: str) -> dict[str, int]:
    """Values of the fields that one operand sets."""
    bare = _FLAG_TEXT | ({"reset": "reset_reg"} if issubclass(cls, (Gemm, Alu)) else {})
    if name in bare and not value:
        return {bare[name]: 1}
    if name == "reserved" and value:
        return {"reserved": number(value, f"{mnemonic}: reserved")}
    table = _OPERANDS[cls]
    if name not in table or not value:
        known = ", ".join((*(f"{operand}=" for operand in table), *bare, "reserved="))
        raise AssemblerError(f"{mnemonic}: {quoted(name)} is not an operand; there are {known}")
    fields, separator = table[name]
    parts = value.split(separator) if separator else [value]
    if len(parts) != len(fields):
        shape = separator.join(fields)
        raise AssemblerError(f"{mnemonic}: {name} is {shown(value)}; it must be {shape}")
    found = dict(zip(fields, (number(part, f"{mnemonic}: {name}") for part in parts), strict=True))
    return found | ({"use_imm": 1} if name == "imm" else {})


def _checked(config: Config, instruction: Load | Store | Gemm | Alu | Finish) -> Instruction:
    """The instruction, if every field fits."""
    mask = reserved_mask(config, instruction.opcode)
    name = type(instruction).__name__.upper()
    if not 0 <= instruction.reserved < 1 << 128 or instruction.reserved & ~mask:
        raise AssemblerError(
            f"{name}: reserved is {instruction.reserved:#x}; only bits of {mask:#x} are reserved"
        )
    try:
        encode(config, instruction)
    except IsaError as error:
        raise AssemblerError(str(error)) from None
    return instruction
