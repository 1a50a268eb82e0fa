"""The timeline as one HTML file that needs nothing else: no network, no server, no Perfetto."""

import html
import json
from pathlib import Path
from string import Template

from vta.sim.output import write_text
from vta.sim.timeline.history import History
from vta.sim.timeline.perfetto import trace

__all__ = ["PAGE", "write_html"]

PAGE = Path(__file__).resolve().parent / "page"
"""The page's parts: its HTML, style and script."""


def write_html(path: Path, history: History) -> None:
    """Write the page with the trace inside; - is standard output."""
    page = Template((PAGE / "page.html").read_text())
    text = page.substitute(
        title=html.escape(history.program.name),
        style=(PAGE / "page.css").read_text(),
        script=(PAGE / "page.js").read_text(),
        # A name with </script> in it must not end the script.
        trace=json.dumps(trace(history), separators=(",", ":")).replace("<", "\\u003c"),
    )
    write_text(path, text)
