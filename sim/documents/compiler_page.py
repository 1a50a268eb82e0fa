"""docs/compiler.md: what a small program is after each pass, and a picture of its tokens."""

import re
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from vta.hw.config import Config
from vta.hw.isa import Stage
from vta.sw.assembler import format_instruction
from vta.sw.program import Program
from vta.sw.rules import stage_of

__all__ = ["PAGE", "blocks", "picture", "with_blocks"]

PAGE = "docs/compiler.md"
EXAMPLE = {"rows": 2, "inner": 32, "columns": 16, "bias": True, "shift": 8, "low": 0, "high": 127}
"""The matrix product of the page."""
SHOWN = ("lower", "walk", "nests", "instructions", "allocate", "tokens", "encode")
STAGES = (Stage.LOAD, Stage.COMPUTE, Stage.STORE)
NEIGHBOURS = {"pop_prev": -1, "pop_next": 1, "push_prev": -1, "push_next": 1}


def blocks() -> dict[str, str]:
    """The page's listings, by pass, and "picture"."""
    from vta.sw.compiler import Instruments  # here, because TVM takes seconds to load
    from vta.sw.operators import operator

    kernel = operator("matmul").kernel(Config(), **EXAMPLE)
    with tempfile.TemporaryDirectory() as directory:
        module = kernel.compile(Instruments(dump=Path(directory)))
        files = {path.stem.split("-", 1)[1]: path for path in Path(directory).iterdir()}
        found = {name: f"```output\n{files[name].read_text().rstrip()}\n```" for name in SHOWN}
    found["picture"] = f"```mermaid\n{picture(module.template)}```"
    return found


def with_blocks(content: str, found: Mapping[str, str]) -> str:
    """The page with each listing between its marks."""
    for name, block in found.items():
        marks = rf"(<!-- {name} -->\n).*?\n?(<!-- end -->)"
        content = re.sub(marks, lambda m, b=block: f"{m[1]}{b}\n{m[2]}", content, flags=re.DOTALL)
    return content


def picture(program: Program) -> str:
    """A sequence diagram: what each stage does in order, and the tokens from stage to stage."""
    lines = ["sequenceDiagram"]
    lines += [f"    participant {stage.name.lower()}" for stage in STAGES]
    pushed: dict[tuple[int, int], deque[int]] = {}
    for index, instruction in enumerate(program.instructions()):
        stage = stage_of(instruction)
        assert stage is not None
        for flag in ("pop_prev", "pop_next"):
            if getattr(instruction, flag):
                source = stage + NEIGHBOURS[flag]
                pusher = pushed[source, stage].popleft()
                names = Stage(source).name.lower(), stage.name.lower()
                lines.append(f"    {names[0]}->>{names[1]}: {pusher} is done, {index} may begin")
        words = " ".join(_words(format_instruction(instruction, program.config)))
        lines.append(f"    note over {stage.name.lower()}: {index}: {words}")
        for flag in ("push_prev", "push_next"):
            if getattr(instruction, flag):
                target = (int(stage), stage + NEIGHBOURS[flag])
                pushed.setdefault(target, deque()).append(index)
    return "\n".join(lines) + "\n"


def _words(line: str) -> Iterator[str]:
    """What an instruction is, without its numbers."""
    for word in line.split():
        if "=" not in word and "." not in word:
            yield word
