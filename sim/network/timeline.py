"""One timeline of a network's run: its regions, and what the CPU does between, one after another.

Each region is a process of the trace. What the CPU takes is shown in cycles of the core's clock.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vta.sim.output import write_text
from vta.sim.report import Outcome
from vta.sim.timeline.ending import ending_of
from vta.sim.timeline.history import History
from vta.sim.timeline.perfetto import trace
from vta.sw.relax.manifest import Manifest, SavedSegment

__all__ = ["write_network_timeline"]

CPU = 1  # the process of the CPU's part; regions come after it
FLOWS = ("s", "t", "f")  # phases of events that an id connects


def write_network_timeline(
    path: Path,
    manifest: Manifest,
    outcomes: Sequence[Outcome],
    cpu_seconds: Mapping[str, float],
    clock: float,
) -> None:
    """Write the trace; - is standard output. `clock` in MHz."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": CPU, "tid": 0, "args": {"name": "CPU"}}
    ]
    at, left = 0, list(outcomes)
    for part in manifest.parts:
        if isinstance(part, SavedSegment):
            cycles = max(1, round(cpu_seconds.get(part.name, 0.0) * clock * 1e6))
            if part.name in cpu_seconds:
                events.append(_segment(part, at, cycles))
                at += cycles
        elif left:
            outcome = left.pop(0)
            found, cycles = _region(outcome, CPU + len(outcomes) - len(left))
            events += (_moved(event, at) for event in found)
            at += cycles
    document = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"cycles": at}}
    write_text(path, json.dumps(document, separators=(",", ":")))


def _segment(part: SavedSegment, at: int, cycles: int) -> dict[str, Any]:
    names = ", ".join(node.source for node in part.nodes)
    return {
        "ph": "X",
        "pid": CPU,
        "tid": 1,
        "ts": at,
        "dur": cycles,
        "name": part.name,
        "args": {"nodes": names},
    }


def _region(outcome: Outcome, process: int) -> tuple[Iterator[dict[str, Any]], int]:
    """The events of a region's run in a process of its own, and how many cycles it took."""
    if outcome.events is None:
        return iter(()), 0
    ending = ending_of(outcome.events, outcome.result, outcome.failure)
    history = History(outcome.program, outcome.events, ending)
    document = trace(history)

    def renamed() -> Iterator[dict[str, Any]]:
        for event in document["traceEvents"]:
            event["pid"] = process
            if event["ph"] in FLOWS:
                event["id"] = f"{process}.{event['id']}"
            yield event

    return renamed(), int(history.end)


def _moved(event: dict[str, Any], cycles: int) -> dict[str, Any]:
    return event | {"ts": event["ts"] + cycles} if "ts" in event else event
