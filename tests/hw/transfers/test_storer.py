"""STORE: the memory after it, its bursts, its errors and how it stops, against NumPy."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from tests.hw.axi import WriteSlave
from tests.hw.compute.pads import ref_store
from tests.hw.harness import SMALL, as_struct, collect, send, simulate, small
from vta.hw.config import Config
from vta.hw.isa import ErrorClass, MemoryType, Store
from vta.hw.transfers.loader import lanes_of
from vta.hw.transfers.storer import Storer
from vta.sw.codec import encode

BYTES = 1 << 14
Script = Callable[[Any, Storer, "Run"], Awaitable[None]]


class Run:
    """A storer's run: memory after it, what it reported, and the slave that it wrote to."""

    def __init__(self, config: Config, seed: int) -> None:
        self.out = np.random.default_rng(seed).integers(
            0, 256, (config.acc_depth, config.out_bytes), np.uint8
        )
        self.memory = np.full(BYTES, 0xEE, np.uint8)
        self.slave: WriteSlave
        self.done: list[int] = []  # cycles
        self.errors: list[dict] = []


def out_port(dut: Storer, config: Config, out: np.ndarray):
    """A background testbench: OUT's read port, `lanes` elements a cycle after their address."""
    lanes = lanes_of(config, MemoryType.OUT)

    async def read(ctx) -> None:
        while True:
            _, _, en, pos = await ctx.tick().sample(dut.out_en, dut.out_pos)
            if en:
                elements = np.take(out, np.arange(pos, pos + lanes), axis=0, mode="wrap")
                ctx.set(dut.out_data, int.from_bytes(elements.tobytes(), "little"))

    return read


def rtl_store(
    config: Config,
    stores: list[Store],
    *,
    base: int = 0,
    seed: int = 0,
    stall: float = 0.0,
    latency: int = 1,
    errors: frozenset[int] = frozenset(),
    script: Script | None = None,
) -> Run:
    """Run `stores` until all are done or one is in error; then `script`, then until idle."""
    rng = random.Random(seed)
    dut, run = Storer(config), Run(config, seed)
    run.slave = WriteSlave(
        dut, config, run.memory, rng=rng, stall=stall, latency=latency, errors=errors
    )
    commands = [{"bits": encode(config, store), "index": 3 * n} for n, store in enumerate(stores)]

    async def watch(ctx) -> None:
        cycle = 0
        ctx.set(dut.base, base)
        while len(run.done) < len(stores) and not run.errors:
            _, _, done, error = await ctx.tick().sample(dut.done, as_struct(dut.error))
            run.done += [cycle] * done
            if error.valid:
                run.errors.append(collect(error))
            cycle += 1
        ctx.set(dut.stop, bool(run.errors))

    async def main(ctx) -> None:
        await watch(ctx)
        if script is not None:
            await script(ctx, dut, run)
        await ctx.tick().repeat(2)
        while not ctx.get(dut.idle):
            await ctx.tick()
        await ctx.tick().repeat(30)
        assert ctx.get(dut.idle)

    background = (out_port(dut, config, run.out), run.slave.run)
    simulate(dut, main, background=(send(dut.i, commands, rng, stall), *background))
    assert run.slave.responses == len(run.slave.bursts)
    return run


