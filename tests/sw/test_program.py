"""Stream bundles: what is saved comes back, and what is no bundle is refused with one line."""

import json
import math
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sw.golden import GoldenDevice
from vta.sw.program import BundleError, Program, Registers
from vta.sw.tensor import Tensor
from vta.sw.test_programs import CORNERS


def _program() -> Program:
    program = CORNERS["store_stride"](Config())
    program.source_map = [
        {"layer": "test", "loop": [n]} for n in range(program.registers.insn_count)
    ]
    fields = {"dtype": "int8", "shape": (4, 16), "layout": "NC", "scale": 0.5, "zero_point": 3}
    program.segments["x"] = Tensor(name="x", addr=0x10000, nbytes=64, role="input", **fields)
    return program


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "stream.npz"
    _program().save(path)
    return path


def test_a_bundle_comes_back(saved: Path) -> None:
    before, after = _program(), Program.load(saved)
    for name in (
        "name",
        "description",
        "config",
        "registers",
        "memory_base",
        "memory_size",
        "segments",
        "source_map",
    ):
        assert getattr(after, name) == getattr(before, name), name
    np.testing.assert_array_equal(after.memory, before.memory)
    for (address, data), (address_after, data_after) in zip(
        before.expected, after.expected, strict=True
    ):
        assert address == address_after
        np.testing.assert_array_equal(data, data_after)
    assert after.first_mismatch(GoldenDevice().run(after).memory) is None


# Files that are no bundle ------------------------------------------------------------------------
def _refused(path: Path, pattern: str) -> None:
    with pytest.raises(BundleError) as caught:
        Program.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "\n" not in message
    assert re.search(pattern, message), message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    _refused(tmp_path / "nothing.npz", "No such file")
    _refused(tmp_path, "Is a directory")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 50, bytes(1000)])
def test_not_a_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    _refused(path, "not a zip file")


