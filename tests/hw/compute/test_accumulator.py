"""ACC, OUT and the zero flags against an array of elements."""

import random

import numpy as np
import pytest

from tests.hw.compute.pads import apply_write
from tests.hw.harness import SMALL, simulate, small
from vta.hw.compute.accumulator import AccumulatorScratchpad
from vta.hw.config import Config
from vta.hw.isa import MEMORIES, MemoryType
from vta.hw.transfers.loader import lanes_of, parts_of

TYPES = (MemoryType.ACC, MemoryType.ACC_8BIT)
CONFIGS = (
    *SMALL,
    small(
        log_block=4,
        log_inp_buff_size=10,
        log_wgt_buff_size=14,
        log_acc_buff_size=14,
        axi_data_bits=256,
    ),
)
"""The last one has several lanes of OUT, and an ACC of several rows of zero flags."""


class Reference:
    """ACC as int32 (depth, values of one element); OUT is its low bytes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.acc = np.zeros((config.acc_depth, config.out_bytes), np.int32)
        self._raw = {
            mt: np.zeros((config.acc_depth, MEMORIES[mt].element_bytes(config)), np.uint8)
            for mt in TYPES
        }

    def load(self, write: dict) -> None:
        """A write of the loader; an element in parts is complete with its last part."""
        memory_type = MemoryType(write["memory"])
        raw = self._raw[memory_type]
        apply_write(self.config, write, raw)
        last = parts_of(self.config, memory_type) - 1
        if write["zero"] or write["part"] == last:
            entries = slice(write["pos"], write["pos"] + write["count"])
            dtype = np.int8 if memory_type == MemoryType.ACC_8BIT else np.dtype("<i4")
            self.acc[entries] = raw[entries].copy().view(dtype)

    def element(self, entry: int) -> int:
        return int.from_bytes(self.acc[entry].astype("<i4").tobytes(), "little")

    def out(self, entry: int, lanes: int) -> int:
        """OUT elements `entry` to ``entry + lanes - 1``; beyond the last one anything (0)."""
        low = self.acc.astype(np.int8)[entry : entry + lanes]
        return int.from_bytes(low.tobytes(), "little")


def random_loads(rng: random.Random, config: Config) -> list[dict]:
    """The writes of one row of elements: all parts of each, or lanes of beats, or zeros."""
    memory_type = rng.choice(TYPES)
    lanes, parts = lanes_of(config, memory_type), parts_of(config, memory_type)
    common = {"memory": memory_type, "last": 0}
    writes = []
    for _ in range(rng.randrange(1, 4)):
        zero = int(rng.random() < 0.3)
        lane = 0 if zero else rng.randrange(lanes)
        count = rng.randrange(1, lanes - lane + 1)
        pos = rng.randrange(config.acc_depth - count + 1)
        for part in range(1 if zero else parts):
            writes.append(
                {
                    "pos": pos,
                    "count": count,
                    "lane": lane,
                    "part": part,
                    "zero": zero,
                    "data": rng.getrandbits(config.axi_data_bits),
                    **common,
                }
            )
    return [*writes, writes[-1] | {"count": 0, "part": 0, "zero": 0, "last": 1}]


def set_pipeline(ctx, dut, rng: random.Random, reference: Reference, what: str) -> None:
    """A write, a reset of a row of flags, or nothing from the pipeline; `reference` follows."""
    config = reference.config
    row = config.zero_row
    ctx.set(dut.en, what == "write")
    ctx.set(dut.reset_en, what == "reset")
    if what == "write":
        entry, value = rng.randrange(config.acc_depth), rng.getrandbits(8 * config.acc_bytes)
        ctx.set(dut.addr, entry)
        ctx.set(dut.value, value)
        raw = np.frombuffer(value.to_bytes(config.acc_bytes, "little"), "<i4")
        reference.acc[entry] = raw
    elif what == "reset":
        at, mask = rng.randrange(max(1, config.acc_depth // row)), rng.getrandbits(row)
        ctx.set(dut.reset_row, at)
        ctx.set(dut.reset_mask, mask)
        for n in range(row):
            if mask >> n & 1 and at * row + n < config.acc_depth:
                reference.acc[at * row + n] = 0


def set_reads(ctx, dut, rng: random.Random, reference: Reference, lanes: int) -> dict[str, int]:
    """Random reads on the three ports; returns what each enabled one must give."""
    expected = {}
    for name, port, at in (
        ("d", "d_data", "d_addr"),
        ("s", "s_data", "s_addr"),
        ("out", "out_data", "out_pos"),
    ):
        enabled = rng.random() < 0.7
        ctx.set(getattr(dut, f"{name}_en"), enabled)
        if enabled:
            last = len(reference.acc) - (lanes if name == "out" else 1)
            entry = rng.randrange(last + 1)
            ctx.set(getattr(dut, at), entry)
            expected[port] = (
                reference.out(entry, lanes) if name == "out" else reference.element(entry)
            )
    return expected


def read(ctx, dut, port: str) -> int:
    """What a port shows: zero where the element's flag, a signal of its own, says so."""
    zero = getattr(dut, port.replace("_data", "_zero"), None)
    return 0 if zero is not None and ctx.get(zero) else ctx.get(getattr(dut, port))


