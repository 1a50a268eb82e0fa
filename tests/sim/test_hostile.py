"""Any bundle at all through the commands that read bundles: a verdict or a refusal, no bug."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.sw.mutate import mutate_json, replace_header
from vta.hw.config import Config
from vta.sim import cli
from vta.sim.exit import Exit
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS

seeds = pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 500), marks=pytest.mark.regress)], ids=str
)


def _program() -> Program:
    program = CORNERS["gemm_alu_gemm"](Config())
    program.source_map = [{"layer": "l", "at": {"x": n}} for n in range(3)]
    return program


def _all_commands(path: Path, capsys: pytest.CaptureFixture[str], seed: int) -> set[int]:
    found = set()
    for command in (("check",), ("disasm",), ("run", "--device", "golden", "--split")):
        status = cli.main([*command, str(path)])
        captured = capsys.readouterr()
        assert status in (Exit.OK, Exit.WRONG, Exit.REFUSED), (seed, captured.err)
        lines = captured.err.splitlines()
        assert (len(lines) == 1) == (status == Exit.REFUSED), (seed, captured.err)
        found.add(status)
    return found


@seeds
def test_headers_of_any_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: range
) -> None:
    path = tmp_path / "stream.npz"
    _program().save(path)
    with np.load(path) as file:
        header = json.loads(file["header"].tobytes())
    found = set()
    for seed in seeds:
        replace_header(path, mutate_json(np.random.default_rng(seed), header))
        found |= _all_commands(path, capsys, seed)
    assert {Exit.OK, Exit.REFUSED} <= found


@seeds
def test_streams_of_changed_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: range
) -> None:
    path = tmp_path / "stream.npz"
    found = set()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        program = _program()
        program.memory = program.memory.copy()
        start = program.registers.insn - program.memory_base
        for position in rng.integers(0, 16 * program.registers.insn_count, 3):
            program.memory[start + position] ^= 1 << int(rng.integers(8))
        program.save(path)
        found |= _all_commands(path, capsys, seed)
    assert Exit.WRONG in found
