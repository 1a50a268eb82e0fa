"""The trace that Perfetto reads: its format's rules, and what it says, on every ending."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sim.timeline.runs import ENDINGS, events_of, history_of, run_to
from tests.sim.timeline.trace_rules import check_trace, slices_of
from tests.sw.compiler.random_networks import random_inputs, random_network
from vta.hw.config import Config
from vta.hw.isa import Stage
from vta.hw.registers import StageState
from vta.sim.device import RtlDevice
from vta.sim.options import RunOptions
from vta.sim.timeline import History, write_timeline
from vta.sim.timeline.events import Kind
from vta.sim.timeline.explain import explain_cycles
from vta.sim.timeline.perfetto import lanes
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS, random_program

LOAD, COMPUTE = int(Stage.LOAD), int(Stage.COMPUTE)


def _trace(path: Path, history: History) -> dict[str, Any]:
    write_timeline(path, history)
    return check_trace(path.read_text())


def _without_a_device(program: Program) -> History:
    busy, wait = StageState.BUSY, StageState.WAIT_BUS
    events = events_of(
        (0, Kind.STATES, busy),
        (2, Kind.START + COMPUTE, 0),
        (4, Kind.STATES, busy | wait << 8),
        (9, Kind.RETIRE + COMPUTE, 0),
        (9, Kind.STATES, 0),
    )
    return History(program, events)


def test_a_trace(tmp_path: Path) -> None:
    program = CORNERS["store_stride"](Config())
    program.source_map = [{"layer": f"l{n}"} for n in range(program.registers.insn_count)]
    trace = _trace(tmp_path / "trace.json", _without_a_device(program))
    (instruction,) = slices_of(trace, "compute instructions")
    assert (instruction["ts"], instruction["dur"]) == (2, 7)
    assert instruction["args"]["source"] == {"layer": "l0"}
    assert instruction["args"]["text"].startswith(instruction["name"])
    states = [
        (group, e["name"], e["ts"], e["dur"])
        for group in ("fetch", "load", "compute", "store")
        for e in slices_of(trace, f"{group} states")
    ]
    assert states == [("fetch", "busy", 0, 9), ("compute", "wait_bus", 4, 5)]
    assert [(e["name"], e["ts"], e["dur"]) for e in slices_of(trace, "layers")] == [("l0", 2, 7)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_a_valid_trace(ending: str, device: RtlDevice, tmp_path: Path) -> None:
    history = run_to(ending, device)
    trace = _trace(tmp_path / "trace.json", history)
    launch, end = [event for event in trace["traceEvents"] if event["ph"] == "i"]
    assert (launch["name"], launch["ts"]) == ("launch", 0)
    assert (end["name"], end["ts"]) == ("finish" if ending == "stalls" else ending, history.end)
    assert ("text" in end["args"]) == (end["name"] != "finish")
    chain = slices_of(trace, "critical chain")
    assert sum(piece["dur"] for piece in chain) == history.end
    assert all(piece["args"]["why"] for piece in chain)


def test_a_real_run(device: RtlDevice, tmp_path: Path) -> None:
    """Slices, counters and arrows agree with the core's own counters and with the program."""
    program = random_program(7, Config())
    result = device.run(program, options=RunOptions(events=True))
    assert result.events is not None and result.cycles is not None
    history = History(program, result.events)
    trace = _trace(tmp_path / "trace.json", history)
    assert history.end == result.cycles
    total = sum(len(slices_of(trace, f"{s} instructions")) for s in ("load", "compute", "store"))
    assert total == program.registers.insn_count
    fetch = sum(e["dur"] for e in slices_of(trace, "fetch states") if e["name"] == "busy")
    assert fetch == result.counters["fetch_busy"]
    for name in ("read", "write"):
        beats = sum(piece["args"]["beats"] for piece in slices_of(trace, f"{name} bus"))
        assert beats == result.counters[f"{name}_beats"] > 0
        assert "unknown" not in {piece["name"] for piece in slices_of(trace, f"{name} bus")}
    arrows = [event for event in trace["traceEvents"] if event["ph"] == "s"]
    tokens = [token for token in history.tokens if None not in (token.pusher, token.popper)]
    assert sum(arrow["cat"] == "token" for arrow in arrows) == len(tokens) > 0
    assert sum(arrow["cat"] == "loaded" for arrow in arrows) > 0


