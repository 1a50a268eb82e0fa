"""Bursts against the AXI rules and against the rows, byte for byte."""

import random

import numpy as np
import pytest

from tests.hw.harness import receive, send, simulate, small, watch_stable
from vta.hw.capacities import BURST_BEATS
from vta.hw.config import Config
from vta.hw.transfers.bursts import BurstGenerator

BUSES = (32, 64, 128, 256)


def ref_bursts(config: Config, rows: dict) -> list[dict]:
    """The bursts of one transfer: each row cut at multiples of BURST_BEATS beats."""
    chunk = BURST_BEATS * config.beat_bytes
    bursts = []
    for y in range(rows["rows"]):
        at = rows["addr"] + y * rows["stride"]
        end = at + rows["span"] + 1
        while at < end:
            stop = min(end, (at // chunk + 1) * chunk)
            beats = (stop - 1) // config.beat_bytes - at // config.beat_bytes + 1
            bursts.append(
                {
                    "addr": at & 0xFFFFFFFF,
                    "len": beats - 1,
                    "end": (end - 1) % config.beat_bytes,
                    "row_end": int(stop == end),
                    "first": int(not bursts),
                    "last": int(stop == end and y == rows["rows"] - 1),
                    "sram_base": rows["sram_base"],
                    "index": rows["index"],
                    "overflow": int(at >= 1 << 32),
                }
            )
            at = stop
    return bursts


def rtl_bursts(config: Config, transfers: list[dict], count: int, seed: int) -> list[dict]:
    """`count` bursts of the generator for `transfers`, both sides stalling at random."""
    rng = random.Random(seed)
    dut = BurstGenerator(config)
    bursts: list[dict] = []
    simulate(
        dut,
        send(dut.i, transfers, rng, 0.2),
        receive(dut.o, count, bursts, rng, 0.3),
        background=(watch_stable(dut.o),),
    )
    return bursts


def random_transfer(rng: random.Random, config: Config, size: int) -> dict:
    """Rows of whole elements of `size` bytes, near the places where bursts end."""
    chunk = BURST_BEATS * config.beat_bytes
    addr = rng.randrange(1, 60) * chunk + rng.randrange(-3, 4) * config.beat_bytes
    addr += rng.randrange(config.beat_bytes)
    width = rng.choice((1, 2, 5, rng.randrange(1, 3 * chunk // size)))
    return {
        "addr": addr // size * size,
        "span": width * size - 1,
        "stride": rng.choice((0, width, rng.randrange(1, 600))) * size,
        "rows": rng.choice((1, 1, 2, 3, 7)),
        "sram_base": rng.randrange(1 << 16),
        "index": rng.randrange(1 << 28),
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", BUSES)
def test_bursts_are_those_of_the_rows(bits: int, seed: int) -> None:
    config = small(axi_data_bits=bits)
    rng = random.Random(seed)
    transfers = [random_transfer(rng, config, rng.choice((4, 16, 64))) for _ in range(24)]
    expected = [burst for transfer in transfers for burst in ref_bursts(config, transfer)]
    bursts = rtl_bursts(config, transfers, len(expected), seed)
    assert bursts == expected
    check_rules(config, transfers, bursts)


def check_rules(config: Config, transfers: list[dict], bursts: list[dict]) -> None:
    """What matters, without `ref_bursts`: AXI's rules, and each row's bytes once, in order."""
    first = np.array([burst["addr"] for burst in bursts])
    beats = np.array([burst["len"] for burst in bursts]) + 1
    last = first // config.beat_bytes * config.beat_bytes + beats * config.beat_bytes - 1
    np.testing.assert_array_equal(first // 4096, last // 4096)
    assert beats.max() <= 256
    wanted = []
    for t in transfers:
        row = t["addr"] + np.arange(t["rows"])[:, None] * t["stride"]
        wanted.append((row + np.arange(t["span"] + 1)).ravel())
    moved = []
    for burst, start, end in zip(bursts, first, last, strict=True):
        stop = end - config.beat_bytes + 1 + burst["end"] if burst["row_end"] else end
        moved.append(np.arange(start, stop + 1))
    np.testing.assert_array_equal(np.concatenate(moved), np.concatenate(wanted))


@pytest.mark.parametrize("bits", BUSES)
def test_bursts_past_the_address_space_are_marked(bits: int) -> None:
    config = small(axi_data_bits=bits)
    common = {"span": 63, "rows": 3, "sram_base": 0, "index": 5}
    transfers = [
        {"addr": (1 << 32) - 80, "stride": 64, **common},
        {"addr": (1 << 32) - 32, "stride": 0, **common},
        {"addr": (1 << 42) + 16, "stride": 65535 * 1024, **common},
    ]
    expected = [burst for transfer in transfers for burst in ref_bursts(config, transfer)]
    assert {burst["overflow"] for burst in expected} == {0, 1}
    assert rtl_bursts(config, transfers, len(expected), 0) == expected


def test_one_burst_a_cycle_and_one_cycle_between_transfers() -> None:
    config = small()
    transfer = {"addr": 0, "span": 3, "stride": 4, "rows": 20, "sram_base": 0, "index": 0}
    dut = BurstGenerator(config)
    taken: list[bool] = []

    async def watch(ctx) -> None:
        ctx.set(dut.o.ready, 1)
        while sum(taken) < 40:
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            taken.append(bool(valid))

    simulate(dut, send(dut.i, [transfer, transfer]), watch)
    start = taken.index(True)
    np.testing.assert_array_equal(taken[start:], [True] * 20 + [False] + [True] * 20)
