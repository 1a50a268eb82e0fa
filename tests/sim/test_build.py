"""The build cache: what is built again, and what is not; failures in one line."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hw.config import Config
from sim import build
from sim.build import ROOT, BuildError, build_simulator, build_verilog


def test_nothing_changed_costs_nothing() -> None:
    build_simulator(Config())
    started = time.monotonic()
    again = build_simulator(Config(), progress=lambda text: pytest.fail(f"it does: {text}"))
    assert again.cached
    assert time.monotonic() - started < 1
    assert os.access(again.path, os.X_OK)


def test_a_configuration_has_its_own_verilog() -> None:
    plain = build_verilog(Config())
    assert build_verilog(Config()) == plain
    other = build_verilog(Config(axi_data_bits=128))
    assert other != plain
    assert plain.read_text() != other.read_text()


def test_the_verilog_is_reproducible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = Config.preset("1x4")
    first = build_verilog(small).read_text()
    monkeypatch.setattr(build, "BUILD", tmp_path)
    assert build_verilog(small).read_text() == first


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """An empty cache, in which no step really runs: the commands that would."""
    monkeypatch.setattr(build, "BUILD", tmp_path)
    commands: list[list[str]] = []

    def run(command: list, env: dict, log: Path, directory: Path) -> None:
        commands.append([str(word) for word in command])
        (directory / "obj").mkdir(exist_ok=True)
        (directory / "obj" / "simulator").write_text("")

    monkeypatch.setattr(build, "_run", run)
    return commands


def _core(tmp_path: Path, text: str = "module vta; endmodule") -> Path:
    path = tmp_path / "vta.v"
    path.write_text(text)
    return path


def test_what_decides_is_in_the_key(steps: list[list[str]], tmp_path: Path) -> None:
    paths = [
        build_simulator(Config(), verilog=_core(tmp_path)).path,
        build_simulator(Config(), verilog=_core(tmp_path, "module vta; wire a; endmodule")).path,
        build_simulator(Config(axi_data_bits=32), verilog=_core(tmp_path)).path,
        build_simulator(Config(), verilog=_core(tmp_path), variant="waves").path,
        build_simulator(Config(), verilog=_core(tmp_path), variant="random").path,
    ]
    assert len(set(paths)) == 5
    assert len(steps) == 10
    assert build_simulator(Config(), verilog=_core(tmp_path)).cached
    assert len(steps) == 10


def test_sources_and_versions_decide_too(
    steps: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = _core(tmp_path)
    build_simulator(Config(), verilog=core)
    monkeypatch.setattr(build, "version", lambda name: "0.0")
    assert not build_simulator(Config(), verilog=core).cached


def test_a_step_that_fails_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BUILD", tmp_path)
    for _ in range(2):
        with pytest.raises(BuildError, match=r"^verilator failed: .*Error.* \(log: .*log\)$"):
            build_simulator(Config(), verilog=_core(tmp_path, "module vta; this is no Verilog"))


def test_verilog_that_cannot_be_generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "BUILD", tmp_path)
    monkeypatch.setattr(build, "GENERATE", "raise ValueError('no such core')")
    with pytest.raises(BuildError, match="failed: ValueError: no such core"):
        build_verilog(Config())


def test_a_machine_without_a_compiler(
    steps: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BuildError, match=r"this machine lacks .*g\+\+.*install g\+\+"):
        build_simulator(Config(), verilog=_core(tmp_path))
    assert steps == []


def test_two_processes_build_once(tmp_path: Path) -> None:
    """The second waits for the first, and finds its result."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom sim.build import _building\n"
        f"with _building(Path({str(tmp_path / 'key')!r})) as needed:\n"
        "    time.sleep(1)\n    print(needed)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = sorted(process.communicate()[0].strip() for process in processes)
    assert outputs == ["False", "True"]


def test_no_combinational_loops() -> None:
    """Verilator evaluates such logic again and again: it is never waived."""
    simulator = build_simulator(Config())
    log = (simulator.path.parent / "log").read_text()
    loops = [line for line in log.splitlines() if "UNOPTFLAT:" in line]
    assert loops == []


def test_progress_is_told(steps: list[list[str]], tmp_path: Path) -> None:
    told: list[str] = []
    report: Callable[[str], None] = told.append
    build_simulator(Config(), verilog=_core(tmp_path), progress=report)
    assert [text.split(": ")[1].split()[0] for text in told] == ["Verilator", "compiling"]
