"""What is known of an instruction ahead of its turn, against its loops run in Python."""

import random

import numpy as np
import pytest

from tests.hw.harness import receive, send, simulate, small, watch_stable
from vta.hw.capacities import WORTH_FLAGS, WORTH_WAITING
from vta.hw.compute.analyse import Analyse, Turn
from vta.hw.isa import Alu, Finish, Gemm, Instruction, Load, MemoryType
from vta.hw.isa import uop_fields as fields_of_uop
from vta.sw.codec import encode, pack_uops

CONFIG = small()
UOPS = 16
ACC = CONFIG.acc_depth


def random_uops(rng: random.Random) -> np.ndarray:
    limits = [1 << field.width for field in fields_of_uop(CONFIG)]
    return np.array([[rng.randrange(limit) for limit in limits] for _ in range(UOPS)])


def random_load(rng: random.Random) -> Load:
    return Load(
        memory_type=MemoryType.UOP,
        sram_base=rng.choice((rng.randrange(64), 2**16 - 1)),
        x_size=rng.choice((0, rng.randrange(64), 2**16 - 1)),
        y_size=rng.choice((1, 1, 0, 2)),
        x_pad_0=rng.randrange(16),
        x_pad_1=rng.randrange(16),
        y_pad_0=rng.choice((0, 0, 1)),
        y_pad_1=rng.choice((0, 0, 1)),
    )


def random_instruction(rng: random.Random) -> Instruction:
    kind = rng.random()
    if kind < 0.15:
        return rng.choice((random_load(rng), random_load(rng), Finish()))
    bgn = rng.randrange(UOPS - 2)
    loops = {
        "uop_bgn": bgn,
        "uop_end": rng.choice(
            (bgn, *[bgn + 1] * 6, bgn + 2, CONFIG.uop_depth, CONFIG.uop_depth + 1)
        ),
        "iter_out": rng.choice((0, 1, 2, 3, 8, 9, 16, 17)),
        "iter_in": rng.choice((0, 1, 2, 4, 5)),
        "dst_factor_out": rng.choice((0, 1, 2, 4, 5, 33)),
        "dst_factor_in": rng.choice((0, 1, 2, 3, 8)),
        "src_factor_out": rng.choice((0, 1, 2, 63)),
        "src_factor_in": rng.choice((0, 1, 4)),
        "pop_prev": rng.getrandbits(1),
        "push_next": rng.getrandbits(1),
    }
    if rng.random() < 0.3:  # a run of entries
        loops |= {"dst_factor_out": loops["iter_in"], "dst_factor_in": 1}
    if kind < 0.5:
        return Gemm(reset_reg=rng.getrandbits(1), **loops)
    return Alu(alu_opcode=rng.randrange(5), use_imm=rng.getrandbits(1), **loops)


