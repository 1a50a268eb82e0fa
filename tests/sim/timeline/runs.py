"""Runs with every kind of ending, for what shows them."""

import dataclasses

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Alu, Finish, Instruction, Load, MemoryType, Store
from vta.sim.device import RtlDevice
from vta.sim.options import Fault, RunOptions
from vta.sim.process import SimulationError
from vta.sim.timeline import EVENT, History, ending_of
from vta.sw.codec import encode_all
from vta.sw.program import Program, Registers
from vta.sw.test_programs import BAD, random_program

__all__ = ["ENDINGS", "events_of", "history_of", "pipeline", "program_of", "run_to"]

BASE = 0x1000
ENDINGS = {
    "finish": (RunOptions(), None),
    "stalls": (RunOptions(stall_seed=5, latency=40), None),
    "DEADLOCK": (RunOptions(), None),
    "SRAM_BOUNDS": (RunOptions(), None),
    "ILLEGAL_OPCODE": (RunOptions(), None),
    "BUS_ERROR": (RunOptions(faults=(Fault(nth=3),)), None),
    "limit": (RunOptions(), 300),
    "hang": (RunOptions(faults=(Fault(write=True, response="NEVER"),), no_progress=400), None),
}
PROGRAMS = {
    "DEADLOCK": "two_stages_wait_for_each_other",
    "SRAM_BOUNDS": "load_beyond_the_scratchpad",
    "ILLEGAL_OPCODE": "illegal_opcode",
}


def events_of(*rows: tuple[int, int, int]) -> np.ndarray:
    """Events of (cycle, kind, value)."""
    return np.array([(cycle, kind, 0, value) for cycle, kind, value in rows], EVENT)


def history_of(
    device: RtlDevice,
    program: Program,
    options: RunOptions | None = None,
    max_cycles: int | None = None,
) -> History:
    """Run a program, whatever its end."""
    options = dataclasses.replace(options or RunOptions(), events=True)
    try:
        result = device.run(program, options=options, max_cycles=max_cycles)
        events, failure = result.events, ""
    except SimulationError as error:
        result, events, failure = None, error.events, str(error).splitlines()[0]
    assert events is not None
    return History(program, events, ending_of(events, result, failure))


def run_to(ending: str, device: RtlDevice) -> History:
    """A run that ends so: a key of `ENDINGS`."""
    options, max_cycles = ENDINGS[ending]
    if ending in PROGRAMS:
        program = BAD[PROGRAMS[ending]](Config(), 1)[0]
    else:
        program = random_program(11, Config())
    return history_of(device, program, options, max_cycles)


def pipeline() -> Program:
    """load -> compute -> store, one token each way forward, then FINISH behind the store."""
    rows = {"x_size": 4, "y_size": 1, "x_stride": 4, "dram_base": BASE // 16 + 64}
    acc = {"x_size": 4, "y_size": 1, "x_stride": 4, "dram_base": BASE // 64}
    code: list[Instruction] = [
        Load(memory_type=MemoryType.INP, push_next=1, **rows),
        Load(memory_type=MemoryType.ACC, pop_prev=1, **acc),
        Alu(uop_end=1, iter_out=1, iter_in=1, use_imm=1, imm=1, alu_opcode=2, push_next=1),
        Store(memory_type=MemoryType.OUT, pop_prev=1, push_prev=1, **rows),
        Finish(pop_next=1),
    ]
    return program_of("pipeline", code)


def program_of(name: str, code: list[Instruction]) -> Program:
    """A program of these instructions, in a memory of zeros."""
    config = Config()
    return Program(
        name=name,
        config=config,
        memory=encode_all(config, code),
        memory_base=BASE,
        memory_size=1 << 16,
        registers=Registers(insn_count=len(code), insn=BASE),
    )
