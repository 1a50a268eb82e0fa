"""Waves: names of states and instructions in the file, windows on the whole run, no data path."""

import os
from pathlib import Path

import numpy as np
import pytest

from hw.config import Config
from hw.isa import (
    Alu,
    Finish,
    Gemm,
    Load,
    MemoryType,
    Opcode,
    Stage,
)
from hw.registers import StageState
from sim import environment
from sim.decoder import INSTRUCTION_NAMES, decoder
from sim.device import Hang
from sim.options import RunOptions
from sim.waves import run_with_waves
from sw.codec import encode_all
from sw.generate import random_program
from sw.program import Program, Registers
from sw.rules import stage_of


@pytest.fixture(scope="module")
def headers() -> None:
    require_headers()


def require_headers() -> None:
    """Skip where the machine lacks what waves need, naming the package; CI forbids that."""
    lacks = environment.missing(waves=True)
    if not lacks:
        return
    text = f"waves need {', '.join(lack.package for lack in lacks)}"
    if os.environ.get("VTA_REQUIRE_WAVES") == "1":
        pytest.fail(text)
    pytest.skip(text)


def _name(instruction: object) -> str:
    """What waves call an instruction, written independently of the decoder."""
    if isinstance(instruction, Load):
        return f"LOAD_{MemoryType(instruction.memory_type).name}"
    if isinstance(instruction, Gemm):
        return "RESET" if instruction.reset_reg else "GEMM"
    if isinstance(instruction, Alu):
        return "ALU_" + ("MIN", "MAX", "ADD", "SHR", "MUL")[instruction.alu_opcode]
    return type(instruction).__name__.upper()


@pytest.mark.usefixtures("headers")
def test_a_run_can_be_read_in_its_waves(tmp_path: Path) -> None:
    import pywellen

    program = random_program(11, Config())
    path = tmp_path / "run.fst"
    result = run_with_waves(program, path, options=RunOptions(latency=30, events=True))
    assert program.first_mismatch(result.memory) is None
    assert result.cycles is not None and result.events is not None
    waves = pywellen.Waveform(str(path))
    variables = {variable.full_name: variable for variable in waves.all_vars()}
    instructions = program.instructions()
    for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE):
        name = stage.name.lower()
        shown = variables[f"wrapper.{name}_instruction"]
        names = {int(bits, 2): text for bits, text in shown.enum_type[1]}
        assert tuple(names[n] for n in range(len(names))) == INSTRUCTION_NAMES
        seen = [names[value] for _, value in shown.tv if names[value] != "NONE"]
        expected = [_name(i) for i in instructions if stage_of(i) == stage]
        remaining = iter(expected)  # equal neighbours may be one change
        assert all(any(text == one for one in remaining) for text in seen), name
        assert set(seen) == set(expected), name
    states = {text for _, text in variables["wrapper.compute"].enum_type[1]}
    assert states == {state.name for state in StageState}
    assert not [v for v in variables if ".mac." in v or ".lane_" in v], "the data path is there"
    for port in ("m_arvalid", "m_araddr", "m_rvalid", "m_rdata", "m_bvalid", "finish"):
        assert f"wrapper.{port}" in variables
    last_time = max(time for time, _ in variables["wrapper.cycle"].tv)
    assert last_time >= result.cycles * 10_000  # picoseconds


@pytest.mark.usefixtures("headers")
def test_a_hang_leaves_its_waves(tmp_path: Path) -> None:
    import pywellen

    config = Config()
    code = encode_all(config, [Gemm(pop_prev=1), Finish()])
    program = Program(
        name="waits", config=config, memory=code, memory_base=0x10000, memory_size=4096,
        registers=Registers(insn_count=2, insn=0x10000),
    )  # fmt: skip
    path = tmp_path / "hang.fst"
    with pytest.raises(Hang):
        run_with_waves(program, path, max_cycles=30)
    state = next(
        v for v in pywellen.Waveform(str(path)).all_vars() if v.full_name == "wrapper.compute"
    )
    names = {int(bits, 2): text for bits, text in state.enum_type[1]}
    assert "WAIT_PREV_TOKEN" in {names[value] for _, value in state.tv}


def test_missing_headers_skip_or_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = [environment.Missing("lz4.h, which writing FST waves needs", "liblz4-dev")]
    monkeypatch.setattr(environment, "missing", lambda waves=False: lacks if waves else [])
    monkeypatch.setenv("VTA_REQUIRE_WAVES", "1")
    with pytest.raises(pytest.fail.Exception, match="liblz4-dev"):
        require_headers()
    monkeypatch.delenv("VTA_REQUIRE_WAVES")
    with pytest.raises(pytest.skip.Exception, match="liblz4-dev"):
        require_headers()


def test_the_decoder_follows_the_configuration() -> None:
    """Bit positions come from the tables: alu_opcode moves with the depth of ACC."""
    texts = [decoder(Config()), decoder(Config(log_acc_buff_size=14))]
    assert "bits[110:108]" in texts[0]
    assert "bits[110:108]" not in texts[1]
    for text in texts:
        assert f"{Opcode.FINISH.value}: return FINISH;" in text
        assert np.all([f"LOAD_{kind}" in text for kind in ("UOP", "INP", "WGT", "ACC_8BIT")])
