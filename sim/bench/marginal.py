"""What one more instruction costs: (11 of a kind - 1 of a kind) / 10, in streams made here."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Gemm, Instruction, Load, MemoryType, Store
from vta.sim.bench.figures import Figure
from vta.sim.bench.runs import CONFIG, Runs, with_golden
from vta.sim.bench.targets import LATENCIES, MARGINALS
from vta.sw.program import Program
from vta.sw.test_programs.stream import StreamBuilder

__all__ = ["costs", "program"]

MORE = 10
SEED = 5
ROW = 16  # uop executions of an inner loop; all numbers of them are multiples
DISTINCT = 16  # elements that one-element transfers have to themselves
FILLERS = 128

Repeat = Callable[[int], list[Instruction]]
"""The instructions of the n-th repetition."""


def costs(runs: Runs) -> Iterator[Figure]:
    """The marginal cost of each kind of instruction."""
    for marginal in MARGINALS:
        for n in marginal.sizes:
            one, many = (program(marginal.kind, n, count) for count in (1, 1 + MORE))
            for latency in LATENCIES:
                ours = (runs.cycles(many, latency) - runs.cycles(one, latency)) / MORE
                anchor, must, aim = marginal.at(latency, n)
                size = f", n = {n}" if n else ""
                yield Figure(
                    group="one more instruction",
                    name=f"{marginal.kind}{size}, latency {latency}",
                    ours=ours,
                    anchor=anchor,
                    must=must,
                    aims=() if aim is None else (aim,),
                    fixed=True,
                )


def program(kind: str, n: int, count: int, config: Config = CONFIG) -> Program:
    """A stream with `count` instructions of a kind, each of `n` uop executions where it has uops.

    It expects what the golden model computes.
    """
    stream = StreamBuilder(config, f"{kind}_{n}_x{count}" if n else f"{kind}_x{count}")
    rng = np.random.default_rng(SEED)
    repeat = KINDS[kind](stream, rng, n)
    for index in range(count):
        stream.add(*repeat(index))
    _finish(stream, kind, n)
    return with_golden(stream.program())


# Each prepares a stream and gives what is repeated -----------------------------------------------
def _accumulators(stream: StreamBuilder, rng: np.random.Generator, n: int) -> None:
    """Fill 2 n accumulators by a GEMM; uop 0 is for operands in INP, 1 for the upper half.

    Before it come enough NOPs that their fetch, not the loads, decides when it begins: the fetch
    of what is repeated later shares the bus with the loads, and would delay them.
    """
    config = stream.config
    inputs = rng.integers(-128, 128, (ROW, config.batch, config.block)).astype(np.int8)
    weights = rng.integers(-128, 128, (1, config.block, config.block)).astype(np.int8)
    stream.load_new(MemoryType.INP, inputs, 0)
    stream.load_new(MemoryType.WGT, weights, 0)
    stream.load_uops([(0, 0, 0), (0, n, 0)])
    stream.step(*FILLERS * [Load(memory_type=MemoryType.UOP)])
    fill = Gemm(
        uop_end=1,
        iter_out=2 * n // ROW,
        iter_in=ROW,
        dst_factor_out=ROW,
        dst_factor_in=1,
        src_factor_in=1,
    )
    stream.step(replace(fill, reset_reg=1), fill)


def _gemm(
    stream: StreamBuilder, rng: np.random.Generator, n: int, *, advance: int = 1, reset: int = 0
) -> Repeat:
    _accumulators(stream, rng, n)
    gemm = Gemm(
        uop_end=1,
        iter_out=n // ROW,
        iter_in=ROW,
        dst_factor_out=advance * ROW,
        dst_factor_in=advance,
        src_factor_in=1,
        reset_reg=reset,
    )
    return lambda index: [gemm]


def _alu(
    stream: StreamBuilder, rng: np.random.Generator, n: int, *, immediate: bool, advance: int = 1
) -> Repeat:
    _accumulators(stream, rng, n)
    uop = 0 if immediate else 1
    add = Alu(
        alu_opcode=AluOpcode.ADD,
        uop_bgn=uop,
        uop_end=uop + 1,
        iter_out=1,
        iter_in=n,
        dst_factor_in=advance,
        src_factor_in=advance,
        use_imm=int(immediate),
        imm=3 if immediate else 0,
    )
    return lambda index: [add]


def _load(
    stream: StreamBuilder, rng: np.random.Generator, n: int, *, type: MemoryType, dtype: str
) -> Repeat:
    config = stream.config
    values = rng.integers(-100, 100, (DISTINCT, config.batch, config.block)).astype(dtype)
    if type is MemoryType.UOP:
        dram = stream.place_uops([(k, k, 0) for k in range(DISTINCT)])
    else:
        dram = stream.place(type, values)
    return lambda index: [
        Load(
            memory_type=type,
            sram_base=index,
            dram_base=dram + index,
            y_size=1,
            x_size=1,
            x_stride=1,
        )
    ]


def _store(stream: StreamBuilder, rng: np.random.Generator, n: int) -> Repeat:
    _accumulators(stream, rng, DISTINCT)
    dram = stream.reserve(MemoryType.OUT, DISTINCT)
    stream.step(Store(memory_type=MemoryType.OUT))  # the store stage waits for the data
    return lambda index: [
        Store(
            memory_type=MemoryType.OUT,
            sram_base=index,
            dram_base=dram + index,
            y_size=1,
            x_size=1,
            x_stride=1,
        )
    ]


def _nop(stream: StreamBuilder, rng: np.random.Generator, n: int, *, nop: Instruction) -> Repeat:
    return lambda index: [nop]


def _round_trip(stream: StreamBuilder, rng: np.random.Generator, n: int) -> Repeat:
    stream.add(Load(memory_type=MemoryType.UOP, push_prev=1))  # `_finish` takes the last token
    ask = Load(memory_type=MemoryType.INP, pop_next=1, push_next=1)
    answer = Load(memory_type=MemoryType.UOP, pop_prev=1, push_prev=1)
    return lambda index: [ask, answer]


KINDS: dict[str, Callable[[StreamBuilder, np.random.Generator, int], Repeat]] = {
    "gemm": _gemm,
    "gemm_one_vector": partial(_gemm, advance=0),
    "reset": partial(_gemm, reset=1),
    "alu_immediate": partial(_alu, immediate=True),
    "alu_tensor": partial(_alu, immediate=False),
    "alu_one_vector": partial(_alu, immediate=True, advance=0),
    "load_inp": partial(_load, type=MemoryType.INP, dtype="int8"),
    "load_acc": partial(_load, type=MemoryType.ACC, dtype="<i4"),
    "load_uop": partial(_load, type=MemoryType.UOP, dtype="uint8"),
    "store": _store,
    "nop_load": partial(_nop, nop=Load(memory_type=MemoryType.INP)),
    "nop_compute": partial(_nop, nop=Load(memory_type=MemoryType.UOP)),
    "nop_store": partial(_nop, nop=Store(memory_type=MemoryType.OUT)),
    "round_trip": _round_trip,
}


def _finish(stream: StreamBuilder, kind: str, n: int) -> None:
    """Store what was computed, so that the run shows whether it is right; end a round trip."""
    if n:
        stream.store(0, np.zeros((n, stream.config.batch, stream.config.block), np.int8))
    elif kind == "round_trip":
        stream.add(Load(memory_type=MemoryType.INP, pop_next=1))
