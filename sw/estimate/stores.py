"""The store stage: addresses, data and responses of STOREs."""

from collections import deque

from vta.hw.capacities import BURSTS_AHEAD
from vta.hw.isa import MEMORIES, MemoryType, Store
from vta.sw.estimate.read_bus import FULL_DELAY, bursts
from vta.sw.estimate.stage import InOrderStage, Wait
from vta.sw.rules import is_nop

__all__ = ["StoreStage"]

PLAN = 2  # cycles from the start of a STORE to its burst list
FIRST_BURST = 1  # from there to the first address
DATA = 3  # from an address to its first beat on the bus
RETIRE = 1  # from the last response to retirement


class StoreStage(InOrderStage):
    """Executes STOREs in order, a beat a cycle across bursts."""

    def __init__(self, *args, latency: int, base: int) -> None:
        super().__init__(*args)
        self._latency = latency
        self._base = base
        self._generator = 0  # free for the next transfer
        self._accepts = 0  # free for the next STORE
        self._address = 0  # free for the next burst
        self._idle = 0  # the bus is free for the next beat
        self._sent: deque[int] = deque()  # last beats of the bursts ahead
        self._answers: deque[int] = deque()  # responses of the bursts in flight
        self.beats = 0

    def advance(self) -> bool:
        """Start and retire what is known."""
        progress = False
        while self.queue:
            index, arrival = self.queue[0]
            store = self.instructions[index]
            candidates = self.earliest(store)
            if candidates is None:
                break
            self.queue.popleft()
            candidates += [(max(arrival, self.last_start + 2), Wait.FETCH)]
            progress = True
            if is_nop(store):
                cycle = self.start(index, candidates)
                self.complete(index, cycle + 1)
            else:
                cycle = self.start(index, [*candidates, (self._accepts, Wait.UNIT)])
                self.complete(index, self._transfer(cycle, store) + RETIRE)
            self.retire()
        return progress

    def _transfer(self, started: int, store: Store) -> int:
        """When the last response is in."""
        size = MEMORIES[MemoryType.OUT].element_bytes(self.config)
        base = self._base + store.dram_base * size
        planned = max(started + PLAN, self._generator)
        self._accepts = max(started + 2, planned)
        cycle, answer = planned + FIRST_BURST, 0
        for row in range(store.y_size):
            address = base + row * store.x_stride * size
            for beats in bursts(address, store.x_size * size, self.config):
                cycle, answer = self._burst(cycle, beats)
        self._generator = cycle
        return answer

    def _burst(self, offered: int, beats: int) -> tuple[int, int]:
        """(when the next burst can be offered, the response) of one burst."""
        cycle = max(offered, self._address)
        if len(self._sent) == BURSTS_AHEAD:
            cycle = max(cycle, self._sent.popleft())
        if len(self._answers) == self.config.outstanding_writes:
            cycle = max(cycle, self._answers.popleft() + FULL_DELAY)
        last = max(cycle + DATA, self._idle) + beats - 1
        self._idle = last + 1
        answer = last + self._latency
        self._sent.append(last - 1)
        self._answers.append(answer)
        self._address = cycle + 1
        self.beats += beats
        return cycle + 1, answer
