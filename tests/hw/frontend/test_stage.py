"""How load and store instructions start: tokens taken, NOPs passed over, nothing lost."""

import random

import pytest

from tests.hw.harness import collect, send, simulate, small
from vta.hw.frontend.retire import Unit
from vta.hw.frontend.stage import SimpleStart
from vta.hw.isa import Load, MemoryType, Opcode, Store
from vta.sw.codec import encode

CONFIG = small()
SIDES = ("prev", "next")


def random_transfers(rng: random.Random, opcode: Opcode, count: int) -> list[Load | Store]:
    cls, memory_type = (Load, MemoryType.INP) if opcode == Opcode.LOAD else (Store, MemoryType.OUT)
    return [
        cls(
            memory_type=memory_type,
            x_size=rng.randrange(3),
            y_size=rng.randrange(3),
            **{f"{verb}_{side}": rng.getrandbits(1) for verb in ("pop", "push") for side in SIDES},
        )
        for _ in range(count)
    ]


def is_nop(transfer: Load | Store) -> bool:
    """isa.md section 4: x_size 0; for STORE also y_size 0."""
    return transfer.x_size == 0 or (isinstance(transfer, Store) and transfer.y_size == 0)


def rtl_start(opcode: Opcode, transfers: list[Load | Store], seed: int) -> list[dict]:
    """Inputs and outputs of every cycle until all have started; everything comes and goes."""
    rng = random.Random(seed)
    dut = SimpleStart(CONFIG, opcode=opcode)
    inputs = ("prev_available", "next_available", "sound", "stop")
    outputs = (
        "started",
        "started_index",
        "pop_prev",
        "pop_next",
        "reserve_prev",
        "reserve_next",
        "wait_prev",
        "wait_next",
        "wait_room",
    )
    cycles: list[dict] = []

    async def watch(ctx) -> None:
        while sum(cycle["started"] for cycle in cycles) < len(transfers):
            given = {name: int(rng.random() < 0.7) for name in inputs}
            given["stop"] = int(rng.random() < 0.1)
            for name, value in given.items():
                ctx.set(getattr(dut, name), value)
            unit, ticket = rng.random() < 0.7, rng.random() < 0.7
            ctx.set(dut.unit.ready, unit)
            ctx.set(dut.ticket.ready, ticket)
            (
                _,
                _,
                unit_valid,
                unit_payload,
                ticket_valid,
                ticket_payload,
                *out,
            ) = await ctx.tick().sample(
                dut.unit.valid,
                dut.unit.payload,
                dut.ticket.valid,
                dut.ticket.payload,
                *(getattr(dut, name) for name in outputs),
            )
            cycle = given | dict(zip(outputs, out, strict=True))
            cycle["unit"] = collect(unit_payload) if unit_valid and unit else None
            cycle["ticket"] = collect(ticket_payload) if ticket_valid and ticket else None
            cycles.append(cycle)

    commands = [{"bits": encode(CONFIG, t), "index": 5 * n} for n, t in enumerate(transfers)]
    simulate(dut, watch, send(dut.i, commands, rng, 0.2))
    return cycles


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("opcode", [Opcode.LOAD, Opcode.STORE], ids=lambda o: o.name)
def test_each_starts_once_with_its_tokens(opcode: Opcode, seed: int) -> None:
    transfers = random_transfers(random.Random(seed), opcode, 80)
    left = iter(list(enumerate(transfers)))
    for cycle in rtl_start(opcode, transfers, seed):
        if not cycle["started"]:
            assert cycle["unit"] is None
            assert cycle["ticket"] is None
            assert not any(cycle[f"{verb}_{s}"] for verb in ("pop", "reserve") for s in SIDES)
            continue
        n, transfer = next(left)
        assert cycle["started_index"] == 5 * n
        assert cycle["sound"]
        assert not cycle["stop"]
        for side in SIDES:
            assert cycle[f"pop_{side}"] == getattr(transfer, f"pop_{side}")
            assert cycle[f"reserve_{side}"] == getattr(transfer, f"push_{side}")
            assert cycle[f"{side}_available"] or not getattr(transfer, f"pop_{side}")
        unit = {"bits": encode(CONFIG, transfer), "index": 5 * n}
        assert cycle["unit"] == (None if is_nop(transfer) else unit)
        kind = Unit.NONE if is_nop(transfer) else Unit.TRANSFER
        pushes = {f"push_{side}": getattr(transfer, f"push_{side}") for side in SIDES}
        assert cycle["ticket"] == {"index": 5 * n, "unit": kind, "finish": 0, **pushes}
    assert next(left, None) is None


def test_what_an_instruction_waits_for_is_told() -> None:
    """Each wait is reported where, and only where, the instruction at the head needs it."""
    transfer = Store(memory_type=MemoryType.OUT, x_size=1, y_size=1, pop_prev=1)
    dut = SimpleStart(CONFIG, opcode=Opcode.STORE)
    seen = []

    async def run(ctx) -> None:
        for valid, available, sound in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)):
            ctx.set(dut.i.payload, {"bits": encode(CONFIG, transfer), "index": 0})
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.prev_available, available)
            ctx.set(dut.sound, sound)
            seen.append((ctx.get(dut.wait_prev), ctx.get(dut.wait_next), ctx.get(dut.wait_room)))
            await ctx.tick()

    simulate(dut, run)
    assert seen == [(0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 0)]
