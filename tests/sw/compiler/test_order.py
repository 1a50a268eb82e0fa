"""Loads just before their first use: every reader still sees the same load, and none comes late."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.hw.config import Config
from vta.hw.isa import Gemm, Load, MemoryType, Stage
from vta.sw.compiler.allocate import Access, Operation
from vta.sw.compiler.order import just_in_time
from vta.sw.operators import conv2d
from vta.sw.operators.tiles import Tiling

CONFIG = Config(log_inp_buff_size=8, log_wgt_buff_size=12)  # 16 entries each
MEMORIES = (MemoryType.INP, MemoryType.WGT)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """A load that writes one range, or a GEMM that reads a range of each memory."""
    ranges = []
    for _ in MEMORIES:
        start = draw(st.integers(0, 15))
        ranges.append(slice(start, draw(st.integers(start + 1, 16))))
    if draw(st.booleans()):
        kind = draw(st.integers(0, 1))
        access = Access(MEMORIES[kind], ranges[kind], True)
        return Operation(Stage.LOAD, Load(), (access,), None, None, None)
    accesses = tuple(Access(m, r, False) for m, r in zip(MEMORIES, ranges, strict=True))
    return Operation(Stage.COMPUTE, Gemm(), accesses, None, None, None)


def seen(order: Sequence[Operation]) -> dict[int, list[list[int]]]:
    """For each GEMM, the loads (ids) whose data it reads, entry by entry."""
    writers = {memory: np.zeros(16, np.int64) for memory in MEMORIES}
    result = {}
    for operation in order:
        if operation.stage is Stage.LOAD:
            (access,) = operation.accesses
            writers[access.memory][access.where] = id(operation)
        else:
            result[id(operation)] = [
                writers[a.memory][a.where].tolist() for a in operation.accesses
            ]
    return result


@settings(max_examples=300, deadline=None)
@given(st.lists(operations(), max_size=12))
def test_every_reader_sees_the_same_loads(program: list[Operation]) -> None:
    reordered = just_in_time(program, CONFIG)
    assert sorted(map(id, reordered)) == sorted(map(id, program))
    assert seen(reordered) == seen(program)
    compute = [op for op in reordered if op.stage is Stage.COMPUTE]
    assert compute == [op for op in program if op.stage is Stage.COMPUTE]


def test_weights_of_a_whole_layer_come_step_by_step() -> None:
    """Kept weights: a weight and an input load before each of the first tile's four GEMMs."""
    kernel = conv2d.build(
        Config(), height=8, width=8, channels=64, outputs=32, tiling=Tiling(2, 4, 8, 1, "weights")
    )
    kinds = []
    for instruction in kernel.compiled.instructions:
        if isinstance(instruction, Load):
            kinds.append(MemoryType(instruction.memory_type).name)
        elif isinstance(instruction, Gemm) and not instruction.reset_reg:
            kinds.append("GEMM")
    assert kinds == ["UOP", *["WGT", "INP", "GEMM"] * 4, *["INP", "GEMM"] * 4]
