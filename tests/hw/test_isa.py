"""Encodings: against the bit positions of isa.md, written out here, and against each other."""

import ctypes
import re

import numpy as np
import pytest
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sw.strategies import configs, instructions
from vta.hw.config import Config
from vta.hw.isa import (
    MEMORIES,
    Alu,
    Finish,
    Gemm,
    IsaError,
    Load,
    MemoryType,
    Opcode,
    Raw,
    Stage,
    Store,
    fields,
    instruction_layout,
    reserved_mask,
    uop_fields,
    uop_layout,
)
from vta.sw.codec import decode, decode_all, encode, encode_all, pack_uops, unpack_uops

HEAD = {
    "opcode": (2, 0),
    "pop_prev": (3, 3),
    "pop_next": (4, 4),
    "push_prev": (5, 5),
    "push_next": (6, 6),
}
TRANSFER = HEAD | {
    "memory_type": (9, 7),
    "sram_base": (25, 10),
    "dram_base": (57, 26),
    "y_size": (79, 64),
    "x_size": (95, 80),
    "x_stride": (111, 96),
    "y_pad_0": (115, 112),
    "y_pad_1": (119, 116),
    "x_pad_0": (123, 120),
    "x_pad_1": (127, 124),
}
LOOPS = HEAD | {
    "reset_reg": (7, 7),
    "uop_bgn": (20, 8),
    "uop_end": (34, 21),
    "iter_out": (48, 35),
    "iter_in": (62, 49),
    "dst_factor_out": (74, 64),
    "dst_factor_in": (85, 75),
    "src_factor_out": (96, 86),
    "src_factor_in": (107, 97),
}
PUBLISHED = {  # isa.md section 2: (first, last) bit, default configuration
    Opcode.LOAD: TRANSFER,
    Opcode.STORE: TRANSFER,
    Opcode.GEMM: LOOPS | {"wgt_factor_out": (117, 108), "wgt_factor_in": (127, 118)},
    Opcode.ALU: LOOPS | {"alu_opcode": (110, 108), "use_imm": (111, 111), "imm": (127, 112)},
    Opcode.FINISH: HEAD,
}


@pytest.mark.parametrize("opcode", list(Opcode))
def test_default_fields_are_those_of_isa_md(opcode: Opcode) -> None:
    table = {f.name: (f.lsb + f.width - 1, f.lsb) for f in fields(Config(), opcode)}
    assert table == PUBLISHED[opcode]


def test_default_uop_is_that_of_isa_md() -> None:
    table = [(f.name, f.lsb + f.width - 1, f.lsb) for f in uop_fields(Config())]
    assert table == [("dst", 10, 0), ("src", 21, 11), ("wgt", 31, 22)]


class MemInsn(ctypes.LittleEndianStructure):
    """VTAMemInsn of the published hw_spec.h, default configuration."""

    _fields_ = [
        (name, ctypes.c_uint64, width)
        for name, width in (
            ("opcode", 3),
            ("pop_prev", 1),
            ("pop_next", 1),
            ("push_prev", 1),
            ("push_next", 1),
            ("memory_type", 3),
            ("sram_base", 16),
            ("dram_base", 32),
            ("unused", 6),
            ("y_size", 16),
            ("x_size", 16),
            ("x_stride", 16),
            ("y_pad_0", 4),
            ("y_pad_1", 4),
            ("x_pad_0", 4),
            ("x_pad_1", 4),
        )
    ]


class GemInsn(ctypes.LittleEndianStructure):
    """VTAGemInsn: gcc begins a new word where a field does not fit the first."""

    _fields_ = [
        (name, ctypes.c_uint64, width)
        for name, width in (
            ("opcode", 3),
            ("pop_prev", 1),
            ("pop_next", 1),
            ("push_prev", 1),
            ("push_next", 1),
            ("reset_reg", 1),
            ("uop_bgn", 13),
            ("uop_end", 14),
            ("iter_out", 14),
            ("iter_in", 14),
            ("dst_factor_out", 11),
            ("dst_factor_in", 11),
            ("src_factor_out", 11),
            ("src_factor_in", 11),
            ("wgt_factor_out", 10),
            ("wgt_factor_in", 10),
        )
    ]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_encoding_is_that_of_the_c_header(draw: st.DataObject) -> None:
    config = Config()
    cls, structure = draw.draw(
        st.sampled_from([(Load, MemInsn), (Store, MemInsn), (Gemm, GemInsn)])
    )
    table = [f for f in fields(config, cls.opcode) if f.name != "opcode"]
    values = {f.name: draw.draw(st.integers(*f.limits)) for f in table}
    c = structure(opcode=int(cls.opcode), **values)
    assert encode(config, cls(**values)).to_bytes(16, "little") == bytes(c)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_instructions_round_trip(draw: st.DataObject) -> None:
    config = draw.draw(configs())
    several = draw.draw(st.lists(instructions(config), max_size=4))
    raw = encode_all(config, several)
    assert raw.dtype == np.uint8
    assert raw.shape == (16 * len(several),)
    assert decode_all(config, raw) == several


