"""Event counters against NumPy's sums; each stage's states sum to the cycles."""

import numpy as np
import pytest

from tests.hw.harness import simulate
from vta.hw.frontend.counters import EVENTS, Counters
from vta.hw.registers import COUNTERS, STAGE_STATES


@pytest.mark.parametrize("seed", range(2))
def test_counts_states_and_events_of_running_cycles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cycles = 300
    running = rng.random(cycles) < 0.8
    states = {
        group: rng.choice(np.array([int(s) for s in table]), cycles)
        for group, table in STAGE_STATES.items()
    }
    events = {name: rng.integers(0, 16, cycles) for name in EVENTS}
    dut, seen = Counters(), {}

    async def run(ctx) -> None:
        for n in range(cycles):
            ctx.set(dut.running, bool(running[n]))
            for port, group in zip(dut.states, STAGE_STATES, strict=True):
                ctx.set(port, int(states[group][n]))
            for name in EVENTS:
                ctx.set(getattr(dut, name), int(events[name][n]))
            await ctx.tick()
        for counter in COUNTERS:
            seen[counter.name] = ctx.get(getattr(dut, f"count_{counter.name}"))

    simulate(dut, run)
    expected = {
        f"{group}_{name}": int((running & (states[group] == int(state))).sum())
        for group, table in STAGE_STATES.items()
        for state, (name, _) in table.items()
    }
    expected |= {name: int(events[name][running].sum()) for name in EVENTS}
    assert seen == expected
    for group in STAGE_STATES:
        total = sum(seen[counter.name] for counter in COUNTERS if counter.group == group)
        assert total == running.sum()
