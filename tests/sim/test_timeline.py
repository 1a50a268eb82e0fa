"""The timeline: events to intervals, and the trace that Perfetto reads."""

import json
from pathlib import Path

import numpy as np

from vta.hw.config import Config
from vta.hw.isa import Stage
from vta.hw.registers import StageState
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sim.timeline import EVENT, intervals, read_events, write_timeline
from vta.sw.test_programs import CORNERS, random_program

LOAD, COMPUTE = int(Stage.LOAD), int(Stage.COMPUTE)
STATES = 6


def _events(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(list(rows), EVENT)


def test_events_count_from_the_launch(tmp_path: Path) -> None:
    path = tmp_path / "events"
    _events((110, LOAD, 0), (120, LOAD + 3, 0)).tofile(path)
    events = read_events(path, 100)
    np.testing.assert_array_equal(events["cycle"], [10, 20])
    np.testing.assert_array_equal(intervals(events, Stage.LOAD), [[0, 10, 20]])


def test_an_instruction_that_did_not_retire() -> None:
    events = _events((5, COMPUTE, 3), (7, COMPUTE, 4), (9, COMPUTE + 3, 3))
    np.testing.assert_array_equal(intervals(events, Stage.COMPUTE), [[3, 5, 9], [4, 7, -1]])
    assert intervals(events, Stage.STORE).shape == (0, 3)


def test_a_trace(tmp_path: Path) -> None:
    program = CORNERS["store_stride"](Config())
    program.source_map = [{"layer": f"l{n}"} for n in range(program.registers.insn_count)]
    busy, wait = StageState.BUSY, StageState.WAIT_BUS
    events = _events(
        (0, STATES, busy),
        (2, COMPUTE, 0),
        (4, STATES, busy | wait << 8),
        (9, COMPUTE + 3, 0),
        (9, STATES, 0),
    )
    path = tmp_path / "trace.json"
    write_timeline(path, program, events)
    trace = json.loads(path.read_text())["traceEvents"]
    slices = [e for e in trace if e["ph"] == "X"]
    instruction = next(e for e in slices if "args" in e)
    assert (instruction["ts"], instruction["dur"]) == (2, 7)
    assert instruction["args"]["source"] == {"layer": "l0"}
    assert instruction["args"]["text"].startswith(instruction["name"])
    states = [(e["tid"], e["name"], e["ts"], e["dur"]) for e in slices if "args" not in e]
    assert states == [(10, "busy", 0, 9), (12, "wait_bus", 4, 5)]
    names = {e["args"]["name"] for e in trace if e["name"] == "thread_name"}
    assert names == {
        "load instructions",
        "compute instructions",
        "store instructions",
        "fetch states",
        "load states",
        "compute states",
        "store states",
    }


def test_a_real_run(device: RtlDevice, tmp_path: Path) -> None:
    program = random_program(7, Config())
    result = device.run(program, options=RunOptions(events=True))
    assert result.events is not None
    path = tmp_path / "trace.json"
    write_timeline(path, program, result.events)
    slices = [e for e in json.loads(path.read_text())["traceEvents"] if e["ph"] == "X"]
    assert sum("args" in e for e in slices) == program.registers.insn_count
    fetch = sum(e["dur"] for e in slices if e["tid"] == 10 and e["name"] == "busy")
    assert fetch == result.counters["fetch_busy"]
