"""The first wrong write: exact on right cores, and found where the core did something else.

A core that did something else is here a right one whose DRAM was changed before the launch; broken
cores are in test_broken_cores.py.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sim.test_core import CONFIGS, MORE_CONFIGS, random_options
from vta.hw.config import Config
from vta.hw.errors import OptionError
from vta.hw.isa import Alu, Finish, Gemm, Instruction, Load, Store
from vta.sim import cli
from vta.sim import device as device_module
from vta.sim.commands.run import _around_divergence
from vta.sim.device import RtlDevice
from vta.sim.divergence.compare import expected_digests, first_differences
from vta.sim.divergence.explain import explain, to_dict
from vta.sim.divergence.finder import Finder
from vta.sim.divergence.search import Divergence, first_divergence
from vta.sim.divergence.trace import UNITS, VARIANT
from vta.sim.divergence.units import by_unit
from vta.sim.options import Fault, RunOptions
from vta.sim.process import SimulatorProcess
from vta.sw.check.footprint import dram_rows
from vta.sw.codec import encode_all
from vta.sw.operators import operator
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS, random_program

Loading = Callable[[SimulatorProcess, Program], None]


@pytest.fixture(scope="module")
def traced() -> Iterator[RtlDevice]:
    with RtlDevice(Config(), variant=VARIANT) as device:
        yield device


def _conv(**values: Any) -> Program:
    sizes = {"height": 6, "width": 8, "channels": 32, "outputs": 32, "bias": True, "shift": 6}
    return operator("conv2d").kernel(Config(), **(sizes | values)).program(seed=1)


# Exact on a right core ----------------------------------------------------------------------------
def _right(device: RtlDevice, program: Program, options: RunOptions) -> None:
    """Nothing differs, and every instruction that writes was compared."""
    trace = device.run(program, options=replace(options, trace=True)).trace
    assert trace is not None
    assert first_differences(program, trace, expected_digests(program)) == [], options
    for members, passes in zip(by_unit(program.instructions()), trace.passes, strict=True):
        assert passes["instructions"].sum() == len(members)


@pytest.mark.parametrize("name", CORNERS)
def test_corner_streams_are_compared_exactly(traced: RtlDevice, name: str) -> None:
    _right(traced, CORNERS[name](Config()), RunOptions(latency=40, stall_seed=5))


@pytest.mark.parametrize("seed", range(16))
def test_random_programs_are_compared_exactly(traced: RtlDevice, seed: int) -> None:
    _right(traced, random_program(seed, Config()), random_options(seed))


@pytest.mark.parametrize("stream", ["conv_c2_56x56x64x64_rq", "gemm_64x512x512_rq"])
def test_streams_are_compared_exactly(traced: RtlDevice, stream: str) -> None:
    _right(traced, Program.load(Path(f"tests/streams/{stream}.npz")), RunOptions())


@pytest.mark.regress
@pytest.mark.parametrize("config", [*CONFIGS, *MORE_CONFIGS])
def test_other_configurations_are_compared_exactly(config: str) -> None:
    chosen = {**CONFIGS, **MORE_CONFIGS}[config]
    with RtlDevice(chosen, variant=VARIANT) as device:
        for corner in CORNERS.values():
            _right(device, corner(chosen), RunOptions(latency=9, stall_seed=4))
        for seed in range(60):
            _right(device, random_program(seed, chosen), random_options(seed))


def test_folded_instructions_are_one_pass(traced: RtlDevice) -> None:
    trace = traced.run(_conv(low=-100, high=100), options=RunOptions(trace=True)).trace
    assert trace is not None
    assert trace.passes[UNITS.index("alu")]["instructions"].max() > 1


def test_digests_change_no_cycle(traced: RtlDevice) -> None:
    program = _conv()
    plain, with_trace = (
        traced.run(program, options=RunOptions(trace=trace)).cycles for trace in (False, True)
    )
    assert plain == with_trace


# Where the core did something else ----------------------------------------------------------------
def _changed(program: Program, index: int, **fields: int) -> Program:
    """The program with other fields in one instruction."""
    instructions: list[Instruction] = program.instructions()
    instructions[index] = replace(instructions[index], **fields)  # pyright: ignore[reportArgumentType]
    code = np.asarray(encode_all(program.config, instructions)).view(np.uint8).ravel()
    memory = program.memory.copy()
    at = program.registers.insn - program.memory_base
    memory[at : at + len(code)] = code
    return replace(program, memory=memory)


def _find(
    monkeypatch: pytest.MonkeyPatch, device: RtlDevice, program: Program, instead: Program
) -> tuple[Divergence, list[str]]:
    """What is found where the core runs `instead`."""
    load: Loading = device_module.load
    monkeypatch.setattr(device_module, "load", lambda process, _: load(process, instead))
    found = first_divergence(program, device, RunOptions())
    assert found is not None
    assert json.dumps(to_dict(program, found))
    return found, explain(program, found)


def _first(program: Program, kind: type[Instruction], **fields: int) -> int:
    return next(
        n
        for n, instruction in enumerate(program.instructions())
        if isinstance(instruction, kind)
        and all(getattr(instruction, name) == value for name, value in fields.items())
    )


def test_a_wrong_byte_of_a_load(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    data = next(s for s in program.segments.values() if s.role == "input")
    instead = replace(program, memory=program.memory.copy())
    instead.memory[data.start + 5 * 16 + 3 - program.memory_base] ^= 0x10
    found, lines = _find(monkeypatch, traced, program, instead)
    assert (found.unit, found.what) == ("load", "value")
    load = program.instructions()[found.at.index]
    assert isinstance(load, Load)
    assert found.expected.memory == "INP"
    text = "\n".join(lines)
    assert "lane 3: expected " in text
    assert f"data from {data.start + 5 * 16:#x}, in segment data" in text
    wrong = np.flatnonzero(found.expected.values[found.number] != found.found.values[found.number])
    assert wrong.tolist() == [3]


def test_a_shifted_load(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    index = _first(program, Load, memory_type=1)
    weights = program.instructions()[index]
    assert isinstance(weights, Load)
    instead = _changed(program, index, dram_base=weights.dram_base + 1)
    found, lines = _find(monkeypatch, traced, program, instead)
    assert (found.at.index, found.number, found.what) == (index, 0, "value")
    assert any("what belongs 1 element behind" in line for line in lines)


def test_dropped_padding(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    index = _first(program, Load, memory_type=2)
    load = program.instructions()[index]
    assert isinstance(load, Load)
    assert load.x_pad_0 == 1
    instead = _changed(program, index, x_pad_0=0, x_pad_1=load.x_pad_1 + 1)
    found, lines = _find(monkeypatch, traced, program, instead)
    assert found.at.index == index
    assert found.expected.entries[found.number] == load.sram_base + found.number
    assert any("padding left of the data" in line for line in lines)


def test_a_uop(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    instead = replace(program, memory=program.memory.copy())
    uops = next(s for s in program.segments.values() if s.role == "uop")
    instead.memory[uops.start + 4 - program.memory_base] ^= 1
    found, lines = _find(monkeypatch, traced, program, instead)
    assert found.expected.memory == "UOP"
    assert "expected dst=" in lines[1]
    assert "found dst=" in lines[1]


def test_an_operand_of_the_alu(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv(low=-100, high=100)
    index = _first(program, Alu, alu_opcode=3)
    found, lines = _find(monkeypatch, traced, program, _changed(program, index, imm=5))
    assert found.unit == "alu"
    assert index in found.at.instructions
    text = "\n".join(lines)
    assert f"instructions {found.at.instructions[0]} to {found.at.index} were folded" in text
    assert "shr 6" in text
    assert "it must become " in text
    assert "all operands were right: the lane made another value of them" in text


def test_an_instruction_of_a_folded_chain_is_left_out(
    monkeypatch: pytest.MonkeyPatch, traced: RtlDevice
) -> None:
    program = _conv(low=-100, high=100)
    index = _first(program, Alu, alu_opcode=3)
    _, lines = _find(monkeypatch, traced, program, _changed(program, index, imm=0))
    assert any(f"what comes out without instruction {index}" in line for line in lines)


def test_another_place_of_a_store(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    index = _first(program, Store)
    store = program.instructions()[index]
    assert isinstance(store, Store)
    instead = _changed(program, index, dram_base=store.dram_base + 1)
    found, lines = _find(monkeypatch, traced, program, instead)
    assert (found.at.index, found.what, found.number) == (index, "place", 0)
    assert "was due, the byte at" in lines[1]
    assert any("in segment out" in line for line in lines)


def test_too_few_writes(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    index = _first(program, Store)
    store = program.instructions()[index]
    assert isinstance(store, Store)
    instead = _changed(program, index, x_size=store.x_size - 1, x_stride=store.x_stride)
    found, _ = _find(monkeypatch, traced, program, instead)
    assert found.at.index == index
    assert found.what in ("place", "missing")


def test_an_instruction_that_is_left_out(
    monkeypatch: pytest.MonkeyPatch, traced: RtlDevice
) -> None:
    program = _conv()
    stores = [n for n, i in enumerate(program.instructions()) if isinstance(i, Store)]
    found, lines = _find(monkeypatch, traced, program, _changed(program, stores[-1], x_size=0))
    assert (found.at.index, found.what, found.number) == (stores[-1], "missing", 0)
    assert "was not written: the instruction ended after 0 writes" in lines[1]


def test_only_one_simulator_traces(device: RtlDevice) -> None:
    with pytest.raises(OptionError, match="it takes a device of the variant traced"):
        device.run(_conv(), options=RunOptions(trace=True))


def test_a_gemm_reads_another_entry(monkeypatch: pytest.MonkeyPatch, traced: RtlDevice) -> None:
    program = _conv()
    index = _first(program, Gemm, reset_reg=0)
    gemm = program.instructions()[index]
    assert isinstance(gemm, Gemm)
    instead = _changed(program, index, src_factor_in=gemm.src_factor_in + 1)
    found, lines = _find(monkeypatch, traced, program, instead)
    assert (found.unit, found.at.index) == ("gemm", index)
    text = "\n".join(lines)
    assert "but the core read inp[" in text
    assert f"step {found.number} of " in text
    assert found.operands is not None


def _loaded(program: Program) -> dict[int, set[int]]:
    """The LOADs that read each byte."""
    loads: dict[int, set[int]] = {}
    for index, instruction in enumerate(program.instructions()):
        if isinstance(instruction, Load):
            for first, end in dram_rows(program.config, program.registers, instruction).tolist():
                for address in range(first, end):
                    loads.setdefault(address, set()).add(index)
    return loads


@pytest.mark.parametrize("seed", range(12))
def test_any_changed_byte_is_traced_to_its_load(
    monkeypatch: pytest.MonkeyPatch, traced: RtlDevice, seed: int
) -> None:
    """Of a random program, whatever it does with the byte afterwards."""
    program = random_program(seed, Config())
    rng = np.random.default_rng(seed)
    loads = _loaded(program)
    end = program.memory_base + len(program.memory)
    address = int(rng.choice([n for n in sorted(loads) if n < end]))
    instead = replace(program, memory=program.memory.copy())
    instead.memory[address - program.memory_base] ^= 1 << int(rng.integers(8))
    found, lines = _find(monkeypatch, traced, program, instead)
    assert found.at.index in loads[address], "\n".join(lines)
    assert found.what == "value"
    number = found.number - found.expected.skip
    right, wrong = found.expected.values[number], found.found.values[number]
    assert (right != wrong).sum() == 1


def test_what_a_run_without_an_end_wrote_counts(
    monkeypatch: pytest.MonkeyPatch, traced: RtlDevice
) -> None:
    program = _conv()
    instead = replace(program, memory=program.memory.copy())
    data = next(s for s in program.segments.values() if s.role == "input")
    instead.memory[data.start - program.memory_base] ^= 1
    load: Loading = device_module.load
    monkeypatch.setattr(device_module, "load", lambda process, _: load(process, instead))
    never = RunOptions(faults=(Fault(write=True, response="NEVER"),), no_progress=500)
    found = first_divergence(program, traced, never)
    assert found is not None
    assert found.unit == "load"


def test_an_end_by_the_limit_of_cycles(traced: RtlDevice) -> None:
    program = _conv()
    assert first_divergence(program, traced, RunOptions(), max_cycles=400) is None
    assert isinstance(program.instructions()[-1], Finish)


# vta run ------------------------------------------------------------------------------------------
def _vta_run(tmp_path: Path, program: Program, *options: str) -> tuple[int, dict[str, Any]]:
    path, result = tmp_path / "program.npz", tmp_path / "result.json"
    program.save(path)
    status = cli.main(["run", str(path), "--json", str(result), *options])
    return status, json.loads(result.read_text())[0]


def test_vta_run_names_it_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = _conv(low=-100, high=100)
    index = _first(program, Alu, alu_opcode=3)
    instead = _changed(program, index, imm=5)
    load: Loading = device_module.load
    monkeypatch.setattr(device_module, "load", lambda process, _: load(process, instead))
    status, result = _vta_run(tmp_path, program)
    assert (status, result["status"]) == (1, "mismatch")
    found = result["first_divergence"]
    assert found["unit"] == "alu"
    assert index in found["folded"]
    assert found["lines"][0] in result["details"]
    assert any("bytes of out are wrong" in line for line in result["details"])


def test_waves_are_those_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _conv()
    instead = _changed(program, _first(program, Alu, alu_opcode=3), imm=5)
    with Finder() as finder:
        assert _around_divergence(finder, program, RunOptions(), None).window is None
        load: Loading = device_module.load
        monkeypatch.setattr(device_module, "load", lambda process, _: load(process, instead))
        chosen = RunOptions(window=(5, 9))
        assert _around_divergence(finder, program, chosen, None) == chosen
        first, last = _around_divergence(finder, program, RunOptions(), None).window or (0, 0)
        found = first_divergence(program, finder.device(program.config), RunOptions())
    assert found is not None
    assert first < found.cycle < (last or 0)
    assert (last or 0) - first <= 400


def test_vta_run_is_asked(tmp_path: Path) -> None:
    status, result = _vta_run(tmp_path, _conv(), "--first-divergence")
    assert (status, result["status"], result["first_divergence"]) == (0, "match", None)
    assert result["details"] == [
        "no divergence: every instruction that ended wrote what the golden model writes"
    ]


def test_the_programs_own_fault_is_not_looked_for(tmp_path: Path) -> None:
    program = _conv()
    address, data = program.expected[0]
    program.expected[0] = (address, data ^ np.uint8(1))
    status, result = _vta_run(tmp_path, program)
    assert (status, result["first_divergence"]) == (1, None)
    assert not any("divergence" in line for line in result["details"])


def test_an_undefined_result_has_none(tmp_path: Path) -> None:
    program = _conv()
    racy = _changed(program, _first(program, Gemm, pop_prev=1), pop_prev=0)
    _, result = _vta_run(tmp_path, racy, "--first-divergence")
    assert any(
        line.startswith("no first divergence is looked for: the stream's result")
        for line in result["details"]
    )


def test_the_golden_model_has_no_divergence(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "program.npz"
    _conv().save(path)
    assert cli.main(["run", str(path), "--device", "golden", "--first-divergence"]) == 2
    assert "--first-divergence needs --device rtl" in capsys.readouterr().err
