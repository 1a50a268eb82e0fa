"""The timeline as a trace in the Chrome format, which https://ui.perfetto.dev shows.

One cycle is shown as 1 us. Slices of one track follow or nest, never overlap: what overlaps gets
lanes of its own. An arrow begins and ends inside the slices that it connects.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vta.hw.isa import Stage
from vta.hw.registers import StageState
from vta.sim.output import write_text
from vta.sim.timeline.bursts import FETCH, UNKNOWN, Burst
from vta.sim.timeline.chain import critical_chain
from vta.sim.timeline.dataflow import loads_read
from vta.sim.timeline.events import GROUPS
from vta.sim.timeline.history import NEVER, History, channel_name
from vta.sim.timeline.series import all_series
from vta.sim.timeline.waits import state_name, wait_of

__all__ = ["bus_pieces", "lanes", "owner_name", "trace", "write_timeline"]

PID = 1
LAYERS, CHAIN, BUS = 100, 200, 800  # tracks; each has room for its lanes
GROUP_TRACKS = {Stage.FETCH: 300, Stage.LOAD: 400, Stage.COMPUTE: 500, Stage.STORE: 600}


def trace(history: History) -> dict[str, Any]:
    """The document: JSON of the format's object form."""
    events: list[dict[str, Any]] = [_metadata("process_name", 0, name=history.program.name)]
    places: dict[int, tuple[int, int]] = {}  # of instructions: track, begin
    events += _layers(history)
    events += _chain(history)
    for group in GROUPS:
        events += _states(history, Stage[group.upper()])
        events += _instructions(history, Stage[group.upper()], places)
    events += _bus(history)
    events += _arrows(history, places)
    events += _counters(history)
    events += _instants(history)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"cycles": history.end, "ending": history.ending.name},
    }


def write_timeline(path: Path, history: History) -> None:
    """Write the trace; - is standard output."""
    write_text(path, json.dumps(trace(history), separators=(",", ":")))


def lanes(spans: Iterable[tuple[int, int]]) -> list[int]:
    """For each (begin, end), sorted by begin, the first lane that is free."""
    ends: list[int] = []
    chosen = []
    for begin, end in spans:
        lane = next((n for n, last in enumerate(ends) if last <= begin), len(ends))
        ends[lane : lane + 1] = [end]
        chosen.append(lane)
    return chosen


def bus_pieces(bursts: Iterable[Burst]) -> Iterator[tuple[int, int, int, int]]:
    """(begin, end, owner, beats): bursts of one owner without a gap are one piece."""
    last: tuple[int, int, int, int] | None = None
    for burst in bursts:
        if burst.begin >= burst.end:  # its data never came
            continue
        if last and last[2] == burst.owner and last[1] == burst.begin:
            last = (last[0], burst.end, burst.owner, last[3] + burst.beats)
            continue
        if last:
            yield last
        last = (burst.begin, burst.end, burst.owner, burst.beats)
    if last:
        yield last


def owner_name(history: History, owner: int) -> str:
    return {FETCH: "fetch", UNKNOWN: "unknown"}.get(owner) or history.short(owner)


# Tracks -------------------------------------------------------------------------------------------
def _metadata(what: str, track: int, **args: object) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": PID, "tid": track, "args": args}


def _track(track: int, name: str) -> list[dict[str, Any]]:
    return [
        _metadata("thread_name", track, name=name),
        _metadata("thread_sort_index", track, sort_index=track),
    ]


def _slice(track: int, begin: int, end: int, name: str, **args: object) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": PID,
        "tid": track,
        "ts": begin,
        "dur": end - begin,
        "name": name,
        "args": args,
    }


def _layers(history: History) -> list[dict[str, Any]]:
    layers = history.layers()
    chosen = lanes((begin, end) for _, begin, end in layers)
    events = []
    for lane in sorted(set(chosen)):
        events += _track(LAYERS + lane, f"layers{_number(lane)}")
    for (name, begin, end), lane in zip(layers, chosen, strict=True):
        events.append(_slice(LAYERS + lane, begin, end, name))
    return events


def _chain(history: History) -> list[dict[str, Any]]:
    events = _track(CHAIN, "critical chain")
    for piece in critical_chain(history):
        stage = piece.stage.name.lower()
        name = f"{stage}: {state_name(piece.stage, piece.state)}"
        args = _wait_args(history, piece.index, piece.cause, piece.text)
        events.append(_slice(CHAIN, piece.begin, piece.end, name, **args))
    return events


