"""What is counted along a run: the counters of a timeline, (cycle, value) where they change."""

import numpy as np

from vta.hw.isa import Gemm
from vta.hw.registers import StageState
from vta.sim.timeline.bursts import beat_runs
from vta.sim.timeline.events import STAGES
from vta.sim.timeline.history import CHANNELS, NEVER, History, channel_name
from vta.sw.rules import loop_is_empty

__all__ = ["Series", "all_series", "gemm_uops", "multiplying"]

Series = list[tuple[int, float]]
POINTS = 2000  # about, of what is a share of the cycles: windows of a width to suit
NARROWEST = 16


def all_series(history: History) -> dict[str, Series]:
    """Tokens and queues: how many; beats: a cycle; MAC use: GEMM uops a cycle."""
    found = {}
    for channel in CHANNELS:
        tokens = [token for token in history.tokens if token.channel == channel]
        popped = [NEVER if t.popper is None else history.started[t.popper] for t in tokens]
        found[f"tokens {channel_name(channel)}"] = _level(map(history.pushed, tokens), popped)
    for stage in STAGES:
        order = history.order[stage]
        dispatched, retired = (
            [cycles[n] for n in order] for cycles in (history.dispatched, history.retired)
        )
        found[f"queue {stage.name.lower()}"] = _level(dispatched, retired)
    for name, write in (("read", False), ("write", True)):
        runs = beat_runs(history.events, write=write)
        found[f"{name} beats a cycle"] = _share(runs, history.end)
    found["MAC use"] = _share(multiplying(history), history.end)
    return found


def gemm_uops(history: History, index: int) -> int:
    """The GEMM uops that an instruction executes, resets excluded."""
    each = history.instructions[index]
    if not isinstance(each, Gemm) or each.reset_reg or loop_is_empty(each):
        return 0
    return each.iter_out * each.iter_in * (each.uop_end - each.uop_bgn)


def _level(ups, downs) -> Series:
    """A count that goes up and down at these cycles."""
    changes: dict[int, int] = {0: 0}
    for step, cycles in ((1, ups), (-1, downs)):
        for cycle in cycles:
            if cycle != NEVER:
                changes[cycle] = changes.get(cycle, 0) + step
    level, series = 0, []
    for cycle in sorted(changes):
        level += changes[cycle]
        if not series or changes[cycle]:
            series.append((cycle, level))
    return series


def _share(runs: np.ndarray, end: int) -> Series:
    """How much of each window the runs (from, to) cover."""
    width = max(NARROWEST, -(-end // POINTS))
    edges = np.arange(0, end + width, width)
    lengths = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0])])
    run = np.searchsorted(runs[:, 0], edges, side="right")
    begins = np.append(runs[:, 0], 0)[run - 1]
    ends = np.append(runs[:, 1], 0)[run - 1]
    inside = np.where(run > 0, np.minimum(edges, ends) - begins, 0)
    covered = np.where(run > 0, lengths[np.maximum(run - 1, 0)] + inside, 0)
    sizes = np.minimum(edges[1:], end) - edges[:-1]
    values = np.round(np.diff(covered) / np.maximum(sizes, 1), 3)
    kept = np.flatnonzero(np.diff(values, prepend=-1))
    return [(int(edges[n]), float(values[n])) for n in kept if edges[n] < end]


def multiplying(history: History) -> np.ndarray:
    """Cycles from and to which GEMM uops ran: the first cycles in which compute was busy with
    none before it, as many as each instruction has uops.
    """
    runs = [
        (begin, end) for begin, end, state in history.runs["compute"] if state == StageState.BUSY
    ]
    found, run, at = [], 0, 0
    for index in history.order[STAGES[1]]:
        left = gemm_uops(history, index)
        at = max(at, history.started[index])
        while left and run < len(runs):
            begin, end = max(at, runs[run][0]), runs[run][1]
            if begin >= end:
                run += 1
                continue
            at = min(end, begin + left)
            left -= at - begin
            found.append((begin, at))
    return np.array(found, np.int64).reshape(-1, 2)
