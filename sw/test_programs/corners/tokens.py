"""Stages, queues and tokens (isa.md section 5)."""

from dataclasses import replace

import numpy as np

from vta.hw.isa import AluOpcode, Finish, Gemm, Load, MemoryType, Stage, Store
from vta.sw.test_programs.corners.common import (
    acc_values,
    alu_imm,
    corner,
    eye,
    gemm_over,
    inp_values,
    store_words,
)
from vta.sw.test_programs.stream import StreamBuilder

__all__ = []

CHANNELS = (
    (Stage.LOAD, Stage.COMPUTE),
    (Stage.COMPUTE, Stage.LOAD),
    (Stage.COMPUTE, Stage.STORE),
    (Stage.STORE, Stage.COMPUTE),
)
MOST = 600  # instructions to fill a counter or a queue with


def _nop(stage: Stage, **flags: int) -> Load | Store:
    if stage == Stage.STORE:
        return Store(memory_type=MemoryType.OUT, **flags)
    return Load(memory_type=MemoryType.INP if stage == Stage.LOAD else MemoryType.UOP, **flags)


def _push(giver: Stage, taker: Stage) -> Load | Store:
    return _nop(giver, **{"push_next" if taker > giver else "push_prev": 1})


def _pop(giver: Stage, taker: Stage) -> Load | Store:
    return _nop(taker, **{"pop_prev" if taker > giver else "pop_next": 1})


def _out(sram: int, dram: int, x: int, **flags: int) -> Store:
    return Store(
        memory_type=MemoryType.OUT,
        sram_base=sram,
        dram_base=dram,
        y_size=1,
        x_size=x,
        x_stride=x,
        **flags,
    )


def _counted(stream: StreamBuilder, rng: np.random.Generator, count: int) -> None:
    """`count` pushes to each counter, then as many pops; then a result."""
    for giver, taker in CHANNELS:
        stream.add(*[_push(giver, taker)] * count, *[_pop(giver, taker)] * count)
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.store(0, data.astype(np.int8))


