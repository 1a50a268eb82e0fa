"""What the simulator recorded of a run: the format of its events, and simple views of them."""

import enum
from pathlib import Path

import numpy as np

from vta.hw.isa import Stage
from vta.hw.registers import StageState

__all__ = [
    "EVENT",
    "GROUPS",
    "STAGES",
    "Kind",
    "end_of",
    "ends",
    "intervals",
    "read_events",
    "state_runs",
]

EVENT = np.dtype([("cycle", "<i8"), ("kind", "<u2"), ("beats", "<u2"), ("value", "<u4")])
"""An event, as monitor.cpp writes it; `Kind` says what `beats` and `value` are."""

STAGES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)
GROUPS = ("fetch", "load", "compute", "store")
"""In the order of the states' bits."""


class Kind(enum.IntEnum):
    """Kinds 0 to 2: load, compute or store starts instruction `value`; 3 to 5: it retires."""

    START = 0  # plus the stage
    RETIRE = 3  # plus the stage
    STATES = 6  # the states change to `value`: fetch 3:0, load 7:4, compute 11:8, store 15:12
    BUS = 7  # the data channels begin or cease to move a beat a cycle: bit 0 read, bit 1 written
    READ_BURST = 8  # a burst of `beats` is asked for at byte address `value`
    WRITE_BURST = 9
    END = 10  # the run ends; `value` is vta.sim.monitors.Wake


def read_events(path: Path, launched: int) -> np.ndarray:
    """The events that the simulator wrote, in order, cycles counted from the launch; those up to
    the run's end.
    """
    events = np.fromfile(path, EVENT)
    events["cycle"] -= launched
    events = events[np.argsort(events["cycle"], kind="stable")]
    return events[events["cycle"] <= end_of(events)]


def end_of(events: np.ndarray) -> int:
    """The cycle in which the run ended; of events that do not say so, the last one's."""
    ends = events["cycle"][events["kind"] == Kind.END]
    if len(ends):
        return int(ends[0])
    return int(events["cycle"].max()) if len(events) else 0


def intervals(events: np.ndarray, stage: Stage) -> np.ndarray:
    """int64 (n, 3): instruction, start, retirement of the instructions of `stage`, in order.

    An instruction that did not retire has -1 there.
    """
    starts = events[events["kind"] == Kind.START + stage]
    retired = events[events["kind"] == Kind.RETIRE + stage]
    ends = {int(e["value"]): int(e["cycle"]) for e in retired}
    rows = [(int(e["value"]), int(e["cycle"]), ends.get(int(e["value"]), -1)) for e in starts]
    return np.array(rows, np.int64).reshape(-1, 3)


def ends(events: np.ndarray, count: int) -> np.ndarray:
    """The cycle at which each of `count` instructions retired: int64, -1 where it did not."""
    found = np.full(count, -1, np.int64)
    retired = events[np.isin(events["kind"], [Kind.RETIRE + stage for stage in STAGES])]
    retired = retired[retired["value"] < count]  # a wrong core may say anything
    found[retired["value"]] = retired["cycle"]
    return found


def state_runs(events: np.ndarray, group: str) -> np.ndarray:
    """int64 (n, 3): begin, end, StageState of fetch or of a stage; they cover the run, in order.

    Runs of no length are left out; before the first event everything is idle.
    """
    changes = events[events["kind"] == Kind.STATES]
    shift = np.uint32(4 * GROUPS.index(group))
    states = (changes["value"] >> shift & np.uint32(15)).astype(np.int64)
    cycles = np.concatenate([[0], np.maximum(changes["cycle"], 0)])
    states = np.concatenate([[StageState.IDLE], states])
    ends = np.append(cycles[1:], end_of(events))
    runs = np.stack([cycles, ends, states], axis=1)[ends > cycles]
    first = np.flatnonzero(np.diff(runs[:, 2], prepend=-1))
    last = np.append(first[1:], len(runs)) - 1
    return np.stack([runs[first, 0], runs[last, 1], runs[first, 2]], axis=1)
