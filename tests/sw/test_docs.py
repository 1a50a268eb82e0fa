"""Generated documentation is up to date, and says what the tables say."""

import re
from pathlib import Path

import vta.sw.compiler
from vta.hw.config import KEYS
from vta.hw.registers import REGISTERS
from vta.sw.compiler.driver import FUNCTION, PLACE, SYNCHRONIZE
from vta.sw.docs import MEANINGS, PATH, isa_page


def test_the_committed_page_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == isa_page(), "run: python -m vta.sw.docs"


def test_the_compilers_table_has_every_module() -> None:
    folder = Path(str(vta.sw.compiler.__file__)).parent
    names = {path.stem for path in folder.glob("[a-z]*.py")}
    names |= {name for name, _ in (*FUNCTION, *PLACE, *SYNCHRONIZE)}
    said = set(
        re.findall(r"^(\w+)  |`(?:sw\.compiler\.)?(\w+)[`.]", vta.sw.compiler.__doc__ or "", re.M)
    )
    assert names - {name for pair in said for name in pair} == set()


def test_everything_is_there() -> None:
    page = isa_page()
    for name in [key.name for key in KEYS] + [r.name for r in REGISTERS] + list(MEANINGS):
        assert f"| {name} |" in page, name
    assert "| wgt_factor_in | 127:118 | 0 to 1023 |" in page
    assert "Bits that must be 0: 63:58." in page
    assert "alu shr uop=0:1 loop=1,196 dst=0,1 imm=8 push.next" in page
