"""What tests of programs on the RTL share: a run and everything that must be true of it."""

import numpy as np

from vta.hw.registers import STAGE_STATES
from vta.sim.device import RtlDevice, RtlResult
from vta.sim.options import RunOptions
from vta.sim.process import SimulationError
from vta.sim.replay import keep_failure
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program

__all__ = ["check_counters", "run_and_compare"]


def run_and_compare(
    device: RtlDevice, program: Program, options: RunOptions, *, whole: bool = False
) -> RtlResult:
    """Run a legal program; compare what it expects, with `whole` all of DRAM with the model's.

    Where something is wrong the bundle is kept, and the message says how to repeat the run and
    which instruction was the first to write something else than the golden model.
    """
    assert whole or program.expected, f"{program.name} expects nothing: the run would show nothing"
    result = None
    try:
        result = device.run(program, options=options)
        _compare(program, options, result, whole)
    except (AssertionError, SimulationError) as error:
        lines = [str(error), *keep_failure(program, options, result)]
        raise AssertionError("\n".join(lines)) from error
    return result


def _compare(program: Program, options: RunOptions, result: RtlResult, whole: bool) -> None:
    what = f"{program.name}, {options}"
    assert result.error is None, f"{what}: {result.error} {result.details}"
    assert result.warnings == [], what
    mismatch = program.first_mismatch(result.memory)
    assert mismatch is None, f"{what}: {mismatch}"
    if whole:
        golden = GoldenDevice().run(program)
        np.testing.assert_array_equal(result.memory, golden.memory, what)
        for name in ("gemm_uops", "reset_uops", "alu_uops", "acc_writes"):
            if name in golden.counters:
                assert result.counters[name] == golden.counters[name], f"{what}: {name}"
    check_counters(result)


def check_counters(result: RtlResult) -> None:
    """The states of each stage sum to the cycles; beats are those that the memory model saw."""
    counters = result.counters
    for group, states in STAGE_STATES.items():
        total = sum(counters[f"{group}_{name}"] for name, _ in states.values())
        assert total == result.cycles, f"{group}: {total} of {result.cycles} cycles"
    assert counters["read_beats"] == result.accepted["r"]
    assert counters["write_beats"] == result.accepted["w"]
