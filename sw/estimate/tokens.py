"""A token counter between two stages, as the cycles of its pushes and pops."""

__all__ = ["Tokens"]


class Tokens:
    """Tokens from one stage to a neighbour (`vta.hw.frontend.tokens`).

    `pushes` and `pops` hold the cycle of each, in order. None as an answer: not known yet.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._reserved = 0
        self.pushes: list[int] = []
        self.pops: list[int] = []

    def available(self) -> int | None:
        """The first cycle in which the next token can be popped."""
        n = len(self.pops)
        return self.pushes[n] + 1 if n < len(self.pushes) else None

    def sound(self) -> int | None:
        """From when on tokens and reservations fit the capacity."""
        excess = self._reserved - self._capacity
        if excess <= 0:
            return 0
        return self.pops[excess - 1] + 1 if excess <= len(self.pops) else None

    def reserve(self) -> None:
        self._reserved += 1
