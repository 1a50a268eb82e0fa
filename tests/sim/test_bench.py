"""The benchmark: cycles against the committed baseline and the targets; its own parts."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import vta.hw.mechanisms
from vta.hw.compute import analyse
from vta.hw.compute.issue import Issue
from vta.hw.config import Config
from vta.hw.isa import MEMORIES, Load, Store
from vta.sim.bench import (
    baseline,
    buses,
    compiler,
    marginal,
    mechanisms,
    networks,
    pages,
    runner,
    streams,
)
from vta.sim.bench.figures import Figure, print_figures
from vta.sim.bench.runner import PARTS, chosen_parts, run_benchmark
from vta.sim.bench.runs import BenchError, Runs
from vta.sim.bench.targets import LATENCIES, MARGINALS, ROW_BEATS, STREAMS, SWEEP, Marginal
from vta.sim.cli import main
from vta.sim.progress import Progress
from vta.sw.check import check


def console() -> Console:
    return Console(width=140, quiet=True)


QUICK_GROUPS = {
    *(f"streams, latency {latency}" for latency in LATENCIES),
    "one more instruction",
    pages.SEED,
    pages.DIGITS,
    compiler.QUICK_GROUP,
    networks.GROUP,
    networks.BOUNDS,
}


# Against the baseline and the targets -------------------------------------------------------------
def assert_the_baseline(tmp_path: Path, *arguments: str) -> set[str]:
    """Every figure that the baseline holds is as it says, and every target is met; their groups.

    A figure that is better fails, too: README.md and docs/ state those of the baseline.
    """
    path = tmp_path / "figures.json"
    assert main(["bench", *arguments, "--json", str(path)]) == 0
    figures = json.loads(path.read_text())["figures"]
    assert [f"{f['group']}: {f['name']}" for f in figures if f["must_met"] is False] == []
    held = baseline.read()
    found = {f"{f['group']}/{f['name']}": f["ours"] for f in figures}
    kept = {key: value for key, value in found.items() if key in held}
    changes = {key: f"{held[key]} -> {kept[key]}" for key in kept if kept[key] != held[key]}
    assert changes == {}, "vta bench --update, then python -m vta.sim.documents"
    return {key.partition("/")[0] for key in kept}


def test_quick_benchmark_is_the_baseline(tmp_path: Path) -> None:
    assert assert_the_baseline(tmp_path, "--quick") == QUICK_GROUPS


@pytest.mark.regress
def test_the_other_cycles_are_the_baseline(tmp_path: Path) -> None:
    parts = ("compiler", "networks", "network", "buses", "wide", "mechanisms", "estimate")
    groups = assert_the_baseline(tmp_path, *(f"--part={part}" for part in parts))
    assert groups | QUICK_GROUPS == {key.partition("/")[0] for key in baseline.read()}


def test_benchmark_fails_where_a_cycle_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert run_benchmark(console(), parts=["marginal"], baseline_path=path, update=True)
    held = baseline.read(path)
    key = "one more instruction/nop_load, latency 16"
    path.write_text(json.dumps(held | {key: held[key] - 0.1}))
    assert not run_benchmark(console(), parts=["marginal"], baseline_path=path)
    path.write_text(json.dumps(held | {key: held[key] + 0.1}))
    assert run_benchmark(console(), parts=["marginal"], baseline_path=path)


def test_what_cannot_run_is_named_first_and_the_rest_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(runs: Runs, quick: bool) -> Iterator[Figure]:
        yield figure(1, name="made")
        raise BenchError("3 bytes are wrong")

    parts = {"waves": half, "half": half, "whole": lambda runs, quick: [figure(2, name="whole")]}
    monkeypatch.setattr(runner, "PARTS", parts)
    monkeypatch.setenv("VTA_HIDE_PACKAGES", "liblz4-dev")
    out = Console(width=140, record=True, file=(tmp_path / "text").open("w"))
    path = tmp_path / "figures.json"
    arguments = {"json_path": path, "baseline_path": tmp_path / "none"}
    assert not run_benchmark(out, parts=["half", "waves", "whole"], **arguments)
    lines = out.export_text().splitlines()
    assert lines[0].startswith("left out: waves: this machine lacks lz4.h")
    assert lines[0].endswith("install liblz4-dev")
    assert "failed: half: 3 bytes are wrong" in lines
    found = json.loads(path.read_text())
    assert [each["name"] for each in found["figures"]] == ["made", "whole"]
    assert set(found["not_measured"]) == {"half", "waves"}
    assert run_benchmark(out, parts=["waves", "whole"], **arguments), "what is left out is no fault"
    assert not run_benchmark(out, parts=["waves"], **arguments), "nothing is measured"


def test_an_interrupted_benchmark_keeps_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(runs: Runs, quick: bool) -> Iterator[Figure]:
        raise KeyboardInterrupt
        yield

    parts = {"whole": lambda runs, quick: [figure(2)], "late": interrupted}
    monkeypatch.setattr(runner, "PARTS", parts)
    path = tmp_path / "figures.json"
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(console(), parts=parts, json_path=path)
    assert [each["ours"] for each in json.loads(path.read_text())["figures"]] == [2]


def test_wrong_result_is_no_figure() -> None:
    program = marginal.program("store", 0, 1)
    address, memory = program.expected[0]
    program.expected = [(address, np.where(np.arange(len(memory)) == 77, ~memory, memory))]
    with Runs(Progress(console())) as runs:
        with pytest.raises(BenchError, match=r"store_x1, latency 16: 1 bytes are wrong"):
            runs.run(program)
        program.expected = []
        with pytest.raises(BenchError, match="expects nothing"):
            runs.run(program)


def test_each_mechanism_has_a_core_without_it() -> None:
    assert set(mechanisms.MECHANISMS) == set(vta.hw.mechanisms.MECHANISMS)


def test_a_core_without_a_mechanism_differs_and_the_core_stays_as_it_is() -> None:
    """Each replacement is there while the core is generated, and gone after that."""
    before = (Issue._same_loops, Issue._beside_alu, Issue._behind_gemm, analyse.WORTH_FLAGS)

    def now() -> tuple[object, ...]:
        return Issue._same_loops, Issue._beside_alu, Issue._behind_gemm, analyse.WORTH_FLAGS

    for name in mechanisms.MECHANISMS:
        with vta.hw.mechanisms.without(name):
            assert sum(a != b for a, b in zip(now(), before, strict=True)) == 1, name
        assert now() == before
    with vta.hw.mechanisms.without(""):
        assert now() == before


# Baseline -----------------------------------------------------------------------------------------
def figure(ours: float, **more: object) -> Figure:
    return Figure(**{"group": "g", "name": "n", "ours": ours, "fixed": True} | more)


@pytest.mark.parametrize(
    ("now", "higher", "worse"), [(101, False, True), (99, False, False), (99, True, True)]
)
def test_changes(now: float, higher: bool, worse: bool) -> None:
    (change,) = baseline.compare([figure(now, higher=higher)], {"g/n": 100})
    assert (change.before, change.now, change.worse) == (100, now, worse)
    assert str(change).startswith(f"g/n: 100 -> {now} ({now - 100:+.2f}%")


def test_what_is_no_change() -> None:
    same, loose, new = figure(100), figure(150, fixed=False), figure(150, name="new")
    assert baseline.compare([same, loose, new], {"g/n": 100}) == []


def test_update_keeps_what_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baseline.update([figure(1), figure(2, name="m"), figure(3, name="wall", fixed=False)], path)
    baseline.update([figure(4)], path)
    assert baseline.read(path) == {"g/n": 4, "g/m": 2}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "b"}'])
def test_damaged_baseline_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"baseline\.json: no.*vta bench --update writes it anew"):
        baseline.read(path)


# Figures ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ours", "higher", "must", "aims", "verdict"),
    [
        (11, False, 10, (), "NO"),
        (10, False, 10, (), "yes"),
        (10, False, 10, (9, 8), "must, 0 of 2 aims"),
        (9, False, 10, (9, 8), "must, 1 of 2 aims"),
        (8, False, 10, (9, 8), "yes"),
        (0.7, True, 0.6, (1,), "must, not the aim"),
        (0.5, True, 0.6, (1,), "NO"),
        (5, False, None, (), ""),
        (5, False, None, (4,), "not the aim"),
    ],
)
def test_verdict(
    ours: float, higher: bool, must: float | None, aims: tuple[float, ...], verdict: str
) -> None:
    assert figure(ours, higher=higher, must=must, aims=aims).verdict == verdict


def test_table_has_everything() -> None:
    out = Console(width=140, record=True, file=open("/dev/null", "w"))
    print_figures(out, "title", [figure(90, anchor=100, must=95, aims=(91, 80), note="why")])
    words = " ".join(out.export_text().split())
    assert "title" in words
    assert "n 90 cycles 100 0.900 95 91, 80 must, 1 of 2 aims why" in words


# Targets ------------------------------------------------------------------------------------------
def test_limit_is_the_line_through_both_musts() -> None:
    for target in STREAMS:
        assert [target.limit(latency) for latency in LATENCIES] == list(target.must)
        assert target.limit(1) == target.must[0]
        step = target.must[1] - target.must[0]
        assert target.limit(256) == target.must[0] + step * (256 - 16) / 48


def test_sweep_finds_the_worst_latency() -> None:
    target = STREAMS[0]
    found = {latency: int(target.limit(latency)) - 10 for latency in SWEEP}
    found[96] += 200
    worst = streams.worst_latency(target, found)
    assert (worst.ours, worst.met) == (found[96], False)
    assert "latency 96" in worst.note and "missed at 96" in worst.note


# Streams made here --------------------------------------------------------------------------------
@pytest.mark.parametrize("target", MARGINALS, ids=lambda target: target.kind)
def test_marginal_streams_differ_by_what_is_measured(target: Marginal) -> None:
    n = target.sizes[0]
    one, many = (marginal.program(target.kind, n, count) for count in (1, 11))
    for program in (one, many):
        report = check(program)
        assert (report.errors, report.warnings) == ([], [])
    short, long = one.instructions(), many.instructions()
    added = len(long) - len(short)
    assert added == (20 if target.kind == "round_trip" else 10)
    first = next(k for k in range(len(short)) if [short[k]] != [long[k]])
    tail = len(short) - first
    assert [_kind(i) for i in short[first:]] == [_kind(i) for i in long[len(long) - tail :]]
    assert len({_kind(i) for i in long[first : first + added]}) == added // 10


def _kind(instruction: object) -> tuple[type, int]:
    return type(instruction), getattr(instruction, "memory_type", -1)


@pytest.mark.parametrize("bits", [64, 128, 256])
def test_bus_transfers_are_whole_beats(bits: int) -> None:
    config = Config(axi_data_bits=bits)
    for rows in buses.transfers(config):
        program = buses.program(rows, 2, config)
        assert check(program).errors == [], rows
        moved = [
            i
            for i in program.instructions()
            if isinstance(i, Load | Store) and i.memory_type == rows.type and i.x_size
        ]
        nbytes = MEMORIES[rows.type].element_bytes(config)
        for transfer in moved[-2:]:
            base = getattr(program.registers, MEMORIES[rows.type].base)
            assert (base + transfer.dram_base * nbytes) % config.beat_bytes == 0, rows
            assert transfer.x_size * nbytes == rows.beats * config.beat_bytes, rows
            assert rows.beats >= ROW_BEATS, rows
            assert (transfer.x_stride > transfer.x_size) == rows.gap, rows


def test_parts() -> None:
    assert set(chosen_parts(quick=True)) < set(chosen_parts()) < set(chosen_parts(build=True))
    assert chosen_parts(build=True) == [name for name in PARTS if name != "mechanisms"]
    assert chosen_parts(("mechanisms",)) == ["mechanisms"]
    assert chosen_parts(("wide", "streams")) == ["streams", "wide"]


def test_figures_are_plain_data() -> None:
    text = json.dumps(figure(3, must=4, aims=(2,)).to_dict())
    found = json.loads(text)
    assert (found["must_met"], found["aims_met"], found["ratio"]) == (True, [False], None)
    names = {f.name for f in dataclasses.fields(Figure)} - {"higher", "fixed"}
    assert names <= set(found)
