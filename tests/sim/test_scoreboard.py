"""A mismatch is placed: segment, tensor index, the instruction, and whose fault it is."""

import dataclasses
from typing import Any

import numpy as np

from vta.hw.config import Config
from vta.sim.scoreboard import explain_mismatch, place
from vta.sw.golden import GoldenDevice
from vta.sw.operators import operator
from vta.sw.program import Program
from vta.sw.tensor import Tensor


def _program() -> Program:
    kernel = operator("matmul").kernel(Config(), rows=4, inner=32, columns=32)
    return kernel.program(seed=1)


def test_a_right_result_needs_no_words() -> None:
    program = _program()
    assert explain_mismatch(program, GoldenDevice().run(program).memory) == []


def test_a_wrong_byte_of_the_device_is_placed() -> None:
    program = _program()
    memory = GoldenDevice().run(program).memory
    out = next(s for s in program.segments.values() if s.role == "output")
    assert (out.shape, out.layout) == ((4, 32), "NC1n16c")
    row, column = 2, 21
    packed = (row * 2 + column // 16) * 16 + column % 16
    memory[out.addr - program.memory_base + packed] ^= 1
    lines = explain_mismatch(program, memory)
    assert lines[0].startswith(
        f"1 of 128 expected bytes differ; the first at {out.addr + packed:#x}"
    )
    assert f"byte {packed} of 128: output int8 [4, 32] NC1n16c, index [2, 21]" in lines[1]
    assert lines[2].startswith("to be written by instruction ")
    assert ": store out " in lines[2]
    assert lines[3] == "the golden model has the expected byte: the device is wrong"


def test_a_wrong_expectation_is_the_programs_fault() -> None:
    program = _program()
    result = GoldenDevice().run(program)
    address, data = program.expected[0]
    wrong = data.copy()
    wrong[:2] += 1
    program.expected[0] = (address, wrong)
    lines = explain_mismatch(program, result.memory)
    assert lines[0].startswith("2 of 128 expected bytes differ")
    assert lines[-1] == "the golden model has the found byte too: the program is wrong"


def test_both_wrong() -> None:
    program = _program()
    memory = GoldenDevice().run(program).memory
    address, data = program.expected[0]
    program.expected[0] = (address, data + np.uint8(1))
    memory[address - program.memory_base] += 2
    assert "device and program are both wrong" in explain_mismatch(program, memory)[-1]


def test_a_byte_that_nothing_writes() -> None:
    program = _program()
    end = program.memory_base + program.memory_size
    program = dataclasses.replace(
        program, memory_size=program.memory_size + 16, expected=[(end, np.ones(16, np.uint8))]
    )
    lines = explain_mismatch(program, GoldenDevice().run(program).memory)
    assert lines[1] == f"{end:#x} lies in no segment"
    assert lines[2] == "no instruction writes that byte (the golden model has 0 there)"


def test_where_a_byte_is() -> None:
    program = _program()
    base = program.memory_base

    def segment_of(**what: Any) -> Tensor:
        return Tensor(name="x", addr=base, nbytes=64, **what)

    for segment, offset, text in (
        (segment_of(), 5, "in segment x, byte 5 of 64"),
        (
            segment_of(dtype="int32", shape=(4, 4)),
            22,
            "in segment x, byte 22 of 64: int32 [4, 4], index [1, 1], byte 2 of 4",
        ),
        (
            segment_of(dtype="int8", shape=(3,), layout="C16c", role="bias"),
            7,
            "in segment x, byte 7 of 64: bias int8 [3] C16c, padding",
        ),
        (
            segment_of(dtype="int8", shape=(2, 2), layout="bad"),
            9,
            "in segment x, byte 9 of 64: int8 [2, 2] bad, element 9",
        ),
    ):
        program.segments = {"x": segment}
        assert place(program, base + offset) == text
