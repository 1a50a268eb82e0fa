"""Files with which viewers open a wave ready: they name what is there, at the right times."""

import re
from pathlib import Path
from typing import Any

import pytest

from vta.hw.config import Config
from vta.hw.isa import ErrorClass
from vta.sim.build import ROOT
from vta.sim.cli import main
from vta.sim.decoder import INSTRUCTION_NAMES, named_only
from vta.sim.options import RunOptions
from vta.sim.waves import run_with_waves, wave_format
from vta.sim.waves_views import MAPPINGS, NAMES, groups, time_of, write_views
from vta.sw.program import Program
from vta.sw.test_programs import BAD, random_program

STREAM = ROOT / "tests" / "streams" / "store_64x1s4_x9.npz"


def _variables(path: Path) -> dict[str, Any]:
    import pywellen

    found = pywellen.Waveform(str(path)).all_vars()
    names = [variable.full_name for variable in found]
    assert len(names) == len(set(names)), "a name is there twice"
    assert not [name for name in names if "$" in name]
    return dict(zip(names, found, strict=True))


def _at(variable: Any, time: int) -> int:
    """The value at a time."""
    return [int(value) for when, value in variable.tv if when <= time][-1]


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, Any]]:
    """A run with its waves: the file, the result, what is in it."""
    path = tmp_path_factory.mktemp("waves") / f"run.{wave_format(Config())}"
    options = RunOptions(events=True, poison_seed=1)  # the run that poisons is in the file too
    result = run_with_waves(random_program(11, Config()), path, options=options)
    return path, result, _variables(path)


@pytest.mark.waves
def test_every_signal_is_in_the_wave(wave: tuple[Path, Any, dict[str, Any]]) -> None:
    _, _, variables = wave
    for signals in groups(Config()).values():
        for signal in signals:
            assert variables[signal.name].bitwidth == signal.bits, signal
    for name, (bits, values) in NAMES.items():
        assert max(value for value, _ in values) < 1 << bits, name
        assert len({text for _, text in values}) == len(values)


@pytest.mark.waves
def test_cycles_count_from_the_launch(wave: tuple[Path, Any, dict[str, Any]]) -> None:
    """The wave's count, the markers' times and the events agree."""
    _, result, variables = wave
    cycle, strobes = variables["wrapper.run_cycle"], variables["wrapper.strobes"]
    for at in (0, 1, 500, result.cycles):
        time = time_of(at, result.launched)
        assert _at(cycle, time) == at
        assert _at(variables["wrapper.cycle"], time) == result.launched + at
    for event in result.events[result.events["kind"] < 6][:40]:
        time = time_of(int(event["cycle"]), result.launched)
        assert _at(strobes, time) >> int(event["kind"]) & 1, event
    assert _at(variables["wrapper.finish"], time_of(result.cycles + 2, result.launched))


@pytest.mark.waves
def test_what_the_files_say(wave: tuple[Path, Any, dict[str, Any]]) -> None:
    path, result, variables = wave
    marks = {"launch": 0, "here": 700}
    gtkwave, surfer = write_views(path, Config(), result.launched, marks, 700)
    here = time_of(700, result.launched)
    lines = gtkwave.read_text().splitlines()
    assert f'[dumpfile] "{path}"' in lines
    (markers,) = [line.split() for line in lines if line.startswith("*")]
    assert markers[1:5] == [str(here), str(time_of(0, result.launched)), str(here), "-1"]
    assert "[markername] Alaunch" in lines and "[markername] Bhere" in lines
    shown = [re.sub(r"\[\d+:0\]$", "", line) for line in lines if line.startswith("wrapper.")]
    wanted = [signal.name for signals in groups(Config()).values() for signal in signals]
    assert shown == wanted
    for line in lines:
        if found := re.match(r"\^\d+ (.*)", line):
            assert Path(found[1]).is_file()
    commands = surfer.read_text().splitlines()
    assert commands[0] == f"load_file {path.name}"
    assert [c.split()[1] for c in commands if c.startswith("variable_add ")] == wanted
    assert f"marker_set_at {here} here" in commands and f"cursor_set {here}" in commands
    assert set(wanted) <= set(variables)


