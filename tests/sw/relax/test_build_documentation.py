"""What docs/networks.md says of compiling and running is run, top to bottom, as one program."""

import re
import runpy
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "networks.md"


def test_listings_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text().partition("\n## Compiling\n")[2]
    listings = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(listings) >= 2
    path = tmp_path / "listing.py"
    path.write_text("\n".join(listings[:2]))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    printed = capsys.readouterr().out
    assert "vta0 ['/conv1/Conv'" in printed
    digits = re.findall(r"^(\d) (\d)$", printed, re.MULTILINE)
    assert len(digits) == 4
