"""The rules of the Chrome trace format, as Perfetto reads it: a document that breaks none."""

import json
import math
from collections import defaultdict
from typing import Any

__all__ = ["check_trace", "slices_of"]


def check_trace(text: str) -> dict[str, Any]:
    """The document; AssertionError names the event that breaks a rule."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(text, parse_constant=refuse)
    events = document["traceEvents"]
    assert events
    for event in events:
        assert event["ph"] in "XCMisf", event
        assert isinstance(event["name"], str) and event["name"], event
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int), event
        if event["ph"] != "M":
            assert isinstance(event["ts"], (int, float)) and math.isfinite(event["ts"]), event
            assert 0 <= event["ts"] <= document["otherData"]["cycles"], event
    _check_names(events)
    _check_nesting(events)
    _check_arrows(events)
    for event in events:
        if event["ph"] == "C":
            values = list(event["args"].values())
            assert values and all(isinstance(v, (int, float)) and v >= 0 for v in values), event
        if event["ph"] == "i":
            assert event["s"] in "gpt", event
    return document


def slices_of(document: dict[str, Any], track: str) -> list[dict[str, Any]]:
    """The slices of the tracks whose name begins so."""
    tracks = [
        event["tid"]
        for event in document["traceEvents"]
        if event["name"] == "thread_name" and event["args"]["name"].startswith(track)
    ]
    return [e for e in document["traceEvents"] if e["ph"] == "X" and e["tid"] in tracks]


def _check_names(events: list[dict[str, Any]]) -> None:
    named = [(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"]
    assert len(named) == len(set(named))
    used = {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"}
    assert used <= set(named), used - set(named)


def _check_nesting(events: list[dict[str, Any]]) -> None:
    """Slices of a track: one behind another, or one inside another."""
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            assert event["dur"] > 0, event
            tracks[event["pid"], event["tid"]].append(event)
    for slices in tracks.values():
        open_ends: list[float] = []
        for event in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
            while open_ends and open_ends[-1] <= event["ts"]:
                open_ends.pop()
            end = event["ts"] + event["dur"]
            assert not open_ends or end <= open_ends[-1], f"{event} overlaps the slice before"
            open_ends.append(end)


def _check_arrows(events: list[dict[str, Any]]) -> None:
    """An arrow has one begin and one end, later or at once, each inside of a slice."""
    spans = defaultdict(list)
    arrows = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            spans[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        if event["ph"] in "sf":
            arrows[event["cat"], event["id"]].append(event)
    for pair in arrows.values():
        assert [event["ph"] for event in pair] == ["s", "f"], pair
        assert pair[0]["name"] == pair[1]["name"] and pair[0]["ts"] <= pair[1]["ts"], pair
        assert pair[1]["bp"] == "e", "it would end in the next slice"
        for event in pair:
            around = spans[event["pid"], event["tid"]]
            assert any(begin <= event["ts"] < end for begin, end in around), event
