"""Programs as text, which `assemble_program` reads again."""

import re
from itertools import groupby

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Instruction, Load, MemoryType, uop_fields
from vta.sw.assembler.instruction import disassemble
from vta.sw.codec import encode_all, unpack_uops
from vta.sw.program import Program
from vta.sw.tensor import Tensor

__all__ = ["disassemble_program"]

_BASES = ("uop", "inp", "wgt", "acc", "out")
_ROW = 16  # bytes of data on a line
UOP_BYTES = Config.uop_bytes


def disassemble_program(program: Program) -> str:
    """Text of the whole program, data and all; `assemble_program` of it gives it again.

    Not kept: the source map, a description's line breaks, spaces and signs such as # in names.
    Uops are shown as such where a LOAD UOP reads them.
    """
    config = program.config
    keys = config.to_dict()
    default = Config().to_dict()
    changed = [f"{key}={keys[key]}" for key in default if keys[key] != default[key]]
    lines = [
        f".program {program.name.replace('#', '_')}",
        *_description(program.description),
        " ".join((".config 1x16", *changed)),
        f".memory base={program.memory_base:#x} size={program.memory_size:#x}",
        ".registers " + " ".join(f"{n}={getattr(program.registers, n):#x}" for n in _BASES),
        *(_segment_line(name, segment) for name, segment in program.segments.items()),
    ]
    image = program.image()
    code = program.registers.insn - program.memory_base
    instructions = program.instructions()
    encoded = encode_all(config, instructions)
    image[code : code + len(encoded)] = 0
    lines += _uop_lines(program, instructions, image)
    lines += _data_lines(".data", program.memory_base, image, skip_zeros=True)
    lines.append(f".code {program.registers.insn:#x}")
    lines += disassemble(instructions, config, numbered=True).splitlines()
    for address, data in program.expected:
        lines += _data_lines(".expect", address, data, skip_zeros=False)
    return "\n".join(lines) + "\n"


def _description(text: str) -> list[str]:
    words = " ".join(text.replace("#", "_").split())
    return [f".description {words}"] if words else []


def _segment_line(name: str, segment: Tensor) -> str:
    words = [f".segment {_word(name)} addr={segment.addr:#x} nbytes={segment.nbytes}"]
    for key in ("role", "dtype", "layout"):
        if getattr(segment, key):
            words.append(f"{key}={_word(getattr(segment, key))}")
    if segment.shape:
        words.append("shape=" + ",".join(map(str, segment.shape)))
    for key in ("scale", "zero_point"):
        if getattr(segment, key) is not None:
            words.append(f"{key}={getattr(segment, key)}")
    return " ".join(words)


def _word(text: str) -> str:
    """Names may hold spaces and signs with a meaning here; a word of the text may not."""
    return re.sub(r"[\s#=]+", "_", text)


def _uop_lines(program: Program, instructions: list[Instruction], image: np.ndarray) -> list[str]:
    """Uops that LOAD UOP rows read, each once; their bytes in `image` are cleared."""
    lines: list[str] = []
    used = sum(field.width for field in uop_fields(program.config))
    expected_next = None
    for start in _uop_places(program, instructions, len(image)):
        word = image[start : start + UOP_BYTES].view("<u4").astype(np.uint32)
        dst, src, wgt = unpack_uops(program.config, word)[0]
        address = program.memory_base + start
        if address != expected_next:
            lines.append(f".uops {address:#x}")
        unused = int(word[0]) >> used << used
        lines.append(f"uop dst={dst} src={src} wgt={wgt}" + (f" unused={unused:#x}" * bool(unused)))
        image[start : start + UOP_BYTES] = 0
        expected_next = address + UOP_BYTES
    return lines


def _uop_places(program: Program, instructions: list[Instruction], nbytes: int) -> list[int]:
    """Where in the image, of `nbytes`, uops lie: inside it, and not in the code; in order."""
    first = -program.memory_base % UOP_BYTES  # of the image's words: addresses are multiples of 4
    marked = np.zeros(max(nbytes - first, 0) // UOP_BYTES, bool)
    base = (program.registers.uop - program.memory_base - first) // UOP_BYTES
    for load in instructions:
        if isinstance(load, Load) and load.memory_type == MemoryType.UOP and load.x_size:
            for y in range(load.y_size if load.x_stride else min(load.y_size, 1)):
                begin = base + load.dram_base + y * load.x_stride
                if begin >= len(marked):
                    break
                marked[max(begin, 0) : max(begin + load.x_size, 0)] = True
    code = program.registers.insn - program.memory_base
    code_words = (code - first) // UOP_BYTES
    marked[max(code_words, 0) : code_words + 4 * len(instructions) + 1] = False
    return (np.flatnonzero(marked) * UOP_BYTES + first).tolist()


def _data_lines(what: str, address: int, data: np.ndarray, *, skip_zeros: bool) -> list[str]:
    """Rows of bytes; runs of four or more equal ones are written as one."""
    lines = []
    if not skip_zeros:
        rows = [(0, data)] if len(data) else []
    else:
        starts = range(0, len(data), _ROW)
        rows = [(n, data[n : n + _ROW]) for n in starts if data[n : n + _ROW].any()]
    for start, row in rows:
        words = []
        for value, run in groupby(row.tolist()):
            count = len(list(run))
            words += [f"{value}*{count}"] if count > 3 else [str(value)] * count
        lines.append(f"{what} {address + start:#x} uint8 " + " ".join(words))
    return lines
