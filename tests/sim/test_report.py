"""The table and the JSON of runs."""

import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from vta.hw.config import Config
from vta.hw.isa import ErrorClass
from vta.hw.registers import COUNTERS
from vta.sim.report import Outcome, other_cycles, print_outcomes, print_split, run_bound, write_json
from vta.sw.golden import GoldenDevice
from vta.sw.program import DeviceError, Program, Result
from vta.sw.test_programs import CORNERS


def _program() -> Program:
    return CORNERS["store_stride"](Config())


def _result(program: Program, **changes: object) -> Result:
    memory = GoldenDevice().run(program).memory
    counters = dict.fromkeys((c.name for c in COUNTERS), 0)
    counters |= {
        "gemm_uops": 250,
        "compute_gemm": 300,
        "compute_alu": 100,
        "compute_idle": 600,
        "read_beats": 400,
        "write_beats": 100,
    }
    return Result(**({"memory": memory, "cycles": 1000, "counters": counters} | changes))


def _text(*outcomes: Outcome) -> str:
    stream = StringIO()
    print_outcomes(Console(file=stream, width=140), list(outcomes))
    return stream.getvalue()


def test_the_table_says_where_the_cycles_went() -> None:
    program = _program()
    result = _result(program)
    assert other_cycles(result) == "idle 60.0%, alu 10.0%, load, reset 5.0%"
    row = _text(Outcome(program, "rtl", result)).splitlines()[1].split()
    count = str(program.registers.insn_count)
    assert row[:6] == [program.name, count, "1000", "400", "25.0%", "4.00"]
    assert row[-1] == "yes"


def test_the_bound_is_the_port_that_is_used_most() -> None:
    program = _program()
    for counters, least in (
        ({"read_beats": 7, "write_beats": 9, "gemm_uops": 8}, 9),
        ({"gemm_uops": 12, "alu_uops": 9, "reset_uops": 4, "folded_uops": 2}, 12),
        ({"gemm_uops": 10, "alu_uops": 9, "reset_uops": 4, "folded_uops": 2}, 11),
    ):
        assert run_bound(_result(program, counters=counters)) == least


def test_the_split_adds_up() -> None:
    stream = StringIO()
    program = _program()
    print_split(Console(file=stream, width=140), Outcome(program, "rtl", _result(program)))
    line = next(line for line in stream.getvalue().splitlines() if line.startswith("compute"))
    assert line.split("  ")[1].strip() == "idle 600, gemm 300, alu 100 = 1000"


def test_what_went_wrong_is_told() -> None:
    program = _program()
    wrong = _result(program)
    wrong.memory[program.expected[0][0] - program.memory_base] ^= 255
    error = DeviceError(ErrorClass.DEADLOCK, 3, "waits")
    outcomes = [
        Outcome(program, "rtl", wrong, details=["line one", "line two"]),
        Outcome(program, "rtl", _result(program, error=error)),
        Outcome(program, "rtl", None, failure="the simulator ended"),
    ]
    assert [outcome.match for outcome in outcomes] == [False, False, False]
    assert [o.verdict for o in outcomes] == ["mismatch", "DEADLOCK at 3", "no result"]
    assert [o.status for o in outcomes] == ["mismatch", "error", "no_result"]
    text = _text(*outcomes)
    for line in ("line one", "line two", "the simulator ended"):
        assert line in text


def test_the_json(tmp_path: Path) -> None:
    program = _program()
    wrong = _result(program)
    address, data = program.expected[0]
    wrong.memory[address - program.memory_base] ^= 255
    error = DeviceError(ErrorClass.BUS_ERROR, 3, "why", 0x1234)
    path = tmp_path / "result.json"
    write_json(
        path,
        [
            Outcome(program, "golden", GoldenDevice().run(program)),
            Outcome(program, "rtl", wrong),
            Outcome(program, "rtl", _result(program, error=error)),
            Outcome(program, "rtl", None, failure="hangs"),
        ],
    )
    fine, mismatch, failed, none = json.loads(path.read_text())
    assert (fine["name"], fine["match"], fine["cycles"]) == (program.name, True, None)
    assert fine["first_mismatch"] is None and fine["error"] is None
    assert mismatch["match"] is False
    expected = int(data[0])
    assert mismatch["first_mismatch"] == {
        "address": address,
        "expected": expected,
        "actual": expected ^ 255,
        "bytes_wrong": 1,
    }
    assert mismatch["cycles"] == 1000 and mismatch["counters"]["gemm_uops"] == 250
    assert failed["match"] is False
    assert failed["error"] == {"class": "BUS_ERROR", "index": 3, "address": 0x1234, "reason": "why"}
    assert none["match"] is False and none["error"] == {"class": "NO_RESULT", "reason": "hangs"}


def test_nothing_expected_is_said() -> None:
    program = _program()
    program.expected = []
    outcome = Outcome(program, "rtl", _result(program))
    assert outcome.match is None
    assert (outcome.status, outcome.verdict) == ("unchecked", "nothing expected")
    assert outcome.to_dict()["match"] is None


def test_a_golden_run_has_no_cycles() -> None:
    program = _program()
    row = _text(Outcome(program, "golden", GoldenDevice().run(program))).splitlines()[1].split()
    assert row[2:5] == ["-", "-", "-"]
