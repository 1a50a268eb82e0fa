"""The compiler's passes in order: `compile` for one function, `translate` and `finish` for more."""

from collections.abc import Mapping
from typing import Any

from vta.hw.config import Config
from vta.sw.compiler.errors import CompileError
from vta.sw.compiler.frontend.descriptions import check_descriptions
from vta.sw.compiler.frontend.lower import Lowered, lower, single_function
from vta.sw.compiler.frontend.nests import nests
from vta.sw.compiler.frontend.walk import Walk, walk
from vta.sw.compiler.ir import Stream
from vta.sw.compiler.module import VTAModule
from vta.sw.compiler.passes.accumulate import accumulate
from vta.sw.compiler.passes.allocate import allocate, check_fits
from vta.sw.compiler.passes.coalesce import coalesce
from vta.sw.compiler.passes.dram import PAGE, plan_dram
from vta.sw.compiler.passes.encode import encode
from vta.sw.compiler.passes.initialized import check_initialized
from vta.sw.compiler.passes.instructions import instructions
from vta.sw.compiler.passes.interleave import interleave
from vta.sw.compiler.passes.order import just_in_time
from vta.sw.compiler.passes.relay import relay
from vta.sw.compiler.passes.tokens import tokens
from vta.sw.compiler.passes.uops import uops
from vta.sw.compiler.pipeline import Instruments, Pass
from vta.sw.estimate import estimate_program
from vta.sw.program import Program
from vta.sw.tensor import Tensor

__all__ = ["MEMORY_BASE", "compile", "finish", "translate"]

MEMORY_BASE = 0x10000  # bytes: address 0 is never mapped, so a stray one is a bus error

FUNCTION: tuple[Pass, ...] = (
    ("initialized", check_initialized),
    ("coalesce", coalesce),
    ("accumulate", accumulate),
    ("instructions", instructions),
)
"""From nests to instructions: what one function needs, whatever it is linked with."""

PLACE: tuple[Pass, ...] = (("allocate", allocate), ("order", just_in_time))
"""From instructions with operands to instructions with entries on chip."""

SYNCHRONIZE: tuple[Pass, ...] = (
    ("dram", plan_dram),
    ("relay", relay),
    ("uops", uops),
    ("tokens", tokens),
)
"""Places in DRAM, uops, and what has to wait for what."""


def translate(
    schedule: Any,
    config: Config,
    *,
    name: str,
    tensors: Mapping[str, Tensor] | None = None,
    instruments: Instruments | None = None,
) -> Stream:
    """A schedule as instructions whose operands have no places yet, ready to be linked.

    Arguments
    ---------
    schedule: an ``s_tir.Schedule``, a PrimFunc, or an IRModule with one function, whose blocks
        are tensorized with the intrinsics that `register` gives, and whose buffers on chip are
        in the scopes local.inp, local.wgt (int8) and local.acc (int32).
    tensors: what the parameters mean, by name; without it they are taken packed, and their role
        is inferred from the memory they are loaded into.

    Raises
    ------
    CompileError
        where the schedule does something VTA cannot.
    """

    def described(schedule: Any) -> Any:
        check_descriptions(schedule, config)
        return single_function(schedule)

    def walked(lowered: Lowered) -> Walk:
        found = walk(lowered)
        check_fits(found.buffers(config), config)
        return found

    frontend: tuple[Pass, ...] = (
        ("descriptions", described),
        ("lower", lower),
        ("walk", walked),
        ("nests", lambda found: nests(found, config, tensors or {}, name)),
    )
    return (instruments or Instruments()).run((*frontend, *FUNCTION), schedule)


def finish(
    stream: Stream,
    *,
    memory_base: int = MEMORY_BASE,
    description: str = "",
    instruments: Instruments | None = None,
) -> VTAModule:
    """A translated or linked stream as a module.

    Arguments
    ---------
    memory_base: byte address of the program's first segment; a multiple of 4096, so that every
        element type is aligned.

    Raises
    ------
    CompileError
        where it does not fit the scratchpads, or DRAM.
    """
    if not 0 <= memory_base < 1 << 32 or memory_base % PAGE:
        raise CompileError(
            f"memory_base is {memory_base:#x}; it must be a multiple of {PAGE:#x} below 2^32"
        )

    def encoded(stream: Stream) -> Program:
        return encode(stream, memory_base=memory_base, description=description)

    instruments = instruments or Instruments()
    last: tuple[Pass, ...] = (*SYNCHRONIZE, ("encode", encoded))
    placed = instruments.run(PLACE, stream)
    woven = instruments.run((("interleave", interleave),), placed)
    program = instruments.run(last, woven)
    if woven is not placed:
        plain = Instruments(seconds=instruments.seconds).run(last, placed)
        program = min(program, plain, key=lambda found: estimate_program(found).cycles)
    return VTAModule(program)


def compile(
    schedule: Any,
    config: Config,
    *,
    name: str,
    tensors: Mapping[str, Tensor] | None = None,
    memory_base: int = MEMORY_BASE,
    description: str = "",
    instruments: Instruments | None = None,
) -> VTAModule:
    """Compile a schedule for a core: `translate`, then `finish`."""
    instruments = instruments or Instruments()
    stream = translate(schedule, config, name=name, tensors=tensors, instruments=instruments)
    return finish(stream, memory_base=memory_base, description=description, instruments=instruments)