def rtl_traffic(config: Config, seed: int, cycles: int) -> int:
    """Random traffic on all ports, each read compared with the reference in its cycle."""
    rng = random.Random(seed)
    dut, reference = AccumulatorScratchpad(config), Reference(config)
    lanes = lanes_of(config, MemoryType.OUT)
    compared = [0]

    async def traffic(ctx) -> None:
        loads: list[dict] = []
        held: dict[str, int] = {}
        now, coming = "nothing", "nothing"
        for _ in range(cycles):
            now, coming = coming, rng.choice(("write", "reset", "nothing", "nothing"))
            ctx.set(dut.busy_next, coming != "nothing")
            loads = loads or random_loads(rng, config)
            offered = rng.random() < 0.8
            ctx.set(dut.load.valid, offered)
            ctx.set(dut.load.payload, loads[0])
            expected = set_reads(ctx, dut, rng, reference, lanes)  # before this cycle's writes
            set_pipeline(ctx, dut, rng, reference, now)
            if offered and ctx.get(dut.load.ready):
                reference.load(loads.pop(0))
            await ctx.tick()
            held |= expected
            for port, value in held.items():
                assert read(ctx, dut, port) == value, (port, compared)
                compared[0] += 1

    simulate(dut, traffic)
    return compared[0]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.name}_{c.acc_depth}")
def test_reads_give_what_was_written_last(config: Config, seed: int) -> None:
    assert rtl_traffic(config, seed, 250) > 500


def test_a_load_waits_for_the_pipeline_only() -> None:
    """`load` is ready in every cycle in which the pipeline neither writes nor resets, and a part
    that neither completes an element nor comes before one that does in every cycle."""
    config = small()
    dut = AccumulatorScratchpad(config)
    write = {
        "memory": MemoryType.ACC,
        "pos": 3,
        "count": 1,
        "lane": 0,
        "part": 3,
        "zero": 0,
        "last": 0,
        "data": 5,
    }
    last = parts_of(config, MemoryType.ACC) - 1
    assert last == 3
    ready: dict[int, list[int]] = {0: [], last - 1: [], last: []}

    async def run(ctx) -> None:
        ctx.set(dut.load.valid, 1)
        for part, seen in ready.items():
            ctx.set(dut.load.payload, write | {"part": part})
            await ctx.tick()
            for busy_next in (0, 1, 1, 0):
                ctx.set(dut.busy_next, busy_next)
                await ctx.tick()
                seen.append(ctx.get(dut.load.ready))

    simulate(dut, run)
    assert ready == {0: [1, 1, 1, 1], last - 1: [1, 0, 0, 1], last: [1, 0, 0, 1]}
