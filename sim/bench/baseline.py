"""The committed cycles that no change may make worse without saying so."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vta.hw.errors import VtaError
from vta.sim.bench.figures import Figure

__all__ = ["PATH", "BaselineError", "Change", "compare", "read", "update"]

PATH = Path(__file__).with_name("baseline.json")
MEND = "vta bench --update writes it anew"


class BaselineError(VtaError, ValueError):
    """A baseline file that does not hold figures."""


@dataclass(frozen=True)
class Change:
    """A figure that is not what the baseline says."""

    key: str
    before: float
    now: float
    worse: bool

    def __str__(self) -> str:
        share = f" ({self.now / self.before - 1:+.2%})" if self.before else ""
        return f"{self.key}: {self.before:g} -> {self.now:g}{share}"


def read(path: Path = PATH) -> dict[str, float]:
    """Figures by key.

    Raises
    ------
    BaselineError
        where the file holds anything else.
    """
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise BaselineError(f"{path}: not JSON: {error}; {MEND}") from error
    numbers = isinstance(found, dict) and all(
        isinstance(value, int | float) for value in found.values()
    )
    if not numbers:
        raise BaselineError(f"{path}: not an object of numbers; {MEND}")
    return found


def compare(figures: Iterable[Figure], baseline: dict[str, float]) -> list[Change]:
    """The fixed figures that differ from the baseline, the worse ones first.

    A figure that the baseline lacks is new and no change.
    """
    changes = []
    for figure in figures:
        before = baseline.get(figure.key)
        if figure.fixed and before is not None and before != figure.ours:
            worse = (figure.ours < before) if figure.higher else (figure.ours > before)
            changes.append(Change(figure.key, before, figure.ours, worse))
    return sorted(changes, key=lambda change: not change.worse)


def update(figures: Iterable[Figure], path: Path = PATH) -> None:
    """Write the fixed figures; those that were not measured stay as they are."""
    held = read(path) if path.exists() else {}
    held |= {figure.key: figure.ours for figure in figures if figure.fixed}
    path.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
