"""Bugs put into the core: `vta run` must name the guilty instruction, step, lane and reason."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.sim.broken_cores import BUGS, broken_core
from vta.hw.config import Config
from vta.sim import cli
from vta.sim import device as device_module
from vta.sim.build import Simulator, build_simulator
from vta.sim.divergence.trace import VARIANT
from vta.sw.program import Program
from vta.sw.test_programs import CORNERS, random_program

CONFIG = Config.preset("1x8")
BUNDLE = Path(__file__).parent / "conv_1x8.npz"
PAGE = Path(__file__).parents[2] / "docs" / "debugging.md"
STORY = "<!-- what vta run prints: "


def _conv() -> Program:
    """A convolution with bias, shift and clip, as a bundle, so that its instructions stay."""
    return Program.load(BUNDLE)


def _corner(name: str) -> Callable[[], Program]:
    return lambda: CORNERS[name](CONFIG)


def _random(seed: int) -> Callable[[], Program]:
    return lambda: random_program(seed, CONFIG)


@dataclass(frozen=True)
class Case:
    """What must be found with a program: parts of the lines that are printed, in their order, and
    of the JSON of the first divergence; none where the run had no result.
    """

    program: Callable[[], Program]
    lines: tuple[str, ...]
    divergence: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "MAC lane 5 is not forwarded to": Case(
        _conv,
        (
            ": gemm uop=1:10 loop=4,8",
            "[statement vta.gemm(",
            "ACC entry 4, lane 5: expected 216, found 152 (int32) (1 of 8 values wrong)",
            "step 5 of 288 (outer loop 0, inner loop 0, uop 6): acc[4] += inp[12] @ wgt[5].T",
            "acc[4] = 64, made by step 4, 1 cycle before (forwarded)",
            "the result of step 4 did not reach this step",
            "values that it wrote are wrong: lane 5 of 8: ",
            "beside it: load instruction 6",
            "251 of 2048 bytes of out are wrong: lane 5 of 8: 251 of the 256 there",
        ),
        {"unit": "gemm", "instruction": 5, "lanes": [5], "write": 5},
    ),
    "left padding is dropped": Case(
        _conv,
        (
            "instruction 3: load inp ",
            "pad=1,0,1,1",
            "INP entry 10, lane 0: expected 0, found -1 (int8) (8 of 8 values wrong)",
            "row 1 of 6, column 0 of 10 with padding: padding left of the data",
            "from here on stands what belongs 1 element behind",
        ),
        {"unit": "load", "instruction": 3, "memory": "INP", "entry": 10},
    ),
    "SHR by a negative amount": Case(
        _random(5),
        (
            "instruction 7: alu shr uop=27:31",
            "ACC entry 5, lane 0: expected 0, found -1 (int32)",
            "acc[5] = shr acc[48]",
            "acc[48] = -107575575, made by instruction 2",
            "all operands were right: the lane made another value of them",
        ),
        {"unit": "alu", "instruction": 7, "memory": "ACC"},
    ),
    "a burst over 4 KiB": Case(
        _conv,
        (
            "2 AXI protocol violations; the first:",
            "  cycle 3248: AR 0x13fc0: 64 beats cross a 4 KiB boundary",
            "    in segment weight, byte 4032 of 9216: weight int8 [32, 32, 3, 3] OIHW8o8i, index ",
            "    instruction 49: load wgt sram=9 dram=0x4ff y=1 x=9",
        ),
    ),
    "FINISH does not wait": Case(
        _corner("both_pushes_are_made"),
        (
            ": finish rose with 1 writes unanswered",
            "    in segment out_1, byte 0 of ",
            "    instruction ",
        ),
    ),
    "a push of STORE is lost": Case(
        _conv,
        (
            "error DEADLOCK at 128: nothing is in flight, and every stage waits for another",
            "it waits for token 6 from store, pushed by instruction 109: store out",
            "which has retired: the core has lost its token",
        ),
    ),
    "the result of two steps before is not forwarded": Case(
        _corner("gemm_dependent_at_every_distance"),
        (
            "instruction 8: gemm uop=0:7 loop=2,1",
            "ACC entry 1, lane 0: expected -912524874, found -912520881 (int32) (8 of 8 values",
            "step 8 of 14 (outer loop 1, inner loop 0, uop 1): acc[1] += inp[1] @ wgt[1].T",
            "acc[1] = -912516533, made by step 5, 3 cycles before (forwarded)",
            "which acc[1] was before step 5: the result of step 5 did not reach this step",
        ),
        {"unit": "gemm", "instruction": 8, "write": 8, "entry": 1},
    ),
    "a write does not clear its zero flag": Case(
        _conv,
        (
            "instruction 5: gemm uop=1:10",
            "ACC entry 4, lane 0: expected -427, found 0 (int32) (8 of 8 values wrong)",
            "the step's result was right: it did not get into ACC",
            "step 8 of 288",
            "bytes of out are wrong; all found as 0",
        ),
        {"unit": "gemm", "instruction": 5, "what": "lost", "write": 8},
    ),
    "a bank of WGT misses entries": Case(
        _conv,
        (
            "instruction 4: load wgt dram=0x4c0 y=1 x=9",
            "WGT entry 2, row 3, column 0: expected 8, found 0 (int8) (8 of 64 values wrong)",
            "data from 0x13080, in segment weight, byte 128 of 9216",
            "row 3, elements of a row 2, 3, 6, 7: all of those; all found as 0",
            "lane 3 of 8: 244 of the 256 there",
        ),
        {"unit": "load", "instruction": 4, "memory": "WGT", "entry": 2},
    ),
    "the last byte of a beat has no strobe": Case(
        _conv,
        (
            "instruction 19: store out sram=4",
            "the byte at 0x17007 was due, the byte at 0x17008 was written: the write that was due",
            "row 0 of 1, element 0 of 32, lane 7: the low byte of acc[4], -50, made by instruction",
            "in segment out, byte 7 of 2048: output int8 [1, 32, 8, 8] NCHW1n8c, index [0, 7, ",
            "lane 7 of 8 (the last): 253 of the 256 there",
        ),
        {"unit": "store", "instruction": 19, "what": "place", "write": 7, "memory": "DRAM"},
    ),
    "folded clamps forget the first": Case(
        _corner("chain_of_many"),
        (
            "instruction 61: alu max uop=0:1 loop=1,40",
            "; instructions 47 to 61 were folded into one pass",
            "ACC entry 0, lane 0: expected 650, found -1240 (int32) (8 of 8 values wrong)",
            "acc[0] = max -1800, then min 1760, then max -1720",
            "went in: acc[0] = 650, made by instruction 46",
            "it must become 650, then 650",
            "all operands were right: the lane made another value of them",
            "bytes of out_2 are wrong; all found as 72",
        ),
        {"unit": "alu", "instruction": 61, "folded": list(range(47, 62))},
    ),
    "the outer loop forgets its source": Case(
        _corner("gemm_loops"),
        (
            "instruction 6: gemm uop=1:4 loop=3,2",
            "ACC entry 10, lane 0: expected 1374404271, found 1374387666 (int32) (8 of 8 values",
            "step 12 of 18 (outer loop 2, inner loop 0, uop 1): acc[10] += inp[11] @ wgt[3].T",
            "but the core read inp[7], not inp[11]",
            "entry 10 and above: all of those",
        ),
        {"unit": "gemm", "instruction": 6, "write": 12, "entry": 10},
    ),
    "OUT is stale after LOAD ACC": Case(
        _corner("load_pads_acc"),
        (
            "instruction 0: load acc dram=0x806",
            "ACC entry 0, lane 0: expected 758367301, found 758367232 (int32)",
            "only the low bytes, which may be those of OUT",
            "data from 0x100c0, in segment acc_1, byte 0 of 1280",
            "values that it wrote are wrong; only bits 0 to 7",
            "48 of 240 bytes of out_2 are wrong; all found as 0",
        ),
        {"unit": "load_compute", "instruction": 0, "memory": "ACC"},
    ),
    "ACC_8BIT without its sign": Case(
        _corner("load_pads_acc_8bit"),
        (
            "instruction 1: load acc_8bit sram=2",
            "ACC entry 10, lane 0: expected -106, found 150 (int32) (3 of 8 values wrong)",
            "row 1 of 5, column 2 of 6 with padding: data from 0x10000, in segment acc_8bit_0",
            "all too large by 256",
        ),
        {"unit": "load_compute", "instruction": 1, "memory": "ACC", "entry": 10},
    ),
}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`broken(bug)`: from now on all simulators are of the core with that bug."""

    def use(bug: str) -> None:
        verilog = broken_core(bug, CONFIG)

        def build(config: Config, **options: Any) -> Simulator:
            assert config == CONFIG
            return build_simulator(config, **(options | {"verilog": verilog, "variant": VARIANT}))

        monkeypatch.setattr(device_module, "build_simulator", build)

    return use