def test_truncated_anywhere(saved: Path) -> None:
    raw = saved.read_bytes()
    rng = np.random.default_rng(1)
    cuts = [1, 4, 30, len(raw) // 2, len(raw) - 22, len(raw) - 1, *rng.integers(0, len(raw), 30)]
    for cut in cuts:
        saved.write_bytes(raw[:cut])
        _refused(saved, ".")


def test_any_byte_changed_is_refused_or_harmless(saved: Path) -> None:
    """Never another exception than BundleError, never more than one line."""
    raw = bytearray(saved.read_bytes())
    rng = np.random.default_rng(2)
    for position in rng.integers(0, len(raw), 600).tolist():
        old = raw[position]
        raw[position] ^= int(rng.integers(1, 256))
        saved.write_bytes(raw)
        raw[position] = old
        try:
            Program.load(saved)
        except BundleError as error:
            assert str(error).startswith(f"{saved}: ")
            assert "\n" not in str(error)


def _rewrite(
    path: Path,
    change: Callable[[dict[str, np.ndarray], dict[str, Any]], None],
    *,
    keep_header: bool = False,
) -> None:
    """Change the arrays or the header of a bundle in place."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays["header"].tobytes())
    change(arrays, header)
    if not keep_header and "header" in arrays and arrays["header"].dtype == np.uint8 and header:
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


NESTED: Any = []
for _ in range(50):
    NESTED = [NESTED]
HEADER = [
    ("format_version", 2, "format_version is 2; this program reads 1"),
    ("format_version", "1", "format_version is '1'; it must be int"),
    ("name", None, "header key name is missing"),
    ("name", 5, "name is 5; it must be str"),
    ("config", [], r"config is \[\]; it must be dict"),
    ("config", {"LOG_BATCH": 9}, "config: LOG_BATCH is 9: it must be one of 0, 1, 2"),
    ("config", {"NEW_KEY": 9}, "config: NEW_KEY is 9: unknown key"),
    ("architecture_hash", "0123", "architecture_hash is 0123, but that of its config is"),
    ("registers", {}, "header key insn_count is missing"),
    ("registers", 3, "registers is 3; it must be dict"),
    ("memory_base", -4096, "memory_base is -0x1000"),
    ("memory_base", 1 << 32, "memory_base is 0x100000000"),
    ("memory_base", 1.5, "memory_base is 1.5; it must be int"),
    ("memory_base", True, "memory_base is True; it must be int"),
    ("memory_size", 16, "memory_size is 16; it must be at least the image's"),
    ("memory_size", 1 << 50, "memory_size is 1125899906842624; it must be"),
    ("expected_addresses", [0], r"expected bytes at 0x0 to 0x\w+ lie outside the memory"),
    ("expected_addresses", ["0"], "address is '0'; it must be int"),
    ("expected_addresses", [0x10000, 0x10000], "member expected_1 is missing"),
    ("expected_addresses", {"0": 0}, "expected_addresses is .*; it must be list"),
    ("segments", {"x": 5}, "."),
    ("segments", {"x": {"addr": 5}}, "header key nbytes is missing"),
    ("segments", {"x": {"addr": -5, "nbytes": 1}}, "segment x: addr is -5"),
    ("source_map", {}, "source_map is {}; it must be list"),
    ("source_map", ["layer 1"], r"source_map\[0\] is 'layer 1'; it must be an object"),
    ("source_map", [{}, 5], r"source_map\[1\] is 5; it must be an object of at most 16 levels"),
    ("source_map", [{"a": NESTED}], r"source_map\[0\] is {'a': .*; it must be an object of"),
    ("name", "", "name is ''; it must be 1 to 1000 printable characters"),
    ("name", "a\nb", r"name is 'a\\nb'; it must be 1 to 1000 printable"),
    ("name", "\x1b[2J", "name is .*; it must be 1 to 1000 printable"),
    ("name", "\ud800", "name is .*; it must be 1 to 1000 printable"),
    ("name", "x" * 1001, r"name is 'x+\.\.\.x+'; it must be"),
    ("description", "bell \x07", "description is .*; it must be"),
    ("config", {"LOG_BATCH": "a\nb"}, r"LOG_BATCH is 'a\\nb': it must be an integer"),
    ("config", {"a\nb": NESTED}, r"a\\nb is \[\[.*: unknown key"),
    ("architecture_hash", "\n", r"architecture_hash is \\n, but"),
    ("segments", {"a\nb": {"addr": 0, "nbytes": 1}}, "the name of a segment is 'a"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "dtype": 8}}, "segment x: dtype is 8; it must"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "dtype": "int7"}}, "dtype is int7; it must be int"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "role": []}}, r"role is \[\]; it must be"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "shape": 4}}, "shape is 4; it must be a list"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "shape": [-1]}}, "shape is -1; it must be 0 to"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "shape": [0] * 33}}, "axes of its shape is 33"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "scale": "1"}}, "scale is '1'; it must be"),
    ("segments", {"x": {"addr": 0, "nbytes": 1, "scale": math.nan}}, "scale is nan; it must be"),
    (
        "segments",
        {"x": {"addr": 0, "nbytes": 1, "zero_point": 1 << 31}},
        "zero_point is 2147483648",
    ),
]


@pytest.mark.parametrize(("key", "value", "pattern"), HEADER)
def test_wrong_headers_are_named(saved: Path, key: str, value: Any, pattern: str) -> None:
    _rewrite(saved, lambda arrays, header: header.update({key: value}))
    _refused(saved, pattern)


@pytest.mark.parametrize(
    ("register", "value", "pattern"),
    [
        ("insn", 0x10008, "register insn is 0x10008; it must be a multiple of 16"),
        ("acc", 0x10010, "register acc is 0x10010; it must be a multiple of 64"),
        ("wgt", 16, "register wgt is 0x10; it must be a multiple of 256"),
        ("inp", 1 << 32, "register inp is 0x100000000"),
        ("out", -16, "register out is -0x10"),
        ("uop", "0", "uop is '0'; it must be int"),
        ("insn_count", -1, "-1 instructions at"),
        ("insn_count", 1 << 40, "1099511627776 instructions at"),
        ("insn", 0, r"instructions at 0x0 lie outside the memory"),
    ],
)
def test_wrong_registers_are_named(saved: Path, register: str, value: Any, pattern: str) -> None:
    _rewrite(saved, lambda arrays, header: header["registers"].update({register: value}))
    _refused(saved, pattern)


def test_members_of_the_wrong_kind(saved: Path) -> None:
    original = saved.read_bytes()

    def check(change: Callable[[dict[str, np.ndarray]], object], pattern: str) -> None:
        saved.write_bytes(original)
        _rewrite(saved, lambda arrays, header: void(change(arrays)))
        _refused(saved, pattern)

    def void(_: object) -> None:
        return None

    check(lambda a: a.pop("memory"), "member memory is missing")
    check(lambda a: a.pop("header"), "member header is missing")
    check(lambda a: a.pop("expected_0"), "member expected_0 is missing")
    check(
        lambda a: a.update(memory=a["memory"].astype(np.int32)), "memory is int32; it must be uint8"
    )
    check(lambda a: a.update(memory=a["memory"].reshape(2, -1)), "it must be uint8, one dimension")
    check(lambda a: a.update(header=a["header"].astype(np.int64)), "header is int64")
    check(lambda a: a.update(expected_0=np.zeros(3)), "expected_0 is float64; it must be uint8")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"', "[" * 100000, "\xff"])
def test_headers_that_are_no_object(saved: Path, text: str) -> None:
    with np.load(saved) as file:
        memory = file["memory"]
    raw = text.encode("latin-1")
    np.savez_compressed(saved, memory=memory, header=np.frombuffer(raw, np.uint8))
    _refused(saved, "header")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "pickle.npz"
    np.savez(path, header=np.array([{}], object), memory=np.zeros(4, np.uint8))
    _refused(path, "allow_pickle|object")


def test_huge_members_are_refused_before_they_are_unpacked(saved: Path) -> None:
    """The archive's directory says that a member unpacks to 2^30 bytes and more."""
    raw = bytearray(saved.read_bytes())
    entry = raw.index(b"PK\x01\x02")  # APPNOTE.TXT 4.3.12: uncompressed size at 24
    raw[entry + 24 : entry + 28] = struct.pack("<I", (1 << 30) + 8192)
    saved.write_bytes(raw)
    _refused(saved, r"member \w+.npy unpacks to 1073750016 bytes; the limit is 1073741824")


def test_nothing_is_unpacked_that_the_header_does_not_allow(saved: Path) -> None:
    """Zip bombs: small files whose members unpack to far more than memory_size."""
    original = saved.read_bytes()
    bomb = np.zeros(1 << 27, np.uint8)
    for name, pattern in {
        "memory": r"memory_size is \d+; it must be at least the image's 134217728",
        "expected_0": r"member expected_0.npy unpacks to 134217728 bytes; the limit is \d+",
        "header": "member header.npy unpacks to 134217728 bytes; the limit is 67108864",
    }.items():
        saved.write_bytes(original)
        change = {name: bomb}
        _rewrite(saved, lambda arrays, header, new=change: arrays.update(new), keep_header=True)
        tracemalloc.start()
        _refused(saved, pattern)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 25, (name, peak)


def test_members_that_nobody_asks_for_are_not_unpacked(saved: Path) -> None:
    _rewrite(saved, lambda arrays, header: arrays.update(other=np.zeros(1 << 27, np.uint8)))
    tracemalloc.start()
    Program.load(saved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 25


def test_a_header_that_would_be_refused_is_not_written(tmp_path: Path) -> None:
    program = _program()
    program.source_map = [{"statement": "x" * (1 << 26)}]
    with pytest.raises(BundleError, match="the limit is 67108864: shorten source_map"):
        program.save(tmp_path / "large.npz")


def test_a_member_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    """An array header with a huge shape and no data behind it."""
    path = tmp_path / "claim.npz"
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }"
    text += b" " * (118 - len(text) - 1) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("memory.npy", raw)
        archive.writestr("header.npy", raw)
    _refused(path, ".")


def test_views_of_a_program() -> None:
    program = _program()
    program.memory_size += 100
    assert program.image().shape == (len(program.memory) + 100,)
    assert program.segment_at(0x10000 + 5) is not None
    assert program.segment_at(0x20000000) is None
    image = program.image()
    start = program.expected[0][0] - program.memory_base
    image[start:] = GoldenDevice().run(program).memory[start:]
    assert program.first_mismatch(image) is None
    image[start + 7] ^= 0xFF
    mismatch = program.first_mismatch(image)
    assert mismatch is not None
    assert (mismatch.address, mismatch.bytes_wrong) == (program.expected[0][0] + 7, 1)
    assert mismatch.actual == mismatch.expected ^ 0xFF


def test_programs_made_in_code_are_checked_too() -> None:
    parts = {
        "name": "p",
        "config": Config(),
        "memory_base": 0,
        "memory_size": 64,
        "registers": Registers(insn_count=1, insn=0),
    }
    assert Program(memory=np.zeros(64, np.uint8), **parts).instructions()[0].opcode == 0
    with pytest.raises(BundleError, match="expected bytes at 0x3c to 0x44 lie outside"):
        Program(memory=np.zeros(64, np.uint8), expected=[(60, np.zeros(8, np.uint8))], **parts)
    with pytest.raises(BundleError, match="p: memory is float64"):
        Program(memory=np.zeros(64), **parts)
