"""The listings of docs/seed.md and docs/operators.md run, top to bottom, as one program each."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["seed.md", "operators.md"])
def test_listings_run(name: str, tmp_path: Path) -> None:
    text = (DOCS / name).read_text()
    listings = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert listings
    path = tmp_path / "listing.py"  # TVM's script parser reads the source from the file
    path.write_text("\n".join(listings))
    runpy.run_path(str(path))
