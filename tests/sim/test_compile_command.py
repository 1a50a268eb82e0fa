"""`vta compile`: what it writes beside the bundle, and prints."""

import json
from pathlib import Path

import pytest

from vta.sim import cli
from vta.sw.program import Program

SMALL = ("matmul", "rows=4", "inner=32", "columns=48", "residual=true", "bias=true", "shift=7")
FILE = """
from vta.sw.operators import operator

def build(config):
    return operator("relu").kernel(config, columns=64)
"""


def test_the_program_after_each_pass(tmp_path: Path) -> None:
    """Numbered without a gap, from the schedule to the encoded program; a second time the same."""
    dump = tmp_path / "new" / "passes"
    arguments = ["compile", *SMALL, "-o", str(tmp_path / "m.npz"), "--dump", str(dump)]
    found = []
    for _ in range(2):
        assert cli.main(arguments) == 0
        files = sorted(dump.iterdir())
        assert [f.name[:3] for f in files] == [f"{n:02}-" for n in range(1, len(files) + 1)]
        found.append({file.name[3:]: file.read_text() for file in files})
    assert list(found[0]) == list(found[1])
    assert {"lower.txt", "nests.txt", "instructions.txt", "encode.txt"} <= set(found[0])
    instructions, placed = found[1]["instructions.txt"], found[1]["tokens.txt"]
    assert instructions == found[0]["instructions.txt"]
    assert "gemm acc_local.acc[0], residual_local.inp[0], identity_local.wgt[0]" in instructions
    assert "push.next" in placed and "push.next" not in instructions


def test_passes_of_a_file(tmp_path: Path) -> None:
    path, dump = tmp_path / "relu.py", tmp_path / "passes"
    path.write_text(FILE)
    output = str(tmp_path / "r.npz")
    assert cli.main(["compile", str(path), "-o", output, "--dump", str(dump)]) == 0
    assert "alu max" in next(dump.glob("*-instructions.txt")).read_text()


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """On standard output it is alone there."""
    path = tmp_path / "m.npz"
    assert cli.main(["compile", *SMALL, "-o", str(path), "--json", "-"]) == 0
    printed = capsys.readouterr()
    result, program = json.loads(printed.out), Program.load(path)
    assert printed.err.startswith(f"{path}: {result['instructions']} instructions, estimated ")
    assert (result["name"], result["file"]) == ("matmul_4x32x48_r", str(path))
    assert result["instructions"] == program.registers.insn_count
    tiling = {"outputs", "height", "width", "inputs", "keep", "slots", "held", "by_tap"}
    assert set(result["tiling"]) == tiling
    assert result["bytes"] == {name: s.nbytes for name, s in program.segments.items()}
    assert result["bytes"]["out"] == 4 * 48
    assert result["estimated_cycles"] > 0
    assert abs(result["model_cycles"] / result["estimated_cycles"] - 1) < 0.3
    assert {"choose tiles, schedule", "lower", "encode"} <= set(result["seconds"])
    assert all(seconds >= 0 for seconds in result["seconds"].values())


def test_json_of_what_has_no_tiling(tmp_path: Path) -> None:
    output, result = str(tmp_path / "s.npz"), tmp_path / "s.json"
    for what in (["simple_matmul"], ["batch_matmul", "rows=8", "inner=20", "columns=12"]):
        assert cli.main(["compile", *what, "-o", output, "--json", str(result)]) == 0
        made = json.loads(result.read_text())
        assert (made["tiling"], made["name"].startswith(what[0])) == (None, True)
        assert cli.main(["run", output, "--device", "golden"]) == 0


def test_seconds_are_printed_on_request(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["compile", *SMALL, "-o", str(tmp_path / "m.npz")]
    for option in ([], ["--seconds"]):
        assert cli.main([*arguments, *option]) == 0
        first, *lines = capsys.readouterr().out.splitlines()
        assert " instructions, estimated " in first
        assert bool(lines) == bool(option)
    assert [line.split()[0] for line in lines][-2:] == ["tokens", "encode"]
    assert all(line.endswith(" s") for line in lines)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "is no directory"),
        ("file/below", "cannot be written: Not a directory"),
        ("/proc/below", "cannot be written: "),
    ],
)
def test_a_bad_directory_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "file").write_text("as it was")
    output = tmp_path / "m.npz"
    path = tmp_path / place
    assert cli.main(["compile", *SMALL, "-o", str(output), "--dump", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vta: --dump {path}: {why}")
    assert not output.exists()
    assert (tmp_path / "file").read_text() == "as it was"
