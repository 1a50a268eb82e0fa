"""The registry: names, parameters and their errors; Python files with schedules."""

import re
from pathlib import Path

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sw.golden import GoldenDevice
from vta.sw.operators import OPERATORS, OperatorError, ScheduleFileError, compile_file, operator

KERNEL_FILE = """
from vta.sw.operators import operator

def build(config):
    return operator("matmul").kernel(config, rows=2, inner=32, columns=48)
"""

SCHEDULE_FILE = """
import numpy as np
from vta.sw.operators import simple_matmul

def build(config):
    return simple_matmul.unit_loop()[0]

def golden(inputs):
    a, b = inputs["A"].astype(int), inputs["B"].astype(int)
    return {"D": np.einsum("xkbc,ykoc->xybo", a, b).astype(np.int8)}
"""


def test_every_operator_has_help_and_defaults() -> None:
    for name, entry in OPERATORS.items():
        assert entry.name == name
        assert entry.help
        assert all(a.help for a in entry.attributes())
        if name != "conv2d":
            assert entry.kernel(Config()).compiled.instructions


def test_wrong_names_and_values_are_named() -> None:
    with pytest.raises(OperatorError, match=r"operator 'conv3d' is unknown: choose one of matmul,"):
        operator("conv3d")
    matmul = operator("matmul")
    for values, message in (
        ({"row": 1}, "matmul has no parameter row: it has rows,"),
        ({"rows": 0}, "matmul: rows is 0; it must be 1 or more"),
        ({"rows": "1"}, "matmul: rows is '1'; it must be int"),
        ({"bias": 1}, "matmul: bias is 1; it must be bool"),
    ):
        with pytest.raises(OperatorError, match=message):
            matmul.kernel(Config(), **values)
    for name, constant, message in (
        ("shift_right", 32, "shift_right: constant is 32; it must be -31 to 31"),
        ("shift_right", -32, "shift_right: constant is -32; it must be -31 to 31"),
        ("add", 1 << 31, "add: constant is 2147483648; it must be -2147483648 to 2147483647"),
        ("add", 10**5000, "add: constant is .*; it must be -2147483648 to 2147483647"),
    ):
        with pytest.raises(OperatorError, match=message):
            operator(name).kernel(Config(), constant=constant)
    with pytest.raises(OperatorError, match="dtype is 'int16'; it must be one of int32, int8"):
        operator("add").kernel(Config(), dtype="int16")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("add", {"constant": 40000}, "add: the constant of add is 40000; .* a second tensor"),
        ("clip", {"low": -32769}, "clip: the constant of maximum is -32769; .* -32768 to 32767$"),
        ("matmul", {"high": 32768}, "high is 32768; constants of the ALU are -32768 to 32767$"),
        ("conv2d", {"low": -32769}, "low is -32769; constants of the ALU are -32768 to 32767$"),
    ],
)
def test_constants_that_the_alu_lacks(name: str, values: dict[str, int], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        operator(name).kernel(Config(), **values)


@pytest.mark.parametrize(
    ("name", "values", "total"),
    [
        ("matmul", {"rows": 10**9}, "2,048,001,048,576 bytes"),
        ("matmul", {"columns": (1 << 31) - 1, "inner": 16}, "bytes"),
        ("conv2d", {"height": 10**5, "width": 10**5}, "5,120,000,589,824 bytes"),
        ("add", {"rows": 10**9}, "9,216,000,000,000 bytes"),
        ("relu", {"columns": 1 << 30}, "5,368,709,120 bytes"),
    ],
)
def test_what_addresses_cannot_reach_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str, values: dict[str, int], total: str
) -> None:
    """Before any tiles are sought, expressions built or tensors filled."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the size must be checked first")

    monkeypatch.setattr("vta.sw.operators.tiles._all", never)
    monkeypatch.setattr("tvm.te.placeholder", never)
    with pytest.raises(OperatorError, match=r"addresses have 32 bits, 4,294,967,296") as error:
        operator(name).kernel(Config(), **values)
    assert total in str(error.value)
    first = "a" if name in ("add", "relu") else "data"
    assert f"({first} " in str(error.value)


@pytest.mark.parametrize("text", [KERNEL_FILE, SCHEDULE_FILE])
def test_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "schedule.py"
    path.write_text(text)
    program = compile_file(path, Config(), seed=3)
    assert program.expected
    result = GoldenDevice(seed=3).run(program)
    assert result.error is None
    assert program.first_mismatch(result.memory) is None


def test_a_file_without_golden_expects_what_llvm_computes(tmp_path: Path) -> None:
    path, bare = tmp_path / "schedule.py", tmp_path / "bare.py"
    path.write_text(SCHEDULE_FILE)
    bare.write_text(SCHEDULE_FILE.split("def golden")[0])
    program, known = compile_file(bare, Config()), compile_file(path, Config())
    assert (program.name, len(program.expected)) == ("bare", 1)
    np.testing.assert_array_equal(program.expected[0][1], known.expected[0][1])
    assert program.expected[0][0] == known.expected[0][0]


BY_A_TENSOR = """
from vta.sw.operators import operator

