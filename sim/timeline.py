"""When each instruction ran, and what the stages did meanwhile: events, and a Perfetto file.

The Chrome trace format is understood by https://ui.perfetto.dev; one cycle is shown as 1 us.
"""

import json
from pathlib import Path

import numpy as np

from vta.hw.isa import Instruction, Stage
from vta.hw.registers import STAGE_STATES, StageState
from vta.sw.assembler import format_instruction
from vta.sw.program import Program

__all__ = ["EVENT", "ends", "intervals", "read_events", "write_timeline"]

EVENT = np.dtype([("cycle", "<i8"), ("kind", "<u4"), ("value", "<u4")])
"""Kind 0 to 2: load, compute or store starts instruction `value`; 3 to 5: it retires; 6: the
stages' states change to `value` (fetch 3:0, load 7:4, compute 11:8, store 15:12)."""

STATES = 6
GROUPS = ("fetch", "load", "compute", "store")
STAGES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)


def read_events(path: Path, launched: int) -> np.ndarray:
    """The events that the simulator wrote, cycles counted from the launch."""
    events = np.fromfile(path, EVENT)
    events["cycle"] -= launched
    return events


def intervals(events: np.ndarray, stage: Stage) -> np.ndarray:
    """int64 (n, 3): instruction, start, retirement of the instructions of `stage`, in order.

    An instruction that did not retire has -1 there.
    """
    starts = events[events["kind"] == stage]
    ends = {int(e["value"]): int(e["cycle"]) for e in events[events["kind"] == stage + 3]}
    rows = [(int(e["value"]), int(e["cycle"]), ends.get(int(e["value"]), -1)) for e in starts]
    return np.array(rows, np.int64).reshape(-1, 3)


def ends(events: np.ndarray, count: int) -> np.ndarray:
    """The cycle at which each of `count` instructions retired; -1 where it did not."""
    found = np.full(count, -1, np.int64)
    for stage in STAGES:
        retired = events[events["kind"] == stage + 3]
        found[retired["value"]] = retired["cycle"]
    return found


def write_timeline(path: Path, program: Program, events: np.ndarray) -> None:
    """Write a trace that Perfetto shows: a track for each stage's instructions and its states."""
    instructions = program.instructions()
    trace = [
        {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": program.name}},
        *_names(),
    ]
    for stage in STAGES:
        trace += _instruction_slices(program, instructions, events, stage)
    for row, group in enumerate(GROUPS):
        trace += _state_slices(events, row, group)
    document = {"traceEvents": trace, "displayTimeUnit": "ms"}
    path.write_text(json.dumps(document, separators=(",", ":")))


def _names() -> list[dict]:
    tracks = [(1 + stage, f"{stage.name.lower()} instructions") for stage in STAGES]
    tracks += [(10 + row, f"{group} states") for row, group in enumerate(GROUPS)]
    return [
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}}
        for tid, name in tracks
    ]


def _instruction_slices(
    program: Program, instructions: list[Instruction], events: np.ndarray, stage: Stage
) -> list[dict]:
    last = int(events["cycle"].max()) if len(events) else 0
    slices = []
    for index, start, end in intervals(events, stage).tolist():
        text = format_instruction(instructions[index], program.config)
        args = {"index": index, "text": text}
        if index < len(program.source_map):
            args["source"] = program.source_map[index]
        duration = (end if end >= 0 else last) - start
        slices.append(
            {
                "ph": "X",
                "pid": 1,
                "tid": 1 + stage,
                "ts": start,
                "dur": duration,
                "name": " ".join(text.split()[:2]),
                "args": args,
            }
        )
    return slices


def _state_slices(events: np.ndarray, row: int, group: str) -> list[dict]:
    changes = events[events["kind"] == STATES]
    states = changes["value"] >> np.uint32(4 * row) & np.uint32(15)
    cycles = changes["cycle"]
    kept = np.flatnonzero(np.diff(states.astype(np.int64), prepend=-1))
    ends = np.append(cycles[kept[1:]], cycles[-1:])
    names = {state.value: meaning[0] for state, meaning in STAGE_STATES[group].items()}
    return [
        {
            "ph": "X",
            "pid": 1,
            "tid": 10 + row,
            "ts": int(start),
            "dur": int(end - start),
            "name": names.get(int(state), str(int(state))),
        }
        for start, end, state in zip(cycles[kept], ends, states[kept], strict=True)
        if state != StageState.IDLE
    ]
