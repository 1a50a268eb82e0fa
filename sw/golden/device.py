"""The golden model as a Device: the machine, driven by the stages."""

from collections.abc import Callable

import numpy as np

from vta.hw.errors import check_range
from vta.hw.isa import Stage
from vta.sw.golden.digest import Observer
from vta.sw.golden.machine import Machine
from vta.sw.program import MAX_CYCLES, Program, Result
from vta.sw.rules import stage_of
from vta.sw.stages import STAGES, StageNetwork

__all__ = ["GoldenDevice"]

PROGRESS_EVERY = 64  # instructions retired


class GoldenDevice:
    """Runs programs on the NumPy model.

    Arguments
    ---------
    seed
        chooses the interleaving of the stages and the contents of the scratchpads at launch:
        a legal program gives the same memory with every seed. None: a fixed order, zeros.
    record_writers
        fill `Result.writers`: for each byte of memory the index of the instruction that wrote it
        last, -1 where none did (int32).
    observer
        told of each write, in the order of execution.
    """

    def __init__(
        self,
        seed: int | None = None,
        record_writers: bool = False,
        observer: Observer | None = None,
    ):
        self._seed = seed
        self._record_writers = record_writers
        self._observer = observer

    def run(
        self,
        program: Program,
        *,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Run to FINISH or to the first error.

        The model has no clock: `max_cycles` bounds the uop executions instead (a core needs at
        most about one cycle for each), and the run ends as ABORTED beyond it. `progress` gets the
        number of instructions retired.
        """
        if max_cycles is not None:
            check_range("max_cycles", max_cycles, 1, MAX_CYCLES)
        rng = None if self._seed is None else np.random.default_rng(self._seed)
        machine = Machine(
            program,
            rng=rng,
            record_writers=self._record_writers,
            max_executions=max_cycles,
            observer=self._observer,
        )

        def execute(index: int, pushers: list[int]) -> None:
            machine.execute(index)

        def on_retire(retired: int) -> None:
            if progress and retired % PROGRESS_EVERY == 0:
                progress(retired)

        network = StageNetwork(program.config, machine.instructions, execute, rng)
        error = network.run(on_retire)
        warnings = machine.warnings + ([] if error else network.leftover_tokens())
        return Result(
            memory=machine.memory,
            error=error,
            counters=machine.counters | ({} if error else _retired(machine)),
            warnings=warnings,
            writers=machine.writers,
        )


def _retired(machine: Machine) -> dict[str, int]:
    """Instructions by stage, as vta.hw.registers.COUNTERS names them."""
    stages = [stage_of(instruction) for instruction in machine.instructions]
    return {f"{Stage(s).name.lower()}_instructions": stages.count(s) for s in STAGES}
