"""The state of the golden model just before an instruction, and who wrote what is there."""

import numpy as np

from vta.hw.isa import ErrorClass
from vta.sw.golden.machine import Machine
from vta.sw.program import DeviceError, Program
from vta.sw.stages import StageNetwork, Stop

__all__ = ["LastWriters", "machine_before"]


class LastWriters:
    """For each entry of each scratchpad the instruction that wrote it last: int32, -1 for none."""

    def __init__(self) -> None:
        self.of: dict[str, np.ndarray] = {}

    def wrote(self, index: int, memory: str, entries: np.ndarray, values: np.ndarray) -> None:
        if memory in self.of:
            self.of[memory][entries] = index


def machine_before(program: Program, index: int) -> tuple[Machine, LastWriters]:
    """The machine as it is when instruction `index` starts.

    In a program without races what the instruction reads is then what it must be.
    """
    writers = LastWriters()
    machine = Machine(program, observer=writers)
    writers.of = {name: np.full(len(pad), -1, np.int32) for name, pad in machine.pads.items()}

    def execute(number: int, pushers: list[int]) -> None:
        if number == index:
            raise Stop(DeviceError(ErrorClass.ABORTED, index))
        machine.execute(number)

    StageNetwork(program.config, machine.instructions, execute).run()
    return machine, writers
