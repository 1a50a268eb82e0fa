"""docs/networks.md: its stories, with what the commands print; README.md shows one of them."""

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAGE", "SHOWN", "blocks", "lasting"]

PAGE = "docs/networks.md"
SHOWN = (PAGE, "README.md")  # pages with marks
FIRST = "\n## Deploying a classifier\n"
GOLDEN = "run build/{} --device golden"
COMMANDS = {
    "classifier": (
        "compile build/digits.onnx --calibration build/samples.npz -o build/digits.vta --explain",
    ),
    "accuracy": (f"{GOLDEN.format('digits.vta')} --input build/x.npy --labels build/y.npy",),
    "detector": (
        "compile build/detector.onnx -o build/detector.vta",
        GOLDEN.format("detector.vta"),
    ),
    "gated": ("compile build/gated.onnx -o build/gated.vta --explain",),
    "hard": ("compile build/hard.onnx --scales power-of-two -o build/hard.vta --explain",),
}
QUIET = {"build/detector.onnx"}  # compiled without a word: its run shows the same and more
TIME = re.compile(r"[\d.]+(e-\d+)?(?= m?s\b)")


def blocks(content: str) -> dict[str, str]:
    """The outputs of the page's stories, by mark, which follow its listings."""
    from vta.sim.cli import main  # here, because TVM takes seconds to load

    _, _, stories = content.partition(FIRST)
    found: dict[str, str] = {}
    scope: dict[str, object] = {"__name__": "listing"}
    with tempfile.TemporaryDirectory() as directory, _within(Path(directory)):
        for listing, mark in re.findall(
            r"^```python\n(.*?)^```$|^<!-- (\w+) -->$", stories, re.DOTALL | re.MULTILINE
        ):
            if listing:
                exec(listing, scope)
            elif mark in COMMANDS:
                found[mark] = "\n".join(
                    ["```output", *(_output(main, c) for c in COMMANDS[mark]), "```"]
                )
    return found


def _output(main: object, command: str) -> str:
    """A command, and what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()) as errors:
        status = main(command.split())  # type: ignore[operator]
    if status:
        raise RuntimeError(f"vta {command}: exit status {status}: {errors.getvalue()}")
    lines = [] if command.split()[1] in QUIET else printed.getvalue().splitlines()
    timeless = (TIME.sub(lambda m: "." * len(m[0]), line.rstrip()) for line in lines)
    return "\n".join([f"$ vta {command}", *timeless])


def lasting(content: str) -> str:
    """A page without what differs from run to run: times, and how wide columns are for them."""
    return re.sub(r"[ .]+", " ", content)


@contextlib.contextmanager
def _within(directory: Path) -> Iterator[None]:
    old = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(old)
