"""When each instruction ran, why stages waited, and files that show it."""

from vta.sim.timeline.ending import ending_of
from vta.sim.timeline.events import EVENT, intervals, read_events
from vta.sim.timeline.history import Ending, History
from vta.sim.timeline.html import write_html
from vta.sim.timeline.perfetto import write_timeline

__all__ = [
    "EVENT",
    "Ending",
    "History",
    "ending_of",
    "intervals",
    "read_events",
    "write_html",
    "write_timeline",
]
