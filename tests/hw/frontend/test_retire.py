"""Retirement: in order, each token once, never before its unit is done or into a full counter."""

import random

import pytest
from amaranth.hdl import Signal

from tests.hw.harness import simulate
from vta.hw.frontend.retire import Retire, Unit

SIDES = ("prev", "next")
UNITS = [unit for unit in Unit if unit != Unit.NONE]
NAMES = (
    "push_prev",
    "push_next",
    "retired",
    "blocked_prev",
    "blocked_next",
    "finished",
    "occupied",
)


def random_tickets(rng: random.Random, count: int) -> list[dict]:
    return [
        {
            "index": n,
            "unit": rng.choice(list(Unit)),
            "push_prev": rng.getrandbits(1),
            "push_next": rng.getrandbits(1),
            "finish": int(n == count - 1),
        }
        for n in range(count)
    ]


def done_port(dut: Retire, unit: Unit) -> Signal:
    return getattr(dut, f"{unit.name.lower()}_done")


def most_done(dut: Retire, unit: Unit) -> int:
    """Completions that a unit reports in one cycle, in this test."""
    return min(3, 2 ** len(done_port(dut, unit)) - 1)


def rtl_retire(tickets: list[dict], seed: int) -> list[tuple[dict, dict]]:
    """Random completions and room; returns (inputs, outputs) of each cycle."""
    rng = random.Random(seed)
    dut = Retire()
    cycles: list[tuple[dict, dict]] = []

    async def run(ctx) -> None:
        retired = started = 0
        undone = dict.fromkeys(UNITS, 0)
        eager = rng.choice((0.2, 0.5, 0.9))
        while retired < len(tickets):
            start = started < len(tickets) and rng.random() < 0.6
            ctx.set(dut.start.valid, start)
            if start:
                ctx.set(dut.start.payload, tickets[started])
            done = {
                unit: rng.randrange(min(undone[unit], most_done(dut, unit)) + 1) for unit in UNITS
            }
            for unit in UNITS:
                ctx.set(done_port(dut, unit), done[unit])
            room = {side: int(rng.random() < eager) for side in SIDES}
            for side in SIDES:
                ctx.set(getattr(dut, f"room_{side}"), room[side])
            start = start and ctx.get(dut.start.ready)
            outputs = {name: ctx.get(getattr(dut, name)) for name in NAMES}
            outputs["head"] = ctx.get(dut.head.index)
            cycles.append(({"start": start, "done": done, "room": room}, outputs))
            for unit in undone:
                undone[unit] -= done[unit]
            if start and tickets[started]["unit"] in undone:
                undone[tickets[started]["unit"]] += 1
            started, retired = started + start, retired + outputs["retired"]
            await ctx.tick()

    simulate(dut, run)
    return cycles


def check_retire(tickets: list[dict], cycles: list[tuple[dict, dict]]) -> None:
    """Follow the tickets through the cycles, one head at a time."""
    started = head = 0
    complete = dict.fromkeys(UNITS, 0)
    made = dict.fromkeys(SIDES, 0)  # pushes of the head
    for inputs, outputs in cycles:
        assert outputs["occupied"] == (head < started)
        if head < started:
            ticket = tickets[head]
            ready = ticket["unit"] == Unit.NONE or complete[ticket["unit"]] > 0
            left = 0
            for side in SIDES:
                wants = ready and ticket[f"push_{side}"] and not made[side]
                assert outputs[f"push_{side}"] == (wants and inputs["room"][side])
                assert outputs[f"blocked_{side}"] == (wants and not inputs["room"][side])
                left += outputs[f"blocked_{side}"]
                made[side] += outputs[f"push_{side}"]
            assert outputs["retired"] == (ready and not left)
            assert outputs["finished"] == (outputs["retired"] and ticket["finish"])
        else:
            assert not any(outputs[name] for name in NAMES)
        if outputs["retired"]:
            ticket = tickets[head]
            assert outputs["head"] == ticket["index"]
            assert made == {side: ticket[f"push_{side}"] for side in SIDES}
            if ticket["unit"] != Unit.NONE:
                complete[ticket["unit"]] -= 1
            head, made = head + 1, dict.fromkeys(SIDES, 0)
        started += bool(inputs["start"])
        for unit in complete:
            complete[unit] += inputs["done"][unit]
    assert head == len(tickets)


@pytest.mark.parametrize("seed", range(6))
def test_tickets_retire_in_order_with_their_pushes(seed: int) -> None:
    tickets = random_tickets(random.Random(50 + seed), 150)
    check_retire(tickets, rtl_retire(tickets, seed))
