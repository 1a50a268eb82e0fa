"""The read side of the bus: every client gets the beats it asked for, in its order."""

import random

import numpy as np
import pytest

from tests.hw.axi import ReadSlave
from tests.hw.harness import SMALL, send, simulate, small, words
from vta.hw.capacities import BURST_BEATS
from vta.hw.config import Config
from vta.hw.transfers.dma import ReadDma

CLIENTS = 3
BASE = 0x10000


def random_bursts(rng: random.Random, config: Config, count: int) -> list[dict]:
    """Bursts that start anywhere in a beat and end at BURST_BEATS beats at the latest."""
    bursts = []
    for _ in range(count):
        beat = rng.randrange(4 * BURST_BEATS)
        room = BURST_BEATS - beat % BURST_BEATS
        bursts.append(
            {
                "addr": BASE + beat * config.beat_bytes + rng.randrange(config.beat_bytes),
                "len": rng.choice((0, 1, rng.randrange(room))) % room,
            }
        )
    return bursts


def ref_beats(config: Config, memory: np.ndarray, bursts: list[dict]) -> list[int]:
    """The beats that a client's bursts read, as integers."""
    beats = words(memory, config.axi_data_bits)
    out = []
    for burst in bursts:
        first = (burst["addr"] - BASE) // config.beat_bytes
        out += beats[first : first + burst["len"] + 1]
    return out


def rtl_dma(
    config: Config,
    memory: np.ndarray,
    bursts: list[list[dict]],
    seed: int,
    stall: float,
    latency: int,
) -> tuple[list[list[int]], ReadSlave]:
    """The beats each client receives, and the slave that served them."""
    rng = random.Random(seed)
    dut = ReadDma(config, clients=CLIENTS)
    slave = ReadSlave(dut, config, memory, base=BASE, rng=rng, stall=stall, latency=latency)
    out: list[list[int]] = [[] for _ in range(CLIENTS)]

    def client(n: int):
        async def reader(ctx) -> None:
            port = dut.clients[n]
            while len(out[n]) < sum(burst["len"] + 1 for burst in bursts[n]):
                ready = rng.random() >= stall
                ctx.set(port.beat.ready, ready)
                _, _, valid, payload = await ctx.tick().sample(port.beat.valid, port.beat.payload)
                if valid and ready:
                    out[n].append(payload.data)
            ctx.set(port.beat.ready, 0)

        return reader

    async def idle(ctx) -> None:
        while sum(map(len, out)) < sum(b["len"] + 1 for some in bursts for b in some):
            await ctx.tick()
        await ctx.tick()  # `idle` is a cycle late
        assert ctx.get(dut.idle)

    simulate(
        dut,
        *(send(dut.clients[n].burst, bursts[n], rng, stall) for n in range(CLIENTS)),
        *(client(n) for n in range(CLIENTS)),
        idle,
        background=(slave.run,),
    )
    return out, slave


@pytest.mark.parametrize("latency", [1, 40])
@pytest.mark.parametrize("config", SMALL[:4], ids=lambda c: c.name)
def test_each_client_gets_its_beats(config: Config, latency: int) -> None:
    seed = latency
    rng = random.Random(seed)
    memory = np.random.default_rng(seed).integers(0, 256, 4 * BURST_BEATS * 32, np.uint8)
    bursts = [random_bursts(rng, config, 12) for _ in range(CLIENTS)]
    out, slave = rtl_dma(config, memory, bursts, seed, 0.3, latency)
    assert out == [ref_beats(config, memory, some) for some in bursts]
    asked = sorted((b["addr"], b["len"] + 1) for some in bursts for b in some)
    assert sorted(slave.bursts) == asked


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_outstanding_reads_are_limited(limit: int) -> None:
    config = small(outstanding_reads=limit)
    dut = ReadDma(config, clients=1)
    memory = np.zeros(4096, np.uint8)
    slave = ReadSlave(dut, config, memory, base=BASE, latency=30)
    most: list[int] = [0]

    async def watch(ctx) -> None:
        asked = answered = 0
        ctx.set(dut.clients[0].beat.ready, 1)
        while answered < 20:
            _, _, taken, valid, ready, last = await ctx.tick().sample(
                dut.arvalid & dut.arready, dut.rvalid, dut.rready, dut.rlast
            )
            asked, answered = asked + taken, answered + (valid and ready and last)
            most[0] = max(most[0], asked - answered)

    bursts = [{"addr": BASE + 4 * n, "len": 0} for n in range(20)]
    simulate(dut, send(dut.clients[0].burst, bursts), watch, background=(slave.run,))
    assert most[0] == limit


def test_a_beat_with_an_error_is_a_fault_at_its_address() -> None:
    config = small(axi_data_bits=64)
    dut = ReadDma(config, clients=1)
    memory = np.arange(256, dtype=np.uint8)
    bad = BASE + 24
    slave = ReadSlave(dut, config, memory, base=BASE, errors=frozenset({bad, BASE + 64}))
    seen: list[tuple] = []

    async def watch(ctx) -> None:
        port = dut.clients[0]
        ctx.set(port.beat.ready, 1)
        while len(seen) < 8:
            _, _, valid, fault, address = await ctx.tick().sample(
                port.beat.valid, port.fault, port.fault_address
            )
            if valid or fault:
                seen.append((valid, fault, address if fault else None))

    bursts = [{"addr": BASE, "len": 5}, {"addr": BASE + 67, "len": 1}]
    simulate(dut, send(dut.clients[0].burst, bursts), watch, background=(slave.run,))
    good = (1, 0, None)
    assert seen == [good] * 3 + [(0, 1, bad)] + [good] * 2 + [(0, 1, BASE + 67), good]


def test_stop_issues_no_more_and_accepts_what_was_asked_for() -> None:
    config = small()
    dut = ReadDma(config, clients=1)
    memory = np.zeros(4096, np.uint8)
    slave = ReadSlave(dut, config, memory, base=BASE, latency=20)
    offered: list[list[int]] = []

    async def stop(ctx) -> None:
        port = dut.clients[0]
        ctx.set(port.burst.payload, {"addr": BASE, "len": 7})
        ctx.set(port.burst.valid, 1)
        await ctx.tick().repeat(10)
        ctx.set(dut.stop, 1)
        await ctx.tick()  # takes the address that was out before
        while not ctx.get(dut.idle):
            _, _, *now = await ctx.tick().sample(port.beat.valid, port.fault, dut.arvalid)
            offered.append(now)
        await ctx.tick().repeat(30)
        assert ctx.get(dut.idle)

    simulate(dut, stop, background=(slave.run,))
    assert not np.any(offered)
    assert len(offered) > 8
    assert slave.beats == 8 * len(slave.bursts) > 8


def test_the_first_client_goes_first() -> None:
    config = small()
    dut = ReadDma(config, clients=CLIENTS)
    slave = ReadSlave(dut, config, np.zeros(4096, np.uint8), base=BASE)

    async def offer(ctx) -> None:
        ctx.set(dut.arready, 0)
        for n in range(CLIENTS):
            ctx.set(dut.clients[n].burst.payload, {"addr": BASE + 4 * n, "len": 0})
            ctx.set(dut.clients[n].burst.valid, 1)
            ctx.set(dut.clients[n].beat.ready, 1)
        for n in range(CLIENTS):
            await ctx.tick().until(dut.clients[n].burst.ready)
            ctx.set(dut.clients[n].burst.valid, 0)
        while slave.beats < CLIENTS:
            await ctx.tick()

    simulate(dut, offer, background=(slave.run,))
    assert [address for address, _ in slave.bursts] == [BASE + 4 * n for n in range(CLIENTS)]
