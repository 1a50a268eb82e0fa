"""Where results go: checked before, never cut off, names that are no paths."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from vta.hw.errors import OptionError
from vta.sim.output import STANDARD_OUTPUT, check_output, file_names, output_path, write_text
from vta.sim.progress import Progress


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    held, new = tmp_path / "held", tmp_path / "new"
    held.write_text("kept")
    for path in (held, new, STANDARD_OUTPUT, None):
        check_output("--json", path)
    assert held.read_text() == "kept"
    assert not new.exists() and not Path("-").exists()


@pytest.mark.parametrize(("name", "why"), [("none/x", "No such file"), (".", "Is a directory")])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    with pytest.raises(OptionError) as caught:
        check_output("--json", path)
    assert str(caught.value).startswith(f"--json {path}: cannot be written: {why}")


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening a named pipe waits for a reader, and closing it tells that one that all is read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_output("--json", pipe)


def test_standard_output_has_two_names() -> None:
    assert output_path("-") == output_path("/dev/stdout") == STANDARD_OUTPUT
    assert output_path("x/-") == Path("x/-")


@pytest.mark.parametrize("name", ["[/x]", "[red]x", "plain"])
def test_progress_shows_any_name(name: str) -> None:
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=True, width=80)) as progress:
        progress.step(f"{name}: first")
        progress.note(f"{name}: second")
    assert name in file.getvalue()


def test_text_ends_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("a", "a\n"):
        write_text(STANDARD_OUTPUT, text)
        assert capsys.readouterr().out == "a\n"


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["conv", "gemm"], ["conv", "gemm"]),
        (["a", "a", "A", "a"], ["a", "a-2", "A-3", "a-4"]),
        (["a", "a-2", "a"], ["a", "a-2", "a-3"]),
        (["../../etc/x", "/x", "x\\y"], ["_.._etc_x", "_x", "x_y"]),
        (["..", ".", "-rf", ".hidden"], ["program", "program-2", "rf", "hidden"]),
        (["é [/b]"], ["____b_"]),
        (["x" * 5000], ["x" * 100]),
    ],
)
def test_file_names(names: list[str], files: list[str]) -> None:
    assert file_names(names) == files
