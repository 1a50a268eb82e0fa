"""Causes of waits, the critical chain, which loads are read, and counters along a run."""

import dataclasses
from itertools import groupby, pairwise

import numpy as np
import pytest

from tests.sim.timeline.runs import ENDINGS, history_of, pipeline, program_of, run_to
from vta.hw.config import Config
from vta.hw.isa import Alu, Finish, Gemm, Load, MemoryType, Stage
from vta.hw.registers import StageState
from vta.sim.device import RtlDevice
from vta.sim.options import Fault, RunOptions
from vta.sim.timeline import History
from vta.sim.timeline.chain import critical_chain
from vta.sim.timeline.dataflow import loads_read
from vta.sim.timeline.series import NARROWEST, all_series
from vta.sim.timeline.waits import wait_of
from vta.sw.test_programs import CORNERS, random_program


def _waits(history: History, stage: Stage, state: StageState) -> list:
    runs = history.runs[stage.name.lower()]
    return [wait_of(history, stage, *run) for run in runs if run[2] == state]


# Causes -------------------------------------------------------------------------------------------
def test_a_token_names_who_pushes_it(device: RtlDevice) -> None:
    history = history_of(device, pipeline())
    (wait,) = _waits(history, Stage.STORE, StageState.WAIT_PREV_TOKEN)
    assert (wait.index, wait.cause, wait.end) == (3, 2, history.retired[2] + 1)
    assert wait.text == (
        f"waits for a token from compute, which alu add #2 pushes in cycle {history.retired[2]}"
    )


def test_room_names_who_pops(device: RtlDevice) -> None:
    history = history_of(device, CORNERS["full_counter_holds_back_the_push"](Config()))
    waits = [
        wait
        for stage in (Stage.LOAD, Stage.COMPUTE, Stage.STORE)
        for state in (StageState.WAIT_PREV_ROOM, StageState.WAIT_NEXT_ROOM)
        for wait in _waits(history, stage, state)
    ]
    assert waits
    for wait in waits:
        assert wait.cause is not None, wait
        assert history.started[wait.cause] in (wait.end, wait.end - 1), wait
        assert " pops in cycle " in wait.text


def test_a_full_queue_is_named(device: RtlDevice) -> None:
    """More NOPs behind a LOAD that waits than its queue holds, and compute is slow."""
    depth = Config().queue_depth
    slow = Alu(uop_end=1, iter_out=1, iter_in=4000, use_imm=1, alu_opcode=2, push_prev=1)
    nop = Load(memory_type=MemoryType.INP)
    code = [slow, dataclasses.replace(nop, pop_next=1), *[nop] * (depth + 2), Finish()]
    history = history_of(device, program_of("queue", code))
    assert history.ending.name == "finish"
    wait = max(_waits(history, Stage.FETCH, StageState.WAIT_QUEUE), key=lambda w: w.end - w.begin)
    assert (wait.index, wait.cause) == (1 + depth, 1)
    assert wait.text == f"waits for the queue of load, which holds {depth} instructions"
    chain = critical_chain(history)
    assert sum(p.end - p.begin for p in chain if p.stage == Stage.COMPUTE) > 3900


def test_the_bus_says_for_whom_it_worked(device: RtlDevice) -> None:
    program = CORNERS["load_one_element_each"](Config())
    history = history_of(device, program, RunOptions(latency=100))
    waits = _waits(history, Stage.FETCH, StageState.WAIT_BUS)
    assert any(" for fetch" in wait.text for wait in waits)
    history = history_of(device, pipeline(), RunOptions(latency=100))
    loads = _waits(history, Stage.LOAD, StageState.WAIT_BUS)
    assert any(w.text == "waits for the bus, which brought nothing (its latency)" for w in loads)


# The chain ----------------------------------------------------------------------------------------
def test_the_chain_follows_the_tokens(device: RtlDevice) -> None:
    history = history_of(device, pipeline(), RunOptions(latency=50))
    chain = critical_chain(history)
    stages = [stage.name for stage, _ in groupby(chain, key=lambda piece: piece.stage)]
    assert stages == ["FETCH", "LOAD", "COMPUTE", "STORE", "COMPUTE"]
    load = [piece for piece in chain if piece.stage == Stage.LOAD]
    assert load[-1].end == history.retired[0] + 1
    assert sum(p.end - p.begin for p in load if p.state == StageState.WAIT_BUS) >= 40


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("seed", [3, 8])
def test_the_chain_covers_every_cycle_once(device: RtlDevice, ending: str, seed: int) -> None:
    history = run_to(ending, device)
    if ending in ("finish", "stalls"):
        history = history_of(device, random_program(seed, Config()), ENDINGS[ending][0])
    chain = critical_chain(history)
    assert (chain[0].begin, chain[-1].end) == (0, history.end)
    assert all(a.end == b.begin for a, b in pairwise(chain))
    assert all(piece.end > piece.begin for piece in chain)


def test_the_chain_of_a_hang_ends_in_what_never_came(device: RtlDevice) -> None:
    options = RunOptions(faults=(Fault(write=True, response="NEVER"),), no_progress=400)
    history = history_of(device, pipeline(), options)
    assert history.ending.name == "hang"
    last = critical_chain(history)[-1]
    assert (last.stage, last.index, last.state) == (Stage.STORE, 3, StageState.WAIT_BUS)
    assert last.end - last.begin > 400


def test_the_chain_of_a_deadlock_ends_in_the_wait(device: RtlDevice) -> None:
    history = run_to("DEADLOCK", device)
    last = critical_chain(history)[-1]
    assert last.state in (StageState.WAIT_PREV_TOKEN, StageState.WAIT_NEXT_TOKEN)
    assert last.end - last.begin >= 32


# Data and counters --------------------------------------------------------------------------------
def test_each_gemm_reads_what_was_loaded_for_it(device: RtlDevice) -> None:
    history = history_of(device, CORNERS["load_overwrites_load"](Config()))
    pairs = loads_read(history)
    assert pairs
    for load, reader in pairs:
        assert isinstance(history.instructions[load], Load)
        assert history.started[load] < history.started[reader]
    kinds = {
        (type(history.instructions[reader]), MemoryType(history.instructions[load].memory_type))
        for load, reader in pairs
    }
    assert {(Gemm, MemoryType.INP), (Gemm, MemoryType.UOP)} <= kinds, kinds


@pytest.mark.parametrize("seed", [7, 11])
def test_counters_agree_with_the_core(device: RtlDevice, seed: int) -> None:
    program = random_program(seed, Config())
    result = device.run(program, options=RunOptions(events=True))
    assert result.events is not None and result.cycles is not None
    history = History(program, result.events)
    series = all_series(history)
    for name, counter in (
        ("read beats a cycle", "read_beats"),
        ("write beats a cycle", "write_beats"),
        ("MAC use", "gemm_uops"),
    ):
        points = np.array(series[name])
        widths = np.diff(np.append(points[:, 0], result.cycles))
        total = (points[:, 1] * widths).sum()
        assert abs(total - result.counters[counter]) <= 0.001 * result.cycles + 1, name
        assert points[:, 1].max() <= 1 and widths.min() >= min(NARROWEST, result.cycles % NARROWEST)
    left = {name: points[-1][1] for name, points in series.items() if name.startswith("tokens")}
    registers = [
        result.registers[f"tokens_{n}"] >> shift & 0xFFFF for n in (0, 1) for shift in (0, 16)
    ]
    assert list(left.values()) == registers
    for name, points in series.items():
        assert min(value for _, value in points) >= 0, name
        if name.startswith("queue"):
            assert points[-1][1] == 0 < max(value for _, value in points)