def _vta_run(program: Program, directory: Path) -> dict[str, Any]:
    path, result = directory / "program.npz", directory / "result.json"
    program.save(path)
    assert cli.main(["run", str(path), "--json", str(result)]) == 1
    return json.loads(result.read_text())[0]


def test_every_bug_has_its_case() -> None:
    assert list(CASES) == list(BUGS)


@pytest.mark.regress
@pytest.mark.parametrize("bug", CASES)
def test_the_bug_is_found(broken: Callable[[str], None], tmp_path: Path, bug: str) -> None:
    case = CASES[bug]
    broken(bug)
    result = _vta_run(case.program(), tmp_path)
    error = result["error"] or {}
    text = "\n".join([*str(error.get("reason", "")).splitlines(), *result["details"]])
    rest = text
    for part in case.lines:
        assert part in rest, f"{part!r} is not in its place in\n{text}"
        rest = rest.partition(part)[2]
    found = result["first_divergence"] or {}
    assert {name: found.get(name) for name in case.divergence} == case.divergence
    assert bool(found) == bool(case.divergence)


def _stories() -> dict[str, list[str]]:
    """What the page says that `vta run` prints, by the bug; dots stand for anything."""
    stories = {}
    for part in PAGE.read_text().split(STORY)[1:]:
        bug, _, rest = part.partition(" -->")
        stories[bug] = rest.split("```")[1].strip().splitlines()
    return stories


def test_the_page_tells_three_stories() -> None:
    assert len(_stories()) == 3
    assert set(_stories()) <= set(CASES)


@pytest.mark.regress
@pytest.mark.parametrize("bug", _stories())
def test_the_page_shows_what_is_printed(
    broken: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str], bug: str
) -> None:
    broken(bug)
    _vta_run(CASES[bug].program(), tmp_path)
    out = capsys.readouterr().out
    for line in _stories()[bug]:
        rest = out
        for part in filter(None, line.split("...")):
            assert part in rest, f"{line!r} is not printed in\n{out}"
            rest = rest.partition(part)[2]
