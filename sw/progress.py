"""How work that takes long says what it is at."""

from collections.abc import Callable

__all__ = ["Progress", "quiet"]

Progress = Callable[[str], None]
"""Called with the name of a step when it begins; `vta.sim.progress` shows it."""


def quiet(step: str) -> None:
    """The progress that nobody wants to see."""
