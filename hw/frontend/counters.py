"""The event counters, made from their table."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vta.hw.registers import COUNTERS, STAGE_STATES, StageState

__all__ = ["EVENTS", "Counters"]

EVENTS = tuple(counter.name for counter in COUNTERS if counter.group == "events")


class Counters(wiring.Component):
    """Counts every cycle of a run into one state of each stage, and the events.

    Members
    -------
    running: in, count this cycle.
    states: in, the state of each stage, in the order of `STAGE_STATES`.
    One input for each of `EVENTS`: how many happen this cycle; one output `count_NAME` for each
    counter of the table, 32 bits, wrapping.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "running": In(1),
                "states": In(StageState).array(len(STAGE_STATES)),
                **{name: In(16) for name in EVENTS},
                **{f"count_{counter.name}": Out(32) for counter in COUNTERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def total(name: str) -> Signal:
            return getattr(self, f"count_{name}")

        with m.If(self.running):
            for (group, states), now in zip(STAGE_STATES.items(), self.states, strict=True):
                with m.Switch(now):
                    for state, (name, _) in states.items():
                        count = total(f"{group}_{name}")
                        with m.Case(state):
                            m.d.sync += count.eq(count + 1)
            for name in EVENTS:
                m.d.sync += total(name).eq(total(name) + getattr(self, name))
        return m
