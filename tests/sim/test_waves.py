"""Waves: names of states and instructions in the file, windows on the whole run, no data path."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vta.hw.config import Config
from vta.hw.isa import Alu, Finish, Gemm, Load, MemoryType, Opcode, Stage
from vta.hw.registers import StageState
from vta.sim import environment, waves
from vta.sim.build import ROOT
from vta.sim.cli import main
from vta.sim.decoder import INSTRUCTION_NAMES, decoder
from vta.sim.device import Hang
from vta.sim.options import RunOptions
from vta.sim.waves import run_with_waves, wave_format, why_vcd
from vta.sw.codec import encode_all
from vta.sw.program import Program, Registers
from vta.sw.rules import stage_of
from vta.sw.test_programs import random_program

LAST_NAMES = dict(enumerate(INSTRUCTION_NAMES))
STATE_NAMES = {state.value: state.name for state in StageState}


def _path(tmp_path: Path, name: str) -> Path:
    """A file for waves in the format that this machine can write."""
    return tmp_path / f"{name}.{wave_format(Config())}"


def _variables(path: Path) -> dict[str, Any]:
    import pywellen

    return {variable.full_name: variable for variable in pywellen.Waveform(str(path)).all_vars()}


def _names(variable: Any, known: dict[int, str]) -> dict[int, str]:
    """What the values of a variable are called: FST holds it, of VCD the tables tell."""
    if variable.enum_type is None:
        return known
    return {int(bits, 2): text for bits, text in variable.enum_type[1]}


def _name(instruction: object) -> str:
    """What waves call an instruction, written independently of the decoder."""
    if isinstance(instruction, Load):
        return f"LOAD_{MemoryType(instruction.memory_type).name}"
    if isinstance(instruction, Gemm):
        return "RESET" if instruction.reset_reg else "GEMM"
    if isinstance(instruction, Alu):
        return "ALU_" + ("MIN", "MAX", "ADD", "SHR", "MUL")[instruction.alu_opcode]
    return type(instruction).__name__.upper()


@pytest.mark.waves
def test_a_run_can_be_read_in_its_waves(tmp_path: Path) -> None:
    program = random_program(11, Config())
    path = _path(tmp_path, "run")
    result = run_with_waves(program, path, options=RunOptions(latency=30, events=True))
    assert program.first_mismatch(result.memory) is None
    assert result.cycles is not None and result.events is not None
    variables = _variables(path)
    instructions = program.instructions()
    for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE):
        name = stage.name.lower()
        shown = variables[f"wrapper.{name}_instruction"]
        names = _names(shown, LAST_NAMES)
        assert tuple(names[n] for n in range(len(names))) == INSTRUCTION_NAMES
        seen = [names[int(value)] for _, value in shown.tv if names[int(value)] != "NONE"]
        expected = [_name(i) for i in instructions if stage_of(i) == stage]
        remaining = iter(expected)  # equal neighbours may be one change
        assert seen and all(any(text == one for one in remaining) for text in seen), name
        assert set(seen) == set(expected), name
    assert _names(variables["wrapper.compute"], STATE_NAMES) == STATE_NAMES
    assert not [name for name in variables if ".mac." in name or ".lane_" in name], "the data path"
    for port in ("m_arvalid", "m_araddr", "m_rvalid", "m_rdata", "m_bvalid", "finish"):
        assert f"wrapper.{port}" in variables
    last_time = max(time for time, _ in variables["wrapper.cycle"].tv)
    assert last_time >= result.cycles * 10_000  # picoseconds


@pytest.mark.waves
def test_fst_names_the_values(tmp_path: Path) -> None:
    if wave_format(Config()) != "fst":
        pytest.skip(f"waves are written {why_vcd()}")
    path = _path(tmp_path, "names")
    run_with_waves(random_program(11, Config()), path, options=RunOptions(window=(0, 10)))
    variables = _variables(path)
    for name in ("fetch", "load", "compute", "store", "load_instruction", "store_instruction"):
        assert variables[f"wrapper.{name}"].enum_type is not None, name


@pytest.mark.waves
@pytest.mark.parametrize(("first", "last"), [(500, 550), (0, 30), (1800, None), (510, 510)])
def test_a_window_has_only_its_cycles(tmp_path: Path, first: int, last: int | None) -> None:
    """Its cycles are those of the events, which count from the launch; signals agree with them."""
    program = random_program(11, Config())
    path = _path(tmp_path, "window")
    # The run that poisons is before, and not in the file.
    options = RunOptions(events=True, poison_seed=1, window=(first, last))
    result = run_with_waves(program, path, options=options)
    assert result.events is not None and result.cycles is not None
    variables = _variables(path)
    shown = variables["wrapper.cycle"].tv
    cycles = [int(value) for _, value in shown]
    assert cycles == list(range(cycles[0], cycles[-1] + 1))
    launch = cycles[0] - first
    if last is None:
        assert cycles[-1] - launch >= result.cycles
    else:
        assert cycles[-1] - launch == last
    strobes = dict(variables["wrapper.strobes"].tv)
    value, seen = 0, set()
    for time, cycle in shown:
        value = strobes.get(time, value)
        seen |= {(int(cycle) - launch, kind) for kind in range(6) if int(value) >> kind & 1}
    told = {
        (int(event["cycle"]), int(event["kind"]))
        for event in result.events
        if event["kind"] < 6 and first <= event["cycle"] <= cycles[-1] - launch
    }
    assert seen == told
    assert told, "a window without events shows nothing"


@pytest.mark.waves
def test_a_window_behind_the_run_is_told(tmp_path: Path) -> None:
    path = _path(tmp_path, "behind")
    options = RunOptions(window=(10**6, None))
    result = run_with_waves(random_program(11, Config()), path, options=options)
    assert result.warnings == [
        f"no waves: the window begins at cycle 1000000, the run has {result.cycles}"
    ]


def test_a_window_must_be_one(tmp_path: Path) -> None:
    for window in ((-1, 5), (7, 6), (0, -1), (0, 1 << 64), (-1, None)):
        with pytest.raises(ValueError, match=r"the window of waves is cycles -?\d+ to "):
            RunOptions(window=window)
    program = random_program(11, Config())
    with pytest.raises(ValueError, match=r"run\.ghw: waves are \.fst or \.vcd"):
        run_with_waves(program, tmp_path / "run.ghw")


@pytest.mark.waves
def test_a_hang_leaves_its_waves(tmp_path: Path) -> None:
    config = Config()
    code = encode_all(config, [Gemm(pop_prev=1), Finish()])
    program = Program(
        name="waits",
        config=config,
        memory=code,
        memory_base=0x10000,
        memory_size=4096,
        registers=Registers(insn_count=2, insn=0x10000),
    )
    path = _path(tmp_path, "hang")
    with pytest.raises(Hang):
        run_with_waves(program, path, max_cycles=30)
    state = _variables(path)["wrapper.compute"]
    names = _names(state, STATE_NAMES)
    assert "WAIT_PREV_TOKEN" in {names[int(value)] for _, value in state.tv}


def test_the_headers_decide_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "missing_headers", list)
    assert wave_format(Config()) == "fst"
    lacks = [environment.Missing("lz4.h, which writing FST waves needs", "liblz4-dev")]
    monkeypatch.setattr(environment, "missing_headers", lambda: lacks)
    assert wave_format(Config()) == "vcd"
    assert why_vcd().endswith("install liblz4-dev") and "\n" not in why_vcd()
    monkeypatch.setattr(waves, "compiler", lambda: "")
    for built, found in ((True, "fst"), (False, "vcd")):
        monkeypatch.setattr(waves, "built_simulator", lambda config, variant, built=built: built)
        assert wave_format(Config()) == found, "without a compiler, what is built is used"


@pytest.mark.waves
def test_run_says_which_waves_it_writes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = ROOT / "tests" / "streams" / "store_64x1s4_x9.npz"
    monkeypatch.setenv("COLUMNS", "60")
    arguments = ["run", str(stream), "--waves", "--from-cycle", "5", "--to-cycle", "9"]
    assert main(arguments) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("waves: ")]
    assert f"store_64x1s4_x9.{wave_format(Config())}" in line
    lacks = environment.missing_headers()
    assert ("install" in line) == bool(lacks) == ("as VCD" in line)
    assert all(lack.package in line for lack in lacks)


def test_the_decoder_follows_the_configuration() -> None:
    """Bit positions come from the tables: alu_opcode moves with the depth of ACC."""
    texts = [decoder(Config()), decoder(Config(log_acc_buff_size=14))]
    assert "bits[110:108]" in texts[0]
    assert "bits[110:108]" not in texts[1]
    for text in texts:
        assert f"{Opcode.FINISH.value}: return FINISH;" in text
        assert np.all([f"LOAD_{kind}" in text for kind in ("UOP", "INP", "WGT", "ACC_8BIT")])
