"""Whose a burst is: each instruction's bursts hold its rows, whatever their alignment."""

import numpy as np
import pytest

from tests.sim.timeline.runs import history_of, pipeline
from vta.hw.config import Config
from vta.hw.isa import Store
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sim.timeline import History
from vta.sim.timeline.bursts import FETCH, beat_runs
from vta.sw.check.footprint import dram_rows
from vta.sw.test_programs import CORNERS, random_program


def _programs() -> dict:
    config = Config()
    names = ("load_stride", "load_one_element_each", "load_pads_uop", "store_rows_overlap")
    corners = {name: CORNERS[name](config) for name in (*names, "store_across_4096")}
    return corners | {f"random {seed}": random_program(seed, config) for seed in (3, 7, 11, 20)}


PROGRAMS = _programs()


def _check(history: History) -> None:
    """Every burst lies in its owner's rows, and the bursts of an owner reach all of them."""
    program = history.program
    beat = program.config.beat_bytes
    reached: dict[int, set[int]] = {}
    for burst in history.bursts:
        first = burst.address // beat
        reached.setdefault(burst.owner, set()).update(range(first, first + burst.beats))
        assert burst.asked <= burst.begin or burst.write
        assert burst.end - burst.begin >= burst.beats
    code = program.registers.insn
    whole = {FETCH: np.array([[code, code + 16 * len(history.instructions)]])}
    for n, instruction in enumerate(history.instructions):
        rows = dram_rows(program.config, program.registers, instruction)
        if len(rows):
            whole[n] = rows
    for owner, rows in whole.items():
        beats = {at for a, b in rows.tolist() for at in range(a // beat, -(-b // beat))}
        assert reached.pop(owner) == beats, owner
    assert not reached


@pytest.mark.parametrize("name", PROGRAMS)
def test_bursts_hold_the_rows_of_their_owners(device: RtlDevice, name: str) -> None:
    _check(history_of(device, PROGRAMS[name]))


@pytest.mark.parametrize("seed", [1, 2])
def test_stalls_change_no_owner(device: RtlDevice, seed: int) -> None:
    options = RunOptions(stall_seed=seed, stall_rate=0.4, latency=3)
    _check(history_of(device, random_program(7, Config()), options))


def test_who_has_not_started_asks_for_nothing(device: RtlDevice) -> None:
    """The LOAD ACC of this program reads its own code: first fetch does."""
    history = history_of(device, pipeline())
    owners = [burst.owner for burst in history.bursts if not burst.write]
    assert owners.index(FETCH) == 0 and owners.count(1) == 1
    _check(history)


def test_beats_are_those_that_the_memory_saw(device: RtlDevice) -> None:
    result = device.run(random_program(11, Config()), options=RunOptions(events=True))
    assert result.events is not None
    for channel, write in (("r", False), ("w", True)):
        runs = beat_runs(result.events, write=write)
        assert (runs[:, 1] - runs[:, 0]).sum() == result.accepted[channel] > 0
        assert (runs[1:, 0] >= runs[:-1, 1]).all()


def test_a_wrong_address_has_no_owner(device: RtlDevice) -> None:
    """As a core would ask for that is wrong: told as unknown, and nothing else is lost."""
    program = random_program(7, Config())
    history = history_of(device, program)
    known = [burst.owner for burst in history.bursts]
    stores = [n for n, i in enumerate(history.instructions) if isinstance(i, Store)]
    history.events["value"][history.events["kind"] == 9] += 1 << 20
    wrong = History(program, history.events)
    assert [b.owner for b in wrong.bursts if b.write] == [-2] * sum(o in stores for o in known)
    assert [b.owner for b in wrong.bursts if not b.write] == [
        b.owner for b in history.bursts if not b.write
    ]
