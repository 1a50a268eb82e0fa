"""What TVM's error messages say: the reason without the listings, and what to do about it.

A schedule primitive that fails prints the whole program, marks a place in it, and for `tensorize`
prints the pattern and the description too; the reason is in the last lines. :func:`reason` finds
those and puts loops and blocks in place of the marks' numbers; :mod:`vta.sw.compiler.hints` knows
what is usually behind them.
"""

import re
from dataclasses import dataclass

__all__ = ["Reason", "Region", "reason"]

MARK = re.compile(r"(?:(?:[Ll]oop|[Bb]lock) )?((?:s_tir\.SBlock|tirx\.For)#\d+)")
ADDRESS = re.compile(r"ir\.Range\(0x[0-9a-f]+\)")
MISMATCH = "Does not match the tensorize description:"


@dataclass(frozen=True)
class Region:
    """A buffer's part that a block reads or writes: its name, and an index or range an axis."""

    buffer: str
    indices: tuple[str, ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """Extents of the axes that are ranges; 0 where one is not a number."""
        found = (re.fullmatch(r"(.*?):(?:\1 \+ )?(\d+)", index) for index in self.indices)
        return tuple(
            int(match[2]) - (int(match[1]) if match[1].isdigit() else 0) if match else 0
            for index, match in zip(self.indices, found, strict=True)
            if ":" in index
        )


@dataclass(frozen=True)
class Reason:
    """One message of TVM, taken apart.

    Members
    -------
    primitive: the schedule primitive that failed, such as "tensorize"; "" for other errors.
    lines: the reason in TVM's words.
    listing: the program it was applied to; "" for other errors.
    whole: the message as it came.
    """

    primitive: str
    lines: tuple[str, ...]
    listing: str
    whole: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def blocks(self) -> list[str]:
        """Names of the listing's blocks."""
        return [n for n in re.findall(r'sblock\("([^"]+)"', self.listing) if n != "root"]

    def regions(self, kind: str) -> tuple[list[Region], list[Region]] | None:
        """("reads" or "writes") of the pattern and of the description, where they differ."""
        match = re.search(rf"op->{kind}=\((.*)\) vs rhs->{kind}=\((.*)\)", self.text)
        return None if match is None else (_regions(match[1]), _regions(match[2]))


def _regions(text: str) -> list[Region]:
    found = re.findall(r"(\w+)\[([^\]]*)\]", text)
    return [Region(name, tuple(indices.split(", "))) for name, indices in found]


def reason(message: str) -> Reason:
    """The reason in `message`, an exception's text."""
    match = re.search(r"schedule primitive '([^']+)'", message)
    listing, found, rest = message.partition("Error message: ")
    if not found:
        listing, rest = "", message
    listing = listing.partition("The IR with diagnostic is:")[2]
    rest = rest.strip()
    if MISMATCH in rest:
        after = rest.partition(MISMATCH)[2].split("\n")
        last = max(n for n, line in enumerate(after) if line.startswith(" "))
        lines = after[last + 1 :]
    else:
        lines = rest.split("\n")
    lines = [_tidy(line, listing) for line in lines if line.strip()]
    primitive = match[1].replace("-", "_").replace("get_block", "get_sblock") if match else ""
    return Reason(primitive, tuple(lines), listing, message)


def _tidy(line: str, listing: str) -> str:
    line = line.strip().removeprefix("ScheduleError: ")
    line = MARK.sub(lambda mark: _marked(mark, listing), line)
    return ADDRESS.sub("...", line)


def _marked(mark: re.Match[str], listing: str) -> str:
    """``block "C"`` or ``loop K`` for a mark such as ``tirx.For#0``, which the listing explains."""
    match = re.search(rf"# {re.escape(mark[1])}\n\s*(.*)", listing)
    if match is None:
        return mark[0]
    block = re.match(r'with T\.sblock\("([^"]+)"', match[1])
    loop = re.match(r"for (\w+) in .*\(([^()]*)\)", match[1])
    if block is not None:
        return f'block "{block[1]}"'
    return mark[0] if loop is None else f"loop {loop[1]} (extent {loop[2]})"
