"""LOAD: what it writes, and when it says so, against NumPy's pad."""

import random

import numpy as np
import pytest

from tests.hw.axi import BeatServer
from tests.hw.compute.pads import apply_write, ref_load
from tests.hw.harness import SMALL, as_struct, collect, send, simulate, small
from vta.hw.config import Config
from vta.hw.isa import MEMORIES, ErrorClass, Load, MemoryType
from vta.hw.transfers.loader import Loader
from vta.sw.codec import encode

LOAD_STAGE = (MemoryType.INP, MemoryType.WGT)
COMPUTE_STAGE = (MemoryType.UOP, MemoryType.ACC, MemoryType.ACC_8BIT)
BYTES = 1 << 14


class Run:
    """A loader's run: scratchpads after it, and what was seen of it in every cycle."""

    def __init__(self, config: Config, memories: tuple[MemoryType, ...]) -> None:
        self.pads = {
            mt: np.full(
                (MEMORIES[mt].depth(config), MEMORIES[mt].element_bytes(config)), 0xA5, np.uint8
            )
            for mt in memories
        }
        self.server: BeatServer
        self.cycles: list[dict] = []
        self.errors: list[dict] = []

    @property
    def done(self) -> int:
        return sum(cycle["done"] for cycle in self.cycles)


def rtl_load(
    config: Config,
    memories: tuple[MemoryType, ...],
    loads: list[Load],
    memory: np.ndarray,
    bases: dict[MemoryType, int],
    *,
    seed: int = 0,
    stall: float = 0.0,
    errors: frozenset[int] = frozenset(),
    stop: bool = False,
    done: int | None = None,
) -> Run:
    """Run `loads` until `done` of them (all) are done or an error is reported."""
    rng = random.Random(seed)
    dut = Loader(config, memories=memories)
    run = Run(config, memories)
    run.server = BeatServer(dut.read, config, memory, rng=rng, stall=stall, errors=errors)
    commands = [{"bits": encode(config, load), "index": 7 * n} for n, load in enumerate(loads)]
    wanted = len(loads) if done is None else done
    watched = (
        "done",
        "pending",
        "pending_uop",
        "window_valid",
        "window_memory",
        "window_start",
        "window_end",
    )

    async def watch(ctx) -> None:
        for n, memory_type in enumerate(memories):
            ctx.set(dut.bases[n], bases[memory_type])
        while run.done < wanted and not run.errors:
            ready = rng.random() >= stall
            ctx.set(dut.write.ready, ready)
            _, _, valid, payload, error, *values = await ctx.tick().sample(
                dut.write.valid,
                dut.write.payload,
                as_struct(dut.error),
                *(getattr(dut, n) for n in watched),
            )
            cycle = dict(zip(watched, values, strict=True)) | {"write": None}
            if valid and ready:
                cycle["write"] = collect(payload)
                apply_write(config, cycle["write"], run.pads[MemoryType(cycle["write"]["memory"])])
            if error.valid:
                run.errors.append(collect(error))
            run.cycles.append(cycle)
        ctx.set(dut.stop, stop)
        await ctx.tick().repeat(20)

    simulate(dut, watch, background=(send(dut.i, commands, rng, stall), run.server.run))
    return run


def random_load(rng: random.Random, config: Config, memory_type: MemoryType) -> Load:
    """A legal LOAD of some rows, padded or not, from anywhere in the memory."""
    memory = MEMORIES[memory_type]
    nbytes, depth = memory.element_bytes(config), memory.depth(config)
    pad = (lambda most: rng.randrange(most + 1)) if rng.random() < 0.6 else (lambda most: 0)
    left, right, top, bottom = pad(3), pad(3), pad(2), pad(2)
    x_size = rng.choice((1, 1, 2, 3, rng.randrange(1, 12)))
    height = depth // (left + x_size + right)
    y_size = min(rng.choice((0, 1, 1, 2, 5)), max(0, height - top - bottom))
    if top + y_size + bottom > height:
        top = bottom = 0
    extent = (left + x_size + right) * (top + y_size + bottom)
    stride = rng.choice((0, x_size, rng.randrange(20)))
    elements = BYTES // 2 // nbytes
    return Load(
        memory_type=memory_type,
        sram_base=rng.randrange(depth - extent + 1),
        dram_base=rng.randrange(max(1, elements - 5 * stride - x_size)),
        y_size=y_size,
        x_size=x_size,
        x_stride=stride,
        x_pad_0=left,
        x_pad_1=right,
        y_pad_0=top,
        y_pad_1=bottom,
    )


