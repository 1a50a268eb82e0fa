"""What shows a run: files and explanations from its events and waves, whatever its end."""

from pathlib import Path

from vta.sim.report import Outcome
from vta.sim.timeline import History, ending_of, write_html, write_timeline
from vta.sim.timeline.explain import explain_cycles
from vta.sim.timeline.history import NEVER
from vta.sim.waves_views import write_views

__all__ = ["write_run_views"]


def write_run_views(
    outcome: Outcome,
    *,
    timeline: Path | None = None,
    html: Path | None = None,
    waves: Path | None = None,
    window: tuple[int, int | None] | None = None,
    explain: bool = False,
) -> tuple[Path, ...]:
    """Write the files that are asked for, and beside `waves` what viewers open it with: the paths
    of those. `explain` adds where the cycles went to the outcome. A run of which nothing is known
    says so in its details.
    """
    if outcome.events is None or outcome.launched is None:
        outcome.details.append("no timeline: the simulator ended before it could write its events")
        return ()
    ending = ending_of(outcome.events, outcome.result, outcome.failure)
    history = History(outcome.program, outcome.events, ending)
    for path, write in ((timeline, write_timeline), (html, write_html)):
        if path:
            write(path, history)
    if explain:
        outcome.explanation = explain_cycles(history)
    if waves is None:
        return ()
    marks = _marks(history) | outcome.marks
    around = list(marks.values())[-1]
    if window is not None and not window[0] <= around <= (window[1] or history.end):
        around = window[0]
    return write_views(waves, outcome.program.config, outcome.launched, marks, around)


def _marks(history: History) -> dict[str, int]:
    """Cycles of a run by name; what to look at first is the last."""
    ending = history.ending
    if ending.name == "finish":
        return {"finish": history.end, "launch": 0}
    marks = {"launch": 0, ending.name: history.end}
    if ending.index is not None and ending.index < len(history.instructions):
        started = history.started[ending.index]
        if started != NEVER:
            marks[f"instruction_{ending.index}"] = started
    return marks
