"""Schedule files: each common mistake's message says what is wrong, where, and what to do."""

import re
from pathlib import Path

import pytest

from tests.sw.operators.mistakes import IN_PYTHON, IN_SCHEDULES, SCHEDULE, Mistake
from vta.hw.config import Config
from vta.sw.compiler import Instruments
from vta.sw.operators import ScheduleFileError, compile_file


def message(path: Path, text: str) -> ScheduleFileError:
    path.write_text(text)
    with pytest.raises(ScheduleFileError) as error:
        compile_file(path, Config())
    print(error.value)
    return error.value


def check(mistake: Mistake, path: Path) -> ScheduleFileError:
    error = message(path, mistake.text)
    where = f"{path}:{mistake.line}: " if mistake.at else f"{path}: "
    assert str(error).startswith(where), str(error)
    for words in mistake.words:
        assert words in str(error)
    assert not re.search(r"0x[0-9a-f]{6}|#\d", str(error).replace("condition #1", ""))
    return error


def test_without_a_mistake_it_compiles(tmp_path: Path) -> None:
    path = tmp_path / "my_schedule.py"
    path.write_text(SCHEDULE)
    assert compile_file(path, Config()).registers.insn_count == 787


@pytest.mark.parametrize("mistake", IN_SCHEDULES, ids=lambda mistake: mistake.name)
def test_mistakes_in_schedules(mistake: Mistake, tmp_path: Path) -> None:
    error = check(mistake, tmp_path / "my_schedule.py")
    assert "hint: " in str(error) or not mistake.at
    lines = str(error).removeprefix(str(tmp_path)).split("\n")
    assert all(line.startswith(("  TVM: ", "  hint: ")) for line in lines[1:])
    assert max(map(len, lines)) < 350
    assert "TVM: " not in str(error) or "The IR with diagnostic is" in error.details


@pytest.mark.parametrize("mistake", IN_PYTHON, ids=lambda mistake: mistake.name)
def test_mistakes_in_python(mistake: Mistake, tmp_path: Path) -> None:
    check(mistake, tmp_path / "my_schedule.py")


def test_modules_beside_the_file(tmp_path: Path) -> None:
    """They can be imported, also from inside build; another file's of the same name is another."""
    for name, value in (("one", 4), ("two", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "beside.py").write_text(f"VALUE = {value}")
        text = "def build(config):\n    import beside\n    raise ValueError(f'is {beside.VALUE}')"
        assert f"is {value}" in str(message(tmp_path / name / "schedule.py", text))


def test_an_error_in_a_module_beside_the_file(tmp_path: Path) -> None:
    beside = tmp_path / "beside.py"
    beside.write_text("def tiles(n):\n    return {}[n]\n")
    text = "from beside import tiles\n\n\ndef build(config):\n    return tiles(3)\n"
    error = str(message(tmp_path / "schedule.py", text))
    assert error.startswith(f"{beside}:2: KeyError: there is no 3")
    beside.write_text("def tiles(n)\n")
    error = str(message(tmp_path / "schedule.py", text))
    assert error.startswith(f"{beside}:1: SyntaxError: expected ':'")


def test_an_interrupt_is_no_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "schedule.py"
    path.write_text("def build(config):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        compile_file(path, Config())


def test_steps_are_named(tmp_path: Path) -> None:
    path = tmp_path / "my_schedule.py"
    path.write_text(SCHEDULE + "\n\ndef golden(inputs):\n    return {}\n")
    steps: list[str] = []
    compile_file(path, Config(), instruments=Instruments(steps.append))
    assert steps == [
        "schedule",
        "descriptions",
        "lower",
        "walk",
        "nests",
        "initialized",
        "coalesce",
        "accumulate",
        "instructions",
        "allocate",
        "order",
        "interleave",
        "dram",
        "relay",
        "uops",
        "tokens",
        "encode",
        "golden",
    ]