@corner
def tokens_accumulate(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Tokens of each of the four counters wait until they are popped."""
    _counted(stream, rng, min(5, stream.config.token_capacity))


@corner
def tokens_fill_the_counter(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A counter takes as many tokens as its capacity, and gives them all back."""
    _counted(stream, rng, min(stream.config.token_capacity, MOST))


@corner
def full_counter_holds_back_the_push(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """No token is ever dropped: pushes beyond the capacity wait until there is room."""
    extra = min(5, stream.config.queue_depth)
    _counted(stream, rng, min(stream.config.token_capacity, MOST) + extra)


@corner
def full_queue_blocks_fetch(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A stage has at most as many unretired instructions as its queue is deep; the next one waits
    in fetch, and everything behind it."""
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 0, 0)])
    count = min(stream.config.queue_depth, MOST) + 3
    for giver, taker in ((Stage.COMPUTE, Stage.LOAD), (Stage.COMPUTE, Stage.STORE)):
        slow = alu_imm(AluOpcode.ADD, 1, 200, dst_factor_in=0)
        flag = "push_prev" if taker == Stage.LOAD else "push_next"
        stream.step(replace(slow, **{flag: 1}))
        stream.add(_pop(giver, taker), *[_nop(taker)] * count)
        data[0] += np.int32(200)
    store_words(stream, 0, data)


@corner
def pops_before_pushes(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Stages wait for each other only by tokens: what pops may stand before what pushes."""
    data, inp = acc_values(stream, rng, 8), inp_values(stream, rng, 8)
    acc = stream.place(MemoryType.ACC, data)
    inps, wgts = stream.place(MemoryType.INP, inp), stream.place(MemoryType.WGT, eye(stream))
    uops = stream.place_uops([(0, 0, 0)])
    out = stream.reserve(MemoryType.OUT, 8)
    stream.expect(out, (data + inp).astype(np.int8))
    row = {"y_size": 1, "x_size": 8, "x_stride": 8}
    one = {"y_size": 1, "x_size": 1, "x_stride": 1}
    gemm = gemm_over(8, dst_factor_in=1, src_factor_in=1)
    stream.add(
        _out(0, out, 8, pop_prev=1, push_prev=1),
        Load(memory_type=MemoryType.UOP, dram_base=uops, **one),
        Load(memory_type=MemoryType.ACC, dram_base=acc, **row),
        replace(gemm, pop_prev=1, push_next=1),
        Load(memory_type=MemoryType.INP, dram_base=inps, **row),
        Load(memory_type=MemoryType.WGT, dram_base=wgts, **one, push_next=1),
        Finish(pop_next=1),
    )


@corner
def ping_pong(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Pops wait before the instruction starts, pushes come after its effects: one INP entry is
    loaded again and again, used each time, and each result stored from one ACC entry."""
    rounds = 24
    inp = inp_values(stream, rng, rounds)
    inps = stream.place(MemoryType.INP, inp)
    stream.load_new(MemoryType.WGT, eye(stream), 0)
    stream.load_new(MemoryType.ACC, np.zeros_like(inp[:1], np.int32), 0)
    stream.load_uops([(0, 0, 0)])
    stream.step(alu_imm(AluOpcode.ADD, 0, 1))
    out = stream.reserve(MemoryType.OUT, rounds)
    one = {"y_size": 1, "x_size": 1, "x_stride": 1}
    for n in range(rounds):
        again = int(n > 0)
        stream.add(
            Load(
                memory_type=MemoryType.INP, dram_base=inps + n, pop_next=again, push_next=1, **one
            ),
            replace(gemm_over(1), pop_prev=1, pop_next=again, push_prev=1, push_next=1),
            _out(0, out + n, 1, pop_prev=1, push_prev=1),
        )
    stream.expect(out, np.cumsum(inp, axis=0, dtype=np.int32).astype(np.int8))


@corner
def both_pops_are_awaited(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """An instruction that pops from both neighbours starts when both tokens are there: here the
    load's comes first, then the store's."""
    data, inp = acc_values(stream, rng, 32), inp_values(stream, rng, 32)
    stream.load_new(MemoryType.WGT, eye(stream), 0)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.load_uops([(0, 0, 0)])
    inps = stream.place(MemoryType.INP, inp)
    out = stream.reserve(MemoryType.OUT, 64)
    scattered = Store(
        memory_type=MemoryType.OUT,
        dram_base=out,
        y_size=32,
        x_size=1,
        x_stride=2,
        pop_prev=1,
        push_prev=1,
    )
    load = Load(memory_type=MemoryType.INP, dram_base=inps, y_size=1, x_size=32, x_stride=32)
    stream.add(_push(Stage.COMPUTE, Stage.STORE), scattered, replace(load, push_next=1))
    gemm = gemm_over(32, dst_factor_in=1, src_factor_in=1)
    stream.step(replace(gemm, pop_prev=1, pop_next=1))
    before = np.zeros((64, *data.shape[1:]), np.int8)
    before[::2] = data.astype(np.int8)
    stream.expect(out, before)
    store_words(stream, 0, data + inp)


@corner
def both_pushes_are_made(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """An instruction may push to both neighbours, and each push is made as soon as its own
    counter has room: load's is full, store's is not."""
    capacity = min(stream.config.token_capacity, MOST)
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    if capacity == stream.config.token_capacity:
        stream.add(*[_push(Stage.COMPUTE, Stage.LOAD)] * (capacity - 1))
    stream.add(_nop(Stage.COMPUTE, push_prev=1, push_next=1))
    out = stream.reserve(MemoryType.OUT, 4)
    stream.add(_out(0, out, 4, pop_prev=1))
    stream.add(_nop(Stage.COMPUTE, push_prev=1, push_next=1))
    stream.add(_pop(Stage.COMPUTE, Stage.STORE))
    stream.add(*[_pop(Stage.COMPUTE, Stage.LOAD)] * 2)
    stream.expect(out, data.astype(np.int8))


@corner
def finish_before_stores(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Done rises when FINISH has retired, every queue is empty and every response is in: FINISH
    waits for no token here, and stores are still to come."""
    data = acc_values(stream, rng, 32)
    stream.load_new(MemoryType.ACC, data, 0)
    out = stream.reserve(MemoryType.OUT, 64)
    scattered = Store(memory_type=MemoryType.OUT, dram_base=out, y_size=32, x_size=1, x_stride=2)
    stream.step(scattered)
    expected = np.zeros((64, *data.shape[1:]), np.int8)
    expected[::2] = data.astype(np.int8)
    stream.expect(out, expected)


@corner
def finish_waits_for_its_token(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """FINISH is the compute stage's: it pops from both neighbours, and pushes."""
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.store(0, data.astype(np.int8))
    stream.add(_push(Stage.STORE, Stage.COMPUTE), _push(Stage.LOAD, Stage.COMPUTE))
    stream.add(Finish(pop_prev=1, pop_next=1, push_prev=1, push_next=1))


@corner
def tokens_left_over(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """Tokens left over at FINISH are not an error; launch clears them, so that the next run of the
    same stream is not helped by them."""
    data = acc_values(stream, rng, 4)
    stream.load_new(MemoryType.ACC, data, 0)
    stream.store(0, data.astype(np.int8))
    for giver, taker in CHANNELS:
        stream.add(*[_push(giver, taker)] * min(2, stream.config.token_capacity))


@corner
def nops_alone(stream: StreamBuilder, rng: np.random.Generator) -> None:
    """A stream of NOPs and empty loops that pass one token round all stages ends."""
    for _ in range(8):
        stream.add(
            _nop(Stage.LOAD, push_next=1),
            Gemm(pop_prev=1, push_next=1),
            _nop(Stage.STORE, pop_prev=1, push_prev=1),
            Gemm(pop_next=1, push_prev=1),
            _nop(Stage.LOAD, pop_next=1),
        )
    stream.expect(stream.reserve(MemoryType.OUT, 1), np.zeros(stream.config.out_bytes, np.int8))
