"""The small queue: order kept, flags right in every cycle, no entry lost at either end."""

import random
from collections import deque

import pytest

from tests.hw.harness import simulate
from vta.hw.library.small_fifo import SmallFifo


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [2, 4, 32])
def test_keeps_order_and_its_flags(depth: int, seed: int) -> None:
    rng = random.Random(seed)
    print(f"seed {seed}")
    dut = SmallFifo(width=12, depth=depth)
    held: deque[int] = deque()
    levels = set()

    async def traffic(ctx) -> None:
        for n in range(600):
            eager = 0.9 if n // 100 % 2 else 0.2
            assert ctx.get(dut.w_rdy) == (len(held) < depth)
            assert ctx.get(dut.r_rdy) == (len(held) > 0)
            if held:
                assert ctx.get(dut.r_data) == held[0]
            write = len(held) < depth and rng.random() < eager
            read = rng.random() < 1 - eager
            value = rng.randrange(1 << 12)
            ctx.set(dut.w_en, write)
            ctx.set(dut.w_data, value)
            ctx.set(dut.r_en, read)
            if read and held:
                held.popleft()
            if write:
                held.append(value)
            levels.add(len(held))
            await ctx.tick()

    simulate(dut, traffic)
    assert {0, depth} <= levels


@pytest.mark.parametrize(
    ("depth", "message"),
    [(1, "^depth is 1: it must be 2 or more$"), (6, "^6 is not a power of two$")],
)
def test_other_depths_are_refused(depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmallFifo(width=1, depth=depth)
