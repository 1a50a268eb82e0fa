"""One measured number beside what it is measured against; a table and JSON of many."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "print_figures"]


@dataclass(kw_only=True)
class Figure:
    """A measurement.

    Members
    -------
    group, name: what was measured; together they are its `key`.
    ours, unit: the number.
    anchor: the same of the core (or program) that we want to beat.
    must, aims: targets, the easiest aim first; `higher` numbers are better, or lower ones.
    fixed: it is the same on every machine, so that a baseline can hold it.
    note: for the reader.
    detail: further numbers, for the JSON alone.
    """

    group: str
    name: str
    ours: float
    unit: str = "cycles"
    anchor: float | None = None
    must: float | None = None
    aims: tuple[float, ...] = ()
    higher: bool = False
    fixed: bool = False
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def ratio(self) -> float | None:
        """Ours over the anchor."""
        return self.ours / self.anchor if self.anchor else None

    def reaches(self, target: float) -> bool:
        return self.ours >= target if self.higher else self.ours <= target

    @property
    def met(self) -> bool | None:
        """Does it reach its must? None where there is none."""
        return None if self.must is None else self.reaches(self.must)

    @property
    def verdict(self) -> str:
        """Yes, no, or how many aims are reached."""
        if self.met is False:
            return "NO"
        missed = [aim for aim in self.aims if not self.reaches(aim)]
        if not missed:
            return "" if self.met is None and not self.aims else "yes"
        reached = len(self.aims) - len(missed)
        aims = f"{reached} of {len(self.aims)} aims" if len(self.aims) > 1 else "not the aim"
        return f"must, {aims}" if self.met else aims

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "ours": self.ours,
            "unit": self.unit,
            "anchor": self.anchor,
            "ratio": self.ratio,
            "must": self.must,
            "aims": list(self.aims),
            "higher_is_better": self.higher,
            "must_met": self.met,
            "aims_met": [self.reaches(aim) for aim in self.aims],
            "note": self.note,
            "detail": self.detail,
        }


def print_figures(console: Console, title: str, figures: Iterable[Figure]) -> None:
    """One group as a table."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("ours", "anchor", "ratio", "must", "aim"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("met", no_wrap=True)
    table.add_column("")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3f}"
        aims = ", ".join(map(number, figure.aims))
        style = "red" if figure.met is False else ""
        table.add_row(
            figure.name,
            f"{number(figure.ours)} {figure.unit}".rstrip(),
            number(figure.anchor),
            ratio,
            number(figure.must),
            aims,
            figure.verdict,
            figure.note,
            style=style,
        )
    console.print(table)
    console.print()


def number(value: float | None) -> str:
    """Whole numbers as they are, others with three digits that count."""
    if value is None:
        return ""
    if value == int(value):
        return f"{int(value)}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