def test_waits_name_their_cause(device: RtlDevice, tmp_path: Path) -> None:
    trace = _trace(tmp_path / "trace.json", run_to("finish", device))
    waits = [e for s in ("load", "compute", "store") for e in slices_of(trace, f"{s} states")]
    tokens = [e for e in waits if e["name"].endswith("_token")]
    assert tokens
    for wait in tokens:
        assert " which " in wait["args"]["why"] and "waits for" in wait["args"]


def test_the_layers_of_a_network_have_a_track(device: RtlDevice, tmp_path: Path) -> None:
    """Of overlapping layers each has a lane of its own."""
    program = random_program(11, Config())
    count = program.registers.insn_count
    program.source_map = [{"layer": "ab"[n >= count // 2]} for n in range(count)]
    history = history_of(device, program)
    layers = slices_of(_trace(tmp_path / "trace.json", history), "layers")
    assert [layer["name"] for layer in layers] == ["a", "b"]
    spans = {name: (begin, end) for name, begin, end in history.layers()}
    later = [n for n, stage in enumerate(history.stages) if stage != Stage.LOAD]
    assert spans["a"][0] == min(history.started[n] for n in later if n < count // 2)
    assert spans["b"][1] == max(history.retired[n] for n in later if n >= count // 2)


def test_the_nodes_of_a_linked_network_have_a_track(device: RtlDevice, tmp_path: Path) -> None:
    network = random_network(5000, Config())
    history = history_of(device, network.program(random_inputs(network, 5000)))
    assert history.ending.name == "finish"
    layers = slices_of(_trace(tmp_path / "trace.json", history), "layers")
    assert [layer["name"] for layer in layers] == [node.name for node in network.nodes]
    assert len(layers) > 1
    explanation = explain_cycles(history)
    assert set(explanation.layers) == {layer["name"] for layer in layers}
    assert 0.9 * history.end < sum(explanation.layers.values()) <= history.end
    assert any(cost.source.get("node") for cost in explanation.costs)


def test_lanes() -> None:
    assert lanes([(0, 5), (1, 3), (3, 4), (3, 9), (5, 6)]) == [0, 1, 1, 2, 0]


# The rules are seen to fail -----------------------------------------------------------------------
def _overlap(trace: dict) -> None:
    first = next(e for e in trace["traceEvents"] if e["ph"] == "X")
    trace["traceEvents"].append({**first, "ts": first["ts"] + first["dur"] - 0.5})


def _of(phase: str, **changes: object) -> Callable[[dict], None]:
    def change(trace: dict) -> None:
        next(e for e in trace["traceEvents"] if e["ph"] == phase).update(changes)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_overlap, "overlaps the slice before"),
        (_of("X", dur=0), "dur"),
        (_of("X", tid=999), "999"),
        (_of("C", args={"value": "1"}), "value"),
        (_of("i", s="x"), "'s': 'x'"),
        (_of("i", ts=-1), "-1"),
        (_of("s", ts=0), "'s'"),
        (_of("f", id=0), "'s'"),
        (_of("f", bp="s"), "next slice"),
        (_of("C", ts=float("nan")), "NaN is no JSON"),
    ],
)
def test_a_broken_rule_is_found(
    device: RtlDevice, damage: Callable[[dict], None], message: str, tmp_path: Path
) -> None:
    trace = copy.deepcopy(_trace(tmp_path / "trace.json", run_to("finish", device)))
    damage(trace)
    with pytest.raises(AssertionError, match=message):
        check_trace(json.dumps(trace))