def indices(instruction: Gemm | Alu, uops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dst and src of every execution."""
    i, j, k = np.meshgrid(
        np.arange(instruction.iter_out),
        np.arange(instruction.iter_in),
        np.arange(instruction.uop_bgn, instruction.uop_end),
        indexing="ij",
    )
    dst = uops[k, 0] + i * instruction.dst_factor_out + j * instruction.dst_factor_in
    src = uops[k, 1] + i * instruction.src_factor_out + j * instruction.src_factor_in
    return dst.ravel(), src.ravel()


def rtl_analyse(
    program: list[Instruction], uops: np.ndarray, seed: int, stall: float
) -> list[dict]:
    """The analysed instructions; UOP's port is busy, and UOP not settled, at random."""
    rng = random.Random(seed)
    dut = Analyse(CONFIG)
    words = [int(word) for word in pack_uops(CONFIG, uops)]
    out: list[dict] = []

    async def uop_port(ctx) -> None:
        before = False
        while True:
            ctx.set(dut.peek_ready, rng.random() >= stall)
            settled = rng.random() >= stall
            ctx.set(dut.settled, settled)
            _, _, peek, ready, address = await ctx.tick().sample(
                dut.peek, dut.peek_ready, dut.peek_addr
            )
            assert before or not peek  # else a LOAD before may still write the uop
            before = settled
            # In all other cycles somebody else's uop is there.
            ctx.set(dut.uop_data, words[address] if peek and ready else rng.getrandbits(32))

    commands = [{"bits": encode(CONFIG, i), "index": 9 * n} for n, i in enumerate(program)]
    simulate(
        dut,
        send(dut.i, commands, rng, stall),
        receive(dut.o, len(program), out, rng, stall),
        background=(uop_port, watch_stable(dut.o)),
    )
    return out


def ref_turn(instruction: Instruction) -> Turn:
    if isinstance(instruction, Load):
        return Turn.LOAD if instruction.x_size else Turn.NOTHING
    if isinstance(instruction, (Gemm, Alu)):
        loops = instruction.iter_out and instruction.iter_in
        return Turn.EXECUTE if loops and instruction.uop_bgn < instruction.uop_end else Turn.NOTHING
    return Turn.NOTHING


def check(instruction: Instruction, known: dict, uops: np.ndarray) -> bool:
    """All that is claimed of an instruction is so; returns whether its entries are known."""
    assert known["bits"] == encode(CONFIG, instruction)
    assert Turn(known["turn"]) == ref_turn(instruction)
    if isinstance(instruction, Load):
        rows = (instruction.y_pad_0, instruction.y_size, instruction.y_pad_1)
        width = instruction.x_pad_0 + instruction.x_size + instruction.x_pad_1
        if rows == (0, 1, 0):
            assert known["end"] == instruction.sram_base + width
        else:
            assert known["end"] > CONFIG.uop_depth  # behind all that is read
    if not isinstance(instruction, (Gemm, Alu)):
        assert not (known["regular"] or known["dense"] or known["foldable"])
        return False
    assert known["over"] == (instruction.uop_end > CONFIG.uop_depth)
    if ref_turn(instruction) != Turn.EXECUTE or not known["regular"]:
        assert not (known["dense"] or known["foldable"])
        return False
    assert isinstance(instruction, Alu) or instruction.reset_reg
    dst, src = indices(instruction, uops)
    assert len(np.unique(dst)) == len(dst)
    assert dst.max() < ACC
    assert (known["dst"], known["dst_max"]) == (dst.min(), dst.max())
    span = dst.max() - dst.min()
    assert known["many"] == (span >= WORTH_WAITING)
    if known["dense"]:
        assert len(dst) == span + 1
        assert span >= WORTH_FLAGS
    apart = True
    if isinstance(instruction, Alu) and not instruction.use_imm:
        assert src.max() < ACC
        assert (known["src"], known["src_max"]) == (src.min(), src.max())
        apart = src.min() > dst.max() or src.max() < dst.min()
    assert known["foldable"] == (isinstance(instruction, Alu) and apart)
    return True


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_what_is_claimed_is_so(stall: float) -> None:
    seed = int(10 * stall)
    rng = random.Random(seed)
    uops = random_uops(rng)
    program = [random_instruction(rng) for _ in range(300)]
    analysed = rtl_analyse(program, uops, seed, stall)
    assert [known["index"] for known in analysed] == [9 * n for n in range(len(program))]
    known = [check(i, a, uops) for i, a in zip(program, analysed, strict=True)]
    assert sum(known) > 10
    for fact in ("over", "dense", "many", "foldable"):
        assert any(a[fact] for a in analysed), fact


REGULAR = {  # loops of operators: the entries of all of these must be known
    "one vector": {},
    "a run": {"iter_out": 24, "dst_factor_out": 1},
    "rows of a tile": {"iter_out": 3, "iter_in": 8, "dst_factor_out": 8, "dst_factor_in": 1},
    "columns of a tile": {"iter_out": 8, "iter_in": 3, "dst_factor_out": 1, "dst_factor_in": 8},
    "rows apart": {"iter_out": 3, "iter_in": 4, "dst_factor_out": 10, "dst_factor_in": 2},
}
MANY = ("a run", "rows of a tile", "columns of a tile", "rows apart")  # more than 16 entries


@pytest.mark.parametrize("name", REGULAR)
def test_the_loops_of_operators_are_known(name: str) -> None:
    loops = {"uop_bgn": 3, "uop_end": 4, "iter_out": 1, "iter_in": 1} | REGULAR[name]
    uops = np.full((UOPS, 3), 30)
    program: list[Instruction] = [Alu(use_imm=1, **loops), Gemm(reset_reg=1, **loops), Alu(**loops)]
    for instruction, known in zip(program, rtl_analyse(program, uops, 0, 0.0), strict=True):
        assert check(instruction, known, uops)
        if name in ("one vector", "a run", "rows of a tile"):
            assert known["dense"] == (name != "one vector")
        assert known["many"] == (name in MANY)


def times(program: list[Instruction], **inputs: int) -> tuple[list[int], list[int]]:
    """Cycles in which the instructions are taken, and those in which they come out."""
    dut = Analyse(CONFIG)
    taken: list[int] = []
    out: list[int] = []

    async def watch(ctx) -> None:
        for name, value in inputs.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.o.ready, 1)
        cycle = 0
        while len(out) < len(program):
            _, _, i, o = await ctx.tick().sample(dut.i.valid & dut.i.ready, dut.o.valid)
            taken.extend([cycle] * i)
            out.extend([cycle] * o)
            cycle += 1

    commands = [{"bits": encode(CONFIG, i), "index": n} for n, i in enumerate(program)]
    simulate(dut, send(dut.i, commands), watch)
    return taken, out