def random_bases(rng: random.Random, config: Config) -> dict[MemoryType, int]:
    """Base registers, aligned as the registers are; ACC_8BIT shares ACC's."""
    return {
        mt: rng.randrange(4) * 1024 + 2 * memory.element_bytes(config)
        for mt, memory in MEMORIES.items()
    }


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", SMALL, ids=lambda c: c.name)
@pytest.mark.parametrize("memories", [LOAD_STAGE, COMPUTE_STAGE], ids=["load", "compute"])
def test_writes_the_padded_rows(
    memories: tuple[MemoryType, ...], config: Config, stall: float
) -> None:
    seed = config.axi_data_bits + int(10 * stall)
    print(f"seed {seed}")
    rng = random.Random(seed)
    memory = np.random.default_rng(seed).integers(0, 256, BYTES, np.uint8)
    bases = random_bases(rng, config)
    loads = [random_load(rng, config, rng.choice(memories)) for _ in range(14)]
    run = rtl_load(config, memories, loads, memory, bases, seed=seed, stall=stall)

    expected = {mt: np.full_like(pad, 0xA5) for mt, pad in run.pads.items()}
    for load in loads:
        block = ref_load(config, load, memory, bases[MemoryType(load.memory_type)])
        expected[MemoryType(load.memory_type)][load.sram_base :][: len(block)] = block
    for memory_type, pad in run.pads.items():
        np.testing.assert_array_equal(pad, expected[memory_type], err_msg=memory_type.name)
    assert not run.errors
    assert run.done == len(loads)
    check_pending(run, loads)
    check_windows(run, loads)


def check_pending(run: Run, loads: list[Load]) -> None:
    """`pending` counts down with `done`, and `pending_uop` those of type UOP."""
    uops = np.array([load.memory_type == MemoryType.UOP for load in loads])
    finished = 0
    for cycle in run.cycles:
        pending = cycle["pending"]
        assert 0 <= pending <= len(loads) - finished
        assert cycle["pending_uop"] == uops[finished : finished + pending].sum()
        finished += cycle["done"]


def check_windows(run: Run, loads: list[Load]) -> None:
    """Where one LOAD is pending and its window valid, all it has still to write is inside."""
    finished = len(loads)
    left: set[int] = set()  # entries that the LOAD writes from this cycle on
    checked = 0
    for cycle in reversed(run.cycles):
        if cycle["done"]:
            finished, left = finished - 1, set()
        if write := cycle["write"]:
            left |= set(range(write["pos"], write["pos"] + write["count"]))
        if cycle["window_valid"] and cycle["pending"] == 1 and left:
            checked += 1
            assert MemoryType(cycle["window_memory"]) == loads[finished].memory_type
            assert left <= set(range(cycle["window_start"], cycle["window_end"]))
    assert checked


