"""Where the cycles went: sums that are the core's own, costs that are all there, words that fit."""

import json
from pathlib import Path

import pytest

from tests.sim.timeline.runs import ENDINGS, history_of, pipeline, program_of, run_to
from vta.hw.config import Config
from vta.hw.isa import Finish, Gemm
from vta.hw.registers import STAGE_STATES
from vta.sim.build import ROOT
from vta.sim.cli import main
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sim.timeline import History
from vta.sim.timeline.advice import BUS, FIRST, FROM_LOAD, LAST, START, WRONG, advice
from vta.sim.timeline.explain import OVERHEAD, Explanation, explain_cycles
from vta.sim.timeline.explain_words import explanation_lines
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS, random_program

STREAMS = ROOT / "tests" / "streams"
ALL = 1 << 30


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_sums_are_the_runs_cycles(device: RtlDevice, ending: str) -> None:
    history = run_to(ending, device)
    explanation = explain_cycles(history)
    assert explanation.cycles == history.end
    for group, states in explanation.stages.items():
        assert sum(states.values()) == history.end, group
        for name, others in explanation.meanwhile[group].items():
            assert sum(others.values()) <= states[name], (group, name)
    assert sum(sum(states.values()) for states in explanation.chain.values()) == history.end
    assert len(explanation.costs) <= 10
    beyond = [cost.beyond for cost in explanation.costs]
    assert beyond == sorted(beyond, reverse=True)
    for cost in explanation.costs:
        assert cost.beyond == sum(cause.cycles for cause in cost.causes) <= cost.cycles
        assert all(cause.helps and cause.text for cause in cost.causes)
    assert json.loads(json.dumps(explanation.to_dict()))["cycles"] == history.end
    assert explanation_lines(history.program, explanation)[0].startswith(f"{history.end} cycles")


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_states_are_counted_as_by_the_core(device: RtlDevice, seed: int) -> None:
    result = device.run(random_program(seed, Config()), options=RunOptions(events=True))
    assert result.events is not None
    explanation = explain_cycles(History(random_program(seed, Config()), result.events))
    for group, states in STAGE_STATES.items():
        for name, _ in states.values():
            counted = result.counters[f"{group}_{name}"]
            assert explanation.stages[group].get(name, 0) == counted, (group, name)


@pytest.mark.parametrize(
    ("stream", "critical"),
    [
        ("gemm_64x512x512_rq", "compute"),
        ("load_inp_64x8s32_x9", "load"),
        ("store_2048_x9", "store"),
    ],
)
def test_the_costs_are_all_that_was_no_work(device: RtlDevice, stream: str, critical: str) -> None:
    program = Program.load(STREAMS / f"{stream}.npz")
    result = device.run(program, options=RunOptions(events=True))
    assert result.events is not None and result.cycles is not None
    history = History(program, result.events)
    explanation = explain_cycles(history, shown=ALL)
    assert explanation.critical == critical
    counters, last = result.counters, max(history.retired[n] for n in _of(history, critical))
    tail = result.cycles - last - 1
    work = counters[f"{critical}_busy"] if critical != "compute" else counters["compute_alu"]
    if critical == "compute":
        work += counters["gemm_uops"]
    assert sum(cost.beyond for cost in explanation.costs) == result.cycles - tail - work


def _of(history: History, group: str) -> list[int]:
    return next(order for stage, order in history.order.items() if stage.name.lower() == group)


def _cause(explanation: Explanation, instruction: int, state: str):
    cost = next(cost for cost in explanation.costs if cost.instruction == instruction)
    return next(cause for cause in cost.causes if cause.state == state)


