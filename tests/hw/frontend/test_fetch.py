"""Fetch: every instruction once, in order, to its queue; every illegal one named."""

import dataclasses
import random

import numpy as np
import pytest

from tests.hw.axi import BeatServer
from tests.hw.harness import as_struct, collect, simulate, small
from vta.hw.config import Config
from vta.hw.frontend.fetch import QUEUES, Fetch
from vta.hw.isa import (
    MEMORIES,
    Alu,
    ErrorClass,
    Finish,
    Gemm,
    Instruction,
    Load,
    MemoryType,
    Opcode,
    Raw,
    Stage,
    Store,
    reserved_mask,
)
from vta.hw.registers import StageState
from vta.sw.codec import encode, encode_all

BUSES = (32, 64, 128, 256)
BYTES = 1 << 14
NONE = ErrorClass.NONE


class Run:
    """What fetch dispatched, (stage, bits, index) in order, and what it reported."""

    def __init__(self) -> None:
        self.dispatched: list[tuple[Stage, int, int]] = []
        self.error: dict | None = None
        self.states: list[int] = []
        self.server: BeatServer


def rtl_fetch(
    config: Config,
    memory: np.ndarray,
    address: int,
    count: int,
    *,
    seed: int = 0,
    stall: float = 0.0,
    full: float = 0.0,
    errors: frozenset[int] = frozenset(),
) -> Run:
    """Run until FINISH is dispatched last or an error is reported."""
    rng = random.Random(seed)
    dut, run = Fetch(config), Run()
    run.server = BeatServer(dut.read, config, memory, rng=rng, stall=stall, errors=errors)
    ports = [p for q in dut.queues for p in (q.valid, q.payload)]

    async def main(ctx) -> None:
        ctx.set(dut.address, address)
        ctx.set(dut.count, count)
        await ctx.tick()  # address and count are there the cycle before
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        complete = False
        while not complete and run.error is None:
            ready = [rng.random() >= full for _ in QUEUES]
            for queue, now in zip(dut.queues, ready, strict=True):
                ctx.set(queue.ready, now)
            complete = ctx.get(dut.complete)
            _, _, error, state, *out = await ctx.tick().sample(
                as_struct(dut.error), dut.state, *ports
            )
            run.states.append(state)
            taken = [n for n in range(len(QUEUES)) if ready[n] and out[2 * n]]
            assert len(taken) <= 1
            for n in taken:
                run.dispatched.append((QUEUES[n], out[2 * n + 1].bits, out[2 * n + 1].index))
            if error.valid:
                run.error = collect(error)
        ctx.set(dut.stop, run.error is not None)
        before = len(run.server.bursts)
        await ctx.tick().repeat(20)
        assert len(run.server.bursts) <= before + 1

    simulate(dut, main, background=(run.server.run,))
    return run


def place(config: Config, program: list[Instruction], address: int) -> np.ndarray:
    """Memory of illegal instructions with `program` at `address`."""
    memory = np.full(BYTES, 0xFF, np.uint8)
    raw = encode_all(config, program)
    memory[address : address + len(raw)] = raw
    return memory


def stage_of(instruction: Instruction) -> Stage:
    if isinstance(instruction, Load):
        return MEMORIES[MemoryType(instruction.memory_type)].stage
    return Stage.STORE if isinstance(instruction, Store) else Stage.COMPUTE


