"""The read channel of the bus, shared by compute's loads, fetch and the load stage."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from vta.hw.capacities import BEATS_IN_FLIGHT, BURST_BEATS
from vta.hw.config import Config

__all__ = ["ReadBus", "ReadClient", "bursts"]

FULL_DELAY = 2  # cycles from a beat that makes room to the burst it makes room for


class ReadClient(Protocol):
    """Somebody who asks for bursts.

    `offered`: the cycle in which the next burst is offered, None where none is known; `beats`: its
    length. `deliver` says when its last beat is taken, where the first can be from `earliest` on;
    `news`: it let the client learn something that others may wait for.
    """

    offered: int | None
    beats: int
    news: bool

    def deliver(self, issued: int, earliest: int) -> int: ...


def bursts(address: int, nbytes: int, config: Config) -> list[int]:
    """Beats of each burst of a row: bursts end at multiples of `BURST_BEATS` beats."""
    first = address // config.beat_bytes
    last = (address + nbytes - 1) // config.beat_bytes
    if first // BURST_BEATS == last // BURST_BEATS:
        return [last - first + 1]
    found = [BURST_BEATS - first % BURST_BEATS]
    found += [BURST_BEATS] * ((last + 1) // BURST_BEATS - first // BURST_BEATS - 1)
    return found if (last + 1) % BURST_BEATS == 0 else [*found, (last + 1) % BURST_BEATS]


class ReadBus:
    """Gives a burst a cycle to the first client that offers one; data come back in order."""

    def __init__(self, config: Config, latency: int, clients: Sequence[ReadClient]) -> None:
        self._clients = clients
        self._latency = latency
        self._most = config.outstanding_reads
        self._ends: deque[int] = deque()  # last beats of the latest bursts
        self._flying: deque[tuple[int, int]] = deque()  # last beat and length of a burst
        self._beats = 0  # of those in `_flying`
        self._free = 0  # the next burst may be issued
        self._idle = 0  # the next beat may come
        self.beats = 0  # in all

    def next_issue(self) -> tuple[int, ReadClient] | None:
        """When the next burst is issued, and whose; None where none is offered."""
        found = None
        for client in self._clients:
            offered = client.offered
            if offered is not None:
                cycle = max(offered, self._free)
                if found is None or cycle < found[0]:
                    found = cycle, client
        return found

    def issue(self, cycle: int, client: ReadClient) -> None:
        """The burst of `client` goes out."""
        beats = client.beats
        last = client.deliver(cycle, max(cycle + 1 + self._latency, self._idle))
        self._idle = last + 1
        self.beats += beats
        self._flying.append((last, beats))
        self._beats += beats
        self._ends.append(last)
        self._free = max(cycle + 1, self._room())
        if len(self._ends) >= self._most:
            self._free = max(self._free, self._ends.popleft() + FULL_DELAY)

    def _room(self) -> int:
        """From when on fewer than `BEATS_IN_FLIGHT` beats are asked for."""
        cycle = 0
        while self._beats >= BEATS_IN_FLIGHT:
            last, beats = self._flying.popleft()
            spare = self._beats - beats
            if spare < BEATS_IN_FLIGHT:  # some beat of this burst makes the room
                needed = self._beats - BEATS_IN_FLIGHT + 1
                cycle = last - beats + needed + FULL_DELAY
                self._flying.appendleft((last, beats - needed))
                self._beats -= needed
            else:
                self._beats = spare
        return cycle