def test_nothing_but_single_uops_is_looked_at() -> None:
    """Another instruction passes in a cycle, and a gap behind it, however long UOP is busy."""
    program = [
        Gemm(uop_end=1, iter_out=3, iter_in=2),
        Alu(uop_end=2, iter_out=1, iter_in=1),
        Load(memory_type=MemoryType.ACC, x_size=1),
        Finish(),
    ]
    taken, out = times(program)
    assert out == [1 + n for n in taken]
    np.testing.assert_array_equal(np.diff(taken), 2)


def test_single_uops_take_seven_cycles() -> None:
    """The look at the uop is done meanwhile, where UOP is free."""
    one = {"uop_end": 1, "iter_out": 1, "iter_in": 1}
    taken, out = times([Alu(**one), Gemm(reset_reg=1, **one), Alu(**one)], settled=1, peek_ready=1)
    assert out == [7 + n for n in taken]
    np.testing.assert_array_equal(np.diff(taken), 8)


FOLLOWERS = {  # what may fold into the operation before, as far as it shows at once
    "ALU": (Alu(uop_end=1, iter_out=2, iter_in=1), 1),
    "ALU that pops": (Alu(uop_end=1, iter_out=2, iter_in=1, pop_next=1), 0),
    "GEMM": (Gemm(uop_end=1, iter_out=2, iter_in=1), 0),
    "reset": (Gemm(reset_reg=1, uop_end=1, iter_out=2, iter_in=1), 0),
    "LOAD": (Load(memory_type=MemoryType.ACC, x_size=1, y_size=1), 0),
}


@pytest.mark.parametrize("name", FOLLOWERS)
def test_what_may_fold_is_announced(name: str) -> None:
    """From the cycle in which it is offered, until it is analysed."""
    dut = Analyse(CONFIG)
    instruction, expected = FOLLOWERS[name]
    announced: list[int] = []

    async def run(ctx) -> None:
        ctx.set(dut.settled, 1)
        ctx.set(dut.peek_ready, 1)
        assert not ctx.get(dut.foldable)
        ctx.set(dut.i.payload, {"bits": encode(CONFIG, instruction), "index": 0})
        ctx.set(dut.i.valid, 1)
        while not ctx.get(dut.o.valid):
            announced.append(ctx.get(dut.foldable))
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    simulate(dut, run)
    assert announced == [expected] * len(announced)