def random_instruction(rng: random.Random) -> Instruction:
    """A legal instruction of any kind, with flags."""
    cls = rng.choice((Load, Load, Store, Gemm, Alu))
    common = {
        name: rng.getrandbits(1) for name in ("pop_prev", "pop_next", "push_prev", "push_next")
    }
    if cls is Load:
        memory_type = rng.choice([t for t in MemoryType if t != MemoryType.OUT])
        if MEMORIES[memory_type].stage == Stage.LOAD:
            common |= {"pop_prev": 0, "push_prev": 0}
        return Load(
            memory_type=memory_type,
            x_size=rng.randrange(9),
            x_pad_0=rng.randrange(16),
            dram_base=rng.getrandbits(32),
            **common,
        )
    if cls is Store:
        return Store(
            memory_type=MemoryType.OUT,
            x_size=rng.randrange(9),
            y_size=rng.randrange(9),
            **(common | {"pop_next": 0, "push_next": 0}),
        )
    if cls is Gemm:
        return Gemm(reset_reg=rng.getrandbits(1), iter_out=rng.randrange(9), **common)
    return Alu(alu_opcode=rng.randrange(5), use_imm=1, imm=rng.randrange(-9, 9), **common)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("bits", BUSES)
def test_dispatches_a_program_in_order(bits: int, stall: float) -> None:
    config = small(axi_data_bits=bits)
    seed = bits + int(10 * stall)
    rng = random.Random(seed)
    for address in (0x100, 0x3F0):  # the second one starts inside a wide beat
        program = [random_instruction(rng) for _ in range(90)] + [Finish(push_next=1)]
        memory = place(config, program, address)
        run = rtl_fetch(config, memory, address, len(program), seed=seed, stall=stall, full=stall)
        expected = [(stage_of(i), encode(config, i), n) for n, i in enumerate(program)]
        assert run.error is None
        assert run.dispatched == expected
        beats = sum(length for _, length in run.server.bursts)
        first = address // config.beat_bytes
        last = (address + 16 * len(program) - 1) // config.beat_bytes
        assert beats == last - first + 1  # nothing outside the program is read


def test_one_instruction_takes_its_beats() -> None:
    """targets.md: fetch takes two beats an instruction at 64 bit, and no more."""
    config = small(axi_data_bits=64)
    program = [Load(memory_type=MemoryType.INP) for _ in range(60)] + [Finish()]
    run = rtl_fetch(config, place(config, program, 0), 0, len(program))
    busy = np.flatnonzero(np.array(run.states) == StageState.BUSY)
    assert len(busy) == len(program)
    assert np.diff(busy)[-40:].max() <= 2


DEFAULT = small()
ILLEGAL = {
    **{f"opcode {n}": Raw(n) for n in (5, 6, 7)},
    **{f"LOAD type {t}": Load(memory_type=t, x_size=1) for t in (4, 6, 7)},
    "LOAD type 4 of nothing": Load(memory_type=4),
    **{f"STORE type {t}": Store(memory_type=t, x_size=1, y_size=1) for t in (0, 1, 2, 3, 5, 6, 7)},
    **{
        f"STORE with {pad}": Store(memory_type=4, x_size=1, y_size=1, **{pad: 1})
        for pad in ("x_pad_0", "x_pad_1", "y_pad_0", "y_pad_1")
    },
    **{f"ALU opcode {n}": Alu(alu_opcode=n, use_imm=n & 1) for n in (5, 6, 7)},
}
DEPENDENT = {
    **{
        f"LOAD {t.name} {flag}": Load(memory_type=t, **{flag: 1})
        for t in (MemoryType.INP, MemoryType.WGT)
        for flag in ("pop_prev", "push_prev")
    },
    **{f"STORE {flag}": Store(**{flag: 1}) for flag in ("pop_next", "push_next")},
}
LEGAL = {
    "LOAD of nothing": Load(memory_type=5, y_size=9, x_pad_0=15, sram_base=65535),
    "STORE of nothing, x": Store(memory_type=0, y_size=3, x_pad_0=1),
    "STORE of nothing, y": Store(memory_type=7, x_size=3, y_pad_1=1),
    "ALU with reset bit": Alu(alu_opcode=4, reset_reg=1, imm=-1),
    "all flags": Gemm(pop_prev=1, pop_next=1, push_prev=1, push_next=1),
}


