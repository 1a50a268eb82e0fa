"""Progress of work that names its steps."""

import io
import threading

import pytest
from rich.console import Console

from vta.sim import progress
from vta.sim.progress import Progress


class Seen(Progress):
    """Remembers what is shown, and says so."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.lines: list[str] = []
        self.shown = threading.Event()

    def step(self, text: str) -> None:
        self.lines.append(text)
        self.shown.set()


def test_a_step_that_lasts_is_shown_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    seen = Seen()
    with seen.steps("compile x") as step:
        for name in ("lower", "emit"):
            step(name)
            while not seen.lines or name not in seen.lines[-1]:
                seen.shown.clear()
                assert seen.shown.wait(60)
    assert seen.lines[0].startswith("compile x: ")
    assert seen.lines[-1].startswith("compile x: emit, ")


def test_short_work_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 1e6)
    seen = Seen()
    with seen.steps("compile x") as step:
        step("lower")
    assert seen.lines == []


def test_an_error_ends_the_thread() -> None:
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), Seen().steps("compile x"):
        raise ZeroDivisionError
    assert set(threading.enumerate()) <= before
