"""Fetch: when each instruction reaches the queue of its stage."""

from collections.abc import Mapping, Sequence

from vta.hw.capacities import BUFFER_BEATS, CHUNK_BEATS
from vta.hw.config import Config
from vta.hw.isa import INSTRUCTION_BYTES, Stage
from vta.sw.estimate.stage import InOrderStage

__all__ = ["Fetch"]

FIRST_OFFER = 2  # the first burst is offered, in cycles from the launch
DISPATCH = 4  # cycles from an instruction's last beat to its dispatch
TAKEN = 2  # cycles from a beat to when it leaves the buffer, at the earliest
ROOM = 3  # cycles from there to the burst it makes room for
QUEUE = 3  # cycles from dispatch to the stage


class Fetch:
    """Reads the program ahead and dispatches in order; a read client (`ReadClient`)."""

    def __init__(
        self,
        config: Config,
        stages: Mapping[Stage, InOrderStage],
        order: Sequence[Stage],
        address: int,
    ) -> None:
        self._config = config
        self._stages = stages
        self._order = order
        self._parts = max(1, INSTRUCTION_BYTES // config.beat_bytes)  # cycles an instruction takes
        start = address // config.beat_bytes
        self._skew = address % config.beat_bytes  # of the first instruction in its beat
        end = -(-(address + len(order) * INSTRUCTION_BYTES) // config.beat_bytes)
        self._left = end - start
        self._at = start
        self._asked = 0
        self._arrivals: list[int] = []  # of each beat
        self._taken: list[int] = []  # of each beat of a dispatched instruction
        self._dispatched: list[int] = []
        self._last_offer = FIRST_OFFER - 1
        self.beats = 0
        self.news = True
        self.offered: int | None = None
        self._offer()

    @property
    def dispatched(self) -> int:
        """Instructions dispatched so far."""
        return len(self._dispatched)

    def _offer(self) -> None:
        """The next burst, if it is known when the buffer has room for it."""
        self.offered = None
        if self._left == 0:
            return
        excess = self._asked - (BUFFER_BEATS - CHUNK_BEATS)
        if excess > len(self._taken):
            return
        room = self._taken[excess - 1] + ROOM if excess > 0 else 0
        self.beats = min(CHUNK_BEATS - self._at % CHUNK_BEATS, self._left)
        self.offered = max(self._last_offer + 1, room)

    def deliver(self, issued: int, earliest: int) -> int:
        last = earliest + self.beats - 1
        self._arrivals.extend(range(earliest, last + 1))
        self._last_offer = issued
        self._at += self.beats
        self._asked += self.beats
        self._left -= self.beats
        self._offer()
        return last

    def advance(self) -> bool:
        """Dispatch what is known to have arrived."""
        before = len(self._dispatched)
        beat_bytes = self._config.beat_bytes
        while (n := len(self._dispatched)) < len(self._order):
            last_beat = (self._skew + (n + 1) * INSTRUCTION_BYTES - 1) // beat_bytes
            if last_beat >= len(self._arrivals):
                break
            stage = self._stages[self._order[n]]
            room = stage.queue_room()
            if room is None:
                break
            arrival = self._arrivals[last_beat]
            previous = self._dispatched[-1] if n else -self._parts
            cycle = max(arrival + DISPATCH, previous + self._parts, room)
            leaves = max(arrival + TAKEN, self._dispatched[n - 2] + TAKEN if n > 1 else 0)
            self._taken.extend([leaves] * (last_beat + 1 - len(self._taken)))
            self._dispatched.append(cycle)
            stage.receive(n, cycle + QUEUE)
        if len(self._dispatched) == before:
            return False
        if self.offered is None:
            self._offer()
        return True
