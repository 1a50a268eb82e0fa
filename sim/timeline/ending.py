"""How a run ended, for the files that show it."""

import numpy as np

from vta.sim.monitors import Wake
from vta.sim.timeline.events import Kind
from vta.sim.timeline.history import Ending
from vta.sw.program import Result

__all__ = ["ending_of"]

NAMES = {Wake.MAX_CYCLES: "limit", Wake.NO_PROGRESS: "hang", Wake.STOPPED: "stopped"}


def ending_of(events: np.ndarray, result: Result | None, failure: str = "") -> Ending:
    """The ending of a run with these events; `failure` says why it has no result."""
    if result is None:
        ends = events["value"][events["kind"] == Kind.END]
        name = NAMES.get(Wake(int(ends[0]))) if len(ends) else None
        return Ending(name or "error", failure)
    if result.error is not None:
        error = result.error
        return Ending(error.error_class.name, error.reason, error.index)
    return Ending()
