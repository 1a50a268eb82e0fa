"""Runs a program in the plain C++ loop (bench.cpp): the same model, without cocotb."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from vta.hw.errors import VtaError
from vta.hw.registers import address_of
from vta.sim.build import Simulator
from vta.sim.device import BASES
from vta.sim.options import RunOptions
from vta.sw.program import Program

__all__ = ["LoopError", "run_plain_loop"]

TIMEOUT = 600  # seconds


class LoopError(VtaError, RuntimeError):
    """The plain loop gave no result, or a wrong one."""


def run_plain_loop(
    simulator: Simulator, program: Program, options: RunOptions
) -> tuple[int, float]:
    """(cycles, CPU seconds from the first register write to finish); the result is compared.

    `simulator` is a build of variant "bare".

    Raises
    ------
    LoopError
        where it does not finish, or an expected byte is not there.
    """
    settings = options.to_message() | {
        "insn": program.registers.insn,
        "base": program.memory_base,
        "size": program.memory_size,
    }
    writes = [(address_of(name), getattr(program.registers, name)) for name in BASES]
    writes.append((address_of("control"), 1))
    with tempfile.TemporaryDirectory() as directory:
        dram = Path(directory) / "dram"
        program.image().tofile(dram)
        command = [str(simulator.path), str(dram), str(program.memory_size)]
        for name, value in settings.items():
            command += ["set", name, str(value)]
        for address, value in writes:
            command += ["write", hex(address), hex(value)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise LoopError(f"{program.name} in the plain loop: {done.stderr.strip()}")
        if program.first_mismatch(np.fromfile(dram, np.uint8)) is not None:
            raise LoopError(f"{program.name} in the plain loop: the result is wrong")
    cycles, seconds = done.stdout.split()
    return int(cycles), float(seconds)
