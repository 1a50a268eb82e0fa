"""What `vta run` says of a stream: the same beside any others, and no device blamed wrongly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vta.hw.config import Config
from vta.sim import cli
from vta.sim.exit import Exit
from vta.sim.findings import undefined, warnings_of
from vta.sim.scoreboard import explain_mismatch
from vta.sw.assembler import assemble_program
from vta.sw.golden import GoldenDevice
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS

HEAD = """
.config 1x16
.memory base=0x0 size=0x5000
.registers uop=0x0 inp=0x0 wgt=0x0 acc=0x0 out=0x0
.segment uop addr=0x1000 nbytes=4 role=uop
.segment acc addr=0x2000 nbytes=64 role=bias
.segment out addr=0x3000 nbytes=16 role=output
.uops 0x1000
uop dst=0 src=0 wgt=0
.data 0x2000 int32 7*16
.code 0x4000
"""
TAIL = """
store out dram=0x300 y=1 x=1 stride=1 pop.prev push.prev
finish pop.next
"""
LOADS = "load acc dram=0x80 y=1 x=1 stride=1 push.next" + TAIL + ".expect 0x3000 uint8 7*16"
ADDS = "load uop dram=0x400 y=1 x=1 stride=1\nalu add uop=0:1 imm=1 push.next" + TAIL
RELIES_ON_ZERO = ADDS + ".expect 0x3000 uint8 1*16"
RELIES_ON_OTHERS = ADDS + ".expect 0x3000 uint8 8*16"
UNWRITTEN = "instruction 1 reads ACC entry 0 before any write"


def _program(name: str, text: str) -> Program:
    return assemble_program(HEAD + text, name=name)


def _run(tmp_path: Path, programs: list[Program], *options: str) -> tuple[int, list[dict]]:
    """Exit status and JSON of one `vta run` of all programs, in one simulator."""
    paths = []
    for n, program in enumerate(programs):
        paths.append(str(tmp_path / f"{n}.npz"))
        program.save(paths[-1])
    result = tmp_path / "result.json"
    status = cli.main(["run", *paths, "--json", str(result), *options])
    return status, json.loads(result.read_text())


def test_a_verdict_does_not_depend_on_the_stream_before(tmp_path: Path) -> None:
    loads, adds = _program("loads", LOADS), _program("adds", RELIES_ON_ZERO)
    other = _program("other", RELIES_ON_OTHERS)
    verdicts = {}
    for device in ("rtl", "golden"):
        for order in ([loads, adds, other], [other, adds, loads], [adds], [other]):
            _, results = _run(tmp_path, order, "--device", device)
            for program, result in zip(order, results, strict=True):
                found = (result["status"], result["first_mismatch"], result["warnings"])
                assert verdicts.setdefault(program.name, found) == found, (device, program.name)
    assert [verdicts[name][0] for name in ("loads", "adds", "other")] == [
        "match",
        "match",
        "mismatch",
    ]
    assert verdicts["adds"][2] == [UNWRITTEN]


def test_poison_shows_what_relies_on_zeros(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adds = _program("adds", RELIES_ON_ZERO)
    status, (result,) = _run(tmp_path, [adds], "--poison", "1")
    assert (status, result["status"]) == (1, "mismatch")
    out = capsys.readouterr().out
    assert "the golden model has the expected byte, but the stream's result is undefined" in out
    assert f"warning: {UNWRITTEN}" in out
    assert "wrong" not in out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (RELIES_ON_ZERO, UNWRITTEN),
        (
            LOADS.replace(" push.next", "").replace(" pop.prev", ""),
            "instructions 0 and 1 both touch ACC entry 0, and no token orders them",
        ),
    ],
)
def test_no_device_is_blamed_for_an_undefined_result(text: str, why: str) -> None:
    program = _program("undefined", text)
    memory = GoldenDevice().run(program).memory
    program.expected = [(0x3000, memory[0x3000:0x3010].copy())]
    memory[0x3000] ^= 1
    assert explain_mismatch(program, memory)[-1] == (
        f"the golden model has the expected byte, but the stream's result is undefined: {why}"
    )
    memory[0x3000] ^= 2
    program.expected[0][1][0] ^= 4
    assert "wrong" not in explain_mismatch(program, memory)[-1]


STORES_A_UOP = """
load uop dram=0x400 y=1 x=1 stride=1
gemm reset uop=0:1 push.next
store out dram=0x100 y=1 x=1 stride=1 pop.prev push.prev
load uop dram=0x400 y=1 x=1 stride=1 pop.next
alu add uop=0:1 loop=1,2 dst=0,0 src=0,1 push.next
store out dram=0x300 y=1 x=1 stride=1 pop.prev push.prev
finish pop.next
"""


def test_the_model_tells_what_the_checker_cannot_know() -> None:
    """The ALU's uop was stored by the stream itself: it turns out to read an entry beyond."""
    program = _program("uop", STORES_A_UOP)
    kinds = [warning.kind for warning in warnings_of(program)]
    assert "unknown" in kinds
    assert kinds[-1] == "unwritten"
    assert undefined(warnings_of(program)).startswith("the stream's result is undefined: ")