@pytest.mark.parametrize("memory_type", [*LOAD_STAGE, *COMPUTE_STAGE], ids=lambda t: t.name)
def test_the_last_entry_can_be_loaded_and_one_more_is_out_of_bounds(
    memory_type: MemoryType,
) -> None:
    config = small(axi_data_bits=64)
    memories = LOAD_STAGE if memory_type in LOAD_STAGE else COMPUTE_STAGE
    depth = MEMORIES[memory_type].depth(config)
    memory = np.arange(BYTES, dtype=np.uint16).astype(np.uint8)
    bases = dict.fromkeys(MEMORIES, 0)
    fits = Load(
        memory_type=memory_type,
        sram_base=depth - 12,
        x_size=2,
        y_size=2,
        x_stride=3,
        x_pad_1=1,
        y_pad_1=2,
    )
    run = rtl_load(config, memories, [fits], memory, bases)
    np.testing.assert_array_equal(
        run.pads[memory_type][depth - 12 :], ref_load(config, fits, memory, 0)
    )
    for over in (
        Load(
            memory_type=memory_type, sram_base=depth - 11, x_size=2, y_size=2, x_pad_1=1, y_pad_1=2
        ),
        Load(memory_type=memory_type, sram_base=65535, x_size=1, y_size=1),
        Load(memory_type=memory_type, x_size=65535, y_size=65535),
        Load(memory_type=memory_type, sram_base=depth, x_size=1, y_pad_0=1),
    ):
        run = rtl_load(config, memories, [fits, over], memory, bases, stop=True)
        assert run.errors[0]["error_class"] == ErrorClass.SRAM_BOUNDS
        assert run.errors[0]["index"] == 7
        assert len(run.server.bursts) <= 2  # those of the first LOAD only


@pytest.mark.parametrize("memory_type", [*LOAD_STAGE, *COMPUTE_STAGE], ids=lambda t: t.name)
def test_an_empty_range_is_never_out_of_bounds(memory_type: MemoryType) -> None:
    config = small()
    memories = LOAD_STAGE if memory_type in LOAD_STAGE else COMPUTE_STAGE
    empty = Load(memory_type=memory_type, sram_base=65535, x_size=3, y_size=0, x_pad_0=2)
    memory = np.zeros(BYTES, np.uint8)
    run = rtl_load(config, memories, [empty], memory, dict.fromkeys(MEMORIES, 0))
    assert not run.errors
    assert run.done == 1
    assert not run.server.bursts


def test_a_fault_names_the_instruction_and_the_beat() -> None:
    config = small(axi_data_bits=64)
    memory = np.zeros(BYTES, np.uint8)
    loads = [
        Load(memory_type=MemoryType.INP, dram_base=n * 64, x_size=20, y_size=1) for n in range(3)
    ]
    bad = 64 * config.inp_bytes + 24
    run = rtl_load(
        config,
        LOAD_STAGE,
        loads,
        memory,
        dict.fromkeys(MEMORIES, 0),
        errors=frozenset({bad}),
        stop=True,
    )
    assert run.errors[0] == {
        "valid": 1,
        "error_class": ErrorClass.BUS_ERROR,
        "index": 7,
        "address": bad,
    }
    assert run.done == 1


def test_an_address_past_the_address_space_is_never_issued() -> None:
    config = small(axi_data_bits=64)
    load = Load(memory_type=MemoryType.WGT, dram_base=0x0FFF_FFFE, x_size=2, x_stride=2, y_size=2)
    run = rtl_load(
        config, LOAD_STAGE, [load], np.zeros(BYTES, np.uint8), dict.fromkeys(MEMORIES, 0), stop=True
    )
    assert run.errors[0] == {
        "valid": 1,
        "error_class": ErrorClass.BUS_ERROR,
        "index": 0,
        "address": 0,
    }
    assert run.server.bursts == [(0xFFFF_FFE0, 4)]


@pytest.mark.parametrize("config", [SMALL[0], SMALL[4]], ids=lambda c: c.name)
def test_loads_are_issued_ahead_and_cost_their_beats_and_two(config: Config) -> None:
    """targets.md: one more one-element LOAD costs its beats and two cycles at most."""
    memory = np.zeros(BYTES, np.uint8)
    for memory_type, memories in ((MemoryType.INP, LOAD_STAGE), (MemoryType.ACC, COMPUTE_STAGE)):
        beats = max(1, MEMORIES[memory_type].element_bytes(config) // config.beat_bytes)
        loads = [Load(memory_type=memory_type, dram_base=n, x_size=1, y_size=1) for n in range(20)]
        run = rtl_load(config, memories, loads, memory, dict.fromkeys(MEMORIES, 0))
        done = np.flatnonzero([cycle["done"] for cycle in run.cycles])
        assert np.diff(done).max() <= beats + 2
