"""What the GEMM and the ALU pipeline have in common: steps, cycle by cycle, and forwarding."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from vta.hw.compute.sequencer import step_layout
from vta.hw.config import Config

__all__ = ["STAGES", "chosen", "pipeline", "source_of", "written_in"]

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


def source_of(m: Module, valid: list, steps: list, address: Value, zero: Value, name: str) -> Value:
    """Where an ACC operand comes from in the cycle after its read: 2 bits, for `chosen`.

    Called for the cycle of the read: results that are in cycles 4 and 5 then are in 5 and 6 when
    they are chosen. So the comparisons have a cycle of their own.
    """
    in_5, in_6 = (Signal(name=f"{name}_in_{n}") for n in (5, 6))
    m.d.sync += [
        in_5.eq(written_in(valid, steps, address, range(4, 5))),
        in_6.eq(written_in(valid, steps, address, range(5, 6))),
    ]
    return Mux(in_5, 3, Mux(in_6, 2, zero))


def chosen(source: Value, read: Value, before: Value, result: Value) -> Value:
    """The operand: as read, zero by its flag, or the result in cycle 6 or 5."""
    return Mux(source[1], Mux(source[0], result, before), Mux(source[0], 0, read))