def random_store(rng: random.Random, config: Config) -> Store:
    """Rows of OUT elements, adjacent, apart or on top of each other."""
    x_size = rng.choice((1, 1, 2, 3, rng.randrange(1, 24)))
    y_size = rng.choice((1, 2, 3, 5))
    y_size = min(y_size, config.acc_depth // x_size)
    stride = rng.choice((0, x_size, x_size + 1, rng.randrange(40)))
    elements = BYTES // 2 // config.out_bytes
    return Store(
        memory_type=MemoryType.OUT,
        sram_base=rng.randrange(config.acc_depth - x_size * y_size + 1),
        dram_base=rng.randrange(elements - 5 * stride - x_size),
        y_size=y_size,
        x_size=x_size,
        x_stride=stride,
    )


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", SMALL, ids=lambda c: c.name)
def test_writes_its_rows_and_nothing_else(config: Config, stall: float) -> None:
    seed = config.axi_data_bits + int(10 * stall)
    print(f"seed {seed}")
    rng = random.Random(seed)
    stores = [random_store(rng, config) for _ in range(16)]
    base = 128 * config.out_bytes
    run = rtl_store(config, stores, base=base, seed=seed, stall=stall, latency=1 + seed % 30)
    expected = np.full(BYTES, 0xEE, np.uint8)
    for store in stores:
        ref_store(config, store, run.out, expected, base)
    np.testing.assert_array_equal(run.memory, expected)
    assert not run.errors
    assert len(run.done) == len(stores)


def test_an_instruction_is_done_with_its_last_response() -> None:
    config, latency = small(), 25
    store = Store(memory_type=MemoryType.OUT, x_size=2, x_stride=3, y_size=3)
    run = rtl_store(config, [store, store], latency=latency)
    assert len(run.done) == 2
    assert run.done[0] > latency
    assert run.done[1] - run.done[0] == 6  # beats: responses come as fast as the data went


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_outstanding_writes_are_limited(limit: int) -> None:
    config = small(outstanding_writes=limit)
    store = Store(memory_type=MemoryType.OUT, x_size=1, x_stride=2, y_size=12)
    run = rtl_store(config, [store], latency=40)
    rounds = -(-12 // limit)
    assert 40 * rounds <= run.done[0] <= 40 * rounds + 10 * rounds + 20


@pytest.mark.parametrize("config", [SMALL[0], SMALL[2], SMALL[4]], ids=lambda c: c.name)
def test_one_beat_a_cycle_across_bursts_and_rows(config: Config) -> None:
    """Many rows, several instructions: no gap that grows with the latency (targets.md: 4 cycles
    for one more one-vector STORE)."""
    stores = [
        Store(memory_type=MemoryType.OUT, x_size=3, x_stride=5, y_size=8, dram_base=40 * n)
        for n in range(6)
    ]
    for latency in (1, 100):
        run = rtl_store(config, stores, latency=latency)
        beats = len(run.slave.strobes)
        assert run.done[-1] - run.done[0] <= beats * 5 // 6 + 5 * 4


@pytest.mark.parametrize(
    ("sram_base", "x_size", "y_size"), [(62, 3, 1), (0, 13, 5), (65535, 1, 1), (1, 65535, 65535)]
)
def test_out_of_bounds_before_its_first_address(sram_base: int, x_size: int, y_size: int) -> None:
    config = small()
    good = Store(memory_type=MemoryType.OUT, x_size=2, y_size=1, sram_base=62)
    bad = Store(
        memory_type=MemoryType.OUT, x_size=x_size, y_size=y_size, sram_base=sram_base, dram_base=100
    )
    run = rtl_store(config, [good, bad, good])
    assert run.errors[0]["error_class"] == ErrorClass.SRAM_BOUNDS
    assert run.errors[0]["index"] == 3
    expected = np.full(BYTES, 0xEE, np.uint8)
    expected[:8] = run.out[62:64].ravel() if any(run.slave.strobes) else 0xEE
    np.testing.assert_array_equal(run.memory, expected)


def test_a_bad_response_names_the_instruction_and_the_burst() -> None:
    config = small(axi_data_bits=64)
    stores = [
        Store(memory_type=MemoryType.OUT, dram_base=64 * n + 1, x_size=3, x_stride=8, y_size=3)
        for n in range(3)
    ]
    bad = (64 + 8 + 1) * config.out_bytes
    run = rtl_store(config, stores, latency=5, errors=frozenset({bad}))
    assert run.errors[0] == {
        "valid": 1,
        "error_class": ErrorClass.BUS_ERROR,
        "index": 3,
        "address": bad,
    }
    assert len(run.done) == 1


def test_an_address_past_the_address_space_is_never_issued() -> None:
    config = small()
    store = Store(memory_type=MemoryType.OUT, dram_base=0x4000_0000, x_size=1, y_size=1)
    run = rtl_store(config, [store])
    assert run.errors[0] == {
        "valid": 1,
        "error_class": ErrorClass.BUS_ERROR,
        "index": 0,
        "address": 0,
    }
    assert not run.slave.bursts


@pytest.mark.parametrize("seed", range(3))
def test_stop_gives_issued_bursts_their_beats_without_strobes(seed: int) -> None:
    """isa.md section 6: no new address, all beats (strobes 0), all responses."""
    config = small(axi_data_bits=64)
    rng = random.Random(seed)
    dut, run = Storer(config), Run(config, seed)
    run.slave = WriteSlave(dut, config, run.memory, rng=rng, stall=0.4, latency=20)
    store = Store(memory_type=MemoryType.OUT, x_size=64, x_stride=64, y_size=1)
    commands = [{"bits": encode(config, store), "index": n} for n in range(12)]
    offers: list[int] = []

    async def stop(ctx) -> None:
        while len(run.slave.strobes) < 40 + seed:
            await ctx.tick()
        ctx.set(dut.stop, 1)
        held = ctx.get(dut.awvalid)
        while held:  # an address that was out already
            _, _, ready = await ctx.tick().sample(dut.awready)
            held = not ready
        sent = len(run.slave.strobes)
        while not ctx.get(dut.idle):
            _, _, offered = await ctx.tick().sample(dut.awvalid)
            offers.append(offered)
        await ctx.tick().repeat(30)
        beats = sum(length for _, length in run.slave.bursts)
        assert beats == len(run.slave.strobes) > sent
        assert not any(run.slave.strobes[sent + 2 :])  # two: out of the register by then

    background = (send(dut.i, commands), out_port(dut, config, run.out), run.slave.run)
    simulate(dut, stop, background=background)
    assert not any(offers)
    assert run.slave.responses == len(run.slave.bursts)
