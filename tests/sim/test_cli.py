"""The vta command: exit status, output, files, one-line errors."""

import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.sw.operators.mistakes import IN_SCHEDULES
from vta.hw.config import Config
from vta.hw.places import build_directory
from vta.sim import cli
from vta.sim.build import ROOT
from vta.sim.device import RtlDevice
from vta.sim.exit import Exit
from vta.sim.process import SimulatorCrash
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program, Result
from vta.sw.test_programs import BAD, CORNERS

STREAMS = ROOT / "tests" / "streams"
STREAM = STREAMS / "store_64x1s4_x9.npz"
COMMANDS = tuple(cli.COMMANDS)


def _vta(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def _wrong(tmp_path: Path) -> Path:
    """A bundle that expects one byte to be different."""
    program = Program.load(STREAM)
    address, data = program.expected[3]
    program.expected[3] = (address, data ^ np.eye(1, len(data), 7, dtype=np.uint8)[0])
    path = tmp_path / "wrong.npz"
    dataclasses.replace(program, name="wrong").save(path)
    return path


@pytest.mark.parametrize("device", ["rtl", "golden"])
def test_run_matches(capsys: pytest.CaptureFixture[str], tmp_path: Path, device: str) -> None:
    path = tmp_path / "result.json"
    status, out, _ = _vta(capsys, "run", STREAM, "--device", device, "--json", path)
    assert status == 0
    assert out.splitlines()[1].split()[0] == "store_64x1s4_x9"
    (result,) = json.loads(path.read_text())
    assert (result["name"], result["match"], result["error"]) == ("store_64x1s4_x9", True, None)
    assert (result["cycles"] is None) == (device == "golden")


def test_json_alone_on_standard_output() -> None:
    command = [sys.executable, "-m", "vta.sim", "run", STREAM, "--device", "golden", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["match"]
    assert "store_64x1s4_x9" in done.stderr


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_json_on_standard_output_keeps_what_is_there(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    command = [sys.executable, "-m", "vta.sim", "check", str(STREAM), "--json", name]
    with log.open("a") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.PIPE, cwd=ROOT, check=True)
    first, rest = log.read_text().split("\n", 1)
    assert first == "before"
    assert json.loads(rest)[0]["good"]


@pytest.mark.parametrize("name", ["[/bold]", "[red]x", "../../up", "a/b [/]", "\N{SNOWMAN}", "[1]"])
def test_any_name_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """Not as the markup of the library that prints the tables."""
    program = dataclasses.replace(Program.load(_wrong(tmp_path)), name=name)
    program.save(tmp_path / "odd.npz")
    status, out, err = _vta(capsys, "run", tmp_path / "odd.npz", "--device", "golden", "--split")
    assert (status, err) == (Exit.WRONG, "")
    assert out.count(name) == 2


def test_waves_of_each_program_have_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal names get a number; no name leads out of the directory."""
    written: list[Path] = []

    def run(program: Program, path: Path, **_: object) -> Result:
        written.append(path)
        return GoldenDevice().run(program)

    monkeypatch.setattr("vta.sim.execution.run_with_waves", run)
    files = []
    for n, name in enumerate(("same", "../same", "same", "a/b")):
        files.append(tmp_path / f"{n}.npz")
        dataclasses.replace(Program.load(STREAM), name=name).save(files[-1])
    assert _vta(capsys, "run", *files, "--waves")[0] == Exit.OK
    assert {path.parent for path in written} == {build_directory() / "waves"}
    assert [path.stem for path in written] == ["same", "_same", "same-2", "a_b"]


def test_run_finds_the_wrong_byte(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    status, out, _ = _vta(capsys, "run", STREAM, _wrong(tmp_path), "--json", path)
    assert status == 1
    for text in (
        "mismatch",
        "1 of 36864 expected bytes differ; the first at",
        "in segment OUT3",
        "to be written by instruction",
        "the program is wrong",
    ):
        assert text in out
    good, bad = json.loads(path.read_text())
    assert good["match"] and not bad["match"]
    mismatch = bad["first_mismatch"]
    assert mismatch["bytes_wrong"] == 1
    assert mismatch["expected"] ^ mismatch["actual"] == 1
    assert mismatch["address"] == Program.load(STREAM).expected[3][0] + 7


def test_run_with_a_stream_in_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = next(name for name in BAD if "pop" in name or "token" in name or "dead" in name)
    program, error_class, index = BAD[name](Config(), 0)
    path = tmp_path / "bad.npz"
    program.save(path)
    status, out, _ = _vta(capsys, "run", path)
    assert status == 1
    assert f"{error_class.name} at {index}" in out
    assert "the static checker says: " in out


def test_run_options_reach_the_memory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cycles = {}
    for name, options in {
        "plain": (),
        "latency": ("--latency", 200),
        "stall": ("--stall", 3),
    }.items():
        path = tmp_path / f"{name}.json"
        assert _vta(capsys, "run", STREAM, "--json", path, *options)[0] == 0
        cycles[name] = json.loads(path.read_text())[0]["cycles"]
    assert cycles["plain"] < cycles["latency"]
    assert cycles["plain"] < cycles["stall"]


def test_max_cycles_ends_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _vta(capsys, "run", STREAM, "--max-cycles", 100)
    assert status == 1
    assert "did not finish within the limit of cycles" in out
    assert "fetch: " in out


def test_timeline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert _vta(capsys, "run", STREAM, "--timeline", path)[0] == 0
    assert len(json.loads(path.read_text())["traceEvents"]) > 20


def test_a_timeline_without_a_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The run that was ended by its limit is the one to look at."""
    trace, page = tmp_path / "trace.json", tmp_path / "page.html"
    options = ("--timeline", trace, "--html", page, "--max-cycles", 100)
    assert _vta(capsys, "run", STREAM, *options)[0] == 1
    assert json.loads(trace.read_text())["otherData"] == {"cycles": 100, "ending": "limit"}
    assert "did not finish within the limit of cycles" in page.read_text()


def test_no_timeline_where_there_are_no_events(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise SimulatorCrash("the simulator ended with signal 11")

    monkeypatch.setattr(RtlDevice, "run", crash)
    path = tmp_path / "trace.json"
    status, out, _ = _vta(capsys, "run", STREAM, "--timeline", path)
    assert status == 1 and not path.exists()
    assert "no timeline: the simulator ended before it could write its events" in out


# Errors in one line -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "missing.npz"), "missing.npz: No such file"),
        (("run", ROOT / "pyproject.toml"), "pyproject.toml: this is not a stream bundle"),
        (("run", STREAM, "--latency", 0), "latency is 0; it must be 1 to 4096"),
        (("run", STREAM, "--latency", 5000), "latency is 5000; it must be 1 to 4096"),
        (("run", STREAM, "--bus-bits", 48), "AXI_DATA_BITS is 48"),
        (("run", STREAM, "--device", "golden", "--stall", 0), "--stall needs --device rtl"),
        (("run", STREAM, "--to-cycle", 5), "--from-cycle and --to-cycle need --waves"),
        (("run", STREAM, "--waves", "--from-cycle", 9, "--to-cycle", 3), "waves is cycles 9 to 3"),
        (("run", STREAM, STREAM, "--timeline", "x"), "--timeline takes one bundle; 2 are given"),
        (("run", STREAM, STREAM, "--html", "x"), "--html takes one bundle; 2 are given"),
        (("run", STREAM, "--device", "golden", "--html", "x"), "--html needs --device rtl"),
        (("disasm", "missing.npz"), "missing.npz"),
        (("asm", ROOT / "README.nothing"), "README.nothing: No such file"),
        (("asm", ROOT / "pyproject.toml"), "pyproject.toml: line "),
        (("asm", "."), "Is a directory"),
        (("check", "missing.npz"), "missing.npz"),
        (("import", ROOT / "sim"), "instructions.bin is missing"),
        (("compile",), "give an operator's name"),
        (("compile", "no_such"), "operator 'no_such' is unknown: choose one of matmul"),
        (("compile", "matmul", "rows"), "'rows' is not a parameter: write its name and value"),
        (("compile", "matmul", "rows=1", "rows=2"), "rows is given twice"),
        (("compile", "matmul", "rows=1000000000"), "addresses have 32 bits"),
        (("compile", "matmul", "rows=x"), "rows is 'x'; it must be an integer"),
        (("compile", "matmul", "bias=1"), "bias is '1'; it must be true or false"),
        (("compile", "missing.py"), "missing.py"),
        (("verilog", "--config", ROOT / "pyproject.toml"), "pyproject.toml: this is not JSON"),
        (("verilog", "--config", "none.json"), "none.json: No such file or directory"),
        (("run", STREAM, "--max-cycles", -5), "--max-cycles is -5; it must be 1 to "),
        (("run", STREAM, "--max-cycles", 0), "--max-cycles is 0; it must be 1 to "),
        (("run", STREAM, "--stall", -1), "stall_seed is -1; it must be 0 to "),
        (("run", STREAM, "--poison", -1), "poison_seed is -1; it must be 0 to "),
        (("run", ROOT / "tests"), "tests is no compiled network: it has no manifest.json"),
        (("compile", "matmul", "--seed", -1), "--seed is -1; it must be 0 to "),
        (("synth", "--seed", -1), "--seed is -1; it must be 0 to 2147483647"),
        (
            ("compile", "add", "constant=5000000000"),
            "constant is 5000000000; it must be -2147483648 ",
        ),
        (("compile", "add", f"constant={'9' * 5000}"), "; it must be an integer"),
        (("import", ROOT / "sim", "--layer", "L1"), "there is no layer 'L1'; there are: none"),
        *(
            ((*command, option, path), f"{option} {path}: cannot be written: {why}")
            for command, option in (
                (("run", STREAM), "--json"),
                (("run", STREAM), "--timeline"),
                (("run", STREAM), "--html"),
                (("check", STREAM), "--json"),
                (("asm", ROOT / "pyproject.toml"), "--output"),
                (("disasm", STREAM), "--output"),
                (("compile", "matmul"), "--output"),
                (("compile", "matmul"), "--json"),
                (("import", ROOT / "sim"), "--output"),
                (("verilog",), "--output"),
                (("synth",), "--json"),
                (("bench",), "--json"),
            )
            for path, why in (("/nonexistent/x", "No such file"), (ROOT / "sim", "Is a directory"))
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...], text: str
) -> None:
    status, out, err = _vta(capsys, *arguments)
    assert status == 2, (out, err)
    assert len(err.splitlines()) == 1, err
    assert err.startswith("vta: ") and text in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, _ = _vta(capsys, command, "--help")
    assert status == 0
    assert "examples:" in out and f"vta {command} " in out


def test_help_of_the_command_itself(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _vta(capsys, "--help")
    assert status == Exit.OK
    assert "examples:" in out and "vta run " in out
    status, out, err = _vta(capsys)
    assert (status, out) == (Exit.REFUSED, "")
    assert "examples:" in err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _vta(capsys, "--version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert status == Exit.OK
    assert out.startswith(f"vta {project['version']} (stream bundles: format 1; ")


def test_a_bug_shows_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is no error of the user has its traceback and its own exit status."""
    for error in (ValueError("odd"), RuntimeError("odd"), KeyError("odd"), AssertionError("odd")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("vta.sim.commands.check.check", fail)
        status, _, err = _vta(capsys, "check", STREAM)
        assert status == Exit.BUG
        assert "Traceback (most recent call last)" in err
        assert "this is a bug in vta" in err and f"vta check {STREAM}" in err


def test_too_little_memory_is_no_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("vta.sim.commands.check.check", fail)
    status, _, err = _vta(capsys, "check", STREAM)
    assert (status, err) == (Exit.REFUSED, "vta: this machine has too little memory for that\n")


def test_exit_codes_are_documented() -> None:
    text = (ROOT / "docs" / "exit-codes.md").read_text()
    for status in Exit:
        assert f"| {status.value} |" in text, status


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("unknown",), ("run",), ("run", STREAM, "--device", "fpga")):
        assert _vta(capsys, *arguments)[0] == 2


# The other commands -------------------------------------------------------------------------------
def test_disasm_and_asm_give_the_same_program(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text, bundle = tmp_path / "stream.s", tmp_path / "again.npz"
    assert _vta(capsys, "disasm", STREAM, "-o", text)[0] == 0
    status, out, _ = _vta(capsys, "asm", text, "-o", bundle)
    assert (status, out) == (0, f"{bundle}: 14 instructions\n")
    before, after = Program.load(STREAM), Program.load(bundle)
    np.testing.assert_array_equal(before.image(), after.image())
    assert before.registers == after.registers
    for (address, data), (address_after, data_after) in zip(
        before.expected, after.expected, strict=True
    ):
        assert address == address_after
        np.testing.assert_array_equal(data, data_after)


def test_asm_does_not_overwrite_its_text(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = tmp_path / "text.npz"
    text.write_text("finish\n")
    assert _vta(capsys, "asm", text)[0] == Exit.REFUSED
    assert text.read_text() == "finish\n"


def test_disasm_of_the_code_alone(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _vta(capsys, "disasm", "--code", STREAM)
    assert status == 0
    lines = [line for line in out.splitlines() if line.strip()]
    assert len(lines) == 14 and lines[-1].strip().startswith("finish")
    assert [int(line.rsplit("# ", 1)[1]) for line in lines] == list(range(14))


def test_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _vta(capsys, "check", STREAM)[0] == 0
    name, make = next(iter(BAD.items()))
    program, error_class, index = make(Config(), 0)
    path = tmp_path / f"{name}.npz"
    program.save(path)
    status, out, _ = _vta(capsys, "check", path)
    assert status == 1
    assert f"error {error_class.name}: " in out
    assert f"instruction {index}" in out


def test_check_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program, error_class, index = next(iter(BAD.values()))(Config(), 0)
    path = tmp_path / "bad.npz"
    program.save(path)
    status, out, err = _vta(capsys, "check", STREAM, path, "--json", "-")
    assert status == Exit.WRONG
    good, bad = json.loads(out)
    assert good["file"] == str(STREAM) and good["good"] and good["errors"] == []
    assert not bad["good"] and bad["instructions"] == program.registers.insn_count
    first = bad["errors"][0]
    assert (first["class"], first["index"]) == (error_class.name, index)
    assert first["reason"] and f"instruction {index}" in first["instruction"]
    assert f"{path}: error {error_class.name}: " in err


def test_check_counts_warnings_if_strict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = CORNERS["store_stride"](Config())
    program.segments = {}
    path = tmp_path / "plain.npz"
    program.save(path)
    strict = _vta(capsys, "check", "--strict", path)
    assert strict[0] == int("0 warnings" not in strict[1])
    assert _vta(capsys, "check", path)[0] == 0


def test_compile_and_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    status, out, _ = _vta(
        capsys,
        "compile",
        "matmul",
        "rows=2",
        "inner=32",
        "columns=16",
        "bias=true",
        "shift=4",
        "low=none",
        "-o",
        path,
    )
    assert status == 0 and out.startswith(f"{path}: ")
    assert _vta(capsys, "run", path)[0] == 0


def test_parameters_may_follow_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    arguments = ("compile", "matmul", "inner=8", "--preset", "1x8", "-o", path, "columns=8")
    assert _vta(capsys, *arguments)[0] == 0
    assert Program.load(path).segments["out"].shape == (1, 8)
    for unknown in (("--foo", "rows=2"), ("rows=2", "--foo")):
        status, _, err = _vta(capsys, *arguments, *unknown)
        assert status == 2 and "unrecognized arguments: " in err and "--foo" in err


def test_all_that_tvm_says_goes_into_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Beside the bundle; into a temporary file where nothing can be written there."""
    mistake = IN_SCHEDULES[0]
    path, output, beside = (tmp_path / n for n in ("s.py", "stream.npz", "stream.error.txt"))
    path.write_text(mistake.text)
    for _ in range(2):
        status, _, err = _vta(capsys, "compile", path, "-o", output)
        assert status == 2 and not output.exists()
        assert err.startswith(f"vta: {path}:{mistake.line}: ")
        kept = Path(err.rpartition("  all that TVM says: ")[2].strip())
        assert (kept == beside) == (not beside.is_dir())
        text = kept.read_text()
        assert "The IR with diagnostic is" in text and "Traceback" in text
        kept.unlink()
        beside.mkdir(exist_ok=True)


def test_the_messages_in_the_documentation(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/seed.md shows what is printed."""
    page = (ROOT / "docs" / "seed.md").read_text()
    shown = re.findall(r"^```\n(vta: my_schedule.*?)^```$", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    printed = []
    for name in ("on the block", "unit iterator bound", "no cache_read"):
        (mistake,) = (m for m in IN_SCHEDULES if m.name == name)
        Path("my_schedule.py").write_text(mistake.text)
        printed.append(_vta(capsys, "compile", "my_schedule.py")[2])
    assert shown == printed


def test_compile_lists_operators(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _vta(capsys, "compile", "--list")
    assert status == 0
    assert "conv2d: " in out and "    kernel_height=3" in out


def test_verilog(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "core.v"
    status, out, _ = _vta(capsys, "verilog", "-o", path)
    assert status == 0
    assert "configuration 1x16_64" in out
    text = path.read_text()
    assert "module vta(" in text or "module vta (" in text


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m vta.sim.cli disasm {STREAM} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
