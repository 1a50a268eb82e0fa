"""A failing test of the core keeps its bundle, and says how to repeat the run and what is wrong."""

import argparse
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.sim.programs import run_and_compare
from vta.hw.config import Config
from vta.sim import device as device_module
from vta.sim.commands.run import add_arguments
from vta.sim.device import RtlDevice
from vta.sim.options import Fault, RunOptions
from vta.sim.replay import command_line
from vta.sw.operators import operator
from vta.sw.program import Program


def test_the_command_says_what_the_run_had(tmp_path: Path) -> None:
    path = tmp_path / "a b.npz"
    assert command_line(path, RunOptions()) == f"vta run '{path}'"
    options = RunOptions(latency=7, stall_seed=3, stall_rate=0.6, poison_seed=2)
    assert command_line(path, options, 500) == (
        f"vta run '{path}' --latency 7 --stall 3 --stall-rate 0.6 --poison 2 --max-cycles 500"
    )
    assert "--stall" not in command_line(path, RunOptions(stall_length=9))
    text = command_line(path, RunOptions(faults=(Fault(),), reset=False))
    assert "without faults" in text
    assert "as the run before had left it" in text


def test_every_option_of_a_command_is_one_of_vta_run(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = RunOptions(latency=7, stall_seed=3, stall_rate=0.6, stall_length=9, poison_seed=2)
    words = shlex.split(command_line(tmp_path / "x.npz", options, 500))
    args = parser.parse_args(words[2:])
    assert (args.latency, args.stall, args.stall_rate, args.stall_length) == (7, 3, 0.6, 9)
    assert (args.poison, args.max_cycles) == (2, 500)


def test_a_failing_test_explains_itself(monkeypatch: pytest.MonkeyPatch, device: RtlDevice) -> None:
    program = operator("matmul").kernel(Config(), rows=4, inner=32, columns=32).program(seed=1)
    load = device_module.load
    data = next(s for s in program.segments.values() if s.role == "input")

    def changed(process: object, loaded: Program) -> None:
        load(process, loaded)  # type: ignore[arg-type]
        process.dram[data.start - program.memory_base] ^= np.uint8(1)  # type: ignore[attr-defined]

    monkeypatch.setattr(device_module, "load", changed)
    with pytest.raises(AssertionError) as caught:
        run_and_compare(device, program, RunOptions(latency=9, stall_seed=4))
    text = str(caught.value)
    assert "to repeat it: vta run " in text
    assert ".npz --latency 9 --stall 4" in text
    assert "first divergence: cycle " in text
    path = Path(text.split("vta run ")[1].split(" ")[0])
    np.testing.assert_array_equal(Program.load(path).memory, program.memory)
