"""UOP, INP and WGT scratchpads against an array of elements."""

import random

import numpy as np
import pytest

from tests.hw.compute.pads import apply_write
from tests.hw.harness import SMALL, simulate
from vta.hw.config import Config
from vta.hw.isa import MEMORIES, MemoryType
from vta.hw.library.scratchpad import Scratchpad, log2
from vta.hw.transfers.loader import lanes_of, parts_of

TYPES = (MemoryType.UOP, MemoryType.INP, MemoryType.WGT)


def random_write(rng: random.Random, config: Config, memory_type: MemoryType) -> dict:
    """A write as the loader makes it: some lanes of a beat, a part of an element, or zeros."""
    lanes, parts = lanes_of(config, memory_type), parts_of(config, memory_type)
    zero = rng.random() < 0.3
    lane = 0 if zero else rng.randrange(lanes)
    count = rng.randrange(lanes - lane + 1)
    return {
        "memory": memory_type,
        "pos": rng.randrange(MEMORIES[memory_type].depth(config) - count + 1),
        "count": count,
        "lane": lane,
        "part": 0 if zero else rng.randrange(parts),
        "zero": int(zero),
        "last": rng.getrandbits(1),
        "data": rng.getrandbits(config.axi_data_bits),
    }


def rtl_scratchpad(config: Config, memory_type: MemoryType, actions: list) -> list[int]:
    """Perform one (write or None, address to read or None) a cycle; returns `read_data` of each."""
    dut = Scratchpad(config, memory_type=memory_type)
    reads: list[int] = []

    async def run(ctx) -> None:
        for write, address in actions:
            if write is not None:
                ctx.set(dut.write, write)
            ctx.set(dut.write_valid, write is not None)
            ctx.set(dut.read_en, address is not None)
            if address is not None:
                ctx.set(dut.read_addr, address)
            await ctx.tick()
            reads.append(ctx.get(dut.read_data))

    simulate(dut, run)
    return reads


def ref_scratchpad(config: Config, memory_type: MemoryType, actions: list) -> list[int]:
    """The same on an array: a read sees the writes of earlier cycles, and is held when idle."""
    memory = MEMORIES[memory_type]
    pad = np.zeros((memory.depth(config), memory.element_bytes(config)), np.uint8)
    reads, value = [], 0
    for write, address in actions:
        if address is not None:
            value = int.from_bytes(pad[address].tobytes(), "little")
        if write is not None:
            apply_write(config, write, pad)
        reads.append(value)
    return reads


@pytest.mark.parametrize("config", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("memory_type", TYPES, ids=lambda t: t.name)
def test_reads_give_what_was_written(memory_type: MemoryType, config: Config) -> None:
    seed = config.axi_data_bits
    print(f"seed {seed}")
    rng = random.Random(seed)
    depth = MEMORIES[memory_type].depth(config)
    actions = [
        (
            random_write(rng, config, memory_type) if rng.random() < 0.7 else None,
            rng.randrange(depth) if rng.random() < 0.7 else None,
        )
        for _ in range(400)
    ]
    actions += [(None, address) for address in range(depth)]
    np.testing.assert_array_equal(
        rtl_scratchpad(config, memory_type, actions), ref_scratchpad(config, memory_type, actions)
    )


@pytest.mark.parametrize("value", [0, 3, 12, -4])
def test_log2_is_of_powers_of_two_only(value: int) -> None:
    with pytest.raises(ValueError, match=f"^{value} is not a power of two$"):
        log2(value)
    assert log2(1 << 12) == 12
