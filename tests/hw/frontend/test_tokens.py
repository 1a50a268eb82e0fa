"""Token counters against plain counting: none dropped, none invented, room kept for promises."""

import gc
import random
import warnings

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable

from tests.hw.harness import simulate
from vta.hw.frontend.tokens import TokenCounter

NAMES = ("count", "available", "room", "sound")


def rtl_tokens(capacity: int, seed: int, cycles: int) -> tuple[np.ndarray, np.ndarray]:
    """Random legal traffic; returns what was done (pop, reserve, push) and seen, cycle by cycle."""
    rng = random.Random(seed)
    dut = TokenCounter(capacity=capacity)
    done, seen = [], []

    async def traffic(ctx) -> None:
        owed = 0  # instructions started and not yet pushed
        for _ in range(cycles):
            eager = rng.choice((0.1, 0.5, 0.9))
            reserve = ctx.get(dut.sound) and rng.random() < 0.5
            push = owed and ctx.get(dut.room) and rng.random() < eager
            pop = ctx.get(dut.available) and rng.random() < 1 - eager
            for name, value in (("reserve", reserve), ("push", push), ("pop", pop)):
                ctx.set(getattr(dut, name), bool(value))
            done.append((bool(pop), bool(reserve), bool(push)))
            owed += bool(reserve) - bool(push)
            seen.append([ctx.get(getattr(dut, name)) for name in NAMES])
            await ctx.tick()

    simulate(dut, traffic)
    return np.array(done, int), np.array(seen, int)


def ref_tokens(capacity: int, done: np.ndarray) -> np.ndarray:
    """What `NAMES` must be in each cycle, from the sums of what was done before it."""
    before = np.cumsum(done, axis=0) - done
    popped, reserved, pushed = before.T
    count, promised = pushed - popped, reserved - popped
    return np.stack([count, count > 0, count < capacity, promised <= capacity], axis=1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("capacity", [1, 2, 3, 255])
def test_counts_every_push_and_pop(capacity: int, seed: int) -> None:
    done, seen = rtl_tokens(capacity, seed, 600)
    np.testing.assert_array_equal(seen, ref_tokens(capacity, done))
    assert seen[:, 0].max() <= capacity
    if capacity < 4:
        assert seen[:, 0].max() == capacity  # the limit was met


def test_capacity_below_one_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError, match=r"^capacity is 0: it must be 1 or more$"):
            TokenCounter(capacity=0)
        gc.collect()
