"""Progress on the terminal for whatever takes longer than two seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

__all__ = ["Progress"]

QUIET_SECONDS = 2.0
LINE_SECONDS = 10.0  # between lines where there is no terminal
REFRESH_SECONDS = 1.0  # of a status line whose step lasts


class Progress:
    """Steps and cycle counts: a status line on a terminal, plain lines elsewhere.

    It is a context manager; `step` announces a step that takes long, `note` a short one, which
    only a terminal shows; `cycles` makes a callback for a run, `steps` one for work that names its
    steps.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._status: Status | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def step(self, text: str) -> None:
        """Announce a step that takes some seconds."""
        if not self.console.is_terminal:
            self.console.print(f"{text} ...", highlight=False, markup=False)
            return
        if self._status is None:
            self._status = self.console.status("")
            self._status.start()
        self._status.update(escape(text))

    def note(self, text: str) -> None:
        """Say what is going on."""
        if self.console.is_terminal:
            self.step(text)

    def clear(self) -> None:
        """Take the status line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def cycles(
        self, name: str | Callable[[int], str], unit: str = "cycles"
    ) -> Callable[[int], None]:
        """A callback for `Device.run`: silent for the first two seconds. `name` may depend on the
        count.
        """
        started = time.monotonic()
        shown = started - LINE_SECONDS

        def show(count: int) -> None:
            nonlocal shown
            now = time.monotonic()
            elapsed = now - started
            if elapsed < QUIET_SECONDS:
                return
            if not self.console.is_terminal and now - shown < LINE_SECONDS:
                return
            shown = now
            what = name if isinstance(name, str) else name(count)
            self.step(f"{what}: {count:,} {unit}, {elapsed:.0f} s")

        return show

    @contextmanager
    def steps(self, name: str) -> Iterator[Callable[[str], None]]:
        """A callback for work that names its steps: silent for the first two seconds.

        A thread shows the step, so that a long one is seen while it lasts.
        """
        started, current = time.monotonic(), "starting"
        done = threading.Event()

        def begin(step: str) -> None:
            nonlocal current
            current = step

        def watch() -> None:
            pause = QUIET_SECONDS
            while not done.wait(pause):
                self.step(f"{name}: {current}, {time.monotonic() - started:.0f} s")
                pause = REFRESH_SECONDS if self.console.is_terminal else LINE_SECONDS

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield begin
        finally:
            done.set()
            thread.join()
            self.clear()
