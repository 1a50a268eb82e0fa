"""Events of a run: cycles from the launch, intervals, runs of states."""

from pathlib import Path

import numpy as np
import pytest

from tests.sim.timeline.runs import ENDINGS, events_of, run_to
from vta.hw.config import Config
from vta.hw.isa import Stage
from vta.hw.registers import STAGE_STATES, StageState
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sim.timeline import intervals, read_events
from vta.sim.timeline.events import Kind, end_of, ends, state_runs
from vta.sw.test_programs import random_program

LOAD, COMPUTE = int(Stage.LOAD), int(Stage.COMPUTE)


def test_events_count_from_the_launch(tmp_path: Path) -> None:
    path = tmp_path / "events"
    events_of((110, LOAD, 0), (120, LOAD + 3, 0)).tofile(path)
    events = read_events(path, 100)
    np.testing.assert_array_equal(events["cycle"], [10, 20])
    np.testing.assert_array_equal(intervals(events, Stage.LOAD), [[0, 10, 20]])
    assert end_of(events) == 20


def test_nothing_behind_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events"
    events_of((130, Kind.STATES, 0), (110, LOAD, 0), (120, Kind.END, 1)).tofile(path)
    events = read_events(path, 100)
    np.testing.assert_array_equal(events["cycle"], [10, 20])
    assert end_of(events) == 20


def test_an_instruction_that_did_not_retire() -> None:
    events = events_of((5, COMPUTE, 3), (7, COMPUTE, 4), (9, COMPUTE + 3, 3))
    np.testing.assert_array_equal(intervals(events, Stage.COMPUTE), [[3, 5, 9], [4, 7, -1]])
    assert intervals(events, Stage.STORE).shape == (0, 3)


def test_ends_of_all_instructions() -> None:
    """Of one that the program does not have (a wrong core) nothing is said."""
    events = events_of((5, Kind.RETIRE + LOAD, 2), (9, Kind.RETIRE + COMPUTE, 0), (9, 3, 77))
    np.testing.assert_array_equal(ends(events, 3), [9, -1, 5])


def test_runs_of_states_cover_the_run() -> None:
    events = events_of((3, Kind.STATES, 0x10), (5, Kind.STATES, 0x11), (9, Kind.END, 1))
    np.testing.assert_array_equal(state_runs(events, "load"), [[0, 3, 0], [3, 9, 1]])
    np.testing.assert_array_equal(state_runs(events, "fetch"), [[0, 5, 0], [5, 9, 1]])
    np.testing.assert_array_equal(state_runs(events, "store"), [[0, 9, 0]])


@pytest.mark.parametrize("seed", [7, 11])
def test_states_are_those_that_the_core_counts(device: RtlDevice, seed: int) -> None:
    result = device.run(random_program(seed, Config()), options=RunOptions(events=True))
    assert result.events is not None
    for group, states in STAGE_STATES.items():
        runs = state_runs(result.events, group)
        np.testing.assert_array_equal(runs[1:, 0], runs[:-1, 1])
        for state, (name, _) in states.items():
            cycles = (runs[:, 1] - runs[:, 0])[runs[:, 2] == state].sum()
            assert cycles == result.counters[f"{group}_{name}"], (group, name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_run_has_its_events(device: RtlDevice, ending: str) -> None:
    history = run_to(ending, device)
    assert np.count_nonzero(history.events["kind"] == Kind.END) == 1
    assert (np.diff(history.events["cycle"]) >= 0).all()
    assert history.end == ENDINGS[ending][1] or history.end > 30
    assert history.runs["load"][0][2] == StageState.IDLE
