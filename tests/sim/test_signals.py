"""Signals to `vta run`: no simulator and no directory are left, and waves can be read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Finish, Gemm
from vta.hw.places import build_directory
from vta.sim.build import ROOT, build_simulator
from vta.sim.rundirs import RunDirectory
from vta.sim.waves import VARIANTS, wave_format
from vta.sw.codec import encode_all
from vta.sw.program import Program, Registers

BASE = 0x10000
PATIENCE = 120  # seconds, for what takes two or so on a machine that does nothing else
LAST = 300  # cycle in the waves


@pytest.fixture
def long_run(tmp_path: Path) -> Path:
    """A bundle that runs for minutes."""
    busy = Gemm(reset_reg=1, uop_bgn=0, uop_end=1, iter_out=8192, iter_in=8192)
    code = encode_all(Config(), [busy, busy, Finish()])
    program = Program(
        name="long",
        config=Config(),
        memory=code,
        memory_base=BASE,
        memory_size=4096,
        registers=Registers(insn_count=3, insn=BASE),
        expected=[(BASE, np.zeros(1, np.uint8))],
    )
    path = tmp_path / "long.npz"
    program.save(path)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build directory with nothing of its own but runs and waves."""
    builds, place = build_directory(), tmp_path / "build"
    place.mkdir()
    for name in ("verilog", "sim"):
        (builds / name).mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(builds / name)
    monkeypatch.setenv("VTA_BUILD", str(place))
    return place


def launch(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """A process that takes signals as one started from a terminal does.

    What a script starts in the background ignores SIGINT, and so would all that these tests start.
    """

    def defaults() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(command, cwd=ROOT, preexec_fn=defaults, **options)


class Command:
    """A `vta run` whose program is under way."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "vta.sim", "run", *map(str, arguments)]
        self.process = launch(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            if " cycles, " in line:
                break
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        (child,) = children.read_text().split()
        self.simulator = Path("/proc") / child
        self.directory = (self.simulator / "cwd").resolve()

    def end(self, number: signal.Signals) -> int:
        """Send a signal; the exit status, and `said` everything on standard error."""
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=PATIENCE)[1].splitlines(keepends=True)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., Command]]:
    commands: list[Command] = []

    def start(*arguments: object) -> Command:
        commands.append(Command(*arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.close()


def gone(process: Path) -> bool:
    """Wait until a process has ended (whether or not somebody has asked for its status)."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(
    ("number", "status"), SIGNALS, ids=lambda value: getattr(value, "name", "")
)
def test_a_signal_leaves_nothing(
    start: Callable[..., Command], place: Path, long_run: Path, number: signal.Signals, status: int
) -> None:
    build_simulator(Config())
    command = start(long_run)
    assert command.directory.parent == place / "run" and command.directory.is_dir()
    assert command.end(number) == status
    assert "Traceback" not in "".join(command.said)
    assert gone(command.simulator)
    assert list((place / "run").iterdir()) == []


def test_a_killed_command_leaves_nothing_after_the_next_start(
    start: Callable[..., Command], place: Path, long_run: Path
) -> None:
    build_simulator(Config())
    command = start(long_run)
    other = RunDirectory("of_a_living_process")
    assert command.end(signal.SIGKILL) == -signal.SIGKILL
    assert gone(command.simulator)
    new = RunDirectory("next")
    assert sorted((place / "run").iterdir()) == sorted([other.path, new.path])
    for directory in (other, new):
        directory.close()
    assert list((place / "run").iterdir()) == []


def test_what_is_kept_stays(place: Path) -> None:
    kept = RunDirectory("crashed")
    kept.close(keep=True)
    RunDirectory("next").close()
    assert list((place / "run").iterdir()) == [kept.path]


@pytest.mark.waves
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_waves_can_be_read_after_a_signal(
    start: Callable[..., Command], place: Path, long_run: Path, number: signal.Signals
) -> None:
    import pywellen

    build_simulator(Config(), variant=VARIANTS[wave_format(Config())])
    command = start(long_run, "--waves", "--to-cycle", LAST)
    path = place / "waves" / f"long.{wave_format(Config())}"
    command.end(number)
    assert gone(command.simulator)
    if number != signal.SIGKILL:
        assert f"waves: {path}" in "".join(command.said)
    waves = pywellen.Waveform(str(path))
    cycle = next(v for v in waves.all_vars() if v.full_name == "wrapper.cycle")
    values = [int(value) for _, value in cycle.tv]
    assert values == list(range(values[0], values[0] + LAST + 1))


def test_an_interrupted_build_leaves_no_step(tmp_path: Path) -> None:
    """make has children of its own."""
    step = "sleep 1000 & echo $! > half; mv half pid; wait"
    code = (
        "import os\nfrom pathlib import Path\nfrom vta.sim.build import _run\n"
        f"place = Path({str(tmp_path)!r})\n"
        f"_run('step', ['sh', '-c', {step!r}], dict(os.environ), place / 'log', place)\n"
    )
    build = launch([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child = Path("/proc") / (tmp_path / "pid").read_text().strip()
    assert (child / "stat").exists()
    build.send_signal(signal.SIGINT)
    build.wait(PATIENCE)
    assert gone(child)


def test_the_handlers_are_those_of_before() -> None:
    """`main` is called in programs, too, such as these tests."""
    from vta.sim.cli import main

    before = signal.getsignal(signal.SIGTERM)
    assert main(["disasm", str(ROOT / "no such file")]) == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_simulator_without_a_run_follows_its_owner(place: Path) -> None:
    """It waits for a request when its owner is killed."""
    build_simulator(Config())
    code = (
        "from vta.sim.device import RtlDevice\nimport time\ndevice = RtlDevice()\n"
        "device.access(('version',))\nprint(device.start().pid, flush=True)\ntime.sleep(1000)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert owner.stdout is not None
    simulator = Path("/proc") / owner.stdout.readline().strip()
    assert (simulator / "stat").exists()
    owner.kill()
    owner.communicate()
    assert gone(simulator)
