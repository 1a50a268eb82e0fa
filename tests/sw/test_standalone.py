"""standalone-vta's directories: two forms of the addresses, and what is wrong is named."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Alu, AluOpcode, Finish, Gemm, Instruction, Load, MemoryType, Store
from vta.sw.check import check
from vta.sw.codec import encode_all, pack_uops
from vta.sw.golden import GoldenDevice
from vta.sw.program import BundleError
from vta.sw.standalone import find_layer, import_directory, notes

PAGES = {"inp": 0x1000, "wgt": 0x2000, "out": 0x3000, "uop": 0x4000, "acc": 0x5000}
ELEMENT = {"inp": 16, "wgt": 256, "out": 16, "uop": 4, "acc": 64}


def _blocks(matrix: np.ndarray) -> np.ndarray:
    """Blocks of 16 x 16, row by row of blocks, as the compiler's files hold them."""
    rows, columns = (n // 16 for n in matrix.shape)
    return matrix.reshape(rows, 16, columns, 16).swapaxes(1, 2).reshape(-1, 16, 16)


def _instructions(at: dict[str, int]) -> list[Instruction]:
    """relu(A @ B + X) of two 32 x 32 matrices: four uops a half of the inner dimension."""
    vectors = {"y_size": 1, "x_size": 64, "x_stride": 64}
    return [
        Load(memory_type=MemoryType.ACC, dram_base=at["acc"], push_prev=1, **vectors),
        Load(memory_type=MemoryType.INP, dram_base=at["inp"], pop_next=1, **vectors),
        Load(
            memory_type=MemoryType.WGT,
            dram_base=at["wgt"],
            y_size=1,
            x_size=4,
            x_stride=4,
            push_next=1,
        ),
        Load(
            memory_type=MemoryType.UOP,
            dram_base=at["uop"],
            y_size=1,
            x_size=5,
            x_stride=5,
            pop_prev=1,
        ),
        Gemm(
            uop_end=4,
            iter_out=2,
            iter_in=16,
            dst_factor_in=1,
            src_factor_out=16,
            src_factor_in=1,
            wgt_factor_out=2,
        ),
        Alu(
            uop_bgn=4,
            uop_end=5,
            iter_out=1,
            iter_in=64,
            dst_factor_in=1,
            src_factor_in=1,
            alu_opcode=int(AluOpcode.MAX),
            use_imm=1,
            push_next=1,
        ),
        Store(memory_type=MemoryType.OUT, dram_base=at["out"], pop_prev=1, push_prev=1, **vectors),
        Load(memory_type=MemoryType.INP, push_next=1),
        Load(memory_type=MemoryType.UOP, pop_prev=1, pop_next=1),
        Finish(),
    ]


def _write(path: Path, addresses: str, pages: dict[str, int] = PAGES) -> np.ndarray:
    """A directory as the compiler writes it; what OUT must hold."""
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-128, 128, size=(32, 32), dtype=np.int8) for _ in range(2))
    x = rng.integers(-1000, 1000, size=(32, 32)).astype(np.int32)
    c = np.maximum(a.astype(np.int32) @ b.astype(np.int32) + x, 0).astype(np.int8)
    uops = [(0, 0, 0), (16, 0, 1), (32, 32, 0), (48, 32, 1), (0, 0, 0)]
    at = {name: address // ELEMENT[name] for name, address in pages.items()}
    _blocks(a).tofile(path / "input.bin")
    _blocks(b).swapaxes(1, 2).tofile(path / "weight.bin")
    _blocks(x).tofile(path / "accumulator.bin")
    np.zeros_like(c).tofile(path / "out.bin")
    _blocks(c).tofile(path / "expected_out.bin")
    pack_uops(Config(), uops).tofile(path / "uop.bin")
    encode_all(Config(), _instructions(at)).tofile(path / "instructions.bin")
    (path / "memory_addresses.csv").write_text(addresses)
    return _blocks(c)


def _csv(pages: dict[str, int]) -> str:
    return "".join(f"{name},{address:#x}\n" for name, address in pages.items())


ZEROS = "inp,0x0000\nwgt,0x0000\nout,0x0000\nuop,0x4000\nacc,0x5000\n"
ELSEWHERE = {"inp": 0x1000, "wgt": 0x8000, "out": 0x9000, "uop": 0xD000, "acc": 0xE000}
THREE = (
    "Buffer type,Physical address (hex),Logical address (hex)\r\n"
    + "".join(
        f"{name.upper()},{address:#x},{address // ELEMENT[name]:#x}\r\n"
        for name, address in PAGES.items()
    )
    + "INSN,0x7000,0x700\r\n"
)


@pytest.mark.parametrize(
    ("addresses", "pages"),
    [(_csv(PAGES), PAGES), (ZEROS, PAGES), (_csv(ELSEWHERE), ELSEWHERE), (THREE, PAGES)],
)
def test_directories_run_and_match(tmp_path: Path, addresses: str, pages: dict[str, int]) -> None:
    expected = _write(tmp_path, addresses, pages)
    program = import_directory(tmp_path)
    assert program.name == tmp_path.name
    assert program.segments["wgt"].addr == pages["wgt"]
    assert program.registers.inp == program.registers.uop == 0
    report = check(program)
    assert not report.errors and not report.warnings
    result = GoldenDevice().run(program)
    assert result.error is None
    assert program.first_mismatch(result.memory) is None
    out = result.memory[pages["out"] :][: expected.size]
    np.testing.assert_array_equal(out.view(np.int8), expected.reshape(-1))


def test_bases_follow_from_physical_and_logical_addresses(tmp_path: Path) -> None:
    """With an offset of the whole DRAM, instructions still count from 0."""
    _write(tmp_path, "")
    offset = 0x100000
    text = "".join(
        f"{name},{address + offset:#x},{address // ELEMENT[name]:#x}\n"
        for name, address in PAGES.items()
    )
    (tmp_path / "memory_addresses.csv").write_text(text)
    program = import_directory(tmp_path)
    assert program.registers.inp == program.registers.acc == offset
    assert program.first_mismatch(GoldenDevice().run(program).memory) is None


def test_a_wrong_expectation_is_seen(tmp_path: Path) -> None:
    expected = _write(tmp_path, _csv(PAGES)).copy()
    expected[3, 4, 5] ^= 1
    expected.tofile(tmp_path / "expected_out.bin")
    program = import_directory(tmp_path)
    mismatch = program.first_mismatch(GoldenDevice().run(program).memory)
    assert mismatch is not None
    assert mismatch.address == PAGES["out"] + 3 * 256 + 4 * 16 + 5


def test_the_configuration_may_be_given(tmp_path: Path) -> None:
    _write(tmp_path, _csv(PAGES))
    (tmp_path / "vta_config.json").write_text(json.dumps({"LOG_UOP_BUFF_SIZE": 14}))
    assert import_directory(tmp_path).config.log_uop_buff_size == 14
    assert import_directory(tmp_path, Config()).config == Config()
    (tmp_path / "vta_config.json").write_text(json.dumps({"LOG_BATCH": 14}))
    _refused(tmp_path, r"vta_config.json: LOG_BATCH is 14: it must be one of 0, 1, 2$")


def test_what_out_holds_before_may_have_any_length(tmp_path: Path) -> None:
    """The compiler fills up every file but this one."""
    _write(tmp_path, _csv(PAGES))
    (tmp_path / "out.bin").unlink()
    np.arange(1, 11, dtype=np.int8).tofile(tmp_path / "out_init.bin")
    program = import_directory(tmp_path)
    out = program.image()[PAGES["out"] :][:16]
    np.testing.assert_array_equal(out, [*range(1, 11), *[0] * 6])
    assert program.first_mismatch(GoldenDevice().run(program).memory) is None


def _write_sum(path: Path, row: str = "ACC_BIS") -> None:
    """The sum of two 16 x 16 matrices: both accumulators loaded, one added to the other."""
    rng = np.random.default_rng(3)
    a, b = rng.integers(-60, 60, (2, 16, 16)).astype(np.int32)
    a.tofile(path / "accumulator.bin")
    b.tofile(path / "add_accumulator.bin")
    (a + b).astype(np.int8).tofile(path / "expected_out.bin")
    pack_uops(Config(), [(0, 16, 0)]).tofile(path / "uop.bin")
    vectors = {"y_size": 1, "x_size": 16, "x_stride": 16}
    code = [
        Load(memory_type=MemoryType.UOP, dram_base=0x4000 // 4, y_size=1, x_size=1, x_stride=1),
        Load(memory_type=MemoryType.ACC, dram_base=0x1000 // 64, **vectors),
        Load(memory_type=MemoryType.ACC, dram_base=0x2000 // 64, sram_base=16, **vectors),
        Alu(
            uop_end=1,
            iter_out=1,
            iter_in=16,
            dst_factor_in=1,
            src_factor_in=1,
            alu_opcode=int(AluOpcode.ADD),
            push_next=1,
        ),
        Store(memory_type=MemoryType.OUT, dram_base=0x3000 // 16, pop_prev=1, **vectors),
        Finish(),
    ]
    encode_all(Config(), code).tofile(path / "instructions.bin")
    (path / "memory_addresses.csv").write_text(
        f"ACC,0x1000,0x40\n{row},0x2000,0x80\nOUT,0x3000,0x300\nUOP,0x4000,0x1000\n"
        "INSN,0x5000,0x500\n"
    )


@pytest.mark.parametrize("row", ["ACC_BIS", "ADD_ACC", "acc_bis"])
def test_a_second_accumulator_is_loaded(tmp_path: Path, row: str) -> None:
    _write_sum(tmp_path, row)
    program = import_directory(tmp_path)
    assert program.segments["acc_bis"].addr == 0x2000
    assert not check(program).errors and not check(program).warnings
    result = GoldenDevice().run(program)
    assert result.error is None and program.first_mismatch(result.memory) is None


def test_both_accumulators_count_from_one_base(tmp_path: Path) -> None:
    _write_sum(tmp_path)
    path = tmp_path / "memory_addresses.csv"
    path.write_text(path.read_text().replace("0x2000,0x80", "0x2000,0x81"))
    _refused(tmp_path, "rows acc and acc_bis of memory_addresses.csv do not agree .* 0x0 and -0x40")
    path.write_text("ACC,0x1000,0x40\n")
    _refused(tmp_path, "memory_addresses.csv has no row acc_bis for add_accumulator.bin")


def _name_layer(path: Path, suffix: str) -> None:
    for file in list(path.iterdir()):
        if "_L" not in file.name:
            file.rename(path / f"{file.stem}{suffix}{file.suffix}")


def test_the_only_layer_of_a_directory_is_taken(tmp_path: Path) -> None:
    _write(tmp_path, _csv(PAGES))
    _name_layer(tmp_path, "_L1")
    assert find_layer(tmp_path) == "L1"
    for layer in (None, "L1", "_L1"):
        program = import_directory(tmp_path, layer=layer)
        assert program.name == f"{tmp_path.name}_L1"
        assert program.first_mismatch(GoldenDevice().run(program).memory) is None
    _refused(tmp_path, "there is no layer 'L2'; there are: L1$", layer="L2")
    (tmp_path / "uop_L1.bin").unlink()
    _refused(tmp_path, "uop_L1.bin is missing; there must be instructions_L1.bin, uop_L1.bin, mem")
    (tmp_path / "uop_L1.bin").write_bytes(bytes(4))
    (tmp_path / "metadata_L1.csv").write_text("")
    _refused(tmp_path, "metadata_L1.csv says that matrices are row-major")


def test_one_of_several_layers_must_be_chosen(tmp_path: Path) -> None:
    for suffix in ("_L2", "_L1", ""):
        _write(tmp_path, _csv(PAGES))
        if suffix:
            _name_layer(tmp_path, suffix)
    _refused(tmp_path, "there are several layers: one without a name, L1, L2; choose one with --la")
    for layer in ("", "L1", "L2"):
        assert find_layer(tmp_path, layer) == layer
        name = import_directory(tmp_path, layer=layer).name
        assert name == tmp_path.name + (f"_{layer}" if layer else "")


def test_what_a_run_cannot_show_is_said(tmp_path: Path) -> None:
    _write(tmp_path, _csv(PAGES))
    assert notes(import_directory(tmp_path)) == []
    (tmp_path / "expected_out.bin").unlink()
    (without,) = notes(import_directory(tmp_path))
    assert without == "there is no expected_out.bin: a run has nothing to be compared with"
    encode_all(Config(), [Finish()]).tofile(tmp_path / "instructions.bin")
    assert "no instruction is a STORE" in notes(import_directory(tmp_path))[0]


# What is wrong ------------------------------------------------------------------------------------
def _refused(path: Path, pattern: str, layer: str | None = None) -> None:
    with pytest.raises(BundleError) as caught:
        import_directory(path, layer=layer)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    assert re.search(pattern, message), message


UNKNOWN = "line 2: foo is unknown; there are inp, wgt, out, uop, acc, acc_bis, insn$"


@pytest.mark.parametrize(
    ("name", "content", "pattern"),
    [
        ("instructions.bin", None, "instructions.bin is missing; there must be"),
        ("uop.bin", None, "uop.bin is missing"),
        ("memory_addresses.csv", None, "memory_addresses.csv is missing"),
        ("instructions.bin", bytes(17), "instructions.bin has 17 bytes; it must be"),
        ("uop.bin", bytes(5), "uop.bin has 5 bytes; it must be a multiple of 4"),
        ("weight.bin", bytes(100), "weight.bin has 100 bytes; it must be a multiple of 256"),
        ("expected_out.bin", bytes(9), "expected_out.bin has 9 bytes; it must be a multiple of 16"),
        ("weight.bin", bytes(0x2000), "wgt at 0x2000 has 8192 bytes and reaches into out"),
        ("memory_addresses.csv", b"inp,zero\n", r"line 1: 'inp,zero' holds no addresses"),
        ("memory_addresses.csv", b"inp\n", r"line 1: inp needs an address below 2\^32"),
        ("memory_addresses.csv", b"inp,-1\n", r"line 1: inp needs an address below 2\^32"),
        ("memory_addresses.csv", b"inp,0x100000000\n", r"line 1: inp needs an address below"),
        ("memory_addresses.csv", b"inp,4096\nfoo,3\n", UNKNOWN),
        ("memory_addresses.csv", b"foo,3\n", "line 1: foo is unknown"),
        ("memory_addresses.csv", b"inp,4096\ninp,8192\n", "line 2: inp is given twice"),
        ("memory_addresses.csv", b'inp,4096\n"a\nb",3\n', r"line 2: a\\nb is unknown"),
        ("memory_addresses.csv", b"inp,0x1000\nacc,0xf0000000\n", "the parts reach up to 0xf000"),
        ("memory_addresses.csv", b"insn,0x17008\n", "register insn is 0x17008; it must"),
        ("memory_addresses.csv", b"\xff\xfe\x00", "."),
        ("metadata.csv", b"", "metadata.csv says that matrices are row-major"),
    ],
)
def test_wrong_directories_are_named(
    tmp_path: Path, name: str, content: bytes | None, pattern: str
) -> None:
    _write(tmp_path, _csv(PAGES))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    _refused(tmp_path, pattern)


def test_no_directory(tmp_path: Path) -> None:
    _refused(tmp_path / "nothing", "this is not a directory")
