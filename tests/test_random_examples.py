"""The profiles of random examples (conftest.py), in a pytest of their own."""

import subprocess
import sys
from pathlib import Path

from tests.test_setup import ROOT

EXAMPLES = """
from hypothesis import given, strategies as st

@given(st.integers(0, 1 << 60))
def test_example(n):
    with open({seen!r}, "a") as file:
        print(n, file=file)
    assert n < {limit}
"""


def examples(tmp_path: Path, *options: str, limit: int = 1 << 61) -> tuple[list[str], str]:
    """What one run of pytest tries, and what it prints."""
    seen = tmp_path / "seen"
    seen.unlink(missing_ok=True)
    test = tmp_path / "test_example.py"
    test.write_text(EXAMPLES.format(seen=str(seen), limit=limit))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "/dev/null",
        "-p",
        "tests.conftest",
        f"--rootdir={tmp_path}",
        "-p",
        "no:cacheprovider",
        *options,
        str(test),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert seen.exists(), done.stdout + done.stderr
    return seen.read_text().split(), done.stdout


def test_make_test_is_deterministic(tmp_path: Path) -> None:
    first, _ = examples(tmp_path)
    assert len(first) >= 100
    assert examples(tmp_path)[0] == first


def test_make_regress_tries_fresh_examples(tmp_path: Path) -> None:
    first, _ = examples(tmp_path, "--hypothesis-profile=regress")
    assert examples(tmp_path, "--hypothesis-profile=regress")[0] != first
    makefile = (ROOT / "Makefile").read_text()
    assert '-m "regress or hypothesis" --hypothesis-profile=regress' in makefile


def test_a_failure_can_be_run_again(tmp_path: Path) -> None:
    for options in ((), ("--hypothesis-profile=regress",)):
        _, printed = examples(tmp_path, *options, limit=1000)
        assert "@reproduce_failure(" in printed