def test_the_first_tile_and_the_last(device: RtlDevice) -> None:
    """Of the seed's product: the first GEMM waits for its tile, the last NOP for the last store."""
    program = Program.load(STREAMS / "gemm_64x512x512_rq.npz")
    history = history_of(device, program)
    explanation = explain_cycles(history)
    first = _cause(explanation, 4, "wait_load_token")
    assert (first.instruction, first.helps) == (2, FIRST)
    assert max(first.meanwhile, key=lambda name: first.meanwhile[name]) == "load busy"
    assert "the bus brought " in first.text and " for load wgt #2" in first.text
    last = _cause(explanation, 109, "wait_store_token")
    assert (last.instruction, last.helps) == (108, LAST)
    start = _cause(explanation, 0, "idle")
    assert start.helps == START
    assert first.cycles > 2000 and last.cycles > 500 and start.cycles == 25
    lines = explanation_lines(program, explanation)
    assert any("2123 of 4182 cycles: instruction 4: gemm " in line for line in lines)
    assert f"      helps: {FIRST}" in lines


def test_the_page_shows_what_is_printed(device: RtlDevice) -> None:
    program = Program.load(STREAMS / "gemm_64x512x512_rq.npz")
    lines = explanation_lines(program, explain_cycles(history_of(device, program)))
    page = (ROOT / "docs" / "debugging.md").read_text()
    block = page.split("gemm_64x512x512_rq.npz`:\n\n```output\n")[1].split("```")[0].splitlines()
    assert len(block) > 8
    assert [line for line in block if line != "..." and line not in lines] == []


def test_what_waits_for_its_load_says_so(device: RtlDevice) -> None:
    """ALU uops that follow the LOAD of their operands row by row wait for the bus."""
    program = Program.load(STREAMS / "alu_add_tt_x9.npz")
    explanation = explain_cycles(history_of(device, program))
    cause = _cause(explanation, 1, "wait_hazard")
    assert "the uops behind it wait for what it loads; the bus brought " in cause.text
    assert cause.helps == BUS["own"]


def test_a_uop_that_needs_the_one_before(device: RtlDevice) -> None:
    program = CORNERS["alu_running_sum"](Config())
    explanation = explain_cycles(history_of(device, program), shown=ALL)
    texts = [cause.text for cost in explanation.costs for cause in cost.causes]
    assert "waits for the result of an instruction before it" in texts


def test_a_second_buffer_is_advised(device: RtlDevice) -> None:
    assert (
        advice("wait_load_token", {"load wait_compute_token": 9})
        == (FROM_LOAD["wait_compute_token"])
    )
    assert "second buffer" in FROM_LOAD["wait_compute_token"]
    history = history_of(device, pipeline(), RunOptions(latency=200))
    explanation = explain_cycles(history)
    latency = _cause(explanation, 1, "wait_bus")
    assert latency.helps == BUS["nothing"] and latency.cycles > 150


def test_a_token_that_nobody_pushes(device: RtlDevice) -> None:
    history = history_of(device, program_of("waits", [Gemm(pop_prev=1), Finish()]))
    assert history.ending.name == "DEADLOCK"
    cause = _cause(explain_cycles(history), 0, "wait_load_token")
    assert (cause.instruction, cause.helps) == (None, WRONG)


@pytest.mark.parametrize("group", STAGE_STATES)
def test_there_is_advice_for_each_state(group: str) -> None:
    """Whatever a stage waits for, and whatever the other one did."""
    for other, states in STAGE_STATES.items():
        for did, _ in states.values():
            for state, _ in STAGE_STATES[group].values():
                assert len(advice(state, {f"{other} {did}": 1})) > 10
    assert len(advice(OVERHEAD, {})) > 10


def test_run_explains(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    stream = str(STREAMS / "store_64x1s4_x9.npz")
    assert main(["run", stream, stream, "--explain-cycles", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.count("by what the run waited for (the critical chain):") == 2
    assert "store: what cost most beyond its own work:" in out
    for each in json.loads(path.read_text()):
        assert each["explanation"]["cycles"] == each["cycles"]
        assert each["explanation"]["critical"] == "store"
    assert main(["run", stream, "--json", str(path)]) == 0
    assert json.loads(path.read_text())[0]["explanation"] is None
    assert main(["run", stream, "--explain-cycles", "--device", "golden"]) == 2
