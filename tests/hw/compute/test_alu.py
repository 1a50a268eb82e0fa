"""ALU lanes and folded chains against one instruction after the other, in NumPy."""

import dataclasses
import random

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Signal

from tests.hw.harness import collect, simulate
from vta.hw.compute.alu import ALU_LATENCY, AluLane, chain_layout, extend
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Opcode, instruction_layout
from vta.sw.codec import encode

CONFIG = Config()
LANES = 40  # values that each chain is applied to
EDGES = np.array([0, 1, -1, 2**31 - 1, -(2**31), 2**30, -(2**30), 255, -256, 32767, -32768], int)
AMOUNTS = np.array(
    [
        0,
        1,
        -1,
        5,
        -5,
        30,
        -30,
        31,
        -31,
        32,
        -32,
        33,
        -33,
        63,
        64,
        -64,
        2**31 - 1,
        -(2**31),
        4096,
        -4096,
    ],
    int,
)


def ref_alu(x: np.ndarray, operand: np.ndarray, opcode: AluOpcode) -> np.ndarray:
    """``op(x, operand)``, int32 arrays of one shape (isa.md section 4)."""
    x, y = x.astype(np.int64), operand.astype(np.int64)
    if opcode == AluOpcode.MIN:
        result = np.minimum(x, y)
    elif opcode == AluOpcode.MAX:
        result = np.maximum(x, y)
    elif opcode == AluOpcode.ADD:
        result = x + y
    elif opcode == AluOpcode.MUL:
        result = x * y
    else:
        left = np.where(y <= -32, 0, x << np.clip(-y, 0, 31))
        result = np.where(y < 0, left, x >> np.clip(y, 0, 31))
    return result.astype(np.int32)


def ref_chain(x: np.ndarray, y: np.ndarray, alus: list[Alu]) -> np.ndarray:
    """The ALU instructions one after another, as wide as int32 in between."""
    for alu in alus:
        operand = np.full_like(x, alu.imm) if alu.use_imm else y
        x = ref_alu(x, operand, AluOpcode(alu.alu_opcode))
    return x


class Chainer(Elaboratable):
    """`extend` between ports."""

    def __init__(self) -> None:
        self.bits = Signal(instruction_layout(CONFIG, Opcode.ALU))
        self.chain = Signal(chain_layout())
        self.possible = Signal()
        self.longer = Signal(chain_layout())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        possible, longer = extend(m, self.chain, self.bits)
        m.d.comb += [self.possible.eq(possible), self.longer.eq(longer)]
        return m


def rtl_extend(chains: list[list[Alu]]) -> list[tuple[int, dict]]:
    """For each list: how many of its instructions fold into one chain, and that chain."""
    dut, out = Chainer(), []

    async def run(ctx) -> None:
        for alus in chains:
            ctx.set(dut.chain, {})
            folded = 0
            for alu in alus:
                ctx.set(dut.bits.as_value(), encode(CONFIG, alu))
                await ctx.delay(1e-9)  # combinational
                if not ctx.get(dut.possible):
                    break
                ctx.set(dut.chain, ctx.get(dut.longer))
                folded += 1
            out.append((folded, collect(ctx.get(dut.chain))))

    simulate(dut, run)
    return out


def clamp(value: np.ndarray, chain: dict) -> np.ndarray:
    """What the pipeline's last step does with a chain's clamp."""
    if chain["low_en"]:
        value = np.maximum(value, chain["low"])
    if chain["high_en"]:
        value = np.minimum(value, chain["high"])
    return value


