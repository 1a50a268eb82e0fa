"""Figures in README.md and docs/ are those of the baselines and constants; none is unwatched."""

import re
import runpy
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from vta.sim.build import ROOT
from vta.sim.cli import main
from vta.sim.documents import (
    PAGES,
    Claim,
    claims,
    compiler_page,
    differences,
    network_page,
    rewritten,
    unclaimed,
)
from vta.sim.documents.claim import ClaimError
from vta.sw.models.onnx import model

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
    assert differences(text(page), found(page)) == [], "python -m vta.sim.documents writes them"


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_a_page_has_a_source(page: str) -> None:
    assert unclaimed(text(page), found(page)) == []


def test_the_dumps_of_the_compilers_page_are_real() -> None:
    content = text(compiler_page.PAGE)
    wanted = compiler_page.with_blocks(content, compiler_page.blocks())
    assert content == wanted, "python -m vta.sim.documents writes them"


def test_the_stories_of_the_networks_page_are_real() -> None:
    found = network_page.blocks(text(network_page.PAGE))
    assert set(found) == set(network_page.COMMANDS)
    for page in network_page.SHOWN:
        wanted = network_page.lasting(compiler_page.with_blocks(text(page), found))
        assert network_page.lasting(text(page)) == wanted, "python -m vta.sim.documents writes them"


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


# What a reader can copy ---------------------------------------------------------------------------
LONG = ("docs/performance.md", "docs/fpga.md")  # these measure for minutes: only understood


def commands(page: str) -> list[str]:
    """The `vta` command lines of a page, without their comments."""
    return [
        line.partition("  #")[0].removeprefix(".venv/bin/").removeprefix("vta ").strip()
        for block in re.findall(r"^```\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if re.match(r"(\.venv/bin/)?vta ", line)
    ]


def listings(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", ["README.md", "docs/operators.md", "docs/recipes.md", "docs/seed.md"]
)
def test_the_commands_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("max_pool", "my_schedule"):
        found = [each for each in listings(page) if "def build(config):" in each]
        Path(f"{name}.py").write_text(found[0] if found else "")
    Path("model.onnx").write_bytes(model("digits").SerializeToString())
    Image.new("L", (8, 8), 200).save("image.png")
    assert len(commands(page)) > 1
    for command in commands(page):
        assert main(command.split()) == 0, f"{command}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", LONG)
def test_the_long_commands_of_a_page_are_understood(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(commands(page)) > 2
    for command in commands(page):
        with pytest.raises(SystemExit) as end:
            main([*command.split(), "--help"])
        assert end.value.code == 0, f"{command}: {capsys.readouterr().err}"


LISTINGS = ("compiler", "debugging", "digits", "networks")


@pytest.mark.parametrize("page", [f"docs/{name}.md" for name in LISTINGS])
def test_the_listings_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    path = tmp_path / "listing.py"
    path.write_text("\n".join(listings(page)))
    runpy.run_path(str(path))
