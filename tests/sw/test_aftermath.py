"""What may stand in DRAM after an error, on streams worked out by hand."""

import numpy as np
import pytest

from vta.hw.isa import ErrorClass
from vta.sw.assembler import assemble_program
from vta.sw.golden import GoldenDevice, stray_bytes
from vta.sw.program import Program

HEAD = """
.config 1x16
.memory base=0x10000 size=0x5000
.registers uop=0x0 inp=0x0 wgt=0x0 acc=0x0 out=0x0
.uops 0x11000
uop dst=0 src=0 wgt=0
.data 0x12000 int32 7*16 9*16
.code 0x14000
load uop dram=0x4400 y=1 x=1 stride=1
load acc dram=0x480 y=1 x=2 stride=2 push.next
load uop dram=0x4400 y=1 x=1 stride=1 push.next
"""
FIRST, SECOND = 0x3000, 0x3010  # offsets of two OUT elements in memory
STORE = "store out dram=0x1300 y=1 x=1 stride=1 pop.prev push.prev\n"
STORE_1 = "store out sram=1 dram=0x1301 y=1 x=1 stride=1 pop.prev push.prev\n"
TOO_FAR = "alu add uop=0:1 loop=1,2000 dst=0,2 imm=1 {flags}\n"
ILLEGAL = "store out dram=0x1300 y=1 x=1 stride=1 reserved=0x0400000000000000\n"


def _program(text: str) -> Program:
    return assemble_program(HEAD + text + "finish\n")


def _stray(program: Program, at: int, value: int) -> list[int]:
    memory = program.image()
    memory[at : at + 16] = value
    return stray_bytes(program, memory).tolist()


SOME = list(range(16))


@pytest.mark.parametrize(
    ("text", "error_class", "may"),
    [
        # a store behind the error in program order, but behind it by no token
        (STORE + TOO_FAR.format(flags="") + STORE_1, ErrorClass.SRAM_BOUNDS, {FIRST: 7, SECOND: 9}),
        # ordered behind the instruction in error
        (
            STORE + STORE + TOO_FAR.format(flags="push.next") + STORE_1,
            ErrorClass.SRAM_BOUNDS,
            {FIRST: 7},
        ),
        # refused at dispatch: nothing behind it is dispatched
        (STORE + ILLEGAL + STORE_1, ErrorClass.ILLEGAL_OPCODE, {FIRST: 7}),
        # a store whose second row lies outside the memory: its first row may be anything, and there
        # may be what the next one wrote, which does not wait for the response
        (
            "store out dram=0x1300 y=2 x=1 stride=0x1000 pop.prev\n" + STORE_1,
            ErrorClass.BUS_ERROR,
            {FIRST: None, SECOND: 9},
        ),
        # but no token comes of it
        (
            "store out dram=0x1310 y=2 x=1 stride=0x1000 pop.prev push.prev\n"
            "load uop dram=0x4400 y=1 x=1 stride=1 pop.next push.next\n" + STORE + STORE_1,
            ErrorClass.BUS_ERROR,
            {FIRST: 7},
        ),
        # a store whose range leaves ACC writes nothing
        ("store out dram=0x1300 y=1 x=1 sram=2048 stride=1 pop.prev\n", ErrorClass.SRAM_BOUNDS, {}),
    ],
)
def test_what_may_be_there(text: str, error_class: ErrorClass, may: dict[int, int | None]) -> None:
    """`may`: what STOREs may have left at an offset; None for anything."""
    program = _program(text)
    result = GoldenDevice().run(program)
    assert result.error is not None and result.error.error_class == error_class
    assert not len(stray_bytes(program, result.memory))
    assert not len(stray_bytes(program, program.image()))
    for at, stored in ((FIRST, 7), (SECOND, 9)):
        assert bool(_stray(program, at, stored)) == (at not in may), hex(at)
        if may.get(at, 5) is not None:
            assert _stray(program, at, 5) == [at + n for n in SOME]
    assert _stray(program, 0x4800, 7) == [0x4800 + n for n in SOME], "no STORE writes there"


def test_parts_of_a_store_may_be_missing() -> None:
    program = _program(STORE + TOO_FAR.format(flags=""))
    memory = program.image()
    memory[FIRST + 3 : FIRST + 9] = 7
    assert not len(stray_bytes(program, memory))
    memory[FIRST + 5] = 8
    np.testing.assert_array_equal(stray_bytes(program, memory), [FIRST + 5])


def test_of_very_many_uops_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model gives up, a device may have done: better no answer than a wrong one."""
    count = STORE + "alu add uop=0:1 loop=1,100 imm=1 push.next\n" + STORE_1
    program = _program(count + TOO_FAR.format(flags=""))
    assert _stray(program, FIRST, 5)
    monkeypatch.setattr("vta.sw.golden.aftermath.MOST_EXECUTIONS", 50)
    assert not _stray(program, FIRST, 5)
