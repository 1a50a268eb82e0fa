"""Figures in README.md and docs/ are those of the baselines and constants; none is unwatched."""

import re
from functools import cache

import pytest

from sim.build import ROOT
from sim.documents import PAGES, Claim, claims, differences, rewritten, unclaimed
from sim.documents.claim import ClaimError

GENERATED = {"docs/isa.md"}
CLAIM = Claim("page.md", "C2 takes {} cycles, {} of the MACs", ("454,140", "99.4%"))


@cache
def found(page: str) -> list[Claim]:
    return [claim for claim in _all() if claim.page == page]


@cache
def _all() -> list[Claim]:
    return claims()


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_page_is_looked_at() -> None:
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} | {"README.md"}
    assert set(PAGES) == pages - GENERATED
    assert {claim.page for claim in _all()} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_the_figures_of_a_page_are_right(page: str) -> None:
    assert differences(text(page), found(page)) == [], "python -m sim.documents writes them"


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_a_page_has_a_source(page: str) -> None:
    assert unclaimed(text(page), found(page)) == []


# How claims work ----------------------------------------------------------------------------------
def test_a_figure_that_drifted_is_found_and_written() -> None:
    page = "Here C2 takes 467,377\ncycles, 99.4% of the MACs."
    (line,) = differences(page, [CLAIM])
    assert "says 467,377; it is 454,140" in line
    assert rewritten(page, [CLAIM]) == "Here C2 takes 454,140\ncycles, 99.4% of the MACs."


def test_a_figure_without_a_claim_is_found() -> None:
    page = (
        "C2 takes 454,140 cycles, 99.4% of the MACs.\nC3 takes 228,941 (0.9), 5% more, in 1.2.3.\n"
    )
    lines = unclaimed(page + "```python\nx = 0.5\n```\n", [CLAIM])
    assert [line.partition(":")[0] for line in lines] == ["228,941", "0.9", "5%"]


@pytest.mark.parametrize(
    "page", ["C2 takes 454,140 cycles", "C2 takes 1 cycles, 2 of the MACs" * 2]
)
def test_a_claim_stands_in_its_page_once(page: str) -> None:
    with pytest.raises(ClaimError, match=re.escape("change the page, or sim/documents/claims.py")):
        CLAIM.match(page)
