"""Assembly text: every field of every instruction survives it, and wrong text is named."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.strategies import configs, instructions
from vta.hw.config import Config
from vta.hw.isa import Alu, Finish, Gemm, Load, Raw, Store
from vta.sw.assembler import (
    AssemblerError,
    assemble,
    assemble_program,
    disassemble,
    disassemble_program,
    format_instruction,
    parse_instruction,
)
from vta.sw.codec import decode, encode
from vta.sw.golden import GoldenDevice

CONFIG = Config()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_text_and_bits_round_trip(data: st.DataObject) -> None:
    config = data.draw(configs())
    instruction = data.draw(instructions(config))
    text = format_instruction(instruction, config)
    assert "\n" not in text
    assert parse_instruction(text, config) == instruction
    assert decode(config, encode(config, parse_instruction(text, config))) == instruction


@settings(max_examples=300, deadline=None)
@given(configs(), st.integers(0, (1 << 128) - 1))
def test_any_bits_have_text(config: Config, bits: int) -> None:
    text = format_instruction(decode(config, bits), config)
    assert encode(config, parse_instruction(text, config)) == bits


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        (
            "load inp dram=0x1000 y=64 x=8 stride=32 pad=1,0,1,2 pop.next push.next",
            Load(
                memory_type=2,
                dram_base=0x1000,
                y_size=64,
                x_size=8,
                x_stride=32,
                y_pad_0=1,
                x_pad_0=1,
                x_pad_1=2,
                pop_next=1,
                push_next=1,
            ),
        ),
        ("load 6", Load(memory_type=6)),
        (
            "store out sram=3 y=1 x=2 stride=2 pop.prev",
            Store(memory_type=4, sram_base=3, y_size=1, x_size=2, x_stride=2, pop_prev=1),
        ),
        (
            "gemm uop=2:18 loop=14,7 dst=14,1 src=16,1 wgt=3,4 reset push.prev",
            Gemm(
                uop_bgn=2,
                uop_end=18,
                iter_out=14,
                iter_in=7,
                dst_factor_out=14,
                dst_factor_in=1,
                src_factor_out=16,
                src_factor_in=1,
                wgt_factor_out=3,
                wgt_factor_in=4,
                reset_reg=1,
                push_prev=1,
            ),
        ),
        ("gemm loop=0,0", Gemm()),
        ("alu add uop=0:1 imm=0", Alu(alu_opcode=2, uop_end=1, iter_out=1, iter_in=1, use_imm=1)),
        (
            "alu shr uop=0:1 imm=-32768",
            Alu(alu_opcode=3, uop_end=1, iter_out=1, iter_in=1, use_imm=1, imm=-32768),
        ),
        ("alu 7 unused_imm=5", Alu(alu_opcode=7, iter_out=1, iter_in=1, imm=5)),
        ("finish pop.next reserved=0x80", Finish(pop_next=1, reserved=0x80)),
        ("raw 0x17", Raw(0x17)),
    ],
)
def test_lines_read_as_documented(text: str, instruction: object) -> None:
    assert parse_instruction(text, CONFIG) == instruction
    assert format_instruction(parse_instruction(text, CONFIG), CONFIG) == text


def test_comments_and_empty_lines_are_skipped() -> None:
    text = "# a stream\n\n  FINISH   # the end\n"
    assert assemble(text, CONFIG) == [Finish()]
    assert disassemble([Finish()], CONFIG) == "finish\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load inp x=70000", "LOAD: x_size is 70000; it must be 0 to 65535"),
        ("load inp pad=0,0,16,0", "LOAD: x_pad_0 is 16; it must be 0 to 15"),
        ("load inp pad=1,2", "load: pad is 1,2; it must be y_pad_0,y_pad_1,x_pad_0,x_pad_1"),
        ("load", "load needs one of uop, wgt, inp, acc, out, acc_8bit (or a number)"),
        ("load inp y=four", "load: y is 'four'; it must be an integer"),
        ("load inp y=", "load: y= has no value"),
        ("load inp y=1 y=2", "load: y is given twice"),
        ("load 9", "LOAD: memory_type is 9; it must be 0 to 7"),
        ("alu add imm=32768", "ALU: imm is 32768; it must be -32768 to 32767"),
        ("gemm uop=0:8193", None),
        ("gemm dst=2048,0", "GEMM: dst_factor_out is 2048; it must be 0 to 2047"),
        ("gemm imm=1", "gemm: 'imm' is not an operand; there are uop="),
        ("finish reserved=1", "FINISH: reserved is 0x1; only bits of"),
        ("raw 3", "raw needs one number of 128 bits whose opcode, bits 2:0, is 5 to 7"),
        ("jump 3", "'jump' is not an instruction; there are load, store, gemm, alu, finish, raw"),
    ],
)
def test_errors_name_line_field_value_and_limit(line: str, message: str | None) -> None:
    text = f"finish\n\n{line}\n"
    if message is None:  # encodes: whether it is in bounds is the checker's to say
        assert len(assemble(text, CONFIG)) == 2
        return
    with pytest.raises(AssemblerError, match="^" + re.escape(f"line 3: {message}")):
        assemble(text, CONFIG)


PROGRAM = """
.program add three      # by hand
.config 1x16
.memory base=0x1000 size=0x1000
.registers acc=0x1000 out=0x1100 uop=0x1200
.segment x addr=0x1000 nbytes=64 role=input dtype=int32 shape=1,16 layout=NC scale=0.5
.data 0x1000 int32 1 -2 3*3 2147483647 0*10
.uops 0x1200
uop
.code 0x1400
load uop y=1 x=1
load acc y=1 x=1
alu add uop=0:1 imm=3 push.next
store out y=1 x=1 pop.prev push.prev
finish pop.next
.expect 0x1100 int8 4 1 6*3 2 3*10
"""


def test_a_program_by_hand_runs() -> None:
    program = assemble_program(PROGRAM)
    result = GoldenDevice().run(program)
    assert result.error is None
    assert program.name == "add three"
    assert program.segments["x"].shape == (1, 16)
    assert program.segments["x"].scale == 0.5
    assert program.first_mismatch(result.memory) is None
    wrong = assemble_program(PROGRAM.replace("int8 4 1", "int8 4 2"))
    assert wrong.first_mismatch(result.memory) is not None


def test_program_text_round_trips() -> None:
    program = assemble_program(PROGRAM)
    text = disassemble_program(program)
    again = assemble_program(text)
    assert disassemble_program(again) == text
    assert (again.config, again.registers) == (program.config, program.registers)
    assert again.segments == program.segments
    np.testing.assert_array_equal(again.image(), program.image())
    for (address, data), (address_again, data_again) in zip(
        program.expected, again.expected, strict=True
    ):
        assert address == address_again
        np.testing.assert_array_equal(data, data_again)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".config 3x3", "line 1: preset '3x3' is unknown"),
        (".config 1x16 LOG_BATCH=7", "line 1: LOG_BATCH is 7: it must be one of 0, 1, 2"),
        (".config 1x16 NOPE=7", "line 1: .config: NOPE is not a key"),
        (".config 1x16 LOG_BATCH=x", "line 1: LOG_BATCH is 'x'"),
        (".data 0 int8 300", "line 1: .data: 300 is not int8: -128 to 127"),
        (".data 0 float 3", "line 1: .data needs an address, one of"),
        (".data 0 int8 1*99999999999", "line 1: .data: 99999999999 values; the limit is"),
        (".data 0 int8 1", "1 bytes at 0x0 lie outside the memory"),
        (".memory size=-5", "line 1: .memory: size is -5"),
        (".memory size=0x80000000", "line 1: .memory: size is"),
        (".segment x addr=3", "line 1: .segment x: nbytes missing"),
        (".segment", "line 1: .segment needs a name"),
        (".segment x addr=3 nbytes=4 scale=q", "line 1: .segment: scale is 'q'"),
        (".config", "line 1: .config needs a preset"),
        (".uops 0\nuop dst=99999999999999999999", "line 2: a uop holds a number beyond 64 bits"),
        (f".code {'9' * 5000}", "line 1: .code is '9999"),
        (f".code 0x{'f' * 5000}", "line 1: .code is '0xff"),
        (".segment x addr=0 nbytes=1 a\x1bb=1", r"line 1: .segment: a\x1bb is not a key"),
        (".nothing 4", "line 1: .nothing is not a directive; there are .program"),
        ("uop dst=1", "line 1: uop: .uops must say at which address first"),
        (".uops 0\nuop dst=2048", "line 2: uop 0: dst is 2048; it must be 0 to 2047"),
        ("finish\n.config 1x16", "line 2: .config must come before uops and instructions"),
    ],
)
def test_wrong_program_text_is_named(line: str, message: str) -> None:
    with pytest.raises(AssemblerError, match="^" + re.escape(message)):
        assemble_program(line)
