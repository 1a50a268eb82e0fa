"""The listings of docs/seed.md and docs/operators.md run, top to bottom, as one program each."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import tvm
import tvm.script
import tvm_ffi

from vta.hw.config import Config
from vta.sw.golden import GoldenDevice
from vta.sw.operators.file import compile_file

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["seed.md", "operators.md"])
def test_listings_run(name: str, tmp_path: Path) -> None:
    text = (DOCS / name).read_text()
    listings = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert listings
    path = tmp_path / "listing.py"  # TVM's script parser reads the source from the file
    path.write_text("\n".join(listings))
    runpy.run_path(str(path))


def test_the_schedule_file_is_the_one_that_is_tested() -> None:
    schedule = Path(__file__).with_name("my_schedule.py").read_text()
    assert f"```python\n{schedule}```\n" in (DOCS / "seed.md").read_text()


def test_the_schedule_file_compiles_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "my_schedule.py"
    path.write_text((DOCS / "seed.md").read_text().partition("```python\n")[2].partition("```")[0])
    program = compile_file(path, Config())
    result = GoldenDevice().run(program)
    assert program.expected and program.first_mismatch(result.memory) is None


def exists(name: str) -> bool:
    """Whether a dotted name is there in the installed TVM."""
    first, *rest = name.split(".")
    found: Any = {"tvm": tvm, "tvm_ffi": tvm_ffi}[first]
    for part in rest:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def test_old_names_are_gone_and_new_ones_are_there() -> None:
    table = (DOCS / "seed.md").read_text().partition("| then | now |")[2].partition("\n\n")[0]
    names = [re.findall(r"`(tvm(?:_ffi)?\.[\w.]+)", row) for row in re.split(r" \| |\n", table)]
    old, new = ([name for cell in names[n::2] for name in cell] for n in (0, 1))
    assert len(old) > 6 and len(new) > 6
    assert [name for name in old if exists(name)] == []
    assert [name for name in new if not exists(name)] == []