def fetch_one(instruction: Instruction) -> Run:
    """A NOP, the instruction, a NOP and FINISH."""
    nop = Load(memory_type=MemoryType.ACC)
    program = [nop, instruction, nop, Finish()]
    return rtl_fetch(DEFAULT, place(DEFAULT, program, 64), 64, 4)


def check_refused(run: Run, error_class: ErrorClass) -> None:
    assert run.error == {"valid": 1, "error_class": error_class, "index": 1, "address": 0}
    assert [index for _, _, index in run.dispatched] == [0]


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_instructions_are_refused(name: str) -> None:
    check_refused(fetch_one(ILLEGAL[name]), ErrorClass.ILLEGAL_OPCODE)


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda o: o.name)
def test_every_reserved_bit_is_refused(opcode: Opcode) -> None:
    cls = {
        Opcode.LOAD: Load,
        Opcode.STORE: Store,
        Opcode.GEMM: Gemm,
        Opcode.FINISH: Finish,
        Opcode.ALU: Alu,
    }[opcode]
    mask = reserved_mask(DEFAULT, opcode)
    bits = [1 << n for n in range(128) if mask >> n & 1]
    for bit in [*random.Random(opcode).sample(bits, min(len(bits), 8)), bits[0], bits[-1]]:
        check_refused(
            fetch_one(dataclasses.replace(cls(), reserved=bit)), ErrorClass.ILLEGAL_OPCODE
        )


@pytest.mark.parametrize("name", DEPENDENT)
def test_flags_towards_an_absent_neighbour_are_refused(name: str) -> None:
    check_refused(fetch_one(DEPENDENT[name]), ErrorClass.ILLEGAL_DEPENDENCY)


@pytest.mark.parametrize("name", LEGAL)
def test_corners_of_legality_are_dispatched(name: str) -> None:
    run = fetch_one(LEGAL[name])
    assert run.error is None
    assert [index for _, _, index in run.dispatched] == [0, 1, 2, 3]
    assert run.dispatched[1][0] == stage_of(LEGAL[name])


def test_finish_must_come_and_come_last() -> None:
    nop = Load(memory_type=MemoryType.ACC)
    for program, index in (
        ([nop, nop], 2),
        ([], 0),
        ([nop, Finish(), nop], 2),
        ([Finish(), Finish()], 1),
    ):
        run = rtl_fetch(DEFAULT, place(DEFAULT, program, 64), 64, len(program))
        assert run.error == {
            "valid": 1,
            "error_class": ErrorClass.NO_FINISH,
            "index": index,
            "address": 0,
        }
        assert len(run.dispatched) == index


@pytest.mark.parametrize("bits", BUSES)
def test_a_fault_belongs_to_the_first_instruction_of_its_beat(bits: int) -> None:
    config = small(axi_data_bits=bits)
    address = 0x70
    program = [Load(memory_type=MemoryType.ACC)] * 20 + [Finish()]
    for byte in (address, address + 7 * 16, address + 8 * 16 + 12):
        beat = byte - byte % config.beat_bytes
        run = rtl_fetch(
            config, place(config, program, address), address, len(program), errors=frozenset({beat})
        )
        index = max(0, beat - address) // 16
        assert run.error is not None
        assert run.error["error_class"] == ErrorClass.BUS_ERROR
        assert run.error["index"] == index
        assert run.error["address"] == max(beat, address)


@pytest.mark.parametrize("bits", BUSES)
def test_nothing_past_the_address_space_is_read(bits: int) -> None:
    """isa.md section 3: an address past 2^32 is a BUS_ERROR; address 0 is not what follows."""
    config = small(axi_data_bits=bits)
    memory = np.zeros(BYTES, np.uint8)  # NOPs, wherever it is read
    run = rtl_fetch(config, memory, 0xFFFF_FFC0, 8)
    assert all(start >= 0xFFFF_FFC0 for start, _ in run.server.bursts)
    assert run.error is not None
    assert (run.error["error_class"], run.error["index"]) == (ErrorClass.BUS_ERROR, 4)