@settings(max_examples=200, deadline=None)
@given(configs(), st.integers(0, (1 << 128) - 1))
def test_bits_round_trip(config: Config, bits: int) -> None:
    instruction = decode(config, bits)
    assert encode(config, instruction) == bits
    assert isinstance(instruction, Raw) == (bits & 7 > 4)
    assert instruction.opcode == bits & 7


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_layouts_and_codec_agree(draw: st.DataObject) -> None:
    config = draw.draw(configs())
    instruction = draw.draw(instructions(config))
    if isinstance(instruction, Raw):
        return
    layout = instruction_layout(config, instruction.opcode)
    view = data.Const(layout, encode(config, instruction))
    for field in fields(config, instruction.opcode):
        assert int(view[field.name]) == getattr(instruction, field.name), field.name


@settings(max_examples=100, deadline=None)
@given(configs())
def test_fields_do_not_overlap(config: Config) -> None:
    for opcode in Opcode:
        used = 0
        for field in fields(config, opcode):
            mask = ((1 << field.width) - 1) << field.lsb
            assert not used & mask, (opcode, field.name)
            assert field.lsb // 64 == (field.lsb + field.width - 1) // 64, "within one word"
            used |= mask
        assert used | reserved_mask(config, opcode) == (1 << 128) - 1
        assert not used & reserved_mask(config, opcode)


@settings(max_examples=100, deadline=None)
@given(configs())
def test_widths_follow_the_depths(config: Config) -> None:
    a, i, w, u = (
        config.log_acc_depth,
        config.log_inp_depth,
        config.log_wgt_depth,
        config.log_uop_depth,
    )
    gemm = {f.name: f.width for f in fields(config, Opcode.GEMM)}
    alu = {f.name: f.width for f in fields(config, Opcode.ALU)}
    assert [gemm[n] for n in ("uop_bgn", "uop_end", "iter_out", "iter_in")] == [
        u,
        u + 1,
        u + 1,
        u + 1,
    ]
    assert [gemm[f"{n}_factor_out"] for n in ("dst", "src", "wgt")] == [a, i, w]
    assert [alu[f"{n}_factor_in"] for n in ("dst", "src")] == [a, a]
    assert [f.width for f in uop_fields(config)] == [a, max(a, i), w]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_uops_round_trip(draw: st.DataObject) -> None:
    config = draw.draw(configs())
    limits = [field.limits for field in uop_fields(config)]
    rows = draw.draw(st.lists(st.tuples(*(st.integers(*limit) for limit in limits)), max_size=5))
    packed = pack_uops(config, rows)
    assert packed.dtype == np.uint32
    np.testing.assert_array_equal(unpack_uops(config, packed), np.reshape(rows, (-1, 3)))
    for word, row in zip(packed.tolist(), rows, strict=True):
        view = data.Const(uop_layout(config), word)
        assert (int(view.dst), int(view.src), int(view.wgt)) == row


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (Load(x_size=65536), "LOAD: x_size is 65536; it must be 0 to 65535"),
        (Store(y_pad_0=-1), "STORE: y_pad_0 is -1; it must be 0 to 15"),
        (Gemm(uop_bgn=8192), "GEMM: uop_bgn is 8192; it must be 0 to 8191"),
        (Alu(imm=32768), "ALU: imm is 32768; it must be -32768 to 32767"),
        (Alu(imm=-32769), "ALU: imm is -32769; it must be -32768 to 32767"),
        (Finish(pop_prev=2), "FINISH: pop_prev is 2; it must be 0 to 1"),
    ],
)
def test_what_does_not_fit_is_named(instruction: Load, message: str) -> None:
    with pytest.raises(IsaError, match=f"^{re.escape(message)}$"):
        encode(Config(), instruction)


def test_uops_that_do_not_fit_are_named() -> None:
    with pytest.raises(IsaError, match=r"^uop 1: wgt is 1024; it must be 0 to 1023$"):
        pack_uops(Config(), [(0, 0, 0), (0, 0, 1024)])


def test_bytes_must_be_whole_instructions() -> None:
    with pytest.raises(IsaError, match=r"^17 bytes are not a multiple of 16$"):
        decode_all(Config(), bytes(17))


def test_imm_is_signed() -> None:
    bits = encode(Config(), Alu(imm=-1))
    assert bits >> 112 == 0xFFFF
    assert decode(Config(), bits) == Alu(imm=-1)


def test_memory_types() -> None:
    config = Config()
    assert {m.type: m.element_bytes(config) for m in MEMORIES.values()} == {
        MemoryType.UOP: 4,
        MemoryType.WGT: 256,
        MemoryType.INP: 16,
        MemoryType.ACC: 64,
        MemoryType.OUT: 16,
        MemoryType.ACC_8BIT: 16,
    }
    load_stage = {m.type for m in MEMORIES.values() if m.stage == Stage.LOAD}
    assert load_stage == {MemoryType.INP, MemoryType.WGT}