@pytest.mark.waves
def test_formats_go_to_their_items(wave: tuple[Path, Any, dict[str, Any]]) -> None:
    """Surfer gives a format to the item in focus: each is the one that was added before."""
    path, result, _ = wave
    _, surfer = write_views(path, Config(), result.launched, {"launch": 0}, 0)
    items: list[str] = []
    formats: dict[str, str] = {}
    focus = -1
    for line in surfer.read_text().splitlines():
        command, _, rest = line.partition(" ")
        if command in ("divider_add", "variable_add"):
            items.append(rest)
        elif command == "item_focus":
            focus = int("".join(f"{ord(letter) - ord('a'):x}" for letter in rest), 16)
            assert focus == len(items) - 1
        elif command == "item_set_format":
            formats[items[focus]] = rest
    assert formats["wrapper.compute"] == "vta_state"
    assert formats["wrapper.store_instruction"] == "vta_instruction"
    assert formats["wrapper.load_index"] == "Unsigned"
    assert formats["wrapper.m_awaddr"] == "Hexadecimal"


def test_names_of_values(tmp_path: Path) -> None:
    write_views(tmp_path / "x.vcd", Config(), 10, {"launch": 0}, 0)
    lines = (tmp_path / MAPPINGS / "vta_instruction").read_text().splitlines()
    assert lines[:2] == ["Name = vta_instruction", "Bits = 5"]
    assert lines[2:] == [f"{n} {name}" for n, name in enumerate(INSTRUCTION_NAMES)]


@pytest.mark.waves
def test_run_writes_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", str(STREAM), "--waves", "--from-cycle", "300", "--to-cycle", "400"]) == 0
    said = capsys.readouterr().err
    (gtkwave,) = re.findall(r"open them: gtkwave (\S+)", said)
    text = Path(gtkwave).read_text()
    assert "[markername] Afinish" in text and "[markername] Blaunch" in text
    launch = int(re.findall(r"^\*\S+ \d+ \d+ (\d+)", text, re.MULTILINE)[0])
    here = int(re.findall(r"^\*\S+ (\d+)", text, re.MULTILINE)[0])
    assert here - launch == 300 * 10_000, "they open in the window"
    place, name = re.findall(r"or: cd (\S+) && surfer --command-file (\S+)", said)[0]
    assert (Path(place) / name).is_file() and (Path(place) / MAPPINGS / "vta_state").is_file()

    program, error_class, index = BAD["load_beyond_the_scratchpad"](Config(), 1)
    program.save(tmp_path / "bad.npz")
    assert main(["run", str(tmp_path / "bad.npz"), "--waves"]) == 1
    (gtkwave,) = re.findall(r"open them: gtkwave (\S+)", capsys.readouterr().err)
    assert error_class == ErrorClass.SRAM_BOUNDS
    assert "[markername] BSRAM_BOUNDS" in Path(gtkwave).read_text()
    assert f"[markername] Cinstruction_{index}" in Path(gtkwave).read_text()


@pytest.mark.waves
@pytest.mark.regress  # it builds a simulator with all of the data path
def test_the_data_path_is_there_on_request(tmp_path: Path) -> None:
    path = tmp_path / f"run.{wave_format(Config(), whole=True)}"
    run_with_waves(Program.load(STREAM), path, options=RunOptions(window=(0, 9)), whole=True)
    names = _variables(path)
    assert [name for name in names if ".mac." in name or ".lane_" in name]


def test_what_has_no_name_of_its_own() -> None:
    """A port's second name and a register's piece go; a memory stays, a unit has another name."""
    state, memory = "  wire [3:0] state;", "  reg [7:0] memory [255:0];"
    text = [state, "  output \\done$186 ;", "  reg \\kept_reg[5]  = 1'h0;", memory]
    lines = named_only("\n".join(text)).splitlines()
    assert [lines[0], lines[3]] == [state, memory]
    for line in lines[1:3]:
        assert line.startswith("/*verilator tracing_off*/ ")
        assert line.endswith(" /*verilator tracing_on*/")
    unit = "  \\vta.engine.inp$461  \\inp$461  ("
    assert named_only(unit) == "  \\vta.engine.inp$461  \\inp_461  ("
