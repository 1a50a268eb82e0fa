"""How a program with exactly one error is written, and the table it registers in."""

from collections.abc import Callable

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import ErrorClass, Finish, Instruction, MemoryType
from vta.sw.program import Program
from vta.sw.test_programs.random_programs import assembled_program, write_random_body
from vta.sw.test_programs.state import State

__all__ = ["BAD", "LENGTH", "MOST", "bad", "inject", "writable"]

BadProgram = tuple[Program, ErrorClass, int]
Write = Callable[[State], tuple[ErrorClass, int]]

BAD: dict[str, Callable[[Config, int], BadProgram]] = {}
LENGTH = 16  # instructions, about, before the error and after it
MOST = 1000  # instructions to fill a counter or a queue with


def bad(write: Write) -> Write:
    """Register a function that adds one error to a program half written."""
    name = write.__name__

    def build(config: Config, seed: int) -> BadProgram:
        state = State(config, np.random.default_rng([seed, LENGTH]), 2 * LENGTH + MOST, noise=False)
        write_random_body(state, LENGTH)
        error_class, index = write(state)
        instructions = state.stream.instructions
        given = name.startswith("no_finish") or any(isinstance(i, Finish) for i in instructions)
        finish = [] if given else [Finish()]
        program = assembled_program(state, [*instructions, *finish], f"{name}_{seed}_{config.name}")
        return program, error_class, index

    BAD[name] = build
    return write


def inject(
    state: State, error_class: ErrorClass, instruction: Instruction
) -> tuple[ErrorClass, int]:
    """Put the instruction between what there is and more legal ones."""
    index = len(state.stream.instructions)
    state.stream.inject(instruction)
    write_random_body(state, index + LENGTH // 2)
    return error_class, index


def writable(state: State) -> int:
    """An OUT element that may be stored to."""
    return state.layout.elements(MemoryType.OUT)[0]