def build(config):
    return operator("shift_right").kernel(config).schedule
"""
COMPILED = """
from vta.sw.compiler import compile
from vta.sw.operators import simple_matmul

def build(config):
    return compile(simple_matmul.unit_loop()[0], config, name="compiled")
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BY_A_TENSOR, "it shifts by b_acc.*, which LLVM defines from 0 to 31 only"),
        (COMPILED, "build returned a compiled schedule, not the schedule"),
    ],
)
def test_a_file_that_llvm_cannot_judge_says_so(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "bare.py"
    path.write_text(text)
    notes: list[str] = []
    program = compile_file(path, Config(), note=notes.append)
    assert program.expected == []
    inputs = [s for s in program.segments.values() if s.role not in ("insn", "uop", "output")]
    assert inputs
    for segment in inputs:
        start = segment.addr - program.memory_base
        assert np.any(program.memory[start : start + segment.nbytes]), "an input without values"
    (note,) = notes
    assert re.fullmatch(f"bare expects nothing, since {why}: define golden.inputs.", note)


SATURATING = """
from tvm import s_tir, te, tirx

def build(config):
    shape = (16, config.batch, config.block)
    x = te.placeholder(shape, "int32", "x")
    copy = te.compute(shape, lambda *i: x[i], "copy")
    low, high = (tirx.const(bound, "int32") for bound in (0, 127))
    out = te.compute(
        shape,
        lambda *i: te.max(te.min(copy[i] >> tirx.const(4, "int32"), high), low).astype("int8"),
        "out",
    )
    sch = s_tir.Schedule(te.create_prim_func([x, out]))
    sch.set_scope(sch.get_sblock("copy"), 0, "local.acc")
    return sch
"""


def test_random_inputs_of_a_file_do_not_clip_everything(tmp_path: Path) -> None:
    path = tmp_path / "clips.py"
    path.write_text(SATURATING)
    program = compile_file(path, Config())
    (expected,) = (data.view(np.int8) for _, data in program.expected)
    assert len(np.unique(expected)) > 40
    assert np.mean((expected > 0) & (expected < 127)) > 0.3
    assert program.first_mismatch(GoldenDevice(seed=1).run(program).memory) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"must define build\(config\)"),
        ("def build(config):\n    return 3", "cannot compile a int"),
        ("def build(config):\n    return 1 // 0", r"\.py:2: ZeroDivisionError"),
        ("def build(config:", r"SyntaxError"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(ScheduleFileError, match=message) as error:
        compile_file(path, Config())
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ScheduleFileError, match="FileNotFoundError"):
        compile_file(tmp_path / "none.py", Config())