def _wait_args(
    history: History, index: int | None, cause: int | None, text: str
) -> dict[str, object]:
    args: dict[str, object] = {"why": text}
    if index is not None:
        args["instruction"] = f"{index}: {history.text(index)}"
    if cause is not None:
        args["waits for"] = f"{cause}: {history.text(cause)}"
    return args


def _states(history: History, stage: Stage) -> list[dict[str, Any]]:
    track, group = GROUP_TRACKS[stage], stage.name.lower()
    events = _track(track, f"{group} states")
    for begin, end, state in history.runs[group]:
        if state != StageState.IDLE:
            wait = wait_of(history, stage, begin, end, state)
            args = _wait_args(history, wait.index, wait.cause, wait.text)
            events.append(_slice(track, begin, end, state_name(stage, state), **args))
    return events


def _instructions(
    history: History, stage: Stage, places: dict[int, tuple[int, int]]
) -> list[dict[str, Any]]:
    started = [n for n in history.order.get(stage, ()) if history.started[n] != NEVER]
    ends = (min(history.retired[n], history.end) for n in started)
    spans = [
        (history.started[n], max(end, history.started[n] + 1))
        for n, end in zip(started, ends, strict=True)
    ]
    chosen = lanes(spans)
    first = GROUP_TRACKS[stage] + 1
    events = []
    for lane in sorted(set(chosen)):
        events += _track(first + lane, f"{stage.name.lower()} instructions{_number(lane)}")
    for index, (begin, end), lane in zip(started, spans, chosen, strict=True):
        text = history.text(index)
        args: dict[str, object] = {"index": index, "text": text}
        if source := history.source(index):
            args["source"] = source
        if history.retired[index] == NEVER:
            args["retired"] = "never"
        places[index] = (first + lane, begin)
        events.append(_slice(first + lane, begin, end, " ".join(text.split()[:2]), **args))
    return events


def _number(lane: int) -> str:
    return f" {lane + 1}" if lane else ""


def _bus(history: History) -> list[dict[str, Any]]:
    events = []
    for write, name in ((False, "read bus"), (True, "write bus")):
        track = BUS + write
        events += _track(track, name)
        own = (burst for burst in history.bursts if burst.write == write)
        for begin, end, owner, beats in bus_pieces(own):
            events.append(_slice(track, begin, end, owner_name(history, owner), beats=beats))
    return events


# Arrows, counters, instants -----------------------------------------------------------------------
def _arrows(history: History, places: dict[int, tuple[int, int]]) -> list[dict[str, Any]]:
    """Tokens from push to pop, and data from a LOAD's end to what reads it."""
    wanted = [
        (f"token {channel_name(token.channel)}", token.pusher, token.popper, history.pushed(token))
        for token in history.tokens
        if token.pusher is not None and token.popper is not None
    ]
    wanted += [
        ("loaded", load, reader, history.retired[load]) for load, reader in loads_read(history)
    ]
    events = []
    for name, source, sink, cycle in wanted:
        if source not in places or sink not in places:
            continue
        (from_track, begin), (to_track, arrives) = places[source], places[sink]
        if arrives < begin:  # a wrong core
            continue
        last = min(history.retired[source], history.end) - 1  # still inside the slice
        leaves = max(begin, min(cycle, last, arrives))
        ident = len(events) // 2 + 1
        both = {"name": name, "cat": name.split()[0], "id": ident, "pid": PID}
        events.append({"ph": "s", **both, "tid": from_track, "ts": leaves})
        events.append({"ph": "f", "bp": "e", **both, "tid": to_track, "ts": arrives})
    return events


def _counters(history: History) -> list[dict[str, Any]]:
    return [
        {"ph": "C", "pid": PID, "tid": 0, "name": name, "ts": cycle, "args": {"value": value}}
        for name, series in all_series(history).items()
        for cycle, value in series
    ]


def _instants(history: History) -> list[dict[str, Any]]:
    ending = history.ending
    args: dict[str, object] = {"text": ending.text} if ending.text else {}
    if ending.index is not None and ending.index < len(history.instructions):
        args["instruction"] = f"{ending.index}: {history.text(ending.index)}"
    return [
        {"ph": "i", "s": "g", "pid": PID, "tid": 0, "ts": ts, "name": name, "args": args}
        for ts, name, args in ((0, "launch", {}), (history.end, ending.name, args))
    ]
