"""One sentence or table row of a page, and the figures that must stand in it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vta.hw.errors import VtaError

__all__ = ["Claim", "ClaimError", "differences", "rewritten", "unclaimed"]

NUMBER = r"(\d+(?:,\d{3})*(?:\.\d+)?%?)"
FIGURE = re.compile(r"(?<![\w.,/-])\d{1,3}(?:,\d{3})+(?!\w)|(?<![\w.,])\d+\.\d+%?(?![\w.])|\b\d+%")
"""What looks measured: numbers with thousands, with a point, or in percent."""
LISTING = re.compile(r"^```(?:python|output|mermaid)\n.*?^```$", re.DOTALL | re.MULTILINE)
"""What the tests run, and what they compare with the output of a command or of a pass."""


class ClaimError(VtaError, ValueError):
    """A claim whose text does not stand in its page, once."""


@dataclass(frozen=True)
class Claim:
    """`text` stands in `page`, however its lines are broken, with `figures` in place of each {}."""

    page: str
    text: str
    figures: tuple[str, ...]

    def match(self, content: str) -> re.Match[str]:
        """Where it stands in the page.

        Raises
        ------
        ClaimError
            where it does not, or more than once.
        """
        parts = [r"\s+".join(map(re.escape, part.split(" "))) for part in self.text.split("{}")]
        found = list(re.finditer(NUMBER.join(parts), content))
        if len(found) != 1:
            raise ClaimError(
                f"{self.page}: {self.text!r} stands there {len(found)} times: change the page, or "
                "sim/documents/claims.py"
            )
        if len(found[0].groups()) != len(self.figures):
            raise ClaimError(f"{self.text!r} has not {len(self.figures)} figures")
        return found[0]


def differences(content: str, claims: Iterable[Claim]) -> list[str]:
    """A line for each figure of a page that is not what its claim says."""
    return [
        f"{claim.page}: {claim.text!r} says {found}; it is {wanted}"
        for claim in claims
        for found, wanted in zip(claim.match(content).groups(), claim.figures, strict=True)
        if found != wanted
    ]


def rewritten(content: str, claims: Iterable[Claim]) -> str:
    """The page with the claims' figures."""
    changes: list[tuple[tuple[int, int], str]] = []
    for claim in claims:
        match = claim.match(content)
        changes += [(match.span(n), new) for n, new in enumerate(claim.figures, 1)]
    for (start, end), new in sorted(changes, reverse=True):
        content = content[:start] + new + content[end:]
    return content


def unclaimed(content: str, claims: Sequence[Claim]) -> list[str]:
    """Figures of a page that no claim covers."""
    covered = [span for claim in claims for span in _spans(claim.match(content))]
    covered += [match.span() for match in LISTING.finditer(content)]
    return [
        f"{match[0]}: {_line(content, match.start())}"
        for match in FIGURE.finditer(content)
        if not any(start <= match.start() and match.end() <= end for start, end in covered)
    ]


def _spans(match: re.Match[str]) -> list[tuple[int, int]]:
    return [match.span(n) for n in range(1, len(match.groups()) + 1)]


def _line(content: str, position: int) -> str:
    return content[: content.find("\n", position)].rpartition("\n")[2].strip()
