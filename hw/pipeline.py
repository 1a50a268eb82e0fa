"""What the GEMM and the ALU pipeline have in common: steps, cycle by cycle, and windows."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data

from hw.config import Config
from hw.sequencer import step_layout

__all__ = ["STAGES", "inside", "pipeline", "window_layout", "written_in"]

STAGES = 6
"""Cycle 0 issues, 1 reads, 2 and 3 compute, 4 accumulates or clamps, 5 writes; what was written in
the cycle before is still there in cycle 6, for forwarding."""


def pipeline(m: Module, config: Config, issued: Value, step: Value) -> tuple[list, list]:
    """Valid bits and steps of cycles 0 to `STAGES`; a step that is issued never stalls."""
    valid = [issued]
    steps = [step]
    for n in range(STAGES):
        valid.append(Signal(name=f"valid_{n + 1}"))
        steps.append(Signal(step_layout(config), name=f"step_{n + 1}", reset_less=True))
        m.d.sync += valid[n + 1].eq(valid[n])
        with m.If(valid[n]):
            m.d.sync += steps[n + 1].eq(steps[n])
    return valid, steps


def written_in(valid: list, steps: list, address: Value, cycles: range) -> Value:
    """Whether a step in one of these cycles is for ACC entry `address`."""
    return Cat(valid[n] & (steps[n].dst == address) for n in cycles).any()


def window_layout() -> data.StructLayout:
    """ACC entries `start` to ``end - 1``, while `valid`: others have still to use or write them."""
    return data.StructLayout({"valid": 1, "start": 17, "end": 17})


def inside(window, address: Value) -> Value:
    """Whether an entry lies in a window."""
    return window.valid & (address >= window.start) & (address < window.end)
