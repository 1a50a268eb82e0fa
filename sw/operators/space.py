"""The tilings that an operator may have, the cheapest first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Candidate", "Remembered"]


@dataclass(frozen=True)
class Candidate:
    """A tiling, an estimate of its cost (cycles), and what it needs at least of each memory.

    Whether it fits is the allocator's answer. What the allocator refuses, it refuses too of a
    tiling that needs no less of any memory.
    """

    tiling: Any = None
    cost: float = 0
    needs: tuple[int, ...] = ()

    def larger(self, other: "Candidate") -> bool:
        """It needs no less of any memory than `other`."""
        return all(mine >= its for mine, its in zip(self.needs, other.needs, strict=True))


class Remembered:
    """An iterable that computes each of its items once, when first asked for."""

    def __init__(self, items: Iterable[Candidate]) -> None:
        self._found: list[Candidate] = []
        self._rest = iter(items)

    def __iter__(self) -> Iterator[Candidate]:
        n = 0
        while True:
            if n == len(self._found):
                item = next(self._rest, None)
                if item is None:
                    return
                self._found.append(item)
            yield self._found[n]
            n += 1
