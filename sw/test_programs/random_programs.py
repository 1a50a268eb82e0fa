"""Random legal, race-free programs: everything the instruction set allows, in odd company."""

from collections.abc import Callable

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Finish, Instruction, MemoryType
from vta.sw.codec import encode_all
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program
from vta.sw.rules import stage_of
from vta.sw.stages import STAGES, StageNetwork
from vta.sw.tensor import Tensor
from vta.sw.test_programs import loops, transfers
from vta.sw.test_programs.state import State

__all__ = ["assembled_program", "random_program", "write_random_body"]

OBSERVED = 48  # ACC entries stored at the end
MOTIFS: tuple[tuple[Callable[[State], None], float], ...] = (
    (lambda state: transfers.load(state, MemoryType.INP), 1.5),
    (lambda state: transfers.load(state, MemoryType.WGT), 0.7),
    (lambda state: transfers.load(state, MemoryType.ACC), 1.2),
    (lambda state: transfers.load(state, MemoryType.ACC_8BIT), 1.0),
    (transfers.load_uop_noise, 0.7),
    (transfers.nop, 0.8),
    (lambda state: void(transfers.store(state)), 1.5),
    (lambda state: void(transfers.store(state, over=True)), 0.4),
    (transfers.store_and_load, 0.6),
    (loops.gemm, 2.5),
    (loops.reset, 0.8),
    (loops.alu, 2.0),
    (loops.alu_chain, 1.5),
    (loops.reset_then_use, 1.0),
    (loops.empty_loop, 0.4),
)


def void(_: object) -> None:
    """Nothing: a motif returns nothing."""


def random_program(
    seed: int, config: Config | None = None, length: int = 40, *, reorder: bool = True
) -> Program:
    """A legal, race-free program of somewhat more than `length` instructions, from its seed.

    The same arguments give the same program, always. Everything that it reads was written
    before; `expected` is the whole memory after a run of the golden model. `reorder` allows
    program orders in which an instruction pops a token that one after it pushes.
    """
    config = config or Config()
    rng = np.random.default_rng([seed, length])
    state = State(config, rng, length, noise=True)
    write_random_body(state, length)
    state.stream.add(Finish())
    instructions = state.stream.instructions
    if reorder and state.chance(0.5):
        instructions = _reordered(config, instructions, rng)
    return finished_program(state, instructions, f"random_{seed}_{config.name}")


def write_random_body(state: State, length: int) -> None:
    """Some data in every scratchpad, then motifs, then STOREs of what there is."""
    starts = [
        lambda: transfers.load(state, MemoryType.INP, least=4 + state.below(12)),
        lambda: transfers.load(state, MemoryType.WGT, least=1 + state.below(3)),
        lambda: transfers.load(state, MemoryType.ACC, least=16 + state.below(40)),
    ]
    for n in state.rng.permutation(len(starts)).tolist():
        starts[n]()
    motifs, weights = zip(*MOTIFS, strict=True)
    favoured = np.array(weights)
    if state.chance(0.5):  # a program about a few things, in close company
        chosen = state.rng.choice(len(motifs), 3, replace=False)
        favoured[chosen] += sum(weights) / 3
    probabilities = favoured / favoured.sum()
    while len(state.stream.instructions) < length:
        motifs[int(state.rng.choice(len(motifs), p=probabilities))](state)
    transfers.observe(state, OBSERVED)


def assembled_program(state: State, instructions: list[Instruction], name: str) -> Program:
    """The program around `instructions`; nothing is expected of it."""
    layout = state.layout
    layout.put(layout.areas["insn"].addr, encode_all(state.config, instructions))
    return Program(
        name=name,
        config=state.config,
        registers=layout.registers(len(instructions)),
        memory=layout.image,
        memory_base=layout.memory_base,
        memory_size=layout.memory_size,
        segments={
            name: Tensor(name=name, addr=area.addr, nbytes=area.nbytes, role=name)
            for name, area in layout.areas.items()
        },
    )


def finished_program(state: State, instructions: list[Instruction], name: str) -> Program:
    """The program around `instructions`, with what the golden model makes of it as expected."""
    program = assembled_program(state, instructions, name)
    result = GoldenDevice().run(program)
    if result.error:
        raise ValueError(f"{name}: the generator made an illegal program: {result.error}")
    program.expected.append((program.memory_base, result.memory))
    return program


def _reordered(
    config: Config, instructions: list[Instruction], rng: np.random.Generator
) -> list[Instruction]:
    """The same instructions, each stage's in order, but the stages mixed otherwise.

    What a stage does stays the same. Where the queues are too short for it, the order stays.
    """
    *body, finish = instructions
    queues = {stage: [i for i in body if stage_of(i) == stage] for stage in STAGES}
    mixed: list[Instruction] = []
    burst = int(rng.choice((1, 4, 1 << 16)))
    while any(queues.values()):
        stages = [stage for stage in STAGES if queues[stage]]
        queue = queues[stages[int(rng.integers(len(stages)))]]
        for _ in range(min(burst, len(queue))):
            mixed.append(queue.pop(0))
    mixed.append(finish)
    legal = StageNetwork(config, mixed, lambda index, pushers: None).run() is None
    return mixed if legal else instructions
