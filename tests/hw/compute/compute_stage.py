"""A compute stage in the simulator, and what its instructions do one after another in NumPy."""

import random
from collections.abc import Iterator

import numpy as np

from tests.hw.axi import BeatServer
from tests.hw.compute.pads import ref_load
from tests.hw.compute.test_alu import ref_alu
from tests.hw.harness import as_struct, collect, simulate, small
from vta.hw.compute.compute import ComputeStage
from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Gemm, Instruction, Load, MemoryType
from vta.hw.transfers.loader import lanes_of
from vta.sw.codec import encode, pack_uops, unpack_uops

__all__ = [
    "ACC_BASE",
    "FOLDED",
    "LAST",
    "SET_UP",
    "UOP_BASE",
    "Stage",
    "State",
    "alu",
    "gemm",
    "marginal",
    "rtl_compute",
    "set_up_state",
]

UOP_BASE, ACC_BASE, BYTES = 0x400, 0x1000, 0x3000
USED = 32  # uop entries with indices below it: with loops on top everything stays within 64
COUNTS = ("gemm_uops", "reset_uops", "alu_uops")
FOLDED = "folded_uops"
LAST = 63  # uop entry with which the program's end walks over ACC


class State:
    """Contents of the stage's scratchpads, and of its neighbours'; instructions act on them."""

    def __init__(self, config: Config, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.config = config
        self.memory = rng.integers(0, 256, BYTES, np.uint8)
        dst, src, wgt = (rng.integers(0, USED, 4096) for _ in range(3))
        uops = pack_uops(config, np.stack([dst, src, wgt], axis=1))
        self.memory[UOP_BASE:ACC_BASE] = uops.view(np.uint8)[: ACC_BASE - UOP_BASE]
        self.memory[UOP_BASE : UOP_BASE + 4] = 0  # dst 0: what LAST will hold
        self.inp = rng.integers(-128, 128, (config.inp_depth, config.batch, config.block), np.int8)
        self.wgt = rng.integers(-128, 128, (config.wgt_depth, config.block, config.block), np.int8)
        self.uop = np.zeros(config.uop_depth, np.uint32)
        self.acc = np.zeros((config.acc_depth, config.batch, config.block), np.int32)
        self.counts = dict.fromkeys(COUNTS, 0)

    def execute(self, instruction: Instruction) -> None:
        if isinstance(instruction, Load):
            self._load(instruction)
        elif isinstance(instruction, Gemm):
            for d, s, w in self._indices(
                instruction, instruction.wgt_factor_out, instruction.wgt_factor_in
            ):
                if instruction.reset_reg:
                    self.acc[d] = 0
                else:
                    self.acc[d] += self.inp[s].astype(np.int32) @ self.wgt[w].T.astype(np.int32)
                self.counts["reset_uops" if instruction.reset_reg else "gemm_uops"] += 1
        elif isinstance(instruction, Alu):
            for d, s, _ in self._indices(instruction, 0, 0):
                operand = (
                    np.full_like(self.acc[d], instruction.imm)
                    if instruction.use_imm
                    else self.acc[s]
                )
                self.acc[d] = ref_alu(self.acc[d], operand, AluOpcode(instruction.alu_opcode))
                self.counts["alu_uops"] += 1

    def _load(self, load: Load) -> None:
        if load.x_size == 0:
            return  # a NOP, padded or not
        base = UOP_BASE if load.memory_type == MemoryType.UOP else ACC_BASE
        block = ref_load(self.config, load, self.memory, base)
        to = slice(load.sram_base, load.sram_base + len(block))
        if load.memory_type == MemoryType.UOP:
            self.uop[to] = block.view(np.uint32)[:, 0]
        else:
            dtype = np.int8 if load.memory_type == MemoryType.ACC_8BIT else np.dtype("<i4")
            self.acc[to] = block.view(dtype).reshape(-1, *self.acc.shape[1:])

    def _indices(self, op: Gemm | Alu, wgt_out: int, wgt_in: int) -> Iterator[list[int]]:
        uops = unpack_uops(self.config, self.uop)
        for i in range(op.iter_out):
            for j in range(op.iter_in):
                for k in range(op.uop_bgn, op.uop_end):
                    outer = np.array([op.dst_factor_out, op.src_factor_out, wgt_out])
                    inner = np.array([op.dst_factor_in, op.src_factor_in, wgt_in])
                    yield (uops[k] + i * outer + j * inner).tolist()


class Stage:
    """A compute stage in the simulator: its commands, its memory, INP, WGT and OUT."""

    def __init__(self, state: State, rng: random.Random, stall: float) -> None:
        self.state, self.rng, self.stall = state, rng, stall
        self.dut = ComputeStage(state.config)
        self.server = BeatServer(self.dut.read, state.config, state.memory, rng=rng, stall=stall)
        self.counts = dict.fromkeys((*COUNTS, FOLDED), 0)
        self.retired: list[int] = []
        self.retired_at: list[int] = []  # cycles
        self.started: list[int] = []
        self.started_at: list[int] = []
        self.errors: list[dict] = []
        self.counts_after: dict[str, int] = {}

    async def operands(self, ctx) -> None:
        """INP and WGT: an element a cycle after its address."""
        dut, state = self.dut, self.state
        while True:
            _, _, inp_en, inp, wgt_en, wgt = await ctx.tick().sample(
                dut.inp_en, dut.inp_addr, dut.wgt_en, dut.wgt_addr
            )
            if inp_en:
                ctx.set(dut.inp_data, int.from_bytes(state.inp[inp].tobytes(), "little"))
            if wgt_en:
                ctx.set(dut.wgt_data, int.from_bytes(state.wgt[wgt].tobytes(), "little"))

    async def watch(self, ctx) -> None:
        """Events, counts and errors of every cycle; tokens and room come and go."""
        dut, port = self.dut, self.dut.port
        ctx.set(dut.uop_base, UOP_BASE)
        ctx.set(dut.acc_base, ACC_BASE)
        ctx.set(port.sound, 1)
        cycle = 0
        while True:
            for name in ("available_prev", "available_next", "room_prev", "room_next"):
                ctx.set(getattr(port, name), self.rng.random() >= self.stall)
            _, _, started, first, retired, index, error, *counts = await ctx.tick().sample(
                port.started,
                port.started_index,
                port.retired,
                port.retired_index,
                as_struct(port.error),
                *(getattr(dut, name) for name in (*COUNTS, FOLDED)),
            )
            self.started += [first] * started
            self.started_at += [cycle] * started
            self.retired += [index] * retired
            self.retired_at += [cycle] * retired
            cycle += 1
            if error.valid and not self.errors:
                self.errors.append(collect(error))
                ctx.set(port.stop, 1)
            for name, count in zip((*COUNTS, FOLDED), counts, strict=True):
                self.counts[name] += count

    async def read_out(self, ctx) -> np.ndarray:
        """All of OUT: int8, the shape of ACC."""
        config, dut = self.state.config, self.dut
        lanes, out = lanes_of(config, MemoryType.OUT), b""
        for pos in range(0, config.acc_depth, lanes):
            ctx.set(dut.out_pos, pos)
            ctx.set(dut.out_en, 1)
            await ctx.tick()
            ctx.set(dut.out_en, 0)
            out += ctx.get(dut.out_data).to_bytes(lanes * config.out_bytes, "little")
        return np.frombuffer(out, np.int8).reshape(self.state.acc.shape)

    async def run(self, ctx, program: list[Instruction]) -> None:
        """Send a program and wait until all of it is retired, or an error."""
        first = len(self.retired)
        commands = [
            {"bits": encode(self.state.config, instruction), "index": first + n}
            for n, instruction in enumerate(program)
        ]
        port = self.dut.port
        ctx.set(port.unretired, 1)
        for command in commands:
            ctx.set(port.command.payload, command)
            ctx.set(port.command.valid, 1)
            ready = False
            while not ready and not self.errors:
                _, _, ready = await ctx.tick().sample(port.command.ready)
            ctx.set(port.command.valid, 0)
        while len(self.retired) < first + len(program) and not self.errors:
            await ctx.tick()

    async def read_acc(self, ctx) -> np.ndarray:
        """All of ACC: int32; destroys it. Four times OUT, with a shift by eight in between."""
        depth = self.state.config.acc_depth
        shift = Alu(
            alu_opcode=AluOpcode.SHR,
            use_imm=1,
            imm=8,
            uop_bgn=LAST,
            uop_end=LAST + 1,
            iter_out=depth,
            iter_in=1,
            dst_factor_out=1,
            src_factor_out=1,
        )
        planes = []
        for byte in range(4):
            planes.append((await self.read_out(ctx)).view(np.uint8).astype(np.uint32) << 8 * byte)
            await self.run(ctx, [shift])
        return np.bitwise_or.reduce(planes).view(np.int32)


def rtl_compute(
    state: State, program: list[Instruction], seed: int, stall: float
) -> tuple[Stage, np.ndarray]:
    """The stage after a program, and its ACC."""
    stage = Stage(state, random.Random(seed), stall)
    acc: list[np.ndarray] = []

    async def main(ctx) -> None:
        await stage.run(ctx, program)
        stage.counts_after = dict(stage.counts)
        del stage.counts_after[FOLDED]
        acc.append(await stage.read_acc(ctx))

    simulate(
        stage.dut, main, background=(stage.server.run, stage.operands, stage.watch), cycles=20_000
    )
    return stage, acc[0]


def gemm(**fields: int) -> Gemm:
    return Gemm(**({"uop_end": 1, "iter_out": 1, "iter_in": 1} | fields))


def alu(**fields: int) -> Alu:
    return Alu(**({"uop_end": 1, "iter_out": 1, "iter_in": 1, "use_imm": 1} | fields))


SET_UP = [
    Load(memory_type=MemoryType.UOP, x_size=32, y_size=1),
    Load(memory_type=MemoryType.ACC, x_size=64, y_size=1),
    Load(memory_type=MemoryType.UOP, sram_base=LAST, x_size=1, y_size=1),
]
"""Uop 0 and uop LAST are (0, 0, 0); 1 to 3 are those of `set_up_state`."""


def set_up_state() -> State:
    """A state with known uops 0 to 3."""
    state = State(small(), 1)
    uops = state.memory[UOP_BASE:ACC_BASE].view(np.uint32)
    uops[1:4] = pack_uops(state.config, [(2, 50, 7), (4, 4, 0), (4, 40, 0)])
    return state


def cycles_of(program: list[Instruction]) -> int:
    """Cycles from the first start behind SET_UP to the last retirement."""
    stage = Stage(set_up_state(), random.Random(0), 0.0)

    async def main(ctx) -> None:
        await stage.run(ctx, SET_UP)
        await ctx.tick().repeat(10)
        await stage.run(ctx, program)

    simulate(stage.dut, main, background=(stage.server.run, stage.operands, stage.watch))
    return stage.retired_at[-1] - stage.started_at[len(SET_UP)]


def marginal(instruction: Instruction) -> float:
    """Cycles that one more of an instruction costs: ``(x11 - x1) / 10``."""
    return (cycles_of([instruction] * 11) - cycles_of([instruction])) / 10
