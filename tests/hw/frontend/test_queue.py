"""Command queues: order kept, and the depth counts instructions until they retire."""

import random

import pytest

from tests.hw.harness import receive, send, simulate, watch_stable
from vta.hw.frontend.queue import CommandQueue


def rtl_queue(depth: int, seed: int, commands: list[dict]) -> tuple[list, list[int]]:
    """Commands through a queue whose reader retires late; returns them and `unretired`."""
    rng = random.Random(seed)
    dut = CommandQueue(depth=depth)
    out: list = []
    levels: list[int] = []

    async def retire(ctx) -> None:
        retired = 0
        while retired < len(commands):
            now = retired < len(out) and rng.random() < 0.3
            ctx.set(dut.retire, now)
            retired += now
            await ctx.tick()
        ctx.set(dut.retire, 0)
        await ctx.tick()
        assert ctx.get(dut.unretired) == 0

    async def watch(ctx) -> None:
        sent = retired = 0
        while True:
            _, _, valid, ready, gone, level = await ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.retire, dut.unretired
            )
            assert level == sent - retired
            assert level < depth or not ready
            levels.append(level)
            sent, retired = sent + (valid and ready), retired + gone

    simulate(
        dut,
        send(dut.i, commands, rng, 0.2),
        receive(dut.o, len(commands), out, rng, 0.4),
        retire,
        background=(watch, watch_stable(dut.o)),
    )
    return out, levels


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("depth", [1, 2, 5, 64])
def test_keeps_order_and_depth(depth: int, seed: int) -> None:
    rng = random.Random(100 + seed)
    commands = [{"bits": rng.getrandbits(128), "index": n} for n in range(80)]
    out, levels = rtl_queue(depth, seed, commands)
    assert out == commands
    if depth < 64:
        assert max(levels) == depth