AFTER_AN_ERROR = """
load acc dram=0x80 y=1 x=1 stride=1 push.next
store out dram=0x300 y=1 x=1 stride=1 pop.prev push.prev
load acc dram=0x80 y=1 x=1 sram=2048 stride=1 pop.next
finish
"""


def test_memory_is_looked_at_after_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = _program("error", AFTER_AN_ERROR)
    assert _run(tmp_path, [program], "--device", "golden")[0] == 1
    assert "bytes of DRAM" not in capsys.readouterr().out
    run = GoldenDevice.run

    def wrong(self: GoldenDevice, *args: Any, **kwargs: Any) -> Any:
        result = run(self, *args, **kwargs)
        result.memory[0x3004:0x3006] = 5
        return result

    monkeypatch.setattr(GoldenDevice, "run", wrong)
    _, (result,) = _run(tmp_path, [program], "--device", "golden")
    assert result["status"] == "error"
    assert (
        "2 bytes of DRAM hold what no STORE before the stop wrote; the first at 0x3004, found 5: "
        "the device is wrong"
    ) in result["details"]
    assert "in segment out, byte 4 of 16" in result["details"]


def test_a_defined_result_is_not_doubted() -> None:
    assert undefined(warnings_of(_program("loads", LOADS))) == ""


def test_nothing_expected_has_a_status_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = CORNERS["store_stride"](Config())
    program.expected = []
    empty = CORNERS["store_stride"](Config())
    empty.expected = [(empty.expected[0][0], np.zeros(0, np.uint8))]
    golden = ("--device", "golden")
    for unchecked in (program, empty):
        status, (result,) = _run(tmp_path, [unchecked], *golden)
        assert (status, result["match"], result["status"]) == (Exit.UNCHECKED, None, "unchecked")
        assert "nothing expected" in capsys.readouterr().out
        assert _run(tmp_path, [unchecked], *golden, "--allow-unchecked")[0] == 0
    good, wrong = _program("good", LOADS), _program("wrong", RELIES_ON_OTHERS)
    assert _run(tmp_path, [good, program], *golden)[0] == Exit.UNCHECKED
    assert _run(tmp_path, [program, wrong], *golden, "--allow-unchecked")[0] == 1
    assert _run(tmp_path, [good], *golden)[0] == 0


def test_many_warnings_are_counted_not_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RELIES_ON_ZERO.replace("alu add", "alu add uop=0:1 imm=1\nalu add", 1)
    lines = "\n".join(f"store out dram=0x300 y=1 x=1 stride=1 sram={n}" for n in range(1, 9))
    program = _program("many", text.replace("finish", f"{lines}\nfinish"))
    _, (result,) = _run(tmp_path, [program], "--device", "golden")
    assert len(result["warnings"]) >= 9
    assert "more warnings: vta check lists them" in capsys.readouterr().out


BARE = """
from vta.sw.operators import {module}

def build(config):
    return {schedule}
"""


@pytest.mark.parametrize(
    ("module", "schedule", "status"),
    [
        ("simple_matmul", "simple_matmul.unit_loop()[0]", 0),
        ("operator", 'operator("shift_right").kernel(config).schedule', Exit.UNCHECKED),
    ],
)
def test_a_schedule_without_golden_is_compared_where_llvm_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str, schedule: str, status: int
) -> None:
    path, bundle = tmp_path / "bare.py", str(tmp_path / "bare.npz")
    path.write_text(BARE.format(module=module, schedule=schedule))
    assert cli.main(["compile", str(path), "-o", bundle]) == 0
    note = capsys.readouterr().err
    assert note.startswith("vta compile: bare expects nothing, since ") == bool(status)
    assert len(note.splitlines()) == bool(status)
    assert cli.main(["run", bundle, "--device", "golden"]) == status
