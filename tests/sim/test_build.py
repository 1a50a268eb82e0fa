"""The build cache: what is built again, and what is not; failures in one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vta.hw import places
from vta.hw.config import Config
from vta.hw.places import build_directory
from vta.sim import build
from vta.sim.build import ROOT, BuildError, build_simulator, build_verilog, hardware_sources
from vta.sim.cache import building


def test_nothing_changed_costs_nothing() -> None:
    build_simulator(Config())
    again = build_simulator(Config(), progress=lambda text: pytest.fail(f"it does: {text}"))
    assert again.cached
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
    monkeypatch.setenv("VTA_BUILD", str(tmp_path))
    assert build_verilog(small).read_text() == first


def test_every_module_of_the_core_decides_its_verilog() -> None:
    code = (
        "import sys, vta.hw.verilog\n"
        "for name, module in sys.modules.items():\n"
        "    if name.startswith('vta.hw.'):\n"
        "        print(module.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    loaded = {Path(line).resolve() for line in done.stdout.splitlines()}
    assert len(loaded) > 20
    assert loaded <= set(hardware_sources())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """An empty cache, in which no step really runs: the commands that would."""
    monkeypatch.setenv("VTA_BUILD", str(tmp_path))
    commands: list[list[str]] = []

    def run(name: str, command: list[str], env: dict, log: Path, directory: Path) -> None:
        commands.append(command)
        (directory / "simulator").write_text("")

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
        build_simulator(Config(), verilog=_core(tmp_path), variant="waves_vcd").path,
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
    monkeypatch.setenv("VTA_BUILD", str(tmp_path))
    for _ in range(2):
        with pytest.raises(BuildError, match=r"^verilator failed: .*Error.* \(log: .*log\)$"):
            build_simulator(Config(), verilog=_core(tmp_path, "module vta; this is no Verilog"))


def test_verilog_that_cannot_be_generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VTA_BUILD", str(tmp_path))
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
    directory = tmp_path / "key"
    code = (
        "from pathlib import Path\nfrom vta.sim.cache import building\n"
        "say = lambda text: print(text, flush=True)\n"
        f"with building(Path({str(directory)!r}), say) as needed:\n"
        "    print(needed)\n"
    )
    with building(directory, lambda text: pytest.fail(f"nobody else builds: {text}")) as needed:
        assert needed
        second = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert second.stdout is not None
        assert second.stdout.readline() == "waiting for another process, which builds key\n"
    assert second.communicate()[0] == "False\n"


def test_steps_that_outlive_their_process_hold_the_lock(tmp_path: Path) -> None:
    """Otherwise a second build would stand in the directory that the first one's make fills."""
    code = (
        "import os, subprocess\nfrom pathlib import Path\nfrom vta.sim.cache import building\n"
        f"with building(Path({str(tmp_path / 'key')!r})):\n"
        "    step = subprocess.Popen(['cat'], stdin=0, close_fds=False)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE)
    assert killed.wait() == -9
    assert killed.stdin is not None
    waits: list[str] = []

    def end_step(text: str) -> None:
        waits.append(text)
        killed.stdin.close()

    with building(tmp_path / "key", end_step) as needed:
        assert needed and len(waits) == 1


# Machines and paths -------------------------------------------------------------------------------
NO_TOOLS = {"PATH": "/nonexistent"}
RUN = """
from vta.hw.config import Config
from vta.sim.device import RtlDevice
from vta.sw.test_programs import CORNERS
program = CORNERS["store_stride"](Config())
with RtlDevice(progress=lambda text: print("it builds:", text)) as device:
    assert program.first_mismatch(device.run(program).memory) is None
    print("it runs")
"""


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        check=False,
        env=os.environ | environment,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_built_runs_without_compiler_and_make() -> None:
    build_simulator(Config())
    assert _python(RUN, **NO_TOOLS) == "it runs\n"


def test_without_a_compiler_any_compilers_build_will_do(
    steps: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    core = _core(tmp_path)
    paths = []
    for compiler in ("12.2.0\n", "13.1.0\n"):
        monkeypatch.setattr(build, "compiler", lambda compiler=compiler: compiler)
        paths.append(build_simulator(Config(), verilog=core).path)
    assert len(set(paths)) == 2
    monkeypatch.setattr(build, "compiler", lambda: "")
    found = build_simulator(Config(), verilog=core)
    assert found.cached and found.path in paths


def _path_without(program: str, directory: Path) -> str:
    """A PATH on which there is everything but one program."""
    directory.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for found in Path(place).glob("*"):
            if not found.name.startswith(program):
                (directory / found.name).unlink(missing_ok=True)
                (directory / found.name).symlink_to(found)
    return str(directory)


def test_a_build_directory_with_a_space(tmp_path: Path) -> None:
    """A real build, of the smallest core; without perl, which Verilator's start script needs."""
    place = tmp_path / "a directory with a 'space' and $signs"
    code = RUN.replace("Config()", "Config.preset('1x4')").replace(
        "RtlDevice(", "RtlDevice(Config.preset('1x4'), "
    )
    path = _path_without("perl", tmp_path / "bin")
    said = _python(code, VTA_BUILD=str(place), PATH=path).splitlines()
    assert said[-1] == "it runs"
    assert [text.split(": ")[-1].split()[0] for text in said[:-1]] == [
        "generating",
        "Verilator",
        "compiling",
    ]
    assert len(list(place.glob("sim/*/simulator"))) == 1


def test_no_path_of_the_checkout_is_in_a_command(
    steps: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Verilator nor make can have spaces in it."""
    checkout = tmp_path / "a directory with a space"
    checkout.symlink_to(ROOT)
    (tmp_path / "a core").mkdir()
    monkeypatch.setattr(build, "SOURCES", checkout / "sim" / "native")
    for variant in build.VARIANTS:
        if "fst" not in " ".join(build.VARIANTS[variant]):
            core = _core(tmp_path / "a core")
            build_simulator(Config(), verilog=core, variant=variant)
    words = [word for command in steps for word in command]
    assert len(words) > 100
    assert [word for word in words if str(tmp_path) in word or str(ROOT) in word] == []


def test_a_checkout_that_is_only_read_has_its_simulators(
    steps: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "pyproject.toml").touch()
    monkeypatch.setattr(places, "ROOT", checkout)
    monkeypatch.delenv("VTA_BUILD")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    core = _core(tmp_path)
    built = build_simulator(Config(), verilog=core)
    assert built.path.is_relative_to(checkout / "build")
    monkeypatch.setattr(places, "_writable", lambda path: not path.is_relative_to(checkout))
    assert build_directory() == tmp_path / "cache" / "vta"
    again = build_simulator(Config(), verilog=core)
    assert (again.cached, again.path) == (True, built.path)
    new = build_simulator(Config(axi_data_bits=32), verilog=core)
    assert new.path.is_relative_to(tmp_path / "cache" / "vta")


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