def rtl_lane(runs: list[tuple[dict, np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Chains (without their clamp) on vectors of x and y, one pair a cycle, chains back to back."""
    dut = AluLane()
    steps = [(chain, int(a), int(b)) for chain, x, y in runs for a, b in zip(x, y, strict=True)]
    out: list[int] = []

    async def run(ctx) -> None:
        for n in range(len(steps) + ALU_LATENCY):
            valid = n < len(steps)
            ctx.set(dut.valid, valid)
            ctx.set(dut.valid_1, 0 < n <= len(steps))
            if valid:
                ctx.set(dut.chain, steps[n][0])
                ctx.set(dut.x, steps[n][1])
                ctx.set(dut.y, steps[n][2])
            if 0 < n <= len(steps):
                ctx.set(dut.chain_1, steps[n - 1][0])
            await ctx.tick()
            if n >= ALU_LATENCY - 1 and len(out) < len(steps):
                out.append(ctx.get(dut.result))

    simulate(dut, run)
    values = np.array(out, np.uint32).view(np.int32)
    return np.split(values, np.cumsum([len(x) for _, x, _ in runs])[:-1])


def vectors(seed: int, amounts: bool) -> tuple[np.ndarray, np.ndarray]:
    """x and y, int32 (LANES,): random values, then edges against each other."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-(2**31), 2**31, LANES)
    y = rng.integers(-(2**31), 2**31, LANES) >> rng.integers(0, 31, LANES)
    x[: len(EDGES)] = EDGES
    y[: len(EDGES)] = rng.permutation(EDGES)
    if amounts:
        y[-len(AMOUNTS) :] = AMOUNTS
    return x.astype(np.int32), y.astype(np.int32)


def compare(chains: list[list[Alu]], seed: int) -> list[int]:
    """Fold each list as far as it goes, and compare the chain with its instructions in sequence."""
    folded = rtl_extend(chains)
    data_in = [vectors(seed + n, n % 2 == 0) for n in range(len(chains))]
    results = rtl_lane([(chain, *xy) for (_, chain), xy in zip(folded, data_in, strict=True)])
    for alus, (count, chain), (x, y), result in zip(chains, folded, data_in, results, strict=True):
        expected = ref_chain(x, y, alus[:count])
        np.testing.assert_array_equal(clamp(result, chain), expected, err_msg=str(alus[:count]))
    return [count for count, _ in folded]


@pytest.mark.parametrize("opcode", list(AluOpcode), ids=lambda o: o.name)
def test_every_operation_with_tensor_and_immediates(opcode: AluOpcode) -> None:
    imms = (0, 1, -1, 7, 31, -31, 32, -32, 33, 127, -128, 32767, -32768)
    chains = [[Alu(alu_opcode=opcode)]]
    chains += [[Alu(alu_opcode=opcode, use_imm=1, imm=imm)] for imm in imms]
    assert set(compare(chains, 7)) == {1}  # a single instruction always is a chain


def random_alu(rng: random.Random) -> Alu:
    value = rng.choice((rng.randrange(-(2**15), 2**15), rng.randrange(-33, 34), 127, -128))
    return Alu(alu_opcode=rng.choice(list(AluOpcode)), use_imm=rng.random() < 0.8, imm=value)


def random_chain(rng: random.Random) -> list[Alu]:
    """Instructions of which the first few often fold, and a few more."""
    add, mul, shr = AluOpcode.ADD, AluOpcode.MUL, AluOpcode.SHR
    opcodes = (
        *rng.choice(((), (add,), (add, add), (mul,))),
        *rng.choice(((), (shr,))),
        *rng.choices((AluOpcode.MIN, AluOpcode.MAX), k=rng.randrange(4)),
    )
    chain = [dataclasses.replace(random_alu(rng), alu_opcode=opcode) for opcode in opcodes]
    return chain + [random_alu(rng) for _ in range(rng.randrange(1, 3))]


@pytest.mark.parametrize("seed", range(3))
def test_a_folded_chain_equals_its_instructions_in_sequence(seed: int) -> None:
    rng = random.Random(seed)
    folded = compare([random_chain(rng) for _ in range(60)], seed)
    assert sum(count > 1 for count in folded) > 20


def imm(opcode: AluOpcode, value: int) -> Alu:
    return Alu(alu_opcode=opcode, use_imm=1, imm=value)


def test_what_folds() -> None:
    """The epilogues of mappings.md fold whole; what would change the order of effects does not."""
    add, shr, low, high = (
        imm(o, v)
        for o, v in (
            (AluOpcode.ADD, 5),
            (AluOpcode.SHR, 3),
            (AluOpcode.MAX, -128),
            (AluOpcode.MIN, 127),
        )
    )
    mul, tensor = imm(AluOpcode.MUL, 3), Alu(alu_opcode=AluOpcode.ADD)
    for chain, folds in (
        ([add, shr, low, high], 4),
        ([tensor, shr, low, high], 4),
        ([shr, low, high], 3),
        ([mul, high, low], 3),
        ([add] * 9, 9),
        ([low, high] * 7, 14),
        ([shr, add], 1),
        ([low, add], 1),
        ([high, shr], 1),
        ([mul, shr], 1),
        ([mul, mul], 1),
        ([shr, shr], 1),
        ([add, tensor], 1),
        ([tensor, add], 1),
        ([add, Alu(alu_opcode=AluOpcode.SHR)], 2),
        ([tensor, Alu(alu_opcode=AluOpcode.SHR)], 1),
    ):
        assert rtl_extend([chain])[0][0] == folds, chain
