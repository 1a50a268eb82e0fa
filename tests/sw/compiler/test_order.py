"""Loads just before their first use: every reader still sees the same load, and none comes late."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vta.hw.config import Config
from vta.hw.isa import Gemm, Load, MemoryType, Stage
from vta.sw.compiler.ir import Buffer, Code, Operand, Operation, Source, Statement, Stream, Touch
from vta.sw.compiler.passes.order import just_in_time
from vta.sw.operators import Conv2d
from vta.sw.operators.shape import Tiling

CONFIG = Config(log_inp_buff_size=8, log_wgt_buff_size=12)  # 16 entries each
BUFFERS = {name: Buffer(MemoryType[name], 16, 1, base=0) for name in ("INP", "WGT")}
OPERANDS = tuple(Operand(name, 0) for name in BUFFERS)
SOURCE = Source(Statement("", {}), {})


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """A load that writes one range, or a GEMM that reads a range of each memory."""
    ranges = []
    for _ in BUFFERS:
        start = draw(st.integers(0, 15))
        ranges.append(np.arange(start, draw(st.integers(start + 1, 16))))
    if draw(st.booleans()):
        kind = draw(st.integers(0, 1))
        load = Load(memory_type=MemoryType[OPERANDS[kind].name])
        code = Code(load, (kind, None), (Touch(kind, ranges[kind], True),))
    else:
        touches = tuple(Touch(n, ranges[n], False) for n in range(2))
        code = Code(Gemm(), (None, 0, 1), touches)
    return Operation(code, OPERANDS, SOURCE)


def stream(program: Sequence[Operation]) -> Stream:
    return Stream("order", CONFIG, {}, BUFFERS, tuple(program))


def seen(program: Stream) -> dict[int, list[list[int]]]:
    """For each GEMM, the loads (ids) whose data it reads, entry by entry."""
    writers = {buffer.memory: np.zeros(16, np.int64) for buffer in BUFFERS.values()}
    result = {}
    for operation in program.operations:
        accesses = list(program.on_chip(operation))
        if operation.code.stage is Stage.LOAD:
            writers[accesses[0].memory][accesses[0].where] = id(operation)
        else:
            result[id(operation)] = [writers[a.memory][a.where].tolist() for a in accesses]
    return result


@settings(max_examples=300, deadline=None)
@given(st.lists(operations(), max_size=12))
def test_every_reader_sees_the_same_loads(program: list[Operation]) -> None:
    reordered = just_in_time(stream(program))
    assert sorted(map(id, reordered.operations)) == sorted(map(id, program))
    assert seen(reordered) == seen(stream(program))
    compute = [op for op in reordered.operations if op.code.stage is Stage.COMPUTE]
    assert compute == [op for op in program if op.code.stage is Stage.COMPUTE]


def test_weights_of_a_whole_layer_come_step_by_step() -> None:
    """Kept weights: a weight and an input load before each of the first tile's four GEMMs."""
    conv = Conv2d(height=8, width=8, channels=64, outputs=32)
    kernel = conv.bind(Config(), Tiling(2, 4, 8, 1, "weights"))
    kinds = []
    for instruction in kernel.compiled.instructions:
        if isinstance(instruction, Load):
            kinds.append(MemoryType(instruction.memory_type).name)
        elif isinstance(instruction, Gemm) and not instruction.reset_reg:
            kinds.append("GEMM")
    assert kinds == ["UOP", *["WGT", "INP", "GEMM"] * 4, *["INP", "GEMM"] * 4]
