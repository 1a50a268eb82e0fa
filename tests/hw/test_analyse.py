"""What is known of an instruction ahead of its turn, against its loops run in Python."""

import random

import numpy as np
import pytest

from hw.analyse import Analyse, Turn
from hw.isa import Alu, Finish, Gemm, Instruction, Load, MemoryType, encode, pack_uops
from hw.isa import uop_fields as fields_of_uop
from tests.hw.harness import receive, send, simulate, small, watch_stable

CONFIG = small()
UOPS = 16
ACC = CONFIG.acc_depth


def random_uops(rng: random.Random) -> np.ndarray:
    limits = [1 << field.width for field in fields_of_uop(CONFIG)]
    return np.array([[rng.randrange(limit) for limit in limits] for _ in range(UOPS)])


def random_instruction(rng: random.Random) -> Instruction:
    kind = rng.random()
    if kind < 0.15:
        return rng.choice((
            Load(memory_type=MemoryType.UOP, x_size=rng.randrange(2), y_size=1), Finish(),
        ))  # fmt: skip
    bgn = rng.randrange(UOPS - 2)
    loops = {
        "uop_bgn": bgn,
        "uop_end": bgn + rng.choice((0, 1, 1, 1, 1, 2)),
        "iter_out": rng.choice((0, 1, 2, 3, 8)),
        "iter_in": rng.choice((0, 1, 2, 4, 5)),
        "dst_factor_out": rng.choice((0, 1, 2, 4, 5, 33)),
        "dst_factor_in": rng.choice((0, 1, 2, 3, 8)),
        "src_factor_out": rng.choice((0, 1, 2, 63)),
        "src_factor_in": rng.choice((0, 1, 4)),
        "pop_prev": rng.getrandbits(1),
        "push_next": rng.getrandbits(1),
    }
    if kind < 0.5:
        return Gemm(reset_reg=rng.getrandbits(1), **loops)
    return Alu(alu_opcode=rng.randrange(5), use_imm=rng.getrandbits(1), **loops)


def indices(instruction: Gemm | Alu, uops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dst and src of every execution."""
    i, j, k = np.meshgrid(
        np.arange(instruction.iter_out), np.arange(instruction.iter_in),
        np.arange(instruction.uop_bgn, instruction.uop_end), indexing="ij",
    )  # fmt: skip
    dst = uops[k, 0] + i * instruction.dst_factor_out + j * instruction.dst_factor_in
    src = uops[k, 1] + i * instruction.src_factor_out + j * instruction.src_factor_in
    return dst.ravel(), src.ravel()


def rtl_analyse(program: list[Instruction], uops: np.ndarray, seed: int, stall: float
                ) -> list[dict]:  # fmt: skip
    """The analysed instructions; UOP's port is busy, and UOP not settled, at random."""
    rng = random.Random(seed)
    dut = Analyse(CONFIG)
    words = [int(word) for word in pack_uops(CONFIG, uops)]
    out: list[dict] = []

    async def uop_port(ctx) -> None:
        while True:
            ctx.set(dut.peek_ready, rng.random() >= stall)
            settled = rng.random() >= stall
            ctx.set(dut.settled, settled)
            _, _, peek, ready, address = await ctx.tick().sample(
                dut.peek, dut.peek_ready, dut.peek_addr
            )
            assert settled or not peek  # a LOAD before may still write the uop
            if peek and ready:
                ctx.set(dut.uop_data, words[address])

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
    if ref_turn(instruction) != Turn.EXECUTE or not known["regular"]:
        return False
    assert isinstance(instruction, (Gemm, Alu))
    assert isinstance(instruction, Alu) or instruction.reset_reg
    dst, src = indices(instruction, uops)
    assert len(np.unique(dst)) == len(dst)
    assert dst.max() < ACC
    assert (known["dst"], known["dst_max"]) == (dst.min(), dst.max())
    if known["contiguous"]:
        assert len(dst) == dst.max() - dst.min() + 1
    if isinstance(instruction, Alu) and not instruction.use_imm:
        assert src.max() < ACC
        assert (known["src"], known["src_max"]) == (src.min(), src.max())
    return True


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_what_is_claimed_is_so(stall: float) -> None:
    seed = int(10 * stall)
    rng = random.Random(seed)
    uops = random_uops(rng)
    program = [random_instruction(rng) for _ in range(160)]
    analysed = rtl_analyse(program, uops, seed, stall)
    assert [known["index"] for known in analysed] == [9 * n for n in range(len(program))]
    known = [check(i, a, uops) for i, a in zip(program, analysed, strict=True)]
    assert sum(known) > 10


REGULAR = {  # loops of operators: the entries of all of these must be known
    "one vector": {},
    "a run": {"iter_out": 24, "dst_factor_out": 1},
    "rows of a tile": {"iter_out": 3, "iter_in": 8, "dst_factor_out": 8, "dst_factor_in": 1},
    "columns of a tile": {"iter_out": 8, "iter_in": 3, "dst_factor_out": 1, "dst_factor_in": 8},
    "rows apart": {"iter_out": 3, "iter_in": 4, "dst_factor_out": 10, "dst_factor_in": 2},
}


@pytest.mark.parametrize("name", REGULAR)
def test_the_loops_of_operators_are_known(name: str) -> None:
    loops = {"uop_bgn": 3, "uop_end": 4, "iter_out": 1, "iter_in": 1} | REGULAR[name]
    uops = np.full((UOPS, 3), 30)
    program: list[Instruction] = [
        Alu(use_imm=1, **loops), Gemm(reset_reg=1, **loops), Alu(**loops),
    ]  # fmt: skip
    for instruction, known in zip(program, rtl_analyse(program, uops, 0, 0.0), strict=True):
        assert check(instruction, known, uops)
        if name in ("one vector", "a run", "rows of a tile"):
            assert known["contiguous"]


def test_nothing_but_single_uops_is_looked_at() -> None:
    """Another instruction passes in a cycle, however long UOP is busy."""
    dut = Analyse(CONFIG)
    program = [Gemm(uop_end=1, iter_out=3, iter_in=2), Alu(uop_end=2, iter_out=1, iter_in=1),
               Load(memory_type=MemoryType.ACC, x_size=1), Finish()]  # fmt: skip
    out: list[dict] = []
    cycles = [0]

    async def count(ctx) -> None:
        while len(out) < len(program):
            await ctx.tick()
            cycles[0] += 1

    commands = [{"bits": encode(CONFIG, i), "index": n} for n, i in enumerate(program)]
    simulate(dut, send(dut.i, commands), receive(dut.o, len(program), out), count)
    assert cycles[0] <= len(program) + 3
